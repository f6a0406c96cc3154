package h2

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
)

// Dial opens a connection to host:port, with the TLS handshake if secure is set.
type Dial func(ctx context.Context, authority string, secure bool) (net.Conn, error)

// Client keeps the connections of one loop. Target, Flush and Tick are for the loop's goroutine.
type Client struct {
	cfg   Config
	dial  Dial
	host  host.Host
	ready chan struct{}

	targets map[Key]*Target // loop only
	written []*Conn         // loop only: those that Flush kicks

	streamsOpened, streamsFailed, streamsClosed atomic.Uint64

	// mu guards what follows; see the package comment.
	mu     sync.Mutex
	group  *lifecycle.Group // nil until Run
	closed bool
	conns  map[*Conn]struct{} // live
	counts Counts
}

// Counts are totals since the start.
type Counts struct {
	ConnsOpened, ConnsFailed, ConnsClosed       uint64
	StreamsOpened, StreamsFailed, StreamsClosed uint64
}

// NewClient returns a client. dial may be nil: TCP, and TLS with the system's certificates.
func NewClient(cfg Config, dial Dial, h host.Host) *Client {
	if dial == nil {
		dial = NetDial(nil, nil)
	}
	return &Client{
		cfg: cfg, dial: dial, host: h, ready: make(chan struct{}),
		targets: map[Key]*Target{}, conns: map[*Conn]struct{}{},
	}
}

// Connect opens a connection to host:port.
type Connect func(ctx context.Context, network, address string) (net.Conn, error)

// NetDial agrees on HTTP/2 over TLS where that is asked for. connect may be nil: plain TCP. config is for
// TLS and may be nil.
func NetDial(connect Connect, config *tls.Config) Dial {
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, authority string, secure bool) (net.Conn, error) {
		nc, err := connect(ctx, "tcp", authority)
		if err != nil || !secure {
			return nc, err
		}
		c := config.Clone()
		if c == nil {
			c = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		c.NextProtos = []string{"h2"}
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(authority) // a target has a port
		}
		tc := tls.Client(nc, c)
		if err = tc.HandshakeContext(ctx); err == nil && tc.ConnectionState().NegotiatedProtocol != "h2" {
			err = ErrNotHTTP2
		}
		if err != nil {
			_ = nc.Close() // nothing was sent
			return nil, err
		}
		return tc, nil
	}
}

// Ready is closed when streams may be opened.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// Run owns the goroutines of the connections; it returns when all have ended.
func (c *Client) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	// The keeper holds the group open, so that connections may be added until it ends.
	g.Go("h2 keeper", func(ctx context.Context) error {
		<-ctx.Done()
		c.mu.Lock()
		c.closed = true
		live := make([]*Conn, 0, len(c.conns))
		for conn := range c.conns {
			live = append(live, conn)
		}
		c.mu.Unlock()
		for _, conn := range live {
			conn.fail(ErrStopped)
		}
		return nil
	})
	c.mu.Lock()
	c.group = g
	c.mu.Unlock()
	close(c.ready)
	return g.Wait()
}

// Counts returns the totals.
func (c *Client) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.counts
	all.StreamsOpened, all.StreamsFailed, all.StreamsClosed = c.streamsOpened.Load(), c.streamsFailed.Load(), c.streamsClosed.Load()
	return all
}

// spawn starts the goroutine of a new connection; false if the client does not run.
func (c *Client) spawn(conn *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.group == nil {
		return false
	}
	c.conns[conn] = struct{}{}
	c.group.Go("h2 reader", conn.run)
	return true
}

// spawnFlusher starts the flusher of a connection whose reader runs.
func (c *Client) spawnFlusher(conn *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.ConnsOpened++
	// The group cannot be finished: the caller is one of its goroutines.
	c.group.Go("h2 flusher", conn.flushLoop)
}

func (c *Client) gone(conn *Conn, connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
	if connected {
		c.counts.ConnsClosed++
		return
	}
	c.counts.ConnsFailed++
}

// Touch notes that the loop wrote to the stream; Flush will kick its connection.
func (c *Client) Touch(s *Stream) {
	if conn := s.conn; !conn.touchedByLoop {
		conn.touchedByLoop = true
		c.written = append(c.written, conn)
	}
}

// Flush wakes the flusher of each connection that the loop has written to.
func (c *Client) Flush() {
	for i, conn := range c.written {
		conn.touchedByLoop = false
		conn.wake()
		c.written[i] = nil
	}
	c.written = c.written[:0]
}

// Tick does keep-alive and idle closing. Call it about every second.
func (c *Client) Tick(nowMillis int64) {
	for _, t := range c.targets {
		t.prune()
		for _, conn := range t.conns {
			conn.tick(nowMillis)
		}
	}
}
