package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// sweepInterval is how often connections are looked at whose head or answer takes long.
const sweepInterval = time.Second

// plainFront answers the plain requests of connections, and gives those with others to net/http. One goroutine
// for each connection, no context, timer or goroutine for each request.
type plainFront struct {
	core  *Ingress
	host  host.Host
	other *handOver
	date  dateLine

	// mu guards what follows. Order: plainFront.mu, then plainConn.mu. Never held across I/O.
	mu       sync.Mutex
	conns    map[*plainConn]struct{}
	draining bool
	drained  chan struct{} // closed when it drains and no connection is left
}

func newPlainFront(core *Ingress, h host.Host) *plainFront {
	return &plainFront{core: core, host: h, other: newHandOver(), conns: map[*plainConn]struct{}{}, drained: make(chan struct{})}
}

// acceptPause is how long no connection is accepted after one that could not be: out of files, perhaps.
const acceptPause = 10 * time.Millisecond

// accept serves the connections of ln until it is closed. Requests end with base.
func (f *plainFront) accept(ctx, base context.Context, group *lifecycle.Group, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			group.Go("connection", func(context.Context) error {
				f.serve(base, conn)
				return nil
			})
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			t := f.host.Clock.NewTimer(acceptPause)
			select {
			case <-t.C():
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
}

func (f *plainFront) serve(base context.Context, conn net.Conn) {
	ctx, leave := context.WithCancelCause(base)
	defer leave(nil)
	c := newPlainConn(f, conn, leave)
	f.core.metrics.created.Inc()
	other := f.add(c) && (f.core.cfg.NetHTTPOnly || f.answerAll(ctx, c))
	f.remove(c)
	if other && c.conn.SetReadDeadline(time.Time{}) == nil && f.other.put(&readConn{Conn: conn, first: c.buf[c.start:c.end]}) {
		return
	}
	_ = conn.Close() // nothing of ours is left in it
	f.core.metrics.dropped.Inc()
}

// answerAll serves c until it ends, or returns true when the rest is for net/http. A panic is a fault of ours
// that must cost this connection only.
func (f *plainFront) answerAll(ctx context.Context, c *plainConn) (other bool) {
	defer func() {
		if r := recover(); r != nil {
			f.host.Log.Error("a request caused a panic", slog.Any(logkey.Err, r), slog.String(logkey.Stack, string(debug.Stack())))
			other = false
		}
	}()
	return c.serve(ctx)
}

// add returns false while no connection is taken any more.
func (f *plainFront) add(c *plainConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = struct{}{}
	return !f.draining
}

func (f *plainFront) remove(c *plainConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	f.checkLocked()
}

func (f *plainFront) checkLocked() {
	if f.draining && len(f.conns) == 0 {
		select {
		case <-f.drained:
		default:
			close(f.drained)
		}
	}
}

// drain lets the requests that are served be the last of their connections.
func (f *plainFront) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	for c := range f.conns {
		c.drain()
	}
	f.checkLocked()
}

// cut closes all connections.
func (f *plainFront) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.conn.Close() // whoever uses it sees the error
	}
}

// sweep looks at all connections now and then, until they are drained.
func (f *plainFront) sweep(group *lifecycle.Group) {
	t := f.host.Clock.NewTimer(sweepInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C():
		case <-f.drained:
			return
		}
		now := f.host.Clock.Now()
		f.mu.Lock()
		for c := range f.conns {
			if read := c.sweep(now); read != nil {
				group.Go("client of a long request", func(context.Context) error {
					read()
					return nil
				})
			}
		}
		f.mu.Unlock()
		t.Reset(sweepInterval)
	}
}

// readConn gives back the bytes that were read already.
type readConn struct {
	net.Conn
	first []byte
}

// Read reads.
func (c *readConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite ends one direction: net/http does so before it closes a connection on which a client still writes.
func (c *readConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// handOver is the listener of net/http: connections whose requests are not plain.
type handOver struct {
	conns chan net.Conn // unbuffered: net/http accepts at once
	done  chan struct{}
	once  sync.Once
}

func newHandOver() *handOver {
	return &handOver{conns: make(chan net.Conn), done: make(chan struct{})}
}

// put returns false when the listener is closed.
func (h *handOver) put(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOver) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handOver) Addr() net.Addr { return &net.TCPAddr{} }
