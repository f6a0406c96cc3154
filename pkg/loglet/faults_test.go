package loglet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
)

// TestFaults runs the engines over log-servers that crash and are cut off, at most one at a time, and
// checks that a recovery finds all that was committed.
func TestFaults(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(8) {
		seed := base + i
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 0))
			c := logservertest.New(t, 3)
			l := c.Loglet(id.Partition(i), 0, me, "{node: 2}")
			w := start(t, c, l)
			heal := func() {}
			for range 60 {
				switch rnd.IntN(8) {
				case 0:
					heal()
					heal = func() {}
					n := id.Node(rnd.IntN(4))
					switch {
					case n == 0: // all are up for a while
					case rnd.IntN(2) == 0:
						c.Crash(n)
						heal = func() { c.Start(n) }
					default:
						c.Cut(n, true)
						heal = func() { c.Cut(n, false) }
					}
				case 1:
					if err := w.n.wait(t, w.next); err != nil {
						t.Fatalf("one log-server of three is away, and: %v", err)
					}
				default:
					w.append(1 + rnd.IntN(5))
				}
			}
			w.n.mu.Lock()
			committed := w.n.tail
			w.n.mu.Unlock()
			w.l.Close()
			cl := client(c)
			tail, err := cl.Seal(t.Context(), l)
			if err != nil || tail < committed || tail > w.next {
				t.Fatalf("tail %d, %v; committed %d, appended %d", tail, err, committed, w.next)
			}
			again, err := cl.Seal(t.Context(), l)
			if err != nil || again < committed {
				t.Fatalf("second recovery: tail %d, %v; committed %d", again, err, committed)
			}
			readAll(t, cl, chainOf(l), 1, lsn.LSN(tail))
		})
	}
}
