package processor_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
)

// allow lets leaders raise partitions to a version.
func (w *world) allow(version uint32) {
	w.t.Helper()
	doc, revision, err := w.meta.Document(w.t.Context(), "cluster")
	must(w.t, err)
	c := proto.CloneOf(doc.(*storedv1.Cluster))
	c.PartitionVersion = version
	must(w.t, w.meta.PutDocument(w.t.Context(), "cluster", c, revision))
}

// barriers are the versions that the log of p was raised to.
func (w *world) barriers(p id.Partition) (versions []uint32) {
	w.log.groups(p, func(_ uint32, records []byte) {
		for len(records) > 0 {
			raw, rest, err := command.Next(records)
			must(w.t, err)
			records = rest
			rec, err := command.Parse(raw)
			must(w.t, err)
			if rec.Kind != command.Barrier {
				continue
			}
			var facts storedv1.BarrierFacts
			must(w.t, facts.UnmarshalVT(rec.Facts))
			versions = append(versions, facts.Version)
		}
	})
	return versions
}

// A leader raises its partitions once, when the cluster allows it, to what it knows; the next leader finds them raised.
func TestBarrier(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	n.want(echo, w.nameIn(0, echo, "before"), "hello", "hello")
	if got := w.barriers(0); len(got) > 0 {
		t.Fatalf("raised to %v before the cluster allows it", got)
	}
	w.allow(partition.VersionMax + 5) // by a release that this one does not know
	for p := range id.Partition(2) {
		eventually(t, "the barrier", func() bool { return len(w.barriers(p)) == 1 })
	}
	n.want(echo, w.nameIn(0, echo, "after"), "hello", "hello")
	n.stop()
	n = w.start("a")
	n.want(echo, w.nameIn(0, echo, "again"), "hello", "hello")
	if got := w.barriers(0); len(got) != 1 || got[0] != partition.VersionMax {
		t.Errorf("raised to %v, want once to %d", got, partition.VersionMax)
	}
}

// A binary that is older than the log stops at the barrier, at each start, and does not skip it; so does one that follows.
func TestOlderThanTheLog(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	n.want(echo, w.nameIn(0, echo, "before"), "hello", "hello")
	n.stop()
	w.log.appendNext(t, 0, &storedv1.BarrierFacts{Version: partition.VersionMax + 1})
	for _, name := range []string{"a", "a"} {
		n = w.start(name)
		if got := n.gauge("reprise_processor_parked_partitions"); got != 1 {
			t.Errorf("%g partitions are parked", got)
		}
		n.want(echo, w.nameIn(1, echo, "after"), "hello", "hello")
		n.stop()
	}
	w.hold(func(id.Partition) []id.Node { return []id.Node{1, 2} })
	follower := w.launch("b")
	eventually(t, "the follower stops", func() bool { return follower.gauge("reprise_processor_parked_partitions") == 1 })
}

// appendNext appends a barrier to the newest loglet of p as the leader of its last record would.
func (f *fakeLog) appendNext(t *testing.T, p id.Partition, facts *storedv1.BarrierFacts) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.newestLocked(p)
	var last command.Record
	for records := l.recs[len(l.recs)-1].bytes; len(records) > 0; {
		raw, rest, err := command.Next(records)
		must(t, err)
		records = rest
		last, err = command.Parse(raw)
		must(t, err)
	}
	rec, err := command.Append(nil, command.Header{Kind: command.Barrier}, facts)
	must(t, err)
	command.Stamp(rec, l.id, last.LSN+1, last.Epoch, last.Seq+1, last.Time)
	l.recs = append(l.recs, staged{first: l.next, count: 1, bytes: rec})
	l.next++
	l.told = l.next
}

// A store that a newer release wrote is not gone on with: its rows may mean something else.
func TestOlderThanTheStore(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	n.want(echo, w.nameIn(0, echo, "before"), "hello", "hello")
	n.stop()
	shared := partitionstore.NewShared(1 << 20)
	store, err := partitionstore.Open(w.cfg.Store, w.host, "a/0", shared)
	must(t, err)
	store.Meta().Version = partition.VersionMax + 1
	must(t, store.View().SetSourceSeq(1, 0)) // something to commit
	must(t, store.Commit())
	must(t, store.Close())
	must(t, shared.Close())
	n = w.start("a")
	if got := n.gauge("reprise_processor_parked_partitions"); got != 1 {
		t.Errorf("%g partitions are parked", got)
	}
	n.want(echo, w.nameIn(1, echo, "after"), "hello", "hello")
}
