package invoker

import (
	"testing"

	"pgregory.net/rapid"
)

// A run fires once, the first time that somebody looks after it is due, unless it left; next tells the earliest.
func TestSoon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s soon
		now := int64(1000)
		runs := make([]run, 8)
		armed := map[*run]int64{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			r := &runs[rapid.IntRange(0, len(runs)-1).Draw(t, "run")]
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				armed[r] = now + rapid.Int64Range(0, 5).Draw(t, "delay")
				s.arm(r, armed[r])
			case 2:
				r.unlink()
				delete(armed, r)
			default:
				now += rapid.Int64Range(0, 4).Draw(t, "advance")
				s.advance(now, func(r *run) {
					if due, ok := armed[r]; !ok || due > now || r.in != nil {
						t.Fatalf("fired at %d, due %d, armed=%t", now, due, ok)
					}
					delete(armed, r)
				})
			}
			first := int64(-1)
			for _, due := range armed {
				if first < 0 || due < first {
					first = due
				}
			}
			if due, ok := s.next(); ok != (first >= 0) || ok && due != first {
				t.Fatalf("next is %d, %t; the first is due %d", due, ok, first)
			}
			for _, due := range armed {
				if due < now {
					t.Fatalf("due %d did not fire by %d", due, now)
				}
			}
		}
	})
}
