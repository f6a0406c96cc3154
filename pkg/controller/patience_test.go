package controller_test

import (
	"testing"
	"time"

	"reprise/pkg/controller"
)

// gossip-tick-interval times gossip-failure-threshold says after which silence a process is dead.
func TestSilenceThatIsDeathCanBeSet(t *testing.T) {
	for _, limit := range []time.Duration{300 * time.Millisecond, 5 * time.Second} {
		r := newRoster(t)
		r.SetDeadAfter(limit)
		r.Enter(gen(1, 1), noCalls).Beat(controller.Beat{})
		r.clock.Advance(limit)
		r.Look(0)
		r.want("in time", gen(1, 1))
		r.clock.Advance(time.Millisecond)
		r.Look(0)
		r.want("too late")
	}
}
