package span

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/id"
)

// Operation is something that the engine does. The zero value is not recorded.
type Operation struct {
	recorder   *Recorder
	name       string
	at, parent Context
	from       time.Time
}

type operationKey struct{}

// Operate begins an operation: a part of the one that ctx carries, else the root of a trace of its own, which is sampled or not with all its
// parts. The context that is returned carries it. random returns any numbers, and is called only if operations are recorded.
func (r *Recorder) Operate(ctx context.Context, name string, random func() uint64, now time.Time) (context.Context, Operation) {
	if r == nil || r.runtime == nil {
		return ctx, Operation{}
	}
	o := Operation{recorder: r, name: name, from: now}
	var inside bool
	if o.parent, inside = ctx.Value(operationKey{}).(Context); inside {
		o.at = o.parent
	} else {
		a, b := NewID(random()), NewID(random())
		copy(o.at.Trace[:8], a[:])
		copy(o.at.Trace[8:], b[:])
		o.at.Sampled = sampled(o.at.Trace, r.ratio)
	}
	o.at.Span = NewID(random())
	return context.WithValue(ctx, operationKey{}, o.at), o
}

// End records the operation, which failed if err is not nil.
func (o *Operation) End(now time.Time, err error, attributes ...attribute.KeyValue) {
	if o.recorder == nil {
		return
	}
	rec := &Span{Name: o.name, Kind: Internal, At: o.at, Parent: o.parent, From: o.from, To: now, Attributes: attributes}
	if err != nil {
		rec.Outcome.Failure = err.Error()
	}
	o.recorder.emit(o.recorder.runtime, rec)
}

// Partition is the attribute of an operation that is about a partition.
func Partition(p id.Partition) attribute.KeyValue { return attribute.Int("restate.partition", int(p)) }
