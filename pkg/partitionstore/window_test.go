package partitionstore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
)

// What the window calls absent has no row, whatever the order of ids, however time moves, and over restarts.
func TestWindowNeverHidesARow(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { windowHistory(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func windowHistory(t *testing.T, rnd *rand.Rand) {
	fs := vfs.NewMem()
	shared := NewShared(1 << 20)
	defer func() { _ = shared.Close() }()
	open := func() *Store {
		h := hosttest.New(hosttest.NewClock(), 1)
		h.FS = fs
		s, err := Open(Default(), h, "store", shared)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	defer func() { _ = s.Close() }()
	var all []id.Invocation
	there := map[id.Invocation]bool{}
	now := int64(1_700_000_000_000)
	asked, absent := 0, 0
	for n := range 4 * windowIDs {
		now += rnd.Int64N(3)
		if rnd.IntN(500) == 0 {
			now += rnd.Int64N(2 * windowFar)
		}
		u := uniqueFrom(now - rnd.Int64N(20))
		switch rnd.IntN(20) {
		case 0: // a hash
			u = uniqueFrom(rnd.Int64N(1 << 47))
		case 1: // a clock that is ahead
			u = uniqueFrom(now + rnd.Int64N(2*windowFar))
		}
		u[6], u[7] = byte(rnd.Uint32()), byte(rnd.Uint32())
		i := id.NewInvocation(id.PartitionKey(rnd.Uint64()), u)
		asked++
		if s.window.absent(i) {
			absent++
		}
		inv, err := s.View().Invocation(i)
		if err != nil || inv != nil {
			t.Fatalf("%s is there: %v, %v", i, inv, err)
		}
		inv = &invocation.Invocation{ID: i}
		inv.Row.Incarnation, inv.Row.Status = uint64(n+1), storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
		if err := s.View().PutInvocation(inv); err != nil {
			t.Fatal(err)
		}
		all, there[i] = append(all, i), true
		s.meta.Applied, s.meta.TimeMs = uint64(n+1), now
		if rnd.IntN(10) == 0 {
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if old := all[max(0, len(all)-1-rnd.IntN(3*windowIDs))]; there[old] {
			found, err := s.View().Invocation(old)
			if err != nil || found == nil {
				t.Fatalf("%s is hidden, %v", old, err)
			}
			if rnd.IntN(4) == 0 {
				if err := s.View().DeleteInvocation(found); err != nil {
					t.Fatal(err)
				}
				there[old] = false
			}
		}
		if rnd.IntN(1000) == 0 {
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		}
	}
	if 2*absent < asked {
		t.Fatalf("of %d new ids, %d were known to be absent", asked, absent)
	}
}
