package span

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"reprise/pkg/id"
)

// Recorder hands spans to a tracer. Nil records nothing. It is safe for concurrent use, and never blocks if the tracer does not.
type Recorder struct {
	services trace.Tracer // nil: requests, invocations and attempts are not recorded
	runtime  trace.Tracer // nil: what the engine does is not
	ratio    float64
}

// New returns a recorder. The tracers must take ids from IDs. ratio is how many traces are sampled that begin here, 0 to 1; of others whoever
// began them has decided.
func New(services, runtime trace.Tracer, ratio float64) *Recorder {
	return &Recorder{services: services, runtime: runtime, ratio: ratio}
}

// Services tells whether requests, invocations and attempts are recorded.
func (r *Recorder) Services() bool { return r != nil && r.services != nil }

// Outcome is how something ended.
type Outcome struct {
	Failure string // why it failed; "": it did not
	Code    uint32 // of the failure
}

// Target is what was invoked.
type Target struct {
	Service, Handler, Key string
	ID                    id.Invocation
}

func (t *Target) attributes() []attribute.KeyValue {
	out := []attribute.KeyValue{
		attribute.String("restate.invocation.id", t.ID.String()),
		attribute.String("restate.invocation.target", t.path()),
		attribute.String("rpc.service", t.Service),
		attribute.String("rpc.method", t.Handler),
	}
	return out
}

// path is service/key/handler, or service/handler.
func (t *Target) path() string {
	if t.Key == "" {
		return t.Service + "/" + t.Handler
	}
	return t.Service + "/" + t.Key + "/" + t.Handler
}

// Begin is the place of a request that comes with a traceparent, or without ("").  i is the invocation that it creates, whose id makes the
// trace in the second case; random is any number.
func (r *Recorder) Begin(traceparent, state string, i id.Invocation, random uint64) (c, parent Context) {
	c, parent = OfInvocation(i, traceparent, state, r.ratio)
	c.Span = NewID(random)
	return c, parent
}

// Request records what a client waited for.
func (r *Recorder) Request(c, parent Context, t *Target, send bool, from, to time.Time, o Outcome) {
	if !c.Sampled {
		return
	}
	kind := "call"
	if send {
		kind = "send"
	}
	r.emit(r.services, &record{
		name: "ingress_invoke " + t.path(), kind: trace.SpanKindServer, at: c, parent: parent, from: from, to: to, outcome: o,
		attributes: append(t.attributes(), attribute.String("restate.invocation.kind", kind)),
	})
}

// Invocation records an invocation that has ended. The traceparent and the tracestate are those of its row.
func (r *Recorder) Invocation(traceparent, state string, t *Target, from, to time.Time, o Outcome) {
	c, parent := OfInvocation(t.ID, traceparent, state, r.ratio)
	if !c.Sampled {
		return
	}
	r.emit(r.services, &record{
		name: "invoke " + t.path(), kind: trace.SpanKindInternal, at: c, parent: parent, from: from, to: to, outcome: o, attributes: t.attributes(),
	})
}

// Attempt is one exchange with a service.
type Attempt struct {
	Context, Parent Context
	Target          Target
	Number          uint32
	Deployment      string
	Address         string        // of the deployment
	From, To        time.Time     // when it began and ended
	Suspended       bool          // it waits for something
	CutOff          bool          // it was not to go on: its partition is led elsewhere, or its invocation was ended or paused
	RetryAfter      time.Duration // it failed and is tried again after this time
	Retried         bool
	Outcome         Outcome
}

// BeginAttempt is the place of an attempt of an invocation, whose traceparent and tracestate are those of its row; random is any number.
func (r *Recorder) BeginAttempt(traceparent, state string, i id.Invocation, random uint64) (c, parent Context) {
	parent, _ = OfInvocation(i, traceparent, state, r.ratio)
	c = parent
	c.Span = NewID(random)
	return c, parent
}

// Attempt records an attempt that has ended.
func (r *Recorder) Attempt(a *Attempt) {
	if !a.Context.Sampled {
		return
	}
	rec := &record{
		name: "attempt " + a.Target.path(), kind: trace.SpanKindClient, at: a.Context, parent: a.Parent, from: a.From, to: a.To, outcome: a.Outcome,
		attributes: append(a.Target.attributes(),
			attribute.Int64("restate.attempt", int64(a.Number)),
			attribute.String("restate.deployment.id", a.Deployment),
			attribute.String("restate.deployment.address", a.Address)),
	}
	switch {
	case a.Suspended:
		rec.event = "suspended"
	case a.CutOff:
		rec.event = "cut off"
	case a.Retried:
		rec.event, rec.eventAttributes = "retry", []attribute.KeyValue{attribute.Int64("restate.retry.after_ms", a.RetryAfter.Milliseconds())}
	}
	r.emit(r.services, rec)
}

// record is a span that has ended.
type record struct {
	name            string
	kind            trace.SpanKind
	at, parent      Context
	from, to        time.Time
	attributes      []attribute.KeyValue
	event           string // at its end; "": none
	eventAttributes []attribute.KeyValue
	outcome         Outcome
}

func (r *Recorder) emit(t trace.Tracer, s *record) {
	if t == nil || !s.at.Sampled || !s.at.Valid() {
		return
	}
	ctx := context.WithValue(context.Background(), idsKey{}, s.at)
	if s.parent.Valid() {
		state, _ := trace.ParseTraceState(s.parent.State) // one that is malformed is not passed on
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(s.parent.Trace), SpanID: trace.SpanID(s.parent.Span), TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
		}))
	}
	if s.to.Before(s.from) { // the clock was set back
		s.to = s.from
	}
	_, span := t.Start(ctx, s.name, trace.WithSpanKind(s.kind), trace.WithTimestamp(s.from), trace.WithAttributes(s.attributes...))
	if s.event != "" {
		span.AddEvent(s.event, trace.WithTimestamp(s.to), trace.WithAttributes(s.eventAttributes...))
	}
	if s.outcome.Failure != "" {
		span.SetStatus(codes.Error, s.outcome.Failure)
		if s.outcome.Code != 0 {
			span.SetAttributes(attribute.Int64("restate.failure.code", int64(s.outcome.Code)))
		}
	}
	span.End(trace.WithTimestamp(s.to))
}

type idsKey struct{}

// IDs is the generator of a tracer provider: spans have the ids that were decided before.
type IDs struct{}

// NewIDs implements sdktrace.IDGenerator.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	c, _ := ctx.Value(idsKey{}).(Context)
	return trace.TraceID(c.Trace), trace.SpanID(c.Span)
}

// NewSpanID implements sdktrace.IDGenerator.
func (IDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	c, _ := ctx.Value(idsKey{}).(Context)
	return trace.SpanID(c.Span)
}
