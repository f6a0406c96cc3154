package e2e

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"reprise/tests/e2e/harness"
)

// spans is a collector that keeps what it gets.
type spans struct {
	mu  sync.Mutex
	all []*tracev1.Span
}

func (c *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	zipped, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b, err := io.ReadAll(zipped)
	var m collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &m) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			c.all = append(c.all, ss.Spans...)
		}
	}
}

// tree draws the spans of a trace, each below its parent, without keys; "" while one lacks its parent.
func (c *spans) tree(trace, parent string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	children := map[string][]*tracev1.Span{}
	n := 0
	for _, s := range c.all {
		if hex.EncodeToString(s.TraceId) == trace {
			children[hex.EncodeToString(s.ParentSpanId)] = append(children[hex.EncodeToString(s.ParentSpanId)], s)
			n++
		}
	}
	var lines []string
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		for _, s := range children[parent] {
			name := s.Name
			for _, e := range s.Events {
				name += ", " + e.Name
			}
			lines = append(lines, strings.Repeat("  ", depth)+name)
			walk(hex.EncodeToString(s.SpanId), depth+1)
		}
	}
	walk(parent, 0)
	if len(lines) != n {
		return ""
	}
	return strings.Join(lines, "\n")
}

// One trace holds what a client asked for, the invocation, its attempts and those of what it called.
func TestTraces(t *testing.T) {
	received := &spans{}
	srv := httptest.NewServer(received)
	defer srv.Close()
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	defer endpoint.Close()
	dir := filepath.Join(env.dir, t.Name())
	ok(t, os.MkdirAll(dir, 0o755))
	f := &harness.Form{Name: "standalone", Dir: dir}
	p := standaloneWith(f, append(serverEnv(t, filepath.Join(dir, "data")), "RESTATE_TRACING_SERVICES_ENDPOINT=otlp+"+srv.URL+"/v1/traces"))
	ok(t, p.Start())
	ok(t, p.WaitReady(t.Context()))
	c := harness.NewClient(f)
	defer c.Close()
	ok(t, c.Register(t.Context(), endpoint.URI))
	const trace, client = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.Ingress+"/Plain/calls", strings.NewReader(`["a"]`))
	ok(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", "00-"+trace+"-"+client+"-01")
	resp, err := http.DefaultClient.Do(req)
	ok(t, err)
	ok(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	const want = `ingress_invoke Plain/calls
  invoke Plain/calls
    attempt Plain/calls
      invoke Account/a/add
        attempt Account/a/add`
	var got string
	err = harness.Wait(t.Context(), 30*time.Second, "all spans", func(context.Context) error {
		if got = received.tree(trace, client); got != want {
			return fmt.Errorf("spans\n%s", got)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\nwant\n%s", err, want)
	}
	ok(t, p.Stop())
}
