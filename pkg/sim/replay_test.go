package sim_test

import "testing"

// A seed gives the same history again: all that is sent and all that goes wrong, in the same order.
func TestSeedsReplay(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has goroutines run in random order")
	}
	for seed := range uint64(4) {
		s := setups[int(seed)%len(setups)]
		a, _ := play(t, seed, s, faultsOf(seed), mistakes{}, nil) // what does not hold shows elsewhere
		b, _ := play(t, seed, s, faultsOf(seed), mistakes{}, nil)
		if a.trace != b.trace || a.net.steps != b.net.steps {
			t.Errorf("seed %d: %x after %d steps, then %x after %d", seed, a.trace, a.net.steps, b.trace, b.net.steps)
		}
	}
}
