package telemetry_test

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/span"
	"reprise/pkg/telemetry"
)

// receiver is a collector of OTLP, over gRPC and over HTTP.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu      sync.Mutex // guards what follows
	got     []*collector.ExportTraceServiceRequest
	headers []string // authorization, of each request
}

func (r *receiver) take(m *collector.ExportTraceServiceRequest, authorization string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.headers = append(r.got, m), append(r.headers, authorization)
}

// Export implements the service.
func (r *receiver) Export(ctx context.Context, m *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.take(m, strings.Join(md.Get("authorization"), ","))
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements the other one.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = zipped
	}
	b, err := io.ReadAll(body)
	m := &collector.ExportTraceServiceRequest{}
	if err != nil || proto.Unmarshal(b, m) != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	r.take(m, req.Header.Get("Authorization"))
}

// names are those of the spans that came, and resource what the last said of its process.
func (r *receiver) names() (names []string, resource map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resource = map[string]string{}
	for _, m := range r.got {
		for _, rs := range m.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				resource[a.Key] = a.Value.GetStringValue()
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					names = append(names, s.Name)
				}
			}
		}
	}
	return names, resource
}

func (r *receiver) serveGRPC(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, r)
	g := lifecycle.NewGroup(context.Background())
	g.Go("collector", func(context.Context) error { return s.Serve(ln) })
	t.Cleanup(func() {
		s.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func tracingOf(t *testing.T, cfg *config.Config, h host.Host, environ ...string) *telemetry.Tracing {
	t.Helper()
	tracing, err := telemetry.NewTracing(t.Context(), cfg, "1.2.3", environ, h)
	if err != nil {
		t.Fatal(err)
	}
	return tracing
}

var target = span.Target{Service: "S", Handler: "h", ID: id.NewInvocation(1, [16]byte{0: 9, 15: 7})}

// until runs a part for as long as do takes, and waits for its end.
func until(t *testing.T, p lifecycle.Part, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("part", p.Run)
	do()
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// Spans of services and of the engine go to their endpoints, over gRPC and HTTP, with the headers; a stop sends what is left.
func TestTracing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=wrong")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	services, runtime := &receiver{}, &receiver{}
	overHTTP := httptest.NewServer(runtime)
	defer overHTTP.Close()
	cfg := config.Default()
	cfg.ClusterName, cfg.NodeName = "c", "n"
	cfg.Tracing.Endpoint = "http://127.0.0.1:1" // both have one of their own
	cfg.Tracing.ServicesEndpoint = "http://" + services.serveGRPC(t)
	cfg.Tracing.RuntimeEndpoint = "otlp+" + overHTTP.URL + "/v1/traces"
	cfg.Tracing.Headers = map[string]string{"Authorization": "Bearer x"}
	h := hosttest.Real(1)
	tracing := tracingOf(t, &cfg, h, "OTEL_RESOURCE_ATTRIBUTES=team=payments,service.name=mine,odd=a%20b")
	until(t, tracing, func() {
		tracing.Recorder().Invocation("", "", &target, time.UnixMilli(1), time.UnixMilli(2), span.Outcome{})
		_, op := tracing.Recorder().Operate(t.Context(), "take over", h.Rand.Uint64, time.UnixMilli(1))
		op.End(time.UnixMilli(2), nil)
	})
	for _, row := range []struct {
		r    *receiver
		want string
	}{{services, "invoke S/h"}, {runtime, "take over"}} {
		names, resource := row.r.names()
		if len(names) != 1 || names[0] != row.want {
			t.Errorf("spans %q, want %q", names, row.want)
		}
		for k, v := range map[string]string{"service.name": "reprise", "service.namespace": "c", "service.instance.id": "c/n", "service.version": "1.2.3", "team": "payments", "odd": "a b"} {
			if resource[k] != v {
				t.Errorf("%s is %q, want %q", k, resource[k], v)
			}
		}
		for _, auth := range row.r.headers {
			if auth != "Bearer x" {
				t.Errorf("authorization %q", auth)
			}
		}
	}
}

func TestTracingIsOff(t *testing.T) {
	cfg := config.Default()
	if tracing := tracingOf(t, &cfg, hosttest.Real(1)); tracing != nil || tracing.Recorder() != nil {
		t.Error("it is on")
	}
	cfg.Tracing.RuntimeEndpoint, cfg.Tracing.Filter = "http://127.0.0.1:1", "off"
	if tracing := tracingOf(t, &cfg, hosttest.Real(1)); tracing != nil {
		t.Error("the filter does not switch it off")
	}
}

func TestWrongTracingEndpoints(t *testing.T) {
	for _, row := range []struct {
		set  func(*config.Tracing)
		want string
	}{
		{func(c *config.Tracing) { c.Endpoint = "collector:4317" }, "tracing-endpoint: "},
		{func(c *config.Tracing) { c.ServicesEndpoint = "ftp://u:secret@collector" }, `tracing-services-endpoint: the scheme of "ftp://u:xxxxx@collector" is none of http, https`},
		{func(c *config.Tracing) { c.RuntimeEndpoint = "http://" }, "tracing-runtime-endpoint: "},
	} {
		cfg := config.Default()
		row.set(&cfg.Tracing)
		_, err := telemetry.NewTracing(t.Context(), &cfg, "1", nil, hosttest.Real(1))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %q", err, row.want)
		}
	}
}

// A collector that takes nothing holds up nobody: spans are counted and dropped, and a stop does not wait for long.
func TestCollectorThatHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, in the kernel, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cfg := config.Default()
	cfg.Tracing.Endpoint = "http://" + ln.Addr().String()
	h := hosttest.Real(1)
	tracing := tracingOf(t, &cfg, h)
	until(t, tracing, func() {
		for range 20_000 { // more than wait
			tracing.Recorder().Invocation("", "", &target, time.UnixMilli(1), time.UnixMilli(2), span.Outcome{})
		}
	})
	wantSpans(t, h, 20_000, 0, 0)
}

// What a collector refuses is counted.
func TestCollectorThatRefuses(t *testing.T) {
	collector := httptest.NewServer(http.NotFoundHandler())
	defer collector.Close()
	cfg := config.Default()
	cfg.Tracing.Endpoint = "otlp+" + collector.URL
	h := hosttest.Real(1)
	tracing := tracingOf(t, &cfg, h)
	until(t, tracing, func() {
		for range 7 {
			tracing.Recorder().Invocation("", "", &target, time.UnixMilli(1), time.UnixMilli(2), span.Outcome{})
		}
	})
	wantSpans(t, h, 7, 0, 7)
}

func wantSpans(t *testing.T, h host.Host, recorded, exported, failed float64) {
	t.Helper()
	families, err := h.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"recorded": recorded, "exported": exported, "failed": failed}
	for _, f := range families {
		name, ok := strings.CutPrefix(f.GetName(), "reprise_tracing_spans_")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "_total")
		if got := f.GetMetric()[0].GetCounter().GetValue(); got != want[name] {
			t.Errorf("%v spans %s, want %v", got, name, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no metrics of %v", want)
	}
	if problems, err := testutil.GatherAndLint(h.Metrics); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
