package span

import (
	"time"

	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/id"
)

// Sink takes spans that have ended and are sampled. It is safe for concurrent use and does not block.
type Sink interface {
	Take(s Span)
}

// Span is one that has ended.
type Span struct {
	Name            string
	Kind            Kind
	At, Parent      Context // Parent is invalid for the root of a trace
	From, To        time.Time
	Attributes      []attribute.KeyValue
	Event           string // at its end; "": none
	EventAttributes []attribute.KeyValue
	Outcome         Outcome
}

// Kind is what a span is to those beside it, by the numbers of OTLP.
type Kind uint8

// The kinds that there are here.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
)

// Recorder hands spans to sinks. Nil records nothing. It is safe for concurrent use, and never blocks if the sinks do not.
type Recorder struct {
	services Sink // nil: requests, invocations and attempts are not recorded
	runtime  Sink // nil: what the engine does is not
	ratio    float64
}

// New returns a recorder. ratio is how many traces are sampled that begin here, 0 to 1; of others whoever
// began them has decided.
func New(services, runtime Sink, ratio float64) *Recorder {
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

// attributes are those of the target, whose path was made before, with room for more.
func (t *Target) attributes(path string, more ...attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, attributesCommon+len(more))
	out = append(out,
		attribute.String("restate.invocation.id", t.ID.String()),
		attribute.String("restate.invocation.target", path),
		attribute.String("rpc.service", t.Service),
		attribute.String("rpc.method", t.Handler),
	)
	return append(out, more...)
}

// attributesCommon is how many attributes a target has, and the code of a failure.
const attributesCommon = 5

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
	path := t.path()
	r.emit(r.services, &Span{
		Name: "ingress_invoke " + path, Kind: Server, At: c, Parent: parent, From: from, To: to, Outcome: o,
		Attributes: t.attributes(path, attribute.String("restate.invocation.kind", kind)),
	})
}

// Invocation records an invocation that has ended. The traceparent and the tracestate are those of its row.
func (r *Recorder) Invocation(traceparent, state string, t *Target, from, to time.Time, o Outcome) {
	c, parent := OfInvocation(t.ID, traceparent, state, r.ratio)
	if !c.Sampled {
		return
	}
	path := t.path()
	r.emit(r.services, &Span{Name: "invoke " + path, Kind: Internal, At: c, Parent: parent, From: from, To: to, Outcome: o, Attributes: t.attributes(path)})
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
	path := a.Target.path()
	rec := &Span{
		Name: "attempt " + path, Kind: Client, At: a.Context, Parent: a.Parent, From: a.From, To: a.To, Outcome: a.Outcome,
		Attributes: a.Target.attributes(path,
			attribute.Int64("restate.attempt", int64(a.Number)),
			attribute.String("restate.deployment.id", a.Deployment),
			attribute.String("restate.deployment.address", a.Address)),
	}
	switch {
	case a.Suspended:
		rec.Event = "suspended"
	case a.CutOff:
		rec.Event = "cut off"
	case a.Retried:
		rec.Event, rec.EventAttributes = "retry", []attribute.KeyValue{attribute.Int64("restate.retry.after_ms", a.RetryAfter.Milliseconds())}
	}
	r.emit(r.services, rec)
}

func (r *Recorder) emit(to Sink, s *Span) {
	if to == nil || !s.At.Sampled || !s.At.Valid() {
		return
	}
	if s.To.Before(s.From) { // the clock was set back
		s.To = s.From
	}
	if s.Outcome.Failure != "" && s.Outcome.Code != 0 {
		s.Attributes = append(s.Attributes, attribute.Int64("restate.failure.code", int64(s.Outcome.Code)))
	}
	to.Take(*s)
}
