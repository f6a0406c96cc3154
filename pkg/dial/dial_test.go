package dial_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reprise/pkg/dial"
	"reprise/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxy is one that greets in the name of the endpoint right after its answer, as HTTP/2 servers may.
type proxy struct {
	*httptest.Server

	asked  atomic.Value // string
	auth   atomic.Value
	status int
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{status: 200}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Store(r.Method + " " + r.Host)
		p.auth.Store(r.Header.Get("Proxy-Authorization"))
		if p.status != 200 {
			w.WriteHeader(p.status)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\nhello")
		_ = conn.Close()
	}))
	t.Cleanup(p.Close)
	return p
}

func TestTunnel(t *testing.T) {
	p := newProxy(t)
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "secret")
	d, err := dial.New(dial.Config{Timeout: time.Minute, Proxy: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := d.Dial(t.Context(), "tcp", "orders.example:9080")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if p.asked.Load() != "CONNECT orders.example:9080" || p.auth.Load() != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:secret")) {
		t.Errorf("asked %v with %v", p.asked.Load(), p.auth.Load())
	}
}

func TestWithoutTunnel(t *testing.T) {
	p := newProxy(t)
	direct := httptest.NewServer(http.NotFoundHandler())
	defer direct.Close()
	d, err := dial.New(dial.Config{Timeout: time.Minute, Proxy: p.URL, NoProxy: "other.example,.internal"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := d.Dial(t.Context(), "tcp", direct.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	for _, host := range []string{"other.example:1", "a.internal:1"} {
		if conn, err := d.Dial(t.Context(), "tcp", host); err == nil {
			_ = conn.Close()
			t.Errorf("%s was reached", host)
		} else if strings.Contains(err.Error(), "proxy") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if p.asked.Load() != nil {
		t.Errorf("the proxy was asked %v", p.asked.Load())
	}
}

func TestRefusedTunnel(t *testing.T) {
	p := newProxy(t)
	p.status = 407
	d, err := dial.New(dial.Config{Timeout: time.Minute, Proxy: p.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Dial(t.Context(), "tcp", "orders.example:9080"); err == nil || !strings.Contains(err.Error(), "407") {
		t.Fatal(err)
	}
}

// A proxy that says nothing is given up.
func TestSilentProxy(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	g := lifecycle.NewGroup(context.Background())
	g.Go("proxy", func(context.Context) error {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return err
		}
		cancel(errors.New("enough"))
		_, err = io.Copy(io.Discard, conn)
		return errors.Join(err, conn.Close(), ln.Close())
	})
	d, err := dial.New(dial.Config{Timeout: time.Minute, Proxy: "http://" + ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Dial(ctx, "tcp", "orders.example:9080"); err == nil {
		t.Error("no error")
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []dial.Config{{}, {Timeout: time.Second, Proxy: "proxy:3128"}, {Timeout: time.Second, Proxy: "socks5://p:1"}, {Timeout: time.Second, Proxy: "http://"}} {
		if _, err := dial.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
