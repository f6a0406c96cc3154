package invoker

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A run fires once, not before it is due and at most two ticks after, however the clock moves.
func TestWheel(t *testing.T) {
	type entry struct {
		r    *run
		last int64 // when it has to have fired
	}
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64Range(0, 1<<42).Draw(t, "start")
		w := wheel{at: now / tickMillis}
		var armed []entry
		arm := func(r *run) entry {
			due := now + rapid.Int64Range(-1000, 500_000).Draw(t, "delay")
			w.arm(r, due)
			return entry{r, max(due, now) + 2*tickMillis}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			step := rapid.IntRange(0, 4).Draw(t, "step")
			switch {
			case step < 2:
				armed = append(armed, arm(&run{}))
			case step == 4:
				now += rapid.Int64Range(0, 200_000).Draw(t, "advance")
				w.advance(now, func(r *run) {
					at := slices.IndexFunc(armed, func(e entry) bool { return e.r == r })
					if at < 0 || r.due > now {
						t.Fatalf("fired at %d, due %d, index %d", now, r.due, at)
					}
					armed = slices.Delete(armed, at, at+1)
				})
				for _, e := range armed {
					if e.last <= now {
						t.Fatalf("due %d did not fire by %d", e.r.due, now)
					}
				}
			case len(armed) == 0:
			case step == 2:
				n := rapid.IntRange(0, len(armed)-1).Draw(t, "again")
				armed[n] = arm(armed[n].r)
			default:
				n := rapid.IntRange(0, len(armed)-1).Draw(t, "unlink")
				armed[n].r.unlink()
				armed = slices.Delete(armed, n, n+1)
			}
		}
	})
}

func TestIDSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s idSet
		want := map[uint32]bool{}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			n := rapid.OneOf(rapid.Uint32Range(0, 10), rapid.Uint32Range(idSetBits-2, idSetBits+2), rapid.Uint32()).Draw(t, "n")
			if rapid.Bool().Draw(t, "add") {
				if s.add(n) == want[n] {
					t.Fatalf("%d was there: %t", n, want[n])
				}
				want[n] = true
			} else if s.take(n) != want[n] {
				t.Fatalf("%d was there: %v", n, want[n])
			} else {
				delete(want, n)
			}
			if s.empty() != (len(want) == 0) {
				t.Fatalf("empty is %v with %d", s.empty(), len(want))
			}
		}
	})
}
