package processor_test

import (
	"testing"
	"time"

	"reprise/pkg/processor"
	"reprise/pkg/snapshot"
)

// worker.snapshots.snapshot-interval-num-records and snapshot-interval may change while a node runs.
func TestSnapshotsThatAreDueAreLive(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	w.cfg.SnapshotDelay = time.Millisecond
	a := w.start("a") // makes none by itself
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 10)
	w.clock.skip(24 * time.Hour)
	if _, err := r.Latest(t.Context(), 0); err == nil {
		t.Fatal("one was made that nobody asked for")
	}
	a.SetPolicy(processor.Policy{SnapshotRecords: 5})
	var first *snapshot.Latest
	eventually(t, "one by the number of records", func() bool {
		l, err := r.Latest(t.Context(), 0)
		first = l
		return err == nil
	})
	a.SetPolicy(processor.Policy{SnapshotInterval: time.Hour})
	a.count(x, 11, 20)
	w.clock.skip(2 * time.Hour)
	eventually(t, "one by time", func() bool {
		l, err := r.Latest(t.Context(), 0)
		must(t, err)
		return l.MinAppliedLSN > first.MinAppliedLSN
	})
}

// worker.trim-delay-interval and worker.durability-mode may change while a node runs.
func TestTrimmingIsLive(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims("none", time.Hour)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	a.flushed()
	w.clock.skip(24 * time.Hour)
	if at := w.lineage().Chain.Trimmed; at != 0 {
		t.Fatalf("trimmed through %d", at)
	}
	a.SetPolicy(processor.Policy{Durability: "replica-set-only"})
	eventually(t, "it is trimmed", func() bool { return w.lineage().Chain.Trimmed >= 5 })
}
