package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/span"
)

const (
	// spansQueuedMax is how many spans wait for the collector; more are dropped.
	spansQueuedMax = 8192
	// spansBatchMax is how many are sent at once.
	spansBatchMax = 512
	// spansBatchDelay is how long the first of a batch waits for others.
	spansBatchDelay = time.Second
	// exportTimeout bounds one try to send a batch, and its repetitions.
	exportTimeout = 10 * time.Second
	// flushTimeout bounds what a stop waits for the collector.
	flushTimeout = 3 * time.Second
	// complaintPause lies between two log lines about a collector.
	complaintPause = time.Minute
)

// Tracing sends spans to OTLP collectors.
type Tracing struct {
	providers []*sdktrace.TracerProvider
	recorder  *span.Recorder
	host      host.Host
}

var _ lifecycle.Part = (*Tracing)(nil)

// NewTracing returns what sends to the endpoints of the configuration, which are connected to later. It returns nil if there are none.
// environ are the variables of the process, of which OTEL_RESOURCE_ATTRIBUTES is used. Codes: Invalid.
func NewTracing(ctx context.Context, cfg *config.Config, version string, environ []string, h host.Host) (*Tracing, error) {
	c := &cfg.Tracing
	services, runtime := c.Endpoint, c.Endpoint
	if c.ServicesEndpoint != "" {
		services = c.ServicesEndpoint
	}
	if c.RuntimeEndpoint != "" {
		runtime = c.RuntimeEndpoint
	}
	if strings.EqualFold(strings.TrimSpace(c.Filter), "off") {
		runtime = ""
	}
	if services == "" && runtime == "" {
		return nil, nil //nolint:nilnil // tracing is off
	}
	res := resourceOf(cfg, version, environ)
	t := &Tracing{host: h}
	m := newTraceMetrics(h.Metrics)
	tracers := map[string]trace.Tracer{"": nil}
	for _, e := range []struct{ key, url string }{{"tracing-services-endpoint", services}, {"tracing-runtime-endpoint", runtime}} {
		if _, known := tracers[e.url]; known {
			continue
		}
		exporter, err := newExporter(ctx, e.url, c.Headers)
		if err != nil {
			if c.Endpoint == e.url {
				e.key = "tracing-endpoint"
			}
			return nil, errors.Join(errs.Newf(errs.Invalid, "%s: %w", e.key, err), t.shutdown(ctx))
		}
		p := sdktrace.NewTracerProvider(
			sdktrace.WithResource(res), sdktrace.WithIDGenerator(span.IDs{}), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
			sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{AttributeValueLengthLimit: 4 << 10, AttributeCountLimit: 32, EventCountLimit: 32, LinkCountLimit: 1, AttributePerEventCountLimit: 8, AttributePerLinkCountLimit: 1}),
			sdktrace.WithSpanProcessor(m.counting(sdktrace.NewBatchSpanProcessor(&watched{SpanExporter: exporter, metrics: m, host: h, url: redacted(e.url)},
				sdktrace.WithMaxQueueSize(spansQueuedMax), sdktrace.WithMaxExportBatchSize(spansBatchMax), sdktrace.WithBatchTimeout(spansBatchDelay), sdktrace.WithExportTimeout(exportTimeout)))),
		)
		t.providers = append(t.providers, p)
		tracers[e.url] = p.Tracer("reprise")
	}
	t.recorder = span.New(tracers[services], tracers[runtime], c.SamplingRatio)
	return t, nil
}

// resourceOf describes the process; what OTEL_RESOURCE_ATTRIBUTES says besides is kept.
func resourceOf(cfg *config.Config, version string, environ []string) *resource.Resource {
	var given []attribute.KeyValue
	for _, e := range environ {
		text, ok := strings.CutPrefix(e, "OTEL_RESOURCE_ATTRIBUTES=")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(text, ",") {
			key, value, ok := strings.Cut(pair, "=")
			if decoded, err := url.PathUnescape(strings.TrimSpace(value)); ok && err == nil && strings.TrimSpace(key) != "" {
				given = append(given, attribute.String(strings.TrimSpace(key), decoded))
			}
		}
	}
	own := []attribute.KeyValue{
		attribute.String("service.name", "reprise"), attribute.String("service.namespace", cfg.ClusterName),
		attribute.String("service.instance.id", cfg.ClusterName+"/"+cfg.NodeName), attribute.String("service.version", version),
	}
	return resource.NewSchemaless(append(given, own...)...) // of two of one key the last counts
}

// newExporter makes a client of http://host:4317 and https://, which are gRPC, or of otlp+http://host:4318/v1/traces and otlp+https://. Variables of
// OpenTelemetry have no effect on it.
func newExporter(ctx context.Context, text string, headers map[string]string) (*otlptrace.Exporter, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL such as http://host:4317 or otlp+http://host:4318/v1/traces", redacted(text))
	}
	all := map[string]string{}
	for k, v := range headers {
		all[strings.ToLower(k)] = v
	}
	switch u.Scheme {
	case "http", "https":
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithHeaders(all), otlptracegrpc.WithTimeout(exportTimeout)}
		if u.Scheme == "http" {
			options = append(options, otlptracegrpc.WithInsecure())
		}
		return otlptracegrpc.New(ctx, options...)
	case "otlp+http", "otlp+https":
		path := u.Path
		if path == "" || path == "/" {
			path = "/v1/traces"
		}
		options := []otlptracehttp.Option{
			otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithURLPath(path), otlptracehttp.WithHeaders(all),
			otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		}
		if u.Scheme == "otlp+http" {
			options = append(options, otlptracehttp.WithInsecure())
		}
		return otlptracehttp.New(ctx, options...)
	default:
		return nil, fmt.Errorf("the scheme of %q is none of http, https (both gRPC), otlp+http, otlp+https", redacted(text))
	}
}

// redacted leaves a password out.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Redacted()
}

// Recorder records spans; nil if t is.
func (t *Tracing) Recorder() *span.Recorder {
	if t == nil {
		return nil
	}
	return t.recorder
}

// Run waits until ctx ends, and sends what is left.
func (t *Tracing) Run(ctx context.Context) error {
	<-ctx.Done()
	if err := t.shutdown(context.WithoutCancel(ctx)); err != nil {
		t.host.Log.Warn("some spans were not sent", slog.Any(logkey.Err, err))
	}
	return nil
}

func (t *Tracing) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var all error
	for _, p := range t.providers {
		all = errors.Join(all, p.Shutdown(ctx))
	}
	return all
}

type traceMetrics struct {
	recorded, exported, failed prometheus.Counter
}

func newTraceMetrics(reg prometheus.Registerer) *traceMetrics {
	m := &traceMetrics{
		recorded: prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_tracing_spans_recorded_total", Help: "Spans that ended."}),
		exported: prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_tracing_spans_exported_total", Help: "Spans that a collector took."}),
		failed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_tracing_spans_failed_total", Help: "Spans that no collector took; those that are neither wait, or were dropped since too many did."}),
	}
	reg.MustRegister(m.recorded, m.exported, m.failed)
	return m
}

// counting counts what ends.
func (m *traceMetrics) counting(p sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	return counted{p, m}
}

type counted struct {
	sdktrace.SpanProcessor
	metrics *traceMetrics
}

func (c counted) OnEnd(s sdktrace.ReadOnlySpan) {
	c.metrics.recorded.Inc()
	c.SpanProcessor.OnEnd(s)
}

// watched counts what was sent and complains of a collector that does not take it, now and then.
type watched struct {
	sdktrace.SpanExporter
	metrics *traceMetrics
	host    host.Host
	url     string
	quiet   atomic.Int64 // Unix ms until which nothing is said
}

func (w *watched) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := w.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		w.metrics.exported.Add(float64(len(spans)))
		return nil
	}
	w.metrics.failed.Add(float64(len(spans)))
	if now := host.Millis(w.host.Clock); now >= w.quiet.Load() {
		w.quiet.Store(now + complaintPause.Milliseconds())
		w.host.Log.Warn("a collector did not take spans", slog.String(logkey.Peer, w.url), slog.Int(logkey.Count, len(spans)), slog.Any(logkey.Err, err))
	}
	return nil // it was told
}
