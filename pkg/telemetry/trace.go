package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"

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
	// stopTimeout bounds how long its client may take to close, with nothing on its way.
	stopTimeout = time.Second
	// complaintPause lies between two log lines about a collector.
	complaintPause = time.Minute
)

// Tracing sends spans to OTLP collectors.
type Tracing struct {
	pipes    []*pipe
	recorder *span.Recorder
	host     host.Host
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
	sinks := map[string]span.Sink{"": nil}
	for _, e := range []struct{ key, url string }{{"tracing-services-endpoint", services}, {"tracing-runtime-endpoint", runtime}} {
		if _, known := sinks[e.url]; known {
			continue
		}
		client, err := newClient(e.url, c.Headers)
		if err == nil {
			err = client.Start(ctx)
		}
		if err != nil {
			if c.Endpoint == e.url {
				e.key = "tracing-endpoint"
			}
			return nil, errors.Join(errs.Newf(errs.Invalid, "%s: %w", e.key, err), t.stop(ctx))
		}
		p := newPipe(client, redacted(e.url), res, m, h)
		t.pipes = append(t.pipes, p)
		sinks[e.url] = p
	}
	t.recorder = span.New(sinks[services], sinks[runtime], c.SamplingRatio)
	return t, nil
}

// resourceOf describes the process; what OTEL_RESOURCE_ATTRIBUTES says besides is kept.
func resourceOf(cfg *config.Config, version string, environ []string) *resourcev1.Resource {
	all := map[string]string{}
	for _, e := range environ {
		text, ok := strings.CutPrefix(e, "OTEL_RESOURCE_ATTRIBUTES=")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(text, ",") {
			key, value, ok := strings.Cut(pair, "=")
			if decoded, err := url.PathUnescape(strings.TrimSpace(value)); ok && err == nil && strings.TrimSpace(key) != "" {
				all[clipped(strings.TrimSpace(key))] = clipped(decoded)
			}
		}
	}
	all["service.name"], all["service.namespace"] = "reprise", cfg.ClusterName
	all["service.instance.id"], all["service.version"] = cfg.ClusterName+"/"+cfg.NodeName, version
	r := &resourcev1.Resource{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		r.Attributes = append(r.Attributes, &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: all[key]}}})
	}
	return r
}

// newClient makes a client of http://host:4317 and https://, which are gRPC, or of otlp+http://host:4318/v1/traces and otlp+https://. Variables of
// OpenTelemetry have no effect on it.
func newClient(text string, headers map[string]string) (otlptrace.Client, error) {
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
		return otlptracegrpc.NewClient(options...), nil
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
		return otlptracehttp.NewClient(options...), nil
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

// Run sends until ctx ends, and then what is left.
func (t *Tracing) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	for _, p := range t.pipes {
		g.Go("spans", p.Run)
	}
	err := g.Wait()
	if serr := t.stop(context.WithoutCancel(ctx)); serr != nil {
		t.host.Log.Warn("the client of a collector was not stopped", slog.Any(logkey.Err, serr))
	}
	return err
}

func (t *Tracing) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var all error
	for _, p := range t.pipes {
		all = errors.Join(all, p.client.Stop(ctx))
	}
	return all
}
