package processor_test

import (
	"testing"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/placement"
)

// stores are what lies in the folder of a node.
func (n *worker) stores(name string) []string {
	n.w.t.Helper()
	names, err := n.w.fs.List(name)
	must(n.w.t, err)
	return names
}

// A store stays for as long as the records of a log would, and until all that hold the partition now have what it has.
func TestStoreThatNobodyNeeds(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableNowhere, time.Hour)
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	b.caughtUpWith(a)
	c.stop()
	w.both(a, c)
	eventually(t, "b knows", func() bool { return b.Status()[0].Role == placement.Idle })
	if b.Status()[0].Applied == 0 {
		t.Fatal("it is closed at once")
	}
	eventually(t, "it is closed later", func() bool {
		w.clock.skip(10 * time.Minute)
		return b.Status()[0].Applied == 0
	})
	asked := w.asked.Load()
	eventually(t, "it is looked how the others stand", func() bool { return w.asked.Load() >= asked+3 })
	if got := b.stores("b"); len(got) != 1 || got[0] != "0" {
		t.Fatalf("while one that holds it is away, there is %v", got)
	}
	c = w.start("c")
	eventually(t, "it is removed", func() bool { return len(b.stores("b")) == 0 })
	a.count(x, 6, 8)
	w.both(a, b) // it comes back with nothing
	b.caughtUpWith(a)
	must(t, b.Lead(0, 1))
	b.leads(1)
	b.count(x, 9, 10)
	eventually(t, "c has left", func() bool {
		w.clock.skip(10 * time.Minute)
		return len(c.stores("c")) == 0
	})
}

// Who comes back before that goes on with the store.
func TestStoreIsNeededAgain(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableNowhere, time.Hour)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	b.caughtUpWith(a)
	w.hold(func(id.Partition) []id.Node { return []id.Node{a.self.Node} })
	eventually(t, "b knows", func() bool { return b.Status()[0].Role == placement.Idle })
	had := b.Status()[0].Applied
	w.log.trim(0, had) // without the store it could not come back
	w.both(a, b)
	a.count(x, 6, 8)
	b.caughtUpWith(a)
}

// A node that starts removes what it does not hold, and what a crash left of that.
func TestStoreFoundAtTheStart(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.trims(placement.DurableNowhere, time.Hour)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	a.count(add(w.keyIn(0, 0)), 1, 5)
	b.caughtUpWith(a)
	b.stop()
	w.hold(func(id.Partition) []id.Node { return []id.Node{a.self.Node} })
	for _, dir := range []string{"b/0.removed/db", "b/0.checkpoint", "b/0.restore/db"} {
		must(t, w.fs.MkdirAll(dir, 0o755))
	}
	b = w.start("b")
	eventually(t, "all is removed", func() bool {
		w.clock.skip(10 * time.Minute)
		return len(b.stores("b")) == 0
	})
}
