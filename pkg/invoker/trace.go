package invoker

import (
	"time"

	"reprise/pkg/host"
	"reprise/pkg/span"
)

// placed gives an attempt its place in the trace of its invocation, of which its endpoint is told.
func (v *Invoker) placed(a *attempt, r *run) {
	a.traceParent, a.traceState = r.TraceParent, r.TraceState
	if v.host.Spans.Services() {
		a.span, a.parentSpan = v.host.Spans.BeginAttempt(r.TraceParent, r.TraceState, r.ID, v.host.Rand.Uint64())
		a.traceParent = a.span.String()
	}
}

// ending is the span of the attempt that r lets go of, or of one that could not begin; nil where nothing is recorded, and if its trace is
// not sampled.
func (v *Invoker) ending(r *run, f *failure) *span.Attempt {
	a := r.attempt
	if !v.host.Spans.Services() || a == nil && f == nil || a != nil && !a.span.Sampled {
		return nil
	}
	now := v.host.Clock.Now()
	s := &span.Attempt{
		Target: span.Target{Service: r.Target.GetService(), Handler: r.Target.GetHandler(), Key: r.Target.GetKey(), ID: r.ID},
		Number: r.number, From: now, To: now,
	}
	if f != nil {
		s.Outcome = span.Outcome{Failure: f.Message, Code: f.Code}
	}
	if a == nil {
		s.Context, s.Parent = v.host.Spans.BeginAttempt(r.TraceParent, r.TraceState, r.ID, v.host.Rand.Uint64())
		return s
	}
	s.Context, s.Parent, s.From = a.span, a.parentSpan, time.UnixMilli(r.started)
	s.Deployment, s.Address = a.route.deployment.String(), a.route.url
	a.mu.Lock()
	s.Suspended = a.final == finalSuspension
	s.CutOff = a.final == notFinal && f == nil
	a.mu.Unlock()
	return s
}

// record writes the span of an attempt; its failure is tried again where r is in backoff.
func (v *Invoker) record(r *run, s *span.Attempt) {
	if s == nil {
		return
	}
	if s.Outcome.Failure != "" && r.state == stateBackoff {
		s.Retried, s.RetryAfter = true, time.Duration(r.due-host.Millis(v.host.Clock))*time.Millisecond
	}
	v.host.Spans.Attempt(s)
}
