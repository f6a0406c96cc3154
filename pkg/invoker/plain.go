package invoker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"

	"reprise/pkg/invoker/h2"
)

// newPlainClient returns a client for endpoints that speak HTTP/1.1. keep says that connections are used
// again. Where bodies stream both ways they are not: servers in Go get confused by what they had not read
// (their next request ends in a panic: "invalid concurrent Body.Read call").
func newPlainClient(cfg Config, keep bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(true)
	connect := cfg.Connect
	if connect == nil {
		connect = (&net.Dialer{Timeout: cfg.HTTP2.ConnectTimeout}).DialContext
	}
	return &http.Client{
		Transport: &http.Transport{
			Protocols: &p,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := connect(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &watchedConn{Conn: conn}, nil
			},
			DisableKeepAlives:   !keep,
			TLSClientConfig:     cfg.TLS.Clone(),
			TLSHandshakeTimeout: cfg.HTTP2.ConnectTimeout,
			IdleConnTimeout:     cfg.HTTP2.IdleTimeout,
			MaxIdleConnsPerHost: idleConnsMax,
			DisableCompression:  true,
			// Of these the response headers have at most.
			MaxResponseHeaderBytes: plainHeaderBytesMax,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// watchedConn tells the exchange that uses it when nothing more can come. net/http waits for the writer of
// the request body then, which may wait for something to send for as long as the attempt lasts.
type watchedConn struct {
	net.Conn
	user   atomic.Pointer[plainExchange]
	failed atomic.Bool
}

// Read ends the request body when the connection ends.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.failed.Store(true)
		if x := c.user.Load(); x != nil {
			x.stop()
		}
	}
	return n, err
}

// watch has x learn when the connection of its request ends.
func (x *plainExchange) watch(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*watchedConn)
	if !ok {
		return
	}
	c.user.Store(x)
	if c.failed.Load() { // before it was known whom to tell
		x.stop()
	}
}

const (
	// idleConnsMax bounds the idle HTTP/1.1 connections to one endpoint.
	idleConnsMax = 256
	// plainHeaderBytesMax bounds response headers, as for HTTP/2.
	plainHeaderBytesMax = 64 << 10
)

// plainWindowBytes is how much of a response may wait to be applied.
const plainWindowBytes = 2 << 20

const plainReadBytes = 32 << 10

// plainExchange is a request over net/http. It has a goroutine of its own.
type plainExchange struct {
	handler h2.Handler
	cancel  context.CancelFunc
	kept    atomic.Bool // the connection was used before

	// mu guards what follows. It is a leaf; changed is signalled with any of it.
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte // of the request body
	read    int
	end     bool
	cut     bool // the body ended before all was sent
	done    bool // nothing is sent any more
	reset   bool
	spare   chan<- struct{}
	owed    int // received, not given back
}

var _ exchange = (*plainExchange)(nil)

// openPlain starts a request over HTTP/1.1.
func (v *Invoker) openPlain(a *attempt, fields []h2.Field) error {
	ctx, cancel := context.WithCancel(context.Background())
	x := &plainExchange{handler: a, cancel: cancel}
	x.changed = sync.NewCond(&x.mu)
	req, err := x.request(ctx, a.route.url)
	if err != nil {
		cancel()
		return err
	}
	for _, f := range fields {
		req.Header.Set(f.Name, f.Value)
	}
	maps.Copy(req.Header, a.route.header)
	a.out = x
	ok := v.spawn("http/1.1 request", func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { // a body that waits would keep the exchange alive
			cancel()
			x.stop()
		})()
		defer cancel()
		client := v.plain
		if a.route.bidi {
			client = v.plainBidi
		}
		err := x.run(client, req)
		x.stop()
		a.Closed(err)
	})
	if !ok {
		cancel()
		return h2.ErrStopped
	}
	return nil
}

// request makes the request whose body x writes.
func (x *plainExchange) request(ctx context.Context, url string) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		x.kept.Store(i.Reused)
		x.watch(i.Conn)
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, plainBody{x})
	if err != nil {
		return nil, err
	}
	req.ContentLength = -1
	return req, nil
}

var errSwitched = errors.New("the endpoint switched to another protocol")

// run does the exchange.
func (x *plainExchange) run(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil && x.kept.Load() { // it may have been closed when it was used again: another one will tell
		err = fmt.Errorf("%w: kept connection: %w", h2.ErrRefused, err)
	}
	if err != nil {
		return x.cause(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or is of no use
	r := h2.Response{Status: resp.StatusCode}
	for _, name := range []string{"content-type", "retry-after"} {
		if value := resp.Header.Get(name); value != "" {
			r.Fields = append(r.Fields, hpack.HeaderField{Name: name, Value: value})
		}
	}
	x.handler.Header(&r)
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, which nothing would end
		return errSwitched
	}
	buf := make([]byte, plainReadBytes)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			x.receive(buf[:n])
		}
		if err == io.EOF {
			x.handler.Ended()
			return nil
		}
		if err != nil {
			return x.cause(err)
		}
	}
}

// receive hands bytes on and waits while too much of what came is not applied.
func (x *plainExchange) receive(b []byte) {
	x.mu.Lock()
	x.owed += len(b)
	x.mu.Unlock()
	x.handler.Data(b)
	x.handler.Drained()
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.owed > plainWindowBytes && !x.reset {
		x.changed.Wait()
	}
}

func (x *plainExchange) cause(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.reset {
		return h2.ErrReset
	}
	return err
}

// stop ends the sending side.
func (x *plainExchange) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = true
	x.changedLocked()
}

func (x *plainExchange) changedLocked() {
	x.changed.Broadcast()
	if x.spare == nil || (!x.done && len(x.buf)-x.read > plainReadBytes) {
		return
	}
	select {
	case x.spare <- struct{}{}:
	default: // it was told already
	}
}

// Write appends to the request body.
func (x *plainExchange) Write(b []byte, end bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done || x.end {
		return
	}
	if x.read > len(x.buf)/2 {
		x.buf, x.read = x.buf[:copy(x.buf, x.buf[x.read:])], 0
	}
	x.buf = append(x.buf, b...)
	x.end = end
	x.changedLocked()
}

// Pending returns how much waits to be sent.
func (x *plainExchange) Pending() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.buf) - x.read
}

// NotifySpare is as of h2.Stream.
func (x *plainExchange) NotifySpare(ch chan<- struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.spare = ch
	x.changedLocked()
}

// Finish ends the request body now.
func (x *plainExchange) Finish() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cut = x.cut || !x.end
	x.buf, x.read, x.end = nil, 0, true
	x.changedLocked()
}

// Reset drops the exchange.
func (x *plainExchange) Reset() {
	x.mu.Lock()
	x.reset, x.done = true, true
	x.changedLocked()
	x.mu.Unlock()
	x.cancel()
}

// Credit gives received bytes back.
func (x *plainExchange) Credit(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.owed -= n
	x.changedLocked()
}

// Flush does nothing: writes are seen at once.
func (x *plainExchange) Flush() {}

// plainBody is the request body, as net/http reads it.
type plainBody struct{ x *plainExchange }

// Read waits for something to send.
func (b plainBody) Read(p []byte) (int, error) {
	x := b.x
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.read == len(x.buf) && !x.end && !x.done {
		x.changed.Wait()
	}
	switch {
	case x.read < len(x.buf):
		n := copy(p, x.buf[x.read:])
		x.read += n
		if x.read == len(x.buf) {
			x.buf, x.read = x.buf[:0], 0
		}
		x.changedLocked()
		return n, nil
	case x.end:
		return 0, io.EOF
	default:
		return 0, io.ErrClosedPipe
	}
}

// Close is called when nothing is sent any more.
func (b plainBody) Close() error {
	b.x.stop()
	return nil
}
