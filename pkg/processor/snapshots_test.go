package processor_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/snapshot"
	"reprise/pkg/snapshot/bucket"
)

// withSnapshots gives the nodes that are started from now on an object store.
func (w *world) withSnapshots(retained int) (*snapshot.Repository, *bucket.Bucket) {
	w.t.Helper()
	b := bucket.Memory()
	w.t.Cleanup(func() { must(w.t, b.Close()) })
	cfg := snapshot.Default()
	cfg.ClusterName, cfg.Fingerprint, cfg.NodeName, cfg.Retained = "test", 1, "n1", retained
	r, err := snapshot.New(cfg, b, b, w.host)
	must(w.t, err)
	w.snapshots = r
	return r, b
}

// snapshot makes a snapshot that holds all up to at least at.
func (n *worker) snapshot(at lsn.LSN) (l *snapshot.Latest) {
	n.w.t.Helper()
	eventually(n.w.t, "a snapshot", func() bool { // rows are committed a little later than their effects
		var err error
		l, err = n.Snapshot(n.w.t.Context(), 0, 0)
		must(n.w.t, err)
		return l.MinAppliedLSN >= at
	})
	return l
}

func (n *worker) count(x target, from, to int) {
	n.w.t.Helper()
	for i := from; i <= to; i++ {
		n.want(x, strconv.Itoa(i), "", strconv.Itoa(i))
	}
}

const restores = "reprise_processor_restores_total"

// A disk is lost, and the log begins later: the state is that of the snapshot and what came after it.
func TestLostDiskBehindATrimmedLog(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 10)
	l := a.snapshot(10)
	if got, err := r.Latest(t.Context(), 0); err != nil || got.Ref != l.Ref {
		t.Fatalf("the newest is %+v, %v", got, err)
	}
	if at := a.Status()[0].Archived; at != l.Archived() {
		t.Errorf("the status says that %d is archived, %d is", at, l.Archived())
	}
	if names, err := w.fs.List("a"); err != nil || len(names) != 1 {
		t.Fatalf("beside the store there is %v, %v", names, err)
	}
	a.count(x, 11, 12)
	w.log.trim(0, l.Archived())
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	a = w.start("a")
	a.want(x, "3", "", "3") // it was called before
	a.count(x, 13, 14)
	if n := a.gauge(restores); n != 1 {
		t.Errorf("%v restores", n)
	}
	a.stop()
	a = w.start("a") // with the store that it has now
	a.count(x, 15, 15)
	if n := a.gauge(restores); n != 0 {
		t.Errorf("%v restores of a store that is there", n)
	}
	a.snapshot(l.MinAppliedLSN + 1)
}

// A follower comes back with a store that the log does not reach any more.
func TestFollowerBehindATrimmedLog(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.withSnapshots(1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 3)
	b.caughtUpWith(a)
	had := b.Status()[0].Applied
	b.stop()
	a.count(x, 4, 20)
	l := a.snapshot(had + 1)
	w.log.trim(0, l.Archived())
	b = w.start("b")
	b.caughtUpWith(a)
	if n := b.gauge(restores); n != 1 {
		t.Errorf("%v restores", n)
	}
	must(t, b.Lead(0, 1))
	b.leads(1)
	b.count(x, 21, 22)
}

// blind finds nothing until it may see.
type blind struct {
	*snapshot.Repository
	asked atomic.Int64
	sees  atomic.Bool
}

func (b *blind) Latest(ctx context.Context, p id.Partition) (*snapshot.Latest, error) {
	b.asked.Add(1)
	if !b.sees.Load() {
		return nil, errs.Newf(errs.NotFound, "nothing here")
	}
	return b.Repository.Latest(ctx, p)
}

// What the log lacks is never skipped: the partition waits for a snapshot.
func TestTrimmedLogWithoutSnapshot(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	l := a.snapshot(5)
	w.log.trim(0, l.Archived())
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	b := &blind{Repository: r}
	w.snapshots = b
	a = w.launch("a")
	eventually(t, "it asks for a snapshot", func() bool { return b.asked.Load() >= 4 })
	select {
	case <-a.Ready():
		t.Fatal("it leads without what the log lacks")
	default:
	}
	b.sees.Store(true)
	a.awaitReady()
	a.count(x, 6, 7)
}

// A damaged snapshot is not used; the one before it and the log do.
func TestDamagedSnapshot(t *testing.T) {
	w := newWorld(t, 1, 1)
	_, objects := w.withSnapshots(2)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	first := a.snapshot(5)
	a.count(x, 6, 10)
	second := a.snapshot(first.MinAppliedLSN + 5)
	w.log.trim(0, second.Archived())
	must(t, objects.Put(t.Context(), "0/"+second.Path+"/metadata.json", bytes.NewReader([]byte("{}"))))
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	a = w.start("a")
	a.count(x, 11, 12)
	if n := a.gauge(restores); n != 1 {
		t.Errorf("%v restores", n)
	}
}

// Leaders make snapshots by the number of records and by time.
func TestSnapshotsThatAreDue(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	w.cfg.SnapshotRecords, w.cfg.SnapshotInterval, w.cfg.SnapshotDelay = 5, time.Hour, time.Millisecond
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 10)
	var first *snapshot.Latest
	eventually(t, "the first one, without waiting", func() (ok bool) {
		l, err := r.Latest(t.Context(), 0)
		first = l
		return err == nil
	})
	a.count(x, 11, 20) // enough records, but too early
	eventually(t, "the rows", func() bool { return a.Status()[0].Applied >= first.MinAppliedLSN+10 })
	w.clock.skip(30 * time.Minute)
	l, err := r.Latest(t.Context(), 0)
	must(t, err)
	if l.Ref != first.Ref {
		t.Fatal("the next one was made too early")
	}
	w.clock.skip(2 * time.Hour)
	eventually(t, "the next one", func() bool {
		l, err := r.Latest(t.Context(), 0)
		must(t, err)
		return l.MinAppliedLSN >= first.MinAppliedLSN+5
	})
}

// Who asks for a position gets the snapshot that has it, and none if the partition is not there yet.
func TestSnapshotAtLeast(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.withSnapshots(1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	l := a.snapshot(5)
	a.count(x, 6, 10)
	if got, err := a.Snapshot(t.Context(), 0, l.MinAppliedLSN); err != nil || got.Ref != l.Ref {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.Snapshot(t.Context(), 0, 1000); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "Applied LSN below the target LSN") {
		t.Errorf("%v", err)
	}
	eventually(t, "a newer one", func() bool {
		got, err := a.Snapshot(t.Context(), 0, l.MinAppliedLSN+1)
		return err == nil && got.MinAppliedLSN > l.MinAppliedLSN
	})
}

func TestSnapshotIsRefused(t *testing.T) {
	w := newWorld(t, 1, 1)
	a := w.start("a")
	if _, err := a.Snapshot(t.Context(), 0, 0); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "worker.snapshots.destination") {
		t.Errorf("without an object store: %v", err)
	}
	w.withSnapshots(1)
	b := w.start("b")
	if _, err := b.Snapshot(t.Context(), 0, 0); !errs.Is(err, errs.NotLeader) {
		t.Errorf("of a partition that is led elsewhere: %v", err)
	}
}
