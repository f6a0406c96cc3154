package postgres

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"

	"reprise/pkg/logkey"
	"reprise/pkg/query"
)

// listener hands out connections that notice when their client leaves.
type listener struct{ *Server }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.ln.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.take(raw); c != nil {
			return c, nil
		}
		_ = raw.Close() // the client sees it closed: there is no place
		l.host.Log.LogAttrs(context.Background(), slog.LevelWarn, "postgres client turned away", slog.Int(logkey.Count, l.cfg.ConnectionsMax))
	}
}

// Close implements net.Listener.
func (l listener) Close() error { return l.ln.Close() }

// Addr implements net.Listener.
func (l listener) Addr() net.Addr { return l.ln.Addr() }

// take makes a conn of a connection; nil if there is no place.
func (s *Server) take(raw net.Conn) *conn {
	c := &conn{Conn: raw, server: s, chunks: make(chan []byte, chunksMax), secret: int32(s.host.Rand.Uint64())}
	c.life, c.stop = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	key := raw.RemoteAddr().String()
	if s.group == nil || len(s.conns) >= s.cfg.ConnectionsMax || s.conns[key] != nil {
		return nil
	}
	s.last++
	c.number = s.last
	s.conns[key] = c
	s.group.Go("postgres client", func(context.Context) error {
		c.read()
		return nil
	})
	return c
}

// What is read ahead of the statement that runs, so that the end of the connection is seen. A client that sends more
// than that ahead is seen to leave only after the statement.
const (
	chunkBytes = 16 << 10
	chunksMax  = 8
)

// conn is the connection of a client.
type conn struct {
	net.Conn
	server         *Server
	number, secret int32
	chunks         chan []byte     // read from the client; closed at the end
	rest           []byte          // of a chunk; of the goroutine that calls Read
	life           context.Context //nolint:containedctx // until the client leaves
	stop           context.CancelCauseFunc

	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	running context.CancelCauseFunc // ends the statement that runs; nil if none does
	open    *query.Rows             // of a statement whose columns are told, and whose rows are not
	begun   bool                    // a transaction
	ended   bool
}

// read reads until the client leaves.
func (c *conn) read() {
	defer close(c.chunks)
	for {
		b := make([]byte, chunkBytes)
		n, err := c.Conn.Read(b)
		if n > 0 {
			select {
			case c.chunks <- b[:n]:
			case <-c.life.Done():
				return
			}
		}
		if err != nil {
			c.stop(io.EOF)
			return
		}
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		chunk, ok := <-c.chunks
		if !ok {
			return 0, io.EOF
		}
		c.rest = chunk
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.end(net.ErrClosed)
	return nil
}

// end closes the connection. It is idempotent.
func (c *conn) end(why error) {
	c.mu.Lock()
	ended, open := c.ended, c.open
	c.ended, c.open = true, nil
	c.mu.Unlock()
	if ended {
		return
	}
	c.stop(why)
	_ = c.Conn.Close() // the client may have closed it
	if open != nil {
		_ = open.Close() // only read
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c.RemoteAddr().String())
}

// begin is the context of a statement: it ends with the connection, and when the client cancels it. Call release.
func (c *conn) begin(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })
	c.mu.Lock()
	c.running = cancel
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		c.running = nil
		c.mu.Unlock()
		unwatch()
		cancel(nil)
	}
}

// interrupt ends the statement that runs.
func (c *conn) interrupt(why error) {
	c.mu.Lock()
	cancel := c.running
	c.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
}

// hold keeps rows until they are fetched; false if the connection has ended.
func (c *conn) hold(r *query.Rows) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.open = r
	return true
}

// fetch takes the rows that are held.
func (c *conn) fetch() *query.Rows {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.open
	c.open = nil
	return r
}

func (c *conn) transact(begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = begun
}

func (c *conn) inTransaction() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}
