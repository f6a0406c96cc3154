package processor_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/partitionstore"
	"reprise/pkg/processor"
	"reprise/pkg/snapshot"
)

// A node that led has a store behind the log when it follows again: it is replaced once nobody reads it.
func TestStoreThatIsReadIsReplacedLater(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.withSnapshots(1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 3)
	b.caughtUpWith(a)
	reads, free := make(chan struct{}), make(chan struct{})
	group := lifecycle.NewGroup(t.Context())
	group.Go("reader", func(ctx context.Context) error {
		return a.Read(ctx, processor.Reading{}, func(context.Context, *partitionstore.Snapshot, []invocation.Live) error {
			close(reads)
			<-free
			return nil
		})
	})
	<-reads
	must(t, b.Lead(0, 1))
	b.leads(1)
	w.hold(func(id.Partition) []id.Node { return []id.Node{b.self.Node} })
	eventually(t, "a has nothing to do", func() bool { return a.gauge("reprise_processor_led_partitions") == 0 })
	had := a.Status()[0].Applied
	b.count(x, 4, 20)
	l := b.snapshot(had + 10)
	w.log.trim(0, l.Archived())
	w.both(b, a)
	eventually(t, "its store is given up", func() bool { return a.Status()[0].Applied == 0 })
	b.count(x, 21, 22)
	if n := a.gauge(restores); n != 0 {
		t.Errorf("%v restores while the store is read", n)
	}
	close(free)
	must(t, group.Wait())
	a.caughtUpWith(b)
	if n := a.gauge(restores); n != 1 {
		t.Errorf("%v restores", n)
	}
	must(t, a.Lead(0, 2))
	a.leads(1)
	a.count(x, 23, 24)
}

// overtaken makes something happen before the first restore.
type overtaken struct {
	*snapshot.Repository
	once  sync.Once
	first func()
}

func (o *overtaken) Restore(ctx context.Context, p id.Partition, ref snapshot.Ref, dir string) error {
	o.once.Do(o.first)
	return o.Repository.Restore(ctx, p, ref, dir)
}

// A snapshot that goes while it is restored, because it was replaced, is followed by the newer one.
func TestSnapshotIsReplacedWhileItIsRestored(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	l := a.snapshot(5)
	w.log.trim(0, l.Archived())
	w.snapshots = &overtaken{Repository: r, first: func() {
		a.count(x, 6, 10)
		w.log.trim(0, a.snapshot(l.MinAppliedLSN+5).Archived())
	}}
	b := w.start("b")
	w.both(a, b)
	b.caughtUpWith(a)
	if n, failed := b.gauge(restores), b.gauge("restate_partition_store_snapshots_download_failed_total"); n != 1 || failed != 0 {
		t.Errorf("%v restores, %v failed", n, failed)
	}
}

// asked counts who asks for the newest snapshot.
type asked struct {
	*snapshot.Repository
	n atomic.Int64
}

func (a *asked) Latest(ctx context.Context, p id.Partition) (*snapshot.Latest, error) {
	a.n.Add(1)
	return a.Repository.Latest(ctx, p)
}

// A snapshot that holds more than the log ever had is not taken: one of them is another cluster's.
func TestSnapshotBeyondTheLog(t *testing.T) {
	w := newWorld(t, 1, 1)
	r, _ := w.withSnapshots(1)
	a := w.start("a")
	a.count(add(w.keyIn(0, 0)), 1, 5)
	l := a.snapshot(5)
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	w.log.bound(lsn.Offset(l.MinAppliedLSN)) // the record at that offset is lost
	s := &asked{Repository: r}
	w.snapshots = s
	a = w.launch("a")
	eventually(t, "it tries again", func() bool { return s.n.Load() >= 3 })
	select {
	case <-a.Ready():
		t.Fatal("it leads with what the log does not have")
	default:
	}
	if a.gauge("restate_partition_blocked_flare") != 1 {
		t.Error("nobody is told")
	}
	w.log.bound(0)
	a.awaitReady()
	if n := a.gauge(restores); n != 1 || a.gauge("restate_partition_blocked_flare") != 0 {
		t.Errorf("%v restores", n)
	}
}
