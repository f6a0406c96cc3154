package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
)

// Listen opens a listener of this process. The error is one line that names the key to change.
func Listen(ctx context.Context, e config.Endpoint) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", e.Addr)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "%w: choose another %sbind-port or %sbind-ip", err, e.Key, e.Key)
	}
	return ln, nil
}

const (
	// preface is how an HTTP/2 connection with prior knowledge begins: gRPC.
	preface = "PRI * HTTP/2.0"
	// firstBytesTimeout is how long a connection may say nothing.
	firstBytesTimeout = 10 * time.Second
	// undecidedMax is how many connections may be without their first bytes.
	undecidedMax = 1024
)

// portSwitch gives connections of one port to gRPC or to HTTP/1, by their first bytes.
type portSwitch struct {
	ln         net.Listener
	strict     bool // gRPC needs a certificate
	grpc, http *connQueue
	host       host.Host
	counts     *connections // of daemons: those of HTTP/1 are not among them
}

func newPortSwitch(ln net.Listener, m *certs.Mutual, h host.Host) *portSwitch {
	return &portSwitch{ln: m.Listener(ln, false), strict: m.Strict(), grpc: newConnQueue(ln.Addr()), http: newConnQueue(ln.Addr()), host: h, counts: newConnections(h.Metrics)}
}

// Run accepts until ctx ends or the listener fails.
func (s *portSwitch) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	stop := context.AfterFunc(ctx, func() { _ = s.ln.Close() }) // Accept returns its error
	defer stop()
	undecided := make(chan struct{}, undecidedMax)
	g.Go("accept", func(context.Context) error {
		for {
			c, err := s.ln.Accept()
			if ctx.Err() != nil { // the one that closes the port: those derived from it may end a moment later
				return nil
			}
			if err != nil && errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept on %s: %w", s.ln.Addr(), err)
			}
			if err != nil { // out of files, or the peer is gone: others may come through
				t := s.host.Clock.NewTimer(10 * time.Millisecond)
				<-t.C()
				continue
			}
			select {
			case undecided <- struct{}{}:
			default:
				_ = c.Close() // refused
				continue
			}
			g.Go("first bytes", func(ctx context.Context) error {
				defer func() { <-undecided }()
				s.decide(ctx, c)
				return nil
			})
		}
	})
	return g.Wait()
}

// decide reads as much as it takes to tell the two apart, inside of TLS if there is any.
func (s *portSwitch) decide(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends the read
	defer stop()
	buf := make([]byte, len(preface))
	n, to := 0, s.grpc
	err := c.SetReadDeadline(s.host.Clock.Now().Add(firstBytesTimeout))
	for err == nil && n < len(preface) {
		var m int
		m, err = c.Read(buf[n:])
		n += m
		if string(buf[:n]) != preface[:n] {
			to = s.http
			break
		}
	}
	if n == 0 || to == s.grpc && n < len(preface) {
		_ = c.Close() // silent, or gone
		return
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		_ = c.Close()
		return
	}
	rc := &readConn{Conn: c, first: buf[:n]}
	rc.guarded, _ = c.(*certs.Conn)
	if to == s.grpc && s.strict && rc.guarded.Standing() != certs.Known {
		rc.guarded.Refuse()
		_ = c.Close() // before a request is read
		return
	}
	if to == s.grpc {
		s.counts.incoming.Inc()
		rc.ended = s.counts.droppedIn.Inc
	}
	to.put(ctx, rc)
}

// readConn gives back the bytes that were read already.
type readConn struct {
	net.Conn
	first   []byte
	guarded *certs.Conn // the same connection, if it may have TLS; or nil
	ended   func()      // called once, when it is closed; or nil
	once    sync.Once
}

// Close closes the connection.
func (c *readConn) Close() error {
	if c.ended != nil {
		c.once.Do(c.ended)
	}
	return c.Conn.Close()
}

func (c *readConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// connQueue is a listener that is fed with connections.
type connQueue struct {
	addr  net.Addr
	conns chan net.Conn // unbuffered: a server that does not accept holds up only its own
	done  chan struct{}
	once  sync.Once
}

func newConnQueue(addr net.Addr) *connQueue {
	return &connQueue{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (q *connQueue) put(ctx context.Context, c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.done:
		_ = c.Close()
	case <-ctx.Done():
		_ = c.Close()
	}
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *connQueue) Addr() net.Addr { return q.addr }
