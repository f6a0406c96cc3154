package processor_test

import (
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

// broken waits until the partition is parked because its store is ahead of its log.
func (n *worker) broken() {
	n.w.t.Helper()
	eventually(n.w.t, "it is parked", func() bool {
		s := n.Status()
		return len(s) > 0 && s[0].Role == placement.Parked
	})
	if s := n.Status()[0]; s.Broken != "ahead-of-log" {
		n.w.t.Errorf("broken is %q", s.Broken)
	}
	if n.gauge("restate_partition_blocked_flare") != 1 {
		n.w.t.Error("nobody is told")
	}
}

// atTail waits until the partition has applied and committed all that is in the log, of which nobody appends to the newest loglet.
func (n *worker) atTail() {
	n.w.t.Helper()
	eventually(n.w.t, "it is at the tail", func() bool { return n.Status()[0].Applied+1 == n.w.log.tail(0) })
}

// The log loses what a follower has applied already. It notices when another one leads, although it is not called itself, and
// also once the log is longer again: what stands there are other records.
func TestFollowerAheadOfItsLog(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.hold(func(id.Partition) []id.Node { return []id.Node{a.self.Node, b.self.Node, c.self.Node} })
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 5)
	c.atTail()
	had := c.Status()[0].Applied
	c.stop()
	a.count(x, 6, 10)
	b.atTail()
	a.stop()
	w.log.lose(0, had+1)
	c = w.start("c")
	must(t, c.Lead(0, 1))
	c.leads(1)
	b.broken()
	c.count(x, 6, 20) // it does not know of the first 6 to 10
	eventually(t, "the log is longer than the store", func() bool { return c.Status()[0].Applied > b.Status()[0].Applied })
	b.stop()
	b = w.launch("b")
	b.broken()
	b.stop()
	must(t, w.fs.RemoveAll("b"))
	b = w.start("b")
	b.caughtUpWith(c)
	must(t, b.Lead(0, 2))
	b.leads(1)
	b.count(x, 21, 22)
}

// Nobody begins to lead what its store is ahead of: another one may be right.
func TestLeaderAheadOfItsLog(t *testing.T) {
	for name, lost := range map[string]lsn.LSN{"some": 4, "all": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			a := w.start("a")
			a.count(add(w.keyIn(0, 0)), 1, 5)
			a.stop()
			w.log.lose(0, lost)
			a = w.launch("a")
			a.broken()
			if e := w.lineage().Epoch.Epoch; e != 1 {
				t.Errorf("epoch %d has begun", e)
			}
		})
	}
}
