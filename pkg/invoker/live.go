package invoker

import (
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
	f := r.failed
	if a := r.attempt; a != nil {
		a.mu.Lock()
		l.Deployment, l.Server = a.route.deployment, a.server
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
	return l
}
