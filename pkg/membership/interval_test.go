package membership_test

import (
	"testing"
	"time"

	"reprise/pkg/placement"
)

// Two times gossip-tick-interval is how often a process says that it lives.
func TestIntervalOfBeatsCanBeSet(t *testing.T) {
	a := newAttending(t, &laborer{role: placement.Leads})
	a.SetInterval(50 * time.Millisecond)
	a.run(a.Attendance)
	m := a.met(1)
	for range 3 {
		a.clock.Await(1)
		a.clock.Advance(49 * time.Millisecond)
		if a.clock.Armed() != 1 {
			t.Fatal("told before it was time")
		}
		a.clock.Advance(time.Millisecond)
		a.told(m, false)
	}
}
