package sim_test

import "testing"

// A seed gives the same history again: all that is sent and all that goes wrong, in the same order.
func TestSeedsReplay(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has goroutines run in random order")
	}
	for seed := range uint64(4) {
		history := func() (lines []string) {
			over := false                                                                                    // the end is not sorted
			_, _ = play(t, seed, setups[int(seed)%len(setups)], faultsOf(seed), mistakes{}, func(w *world) { // what does not hold shows elsewhere
				w.verbose = func(line string) {
					if over = over || w.ctx.Err() != nil; !over {
						lines = append(lines, line)
					}
				}
			})
			return lines
		}
		a, b := history(), history()
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				t.Errorf("seed %d: %d lines, then %d; the first that differs is %d:\n%s\n%s", seed, len(a), len(b), i, a[min(i, len(a)-1)], b[min(i, len(b)-1)])
				break
			}
		}
	}
}
