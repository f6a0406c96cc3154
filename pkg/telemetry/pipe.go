package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"

	"reprise/pkg/host"
	"reprise/pkg/logkey"
	"reprise/pkg/span"
)

// pipe sends spans to a collector, in batches. Who hands one over pays a copy; all else is done by its own goroutine.
type pipe struct {
	client   otlptrace.Client
	url      string // without a password
	resource *resourcev1.Resource
	metrics  *traceMetrics
	host     host.Host
	wake     chan struct{} // one when the first span waits, and when a batch is full
	quiet    int64         // Unix ms until which nothing is said; its goroutine's own
	batch    []span.Span   // on its way; likewise

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	queue []span.Span // at most spansQueuedMax
}

var _ span.Sink = (*pipe)(nil)

func newPipe(client otlptrace.Client, url string, r *resourcev1.Resource, m *traceMetrics, h host.Host) *pipe {
	return &pipe{client: client, url: url, resource: r, metrics: m, host: h, wake: make(chan struct{}, 1)}
}

// Take implements span.Sink: one that finds the queue full is dropped.
func (p *pipe) Take(s span.Span) {
	p.metrics.recorded.Inc()
	p.mu.Lock()
	if len(p.queue) < spansQueuedMax {
		p.queue = append(p.queue, s)
	}
	n := len(p.queue)
	p.mu.Unlock()
	if n == 1 || n == spansBatchMax {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pipe) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// next fills the batch, unless what is in it was not sent.
func (p *pipe) next() {
	if len(p.batch) > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.queue), spansBatchMax)
	p.batch = append(p.batch, p.queue[:n]...)
	left := copy(p.queue, p.queue[n:])
	clear(p.queue[left:])
	p.queue = p.queue[:left]
}

// Run sends until ctx ends, and then, for a while, what is left.
func (p *pipe) Run(ctx context.Context) error {
	for p.gather(ctx) {
		p.next()
		p.send(ctx, exportTimeout)
	}
	fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for fctx.Err() == nil && len(p.batch)+p.waiting() > 0 {
		p.next()
		p.send(fctx, flushTimeout)
	}
	if n := len(p.batch) + p.waiting(); n > 0 {
		p.host.Log.Warn("some spans were not sent", slog.String(logkey.Peer, p.url), slog.Int(logkey.Count, n))
	}
	return nil
}

// gather waits until a batch is full, or its first span has waited; false when ctx ends.
func (p *pipe) gather(ctx context.Context) bool {
	for p.waiting() == 0 {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return false
		}
	}
	timer := p.host.Clock.NewTimer(spansBatchDelay)
	defer timer.Stop()
	for p.waiting() < spansBatchMax {
		select {
		case <-p.wake:
		case <-timer.C():
			return true
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// send sends the batch. It is kept only if ctx ended.
func (p *pipe) send(ctx context.Context, timeout time.Duration) {
	tctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.client.UploadTraces(tctx, request(p.batch, p.resource))
	n := len(p.batch)
	switch {
	case err == nil:
		p.metrics.exported.Add(float64(n))
	case ctx.Err() != nil:
		return
	default:
		p.metrics.failed.Add(float64(n))
		if now := host.Millis(p.host.Clock); now >= p.quiet {
			p.quiet = now + complaintPause.Milliseconds()
			p.host.Log.Warn("a collector did not take spans", slog.String(logkey.Peer, p.url), slog.Int(logkey.Count, n), slog.Any(logkey.Err, err))
		}
	}
	clear(p.batch)
	p.batch = p.batch[:0]
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
