package invoker

import (
	"bufio"
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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/lifecycle"
)

// An endpoint that goes away while the request body waits for something to send must not be waited for
// until the attempt times out.
func TestEndOfConnectionEndsTheRequest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ln := must(new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"))
	g := lifecycle.NewGroup(ctx)
	g.Go("endpoint", func(context.Context) error {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return err
		}
		return errors.Join(conn.Close(), ln.Close())
	})
	x := &plainExchange{}
	x.changed = sync.NewCond(&x.mu)
	defer context.AfterFunc(ctx, x.stop)() // or a failure would wait for ever
	req := must(x.request(ctx, "http://"+ln.Addr().String()))
	resp, err := newPlainClient(Default(), false).Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("the endpoint answered %s", resp.Status)
	}
	if ctx.Err() != nil {
		t.Fatalf("it took the whole time: %v", err)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// plainOption is a deployment over HTTP/1.1, in either mode.
func plainOption(bidi bool) option {
	return func(_ *loop, d *storedv1.Deployment) { d.Http1, d.Bidi = true, bidi }
}

// Attempts in request/response mode share a connection, one after the other; those that stream have their own.
func TestConnectionsAreKept(t *testing.T) {
	for _, bidi := range []bool{false, true} {
		var conns atomic.Int32
		l := newLoop(t, invokertest.Listen(t, &http.Server{
			Handler: invokertest.Handler(invokertest.Options{Whole: !bidi}, func(p *peer) { output(p, p.Request.Proto) }),
			ConnState: func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			},
		}), plainOption(bidi))
		for range 20 {
			l.wantValue(l.invoke(service("h"), ""), "HTTP/1.1")
			l.wantNothingHeld()
		}
		if n := conns.Load(); bidi && n != 20 || !bidi && n > 2 { // one that is not back in time is replaced
			t.Errorf("bidi %t: %d connections for 20 attempts", bidi, n)
		}
	}
}

// A kept connection that ends when it is used again costs no attempt of the policy.
func TestKeptConnectionThatEnds(t *testing.T) {
	serve := invokertest.Handler(invokertest.Options{Whole: true}, func(p *peer) { output(p, fmt.Sprint(p.Start.GetRetryCountSinceLastStoredEntry())) })
	var requests sync.Map // by connection
	var cut atomic.Int32
	l := newLoop(t, invokertest.Listen(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, again := requests.LoadOrStore(r.RemoteAddr, true); again {
			cut.Add(1)
			panic(http.ErrAbortHandler)
		}
		serve.ServeHTTP(w, r)
	})}), plainOption(false))
	for range 8 {
		l.wantValue(l.invoke(service("h"), ""), "0")
		l.wantNothingHeld()
	}
	if cut.Load() == 0 {
		t.Error("no connection was used again")
	}
}

// TLS agrees on what was discovered, and on nothing else.
func TestTLS(t *testing.T) {
	for _, row := range []struct{ server2, plain, ok bool }{
		{true, false, true}, {true, true, true}, {false, true, true}, {false, false, false},
	} {
		s := httptest.NewUnstartedServer(invokertest.Handler(invokertest.Options{}, func(p *peer) { output(p, p.Request.Proto) }))
		s.EnableHTTP2 = row.server2
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		for _, trusted := range []bool{true, false} {
			l := newLoop(t, s.URL, func(l *loop, d *storedv1.Deployment) {
				d.Http1 = row.plain
				if trusted {
					l.cfg.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
				}
			})
			i := l.invoke(service("h"), "")
			if row.ok && trusted {
				l.wantValue(i, map[bool]string{false: "HTTP/2.0", true: "HTTP/1.1"}[row.plain])
			} else {
				why := "certificate"
				if !row.ok {
					why = "no application protocol"
				}
				if f := l.wantFailure(i, "RT0010"); !strings.Contains(f.GetMessage(), why) {
					t.Errorf("%q does not say %q", f.GetMessage(), why)
				}
			}
			l.wantNothingHeld()
			l.v.plain.CloseIdleConnections()
		}
		s.CloseClientConnections()
		s.Close()
	}
}

// Both protocols go through the dialer that is configured.
func TestConnect(t *testing.T) {
	at := strings.TrimPrefix(endpoint(t, func(p *peer) { output(p, p.Request.Host) }, false), "http://")
	for _, plain := range []bool{false, true} {
		l := newLoop(t, "http://orders.example:99", func(l *loop, d *storedv1.Deployment) {
			d.Http1 = plain
			l.cfg.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != "orders.example:99" {
					return nil, errors.New(address)
				}
				return new(net.Dialer).DialContext(ctx, network, at)
			}
		})
		l.wantValue(l.invoke(service("h"), ""), "orders.example:99")
		l.wantNothingHeld()
	}
}
