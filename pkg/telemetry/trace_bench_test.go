package telemetry

import (
	"context"
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/span"
)

// written is a collector that has the messages written, and throws them away.
type written struct{ spans int }

func (w *written) Start(context.Context) error { return nil }
func (w *written) Stop(context.Context) error  { return nil }

func (w *written) UploadTraces(_ context.Context, all []*tracev1.ResourceSpans) error {
	w.spans += len(all[0].ScopeSpans[0].Spans)
	_, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: all})
	return err
}

// What tracing costs an invocation of one attempt that a client waits for, from its request to the message for the collector; off it is
// three comparisons. cpu-ns/op is CPU time, which other processes do not disturb much.
func BenchmarkTracing(b *testing.B) {
	for _, row := range []struct {
		name  string
		off   bool
		ratio float64
	}{{"off", true, 0}, {"none", false, 0}, {"tenth", false, 0.1}, {"all", false, 1}} {
		b.Run(row.name, func(b *testing.B) {
			h := hosttest.Real(1)
			to := &written{}
			p := newPipe(to, "nowhere", nil, newTraceMetrics(h.Metrics), h)
			r := span.New(p, nil, row.ratio)
			if row.off {
				r = nil
			}
			target := span.Target{Service: "Greeter", Handler: "Greet"}
			now, random := time.UnixMilli(1), uint64(1)
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				random = random*6364136223846793005 + 1442695040888963407
				var seed [16]byte
				binary.BigEndian.PutUint64(seed[:], random)
				binary.BigEndian.PutUint64(seed[8:], random)
				target.ID = id.NewInvocation(1, seed)
				traced(r, &target, random, now)
				if p.waiting() >= spansBatchMax {
					p.next()
					p.send(b.Context(), exportTimeout)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			if row.ratio == 1 && b.N > spansBatchMax && to.spans < b.N {
				b.Errorf("%d spans of %d invocations", to.spans, b.N)
			}
		})
	}
}

// traced is what ingress, invoker and processor do for an invocation.
func traced(r *span.Recorder, t *span.Target, random uint64, now time.Time) {
	if !r.Services() {
		return
	}
	request, parent := r.Begin("", "", t.ID, random)
	row := request.String()
	attempt, above := r.BeginAttempt(row, "", t.ID, random+1)
	_ = attempt.String()
	if attempt.Sampled {
		r.Attempt(&span.Attempt{Context: attempt, Parent: above, Target: *t, Number: 1, Deployment: "dp_1", Address: "http://127.0.0.1:9080", From: now, To: now})
	}
	r.Invocation(row, "", t, now, now, span.Outcome{})
	r.Request(request, parent, t, false, now, now, span.Outcome{})
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
