package processor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
)

// trims has logs looked at all the time.
func (w *world) trims(mode placement.Durability, delay time.Duration) {
	w.cfg.Durability, w.cfg.TrimDelay = mode, delay
	w.cfg.TrimFirst, w.cfg.TrimInterval = time.Millisecond, time.Millisecond
}

func (w *world) lineage() metastore.Lineage {
	w.t.Helper()
	l, err := w.meta.Lineage(w.t.Context(), 0)
	must(w.t, err)
	return l
}

// A node alone keeps of its log what is not on its disk, and segments of which nothing is left leave the chain.
func TestTrimOfANodeAlone(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims("", 0)
	n := w.start("a")
	x := add(w.keyIn(0, 0))
	for i := range 4 {
		n.count(x, 5*i+1, 5*i+5)
		w.log.fail(0, 1)
	}
	n.count(x, 21, 21)
	n.stop() // all is on the disk
	n = w.start("a")
	eventually(t, "only what is new is left", func() bool {
		l := w.lineage()
		return l.Chain.Trimmed >= 21 && len(l.Chain.Segments) <= 2 && w.log.trimmedTo(0) == lsn.LSN(l.Chain.Trimmed)
	})
	n.count(x, 22, 25)
	n.stop()
	n = w.start("a")
	n.count(x, 26, 26)
}

// Records stay until the delay is over, and those of a holder that is away until it is back.
func TestTrimWaitsForHoldersAndTime(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableHolders, time.Hour)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	b.caughtUpWith(a)
	a.flushed()
	b.flushed()
	b.stop()
	w.clock.skip(2 * time.Hour)
	a.count(x, 6, 8)
	if at := w.lineage().Chain.Trimmed; at != 0 {
		t.Errorf("trimmed through %d while a holder is away", at)
	}
	b = w.start("b")
	eventually(t, "a point waits", func() bool { return b.Status()[0].Durable >= 5 })
	eventually(t, "the delay is over", func() bool {
		w.clock.skip(10 * time.Minute)
		return w.lineage().Chain.Trimmed >= 5
	})
	b.caughtUpWith(a)
	must(t, b.Lead(0, 1))
	b.leads(1)
	b.count(x, 9, 10)
}

// With snapshots the log begins where the oldest one ends that is kept; a lost disk comes back from there.
func TestTrimBehindSnapshots(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.withSnapshots(2)
	w.trims(placement.DurableSnapshot, 0)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	l := a.snapshot(5)
	eventually(t, "it is trimmed up to the first one", func() bool { return w.log.trimmedTo(0) == l.Archived() })
	for i := 6; i <= 15; i += 5 {
		a.count(x, i, i+4)
		l = a.snapshot(l.MinAppliedLSN + 5)
	}
	if l.Archived() >= l.MinAppliedLSN {
		t.Fatalf("one is kept: %+v", l)
	}
	eventually(t, "it is trimmed up to the older one", func() bool { return w.log.trimmedTo(0) == l.Archived() })
	a.count(x, 16, 20)
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	a = w.start("a")
	a.count(x, 21, 22)
	if n := a.gauge(restores); n != 1 {
		t.Errorf("%v restores", n)
	}
}

// Nothing is taken off the log that a snapshot has no more, however the snapshot looked once.
func TestTrimLooksAtTheSnapshot(t *testing.T) {
	w := newWorld(t, 1, 1)
	_, objects := w.withSnapshots(1)
	w.trims(placement.DurableSnapshot, time.Hour)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	l := a.snapshot(5)
	must(t, objects.Delete(t.Context(), "0/"+l.Path+"/metadata.json"))
	w.clock.skip(2 * time.Hour)
	a.count(x, 6, 20)
	if at := w.log.trimmedTo(0); at != 0 {
		t.Errorf("trimmed through %d without a snapshot", at)
	}
	next := a.snapshot(l.MinAppliedLSN + 10)
	w.clock.skip(2 * time.Hour)
	eventually(t, "the next one is whole", func() bool { return w.log.trimmedTo(0) == next.MinAppliedLSN })
}

// Log-servers that are away get their trim later.
func TestTrimIsRepeated(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableHolders, 0)
	w.log.breakTrims(errs.Newf(errs.Unavailable, "away"))
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	a.flushed()
	eventually(t, "it is decided", func() bool { return w.lineage().Chain.Trimmed >= 5 })
	w.log.fail(0, 1)
	a.count(x, 6, 7)
	a.flushed()
	w.log.breakTrims(nil)
	eventually(t, "the old segment is gone", func() bool { return w.lineage().Chain.Segments[0].Index == 1 })
}

// An operator trims by hand what nobody needs, and more only by force, but never what this node has not.
func TestTrimByHand(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.withSnapshots(1)
	w.trims(placement.DurableNowhere, 0)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	b.caughtUpWith(a)
	b.stop()
	if at, err := a.Trim(t.Context(), 0, 0, false); err != nil || at != 0 {
		t.Errorf("without a snapshot, and a holder away: through %d, %v", at, err)
	}
	l := a.snapshot(5)
	if at, err := a.Trim(t.Context(), 0, 0, false); err != nil || at != l.MinAppliedLSN || w.log.trimmedTo(0) != at {
		t.Errorf("through %d, %v", at, err)
	}
	a.count(x, 6, 10)
	eventually(t, "it is on the disk of a", func() bool { // rows are committed a little later than their effects
		must(t, a.Flush(t.Context(), 0))
		return a.Status()[0].Durable > l.MinAppliedLSN
	})
	if _, err := a.Trim(t.Context(), 0, l.MinAppliedLSN+1, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("what b may need: %v", err)
	}
	if _, err := a.Trim(t.Context(), 0, 1000, true); !errs.Is(err, errs.Invalid) {
		t.Errorf("what nobody has: %v", err)
	}
	if at, err := a.Trim(t.Context(), 0, l.MinAppliedLSN+1, true); err != nil || at != l.MinAppliedLSN+1 {
		t.Errorf("by force: through %d, %v", at, err)
	}
	b = w.start("b")
	if _, err := b.Trim(t.Context(), 0, 0, false); !errs.Is(err, errs.NotLeader) {
		t.Errorf("a follower: %v", err)
	}
	a.snapshot(l.MinAppliedLSN + 5) // what b misses
	b.caughtUpWith(a)
}

// Who is given a partition after the others were asked what they need is not passed over: the view of a leader lags behind.
func TestTrimSeesWhoJoinedMeanwhile(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableNowhere, 0)
	var joins atomic.Pointer[worker]
	w.takeOver = func(m processor.Meta) processor.Meta { return joiningMeta{m, w, &joins} }
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	a.flushed()
	joins.Store(a)
	if at, err := a.Trim(t.Context(), 0, 0, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("trimmed through %d, %v", at, err)
	}
	if at := w.lineage().Chain.Trimmed; at != 0 {
		t.Errorf("trimmed through %d, the new holder has nothing", at)
	}
}

// joiningMeta gives partition 0 to one more node before it says who holds it.
type joiningMeta struct {
	processor.Meta
	w     *world
	joins *atomic.Pointer[worker]
}

func (m joiningMeta) Lineage(ctx context.Context, p id.Partition) (metastore.Lineage, error) {
	if a := m.joins.Swap(nil); a != nil {
		m.w.hold(func(id.Partition) []id.Node { return []id.Node{a.self.Node, a.self.Node + 1} })
	}
	return m.Meta.Lineage(ctx, p)
}

// flushed waits until all that n has applied is on the disk.
func (n *worker) flushed() {
	n.w.t.Helper()
	eventually(n.w.t, "a flush", func() bool {
		must(n.w.t, n.Flush(n.w.t.Context(), 0))
		s := n.Status()[0]
		return s.Durable >= 5 && s.Durable == s.Applied
	})
}
