package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exchange is one request of a test: a Handler that remembers.
type exchange struct {
	stream Stream

	mu      sync.Mutex
	status  int
	fields  map[string]string
	body    []byte
	drained int
	ended   bool
	hold    bool // do not credit

	headed chan struct{} // closed by Header
	closed chan error    // room for one
}

func newExchange() *exchange {
	return &exchange{fields: map[string]string{}, headed: make(chan struct{}), closed: make(chan error, 1)}
}

func (e *exchange) Header(r *Response) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = r.Status
	for _, f := range r.Fields {
		e.fields[f.Name] = f.Value
	}
	close(e.headed)
}

func (e *exchange) Data(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.body = append(e.body, b...)
	if !e.hold {
		e.stream.Credit(len(b))
	}
}

func (e *exchange) Drained() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drained++
}

func (e *exchange) Ended() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		panic("ended twice")
	}
	e.ended = true
}

func (e *exchange) Closed(err error) { e.closed <- err }

func (e *exchange) seen() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.body)
}

type fixture struct {
	t      *testing.T
	clock  *hosttest.Clock
	client *Client
	target *Target
	head   *Head
}

func start(t *testing.T, cfg Config, rawURL string) *fixture {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	clock := hosttest.NewClock()
	c := NewClient(cfg, nil, hosttest.New(clock, 1))
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("client", c.Run)
	<-c.Ready()
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{
		t: t, clock: clock, client: c, target: c.Target(KeyOf(u)),
		head: NewHead(u.Scheme, u.Host, "/echo", []Field{{Name: "content-type", Value: "text/plain"}}),
	}
}

func (f *fixture) open(e *exchange) *Stream {
	f.t.Helper()
	if err := f.target.Open(&e.stream, e, f.head, []Field{{Name: "x-id", Value: "1", Secret: true}}); err != nil {
		f.t.Fatal(err)
	}
	return &e.stream
}

func (f *fixture) write(s *Stream, b []byte, end bool) {
	s.Write(b, end)
	f.client.Touch(s)
	f.client.Flush()
}

// wait is the longest that a test waits for something that must happen.
const wait = 10 * time.Second

func (f *fixture) closed(e *exchange) error {
	f.t.Helper()
	select {
	case err := <-e.closed:
		return err
	case <-time.After(wait):
		f.t.Fatal("the stream was not closed")
		return nil
	}
}

// serve runs a net/http server that speaks HTTP/2 without TLS.
func serve(t *testing.T, h http.HandlerFunc, conf *http.HTTP2Config) string {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return invokertest.Listen(t, &http.Server{Handler: h, Protocols: &p, HTTP2: conf})
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-path", r.URL.Path)
	w.Header().Set("x-id", r.Header.Get("x-id"))
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	buf := make([]byte, 8192)
	for {
		n, err := r.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = rc.Flush()
		if err != nil {
			return
		}
	}
}

func TestEcho(t *testing.T) {
	f := start(t, Default(), serve(t, echo, nil))
	for range 3 { // the second and third use the cached header block
		e := newExchange()
		f.write(f.open(e), []byte("hello"), true)
		if err := f.closed(e); err != nil {
			t.Fatal(err)
		}
		if string(e.body) != "hello" || e.status != 200 || e.fields["x-path"] != "/echo" || e.fields["x-id"] != "1" {
			t.Fatalf("status %d, fields %v, body %q", e.status, e.fields, e.body)
		}
		if !e.ended || e.drained == 0 {
			t.Fatalf("ended %v, drained %d", e.ended, e.drained)
		}
	}
	if n := f.target.Conns(); n != 1 {
		t.Fatalf("%d connections, want 1", n)
	}
}

func TestBodiesAreLargerThanEveryWindow(t *testing.T) {
	f := start(t, Default(), serve(t, echo, &http.HTTP2Config{
		MaxReceiveBufferPerStream: 1 << 16, MaxReceiveBufferPerConnection: 1 << 17,
	}))
	const streams, size = 5, 6 << 20 // more than our 2 and 5 MiB
	all := make([]*exchange, streams)
	for i := range all {
		all[i] = newExchange()
		s := f.open(all[i])
		body := bytes.Repeat([]byte{byte('a' + i)}, size)
		s.Write(body[:size/3], false)
		s.Write(body[size/3:], true)
		f.client.Touch(s)
	}
	f.client.Flush()
	for i, e := range all {
		if err := f.closed(e); err != nil {
			t.Fatal(err)
		}
		if len(e.body) != size || bytes.Count(e.body, []byte{byte('a' + i)}) != size {
			t.Fatalf("stream %d: %d bytes back", i, len(e.body))
		}
	}
}

func TestMoreStreamsOpenMoreConnections(t *testing.T) {
	cfg := Default()
	cfg.StreamsMax = 4
	f := start(t, cfg, serve(t, echo, nil))
	all := make([]*exchange, 10)
	for i := range all {
		all[i] = newExchange()
		f.open(all[i])
	}
	if n := f.target.Conns(); n != 3 {
		t.Fatalf("%d connections for 10 streams of 4 each, want 3", n)
	}
	for i, e := range all {
		f.write(&e.stream, fmt.Append(nil, i), true)
	}
	for i, e := range all {
		if err := f.closed(e); err != nil || string(e.body) != fmt.Sprint(i) {
			t.Fatalf("stream %d: %q, %v", i, e.body, err)
		}
	}
}

// A stream whose user credits nothing, on one connection with others, does not stop them.
func TestSlowStreamDoesNotStopOthers(t *testing.T) {
	cfg := Default()
	cfg.StreamWindowBytes, cfg.ConnWindowBytes = 1<<16, 1<<17
	f := start(t, cfg, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, 1<<20))
	}, nil))
	slow := newExchange()
	slow.hold = true
	f.write(f.open(slow), nil, true)
	<-slow.headed
	for range 3 {
		e := newExchange()
		f.write(f.open(e), nil, true)
		if err := f.closed(e); err != nil || len(e.body) != 1<<20 {
			t.Fatalf("%d bytes, %v", len(e.body), err)
		}
	}
	if n := len(slow.seen()); n > 1<<16 {
		t.Fatalf("%d bytes came over a window of 64 KiB", n)
	}
	slow.stream.Reset()
	slow.stream.Flush()
	e := newExchange() // what the reader does next closes the stream that was reset
	f.write(f.open(e), nil, true)
	if err := f.closed(slow); !errors.Is(err, ErrReset) {
		t.Fatal(err)
	}
	_ = f.closed(e)
}

func TestTLS(t *testing.T) {
	for name, h2 := range map[string]bool{"h2": true, "http/1.1 only": false} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
			s.EnableHTTP2 = h2
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			f := start(t, Default(), s.URL)
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			f.client.dial = NetDial(nil, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
			e := newExchange()
			f.write(f.open(e), []byte("hello"), true)
			err := f.closed(e)
			if h2 && (err != nil || string(e.body) != "hello") || !h2 && err == nil {
				t.Fatalf("%q, %v", e.body, err)
			}
		})
	}
	f := start(t, Default(), "https://127.0.0.1:1")
	e := newExchange()
	f.open(e)
	if err := f.closed(e); err == nil {
		t.Fatal("no error")
	}
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	f := start(t, Default(), "http://"+addr)
	e := newExchange()
	f.write(f.open(e), []byte("x"), true)
	if err := f.closed(e); err == nil {
		t.Fatal("no error")
	}
	f.target.prune()
	if n := f.target.Conns(); n != 0 {
		t.Fatalf("%d connections are left", n)
	}
}

func TestStoppedClientClosesStreams(t *testing.T) {
	u, _ := url.Parse(serve(t, echo, nil))
	c := NewClient(Default(), nil, hosttest.New(hosttest.NewClock(), 1))
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("client", c.Run)
	<-c.Ready()
	e := newExchange()
	if err := c.Target(KeyOf(u)).Open(&e.stream, e, NewHead("http", u.Host, "/", nil), nil); err != nil {
		t.Fatal(err)
	}
	c.Flush()
	<-e.headed
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := <-e.closed; !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	if err := c.Target(KeyOf(u)).Open(&e.stream, e, NewHead("http", u.Host, "/", nil), nil); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
}
