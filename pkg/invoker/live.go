package invoker

import (
	servicev1 "reprise/api/service/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
)

// Live returns what is known of the invocations of a partition that are run, or of those of them that ids
// names. It is for people who look, and reads all activations of the loop if ids is nil.
func (v *Invoker) Live(p id.Partition, ids []id.Invocation) (out []invocation.Live) {
	if ids != nil {
		for _, i := range ids {
			if r := v.runs[i]; r != nil && r.Partition == p {
				out = append(out, r.live())
			}
		}
		return out
	}
	for _, r := range v.runs {
		if r.Partition == p {
			out = append(out, r.live())
		}
	}
	return out
}

func (r *run) live() invocation.Live {
	l := invocation.Live{ID: r.ID, Attempts: r.begun, LastStart: r.started, Deployment: r.tried, Server: r.server}
	f, awaiting := r.failed, r.awaiting
	if a := r.attempt; a != nil {
		a.mu.Lock()
		l.Deployment, l.Server = a.route.deployment, a.server
		awaiting = append([]byte(nil), a.awaiting...)
		if a.failure != nil {
			f = a.failure
		}
		a.mu.Unlock()
		l.InFlight = r.state == stateRunning
	}
	if r.state == stateBackoff {
		l.NextRetry = r.due
	}
	if f != nil {
		l.Failure = f.stored()
	}
	l.Awaiting = future(awaiting)
	return l
}

// future decodes the payload of an AwaitingOn that was checked; nil if there is none.
func future(payload []byte) *servicev1.Future {
	var m servicev1.AwaitingOn
	if err := m.UnmarshalVT(payload); err != nil {
		return nil // it is but a hint for people: nobody is refused for its sake
	}
	return m.AwaitingOn
}
