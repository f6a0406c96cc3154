package registry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
)

const (
	manifestType = "application/vnd.restate.endpointmanifest.v4+json"
	oneService   = `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,
		"services":[{"name":"S","ty":"SERVICE","handlers":[{"name":"x"}]}]}`
)

// answers is an endpoint that always says the same.
func answers(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		if contentType == "" {
			w.Header()["Content-Type"] = nil
		}
		w.Header().Set("X-Restate-Server", "test/1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// serve starts an endpoint that speaks HTTP/2 with prior knowledge only.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// serveHTTP1 starts an endpoint that speaks HTTP/1.1 only.
func serveHTTP1(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// waits is a clock whose timers fire at once and are remembered.
type waits struct {
	*hosttest.Clock

	mu   sync.Mutex
	made []time.Duration
}

func (w *waits) NewTimer(d time.Duration) host.Timer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = append(w.made, d)
	return w.Clock.NewTimer(0)
}

// bench is a registrar over a store in memory.
type bench struct {
	*registry.Registrar

	store *registrytest.Store
	waits *waits
}

func newBench(t *testing.T, change ...func(*registry.Config)) *bench {
	t.Helper()
	cfg := registry.Default()
	cfg.Headers = []*storedv1.Header{{Name: "x-restate-cluster-name", Value: "test cluster"}}
	for _, f := range change {
		f(&cfg)
	}
	b := &bench{store: registrytest.New(schema.Default()), waits: &waits{Clock: hosttest.NewClock()}}
	r, err := registry.New(cfg, b.store, b.store, hosttest.New(b.waits, 1))
	if err != nil {
		t.Fatal(err)
	}
	b.Registrar = r
	return b
}

// wantError checks code and status of a refusal.
func wantError(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *schema.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want %d %q", err, status, code)
	}
	if e.Status != status || e.Code != code {
		t.Fatalf("error %d %q %s, want %d %q", e.Status, e.Code, e.Message, status, code)
	}
	if code != "" && status == 500 && !strings.HasPrefix(e.Message, "["+code+"] ") {
		t.Errorf("message %q does not begin with the code", e.Message)
	}
}

func TestBadEndpoints(t *testing.T) {
	manifest := func(change func(string) string) http.HandlerFunc {
		return answers(200, manifestType, change(oneService))
	}
	replace := func(from, to string) http.HandlerFunc {
		return manifest(func(s string) string {
			if !strings.Contains(s, from) {
				t.Fatalf("%q is not in the manifest", from)
			}
			return strings.Replace(s, from, to, 1)
		})
	}
	for _, row := range []struct {
		name   string
		h      http.HandlerFunc
		status int
		code   string
		tries  int
	}{
		{"not found", answers(404, "text/plain", "no"), 500, "META0003", 1},
		{"bad request", answers(400, "text/plain", "no"), 500, "META0003", 1},
		{"redirect", answers(302, manifestType, oneService), 500, "META0003", 1},
		{"request timeout", answers(408, "text/plain", "no"), 500, "META0003", 4},
		{"too many requests", answers(429, "text/plain", "no"), 500, "META0003", 4},
		{"internal error", answers(500, "text/plain", "no"), 500, "META0003", 4},
		{"not implemented", answers(501, "text/plain", "no"), 500, "META0003", 1},
		{"bad gateway", answers(502, "text/plain", "no"), 500, "META0003", 4},
		{"unavailable", answers(503, "text/plain", "no"), 500, "META0003", 4},
		{"gateway timeout", answers(504, "text/plain", "no"), 500, "META0003", 4},
		{"no content-type", answers(200, "", oneService), 500, "META0013", 1},
		{"other content-type", answers(200, "application/json", oneService), 500, "META0013", 1},
		{"content-type with a parameter", answers(200, manifestType+"; charset=utf-8", oneService), 500, "META0013", 1},
		{"manifest of version 5", answers(200, "application/vnd.restate.endpointmanifest.v5+json", oneService), 500, "META0013", 1},
		{"no JSON", answers(200, manifestType, "{nope"), 500, "", 1},
		{"nothing", answers(200, manifestType, ""), 500, "", 1},
		{"unknown field", replace(`"services"`, `"foo":1,"services"`), 500, "", 1},
		{"illegal name", replace(`"S"`, `"a/b"`), 500, "", 1},
		{"version 0", replace(`:5`, `:0`), 500, "", 1},
		{"no protocolMode", replace(`"protocolMode":"BIDI_STREAM",`, ``), 500, "META0013", 1},
		{"minimum above maximum", replace(`:5`, `:9`), 500, "META0013", 1},
		{"versions too old", manifest(func(s string) string {
			return strings.NewReplacer(`:5`, `:1`, `:7`, `:2`).Replace(s)
		}), 500, "META0012", 1},
		{"versions too new", manifest(func(s string) string {
			return strings.NewReplacer(`:5`, `:1000`, `:7`, `:1001`).Replace(s)
		}), 500, "META0012", 1},
		{"reserved name", replace(`"S"`, `"RestateX"`), 400, "META0005", 1},
		{"types that do not fit", replace(`{"name":"x"}`, `{"name":"x","ty":"WORKFLOW"}`), 400, "", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			var tries int
			ep := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries++
				row.h(w, r)
			}))
			_, err := b.Register(t.Context(), registry.Registration{URI: ep.URL})
			wantError(t, err, row.status, row.code)
			if tries != row.tries {
				t.Errorf("%d tries, want %d", tries, row.tries)
			}
			if n := len(b.Current().Deployments()); n != 0 {
				t.Errorf("%d deployments are stored", n)
			}
		})
	}
}

func TestRetryDelays(t *testing.T) {
	b := newBench(t)
	var tries int
	ep := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answers(200, manifestType, oneService)(w, r)
	}))
	if _, err := b.Register(t.Context(), registry.Registration{URI: ep.URL}); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}
	if !slices.Equal(b.waits.made, want) {
		t.Errorf("waited %v, want %v", b.waits.made, want)
	}
}

func TestNobodyListens(t *testing.T) {
	b := newBench(t)
	ep := serve(t, answers(200, manifestType, oneService))
	ep.Close()
	_, err := b.Register(t.Context(), registry.Registration{URI: ep.URL})
	wantError(t, err, 500, "META0003")
	if len(b.waits.made) != 3 {
		t.Errorf("waited %v", b.waits.made)
	}
}

// An endpoint that accepts and says nothing takes no longer than the caller.
func TestSilentEndpoint(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	ep := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	_, err := b.Register(ctx, registry.Registration{URI: ep.URL})
	wantError(t, err, 500, "META0003")
}

func TestOtherProtocols(t *testing.T) {
	raw := func(greeting string) string { // a server that speaks first
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				_, _ = c.Write([]byte(greeting))
			}
		}}
		ep := httptest.NewUnstartedServer(nil)
		ep.Listener.Close()
		ep.Listener, ep.Config = ln, s
		ep.Start()
		t.Cleanup(ep.Close)
		return ep.URL
	}
	http10 := serveHTTP1(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", manifestType, len(oneService), oneService)
	}))
	for _, row := range []struct {
		name, uri string
		http1     bool
		code      string
	}{
		{"HTTP/1.1 only", serveHTTP1(t, answers(200, manifestType, oneService)).URL, false, "META0014"},
		{"something else", raw("220 mail.example ESMTP\r\n"), false, "META0014"},
		{"something else, asked for HTTP/1.1", raw("220 mail.example ESMTP\r\n"), true, "META0003"},
		{"streams over HTTP/1.0", http10.URL, true, "META0015"},
		{"HTTP/2 only, asked for HTTP/1.1", serve(t, answers(200, manifestType, oneService)).URL, true, "META0003"},
		{"no TLS", "https" + strings.TrimPrefix(serve(t, answers(200, manifestType, oneService)).URL, "http"), false, "META0003"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := newBench(t).Register(t.Context(), registry.Registration{URI: row.uri, HTTP1: row.http1})
			wantError(t, err, 500, row.code)
		})
	}
}

func TestGoodProtocols(t *testing.T) {
	secure := func(h2 bool) *httptest.Server {
		s := httptest.NewUnstartedServer(answers(200, manifestType, oneService))
		s.EnableHTTP2 = h2
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	tls2, tls1 := secure(true), secure(false)
	pool := x509.NewCertPool()
	pool.AddCert(tls2.Certificate())
	for _, row := range []struct {
		name, uri   string
		ask1, http1 bool
	}{
		{"prior knowledge", serve(t, answers(200, manifestType, oneService)).URL, false, false},
		{"HTTP/1.1 asked for", serveHTTP1(t, answers(200, manifestType, oneService)).URL, true, true},
		{"TLS agrees on HTTP/2", tls2.URL, false, false},
		{"TLS agrees on HTTP/1.1", tls1.URL, false, true},
		{"TLS with HTTP/1.1 asked for", tls2.URL, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, func(c *registry.Config) { c.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12} })
			if _, err := b.Register(t.Context(), registry.Registration{URI: row.uri, HTTP1: row.ask1}); err != nil {
				t.Fatal(err)
			}
			d := b.Current().Deployments()[0]
			if d.GetHttp1() != row.http1 || !d.GetBidi() || d.GetSdkVersion() != "test/1" {
				t.Errorf("stored %v", d)
			}
		})
	}
}

func TestDiscoveryRequest(t *testing.T) {
	var got *http.Request
	ep := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		answers(200, manifestType, oneService)(w, r)
	}))
	for _, row := range []struct {
		uri, want, stored, cluster string
		headers                    []*storedv1.Header
	}{
		{"", "/discover", "/", "test cluster", nil},
		{"/", "/discover", "/", "test cluster", nil},
		{"/a/b", "/a/b/discover", "/a/b", "test cluster", nil},
		{"/a/b/?x=1&y=%20#frag", "/a/b/discover?x=1&y=%20", "/a/b/?x=1&y=%20", "test cluster", nil},
		{"/own", "/own/discover", "/own", "mine", []*storedv1.Header{{Name: "x-extra", Value: "yes"}, {Name: "x-restate-cluster-name", Value: "mine"}}},
	} {
		b := newBench(t)
		if _, err := b.Register(t.Context(), registry.Registration{URI: ep.URL + row.uri, Headers: row.headers}); err != nil {
			t.Fatal(err)
		}
		const accept = "application/vnd.restate.endpointmanifest.v1+json, application/vnd.restate.endpointmanifest.v2+json, " +
			"application/vnd.restate.endpointmanifest.v3+json, application/vnd.restate.endpointmanifest.v4+json"
		if got.Method != http.MethodGet || got.URL.String() != row.want || got.Header.Get("Accept") != accept ||
			got.Header.Get("X-Restate-Cluster-Name") != row.cluster || got.Header.Get("User-Agent") != "" {
			t.Errorf("%q: asked %s %s with %v", row.uri, got.Method, got.URL, got.Header)
		}
		for _, h := range row.headers {
			if got.Header.Get(h.Name) != h.Value {
				t.Errorf("%q: header %s is %q", row.uri, h.Name, got.Header.Get(h.Name))
			}
		}
		if d := b.Current().Deployments()[0]; d.GetUri() != ep.URL+row.stored {
			t.Errorf("%q: stored as %s", row.uri, d.GetUri())
		}
	}
}

func TestBadURIs(t *testing.T) {
	for _, row := range []struct {
		uri    string
		status int
	}{
		{"", 422}, {"not a uri", 422}, {"http:///path", 422}, {"http://h:port/", 422}, {"http://h\n/", 422},
		{"/foo", 400}, {"localhost:9080", 400}, {"127.0.0.1:9080", 400}, {"localhost", 400}, {"ftp://h/", 400},
	} {
		_, err := newBench(t).Register(t.Context(), registry.Registration{URI: row.uri})
		var e *schema.Error
		if !errors.As(err, &e) || e.Status != row.status || e.Code != "" {
			t.Errorf("%q: %v, want status %d", row.uri, err, row.status)
		}
	}
}
