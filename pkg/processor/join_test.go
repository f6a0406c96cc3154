package processor_test

import (
	"strconv"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/placement"
)

// sets says who holds all partitions, and who is to.
func (w *world) sets(r placement.Replicas) {
	w.t.Helper()
	eventually(w.t, "the assignment", func() bool {
		_, err := w.meta.Assign(w.t.Context(), w.partitions, func(epochs []*storedv1.Epoch) []placement.Replicas {
			all := make([]placement.Replicas, len(epochs))
			for i := range all {
				all[i] = r
			}
			return all
		})
		if errs.Is(err, errs.Conflict) {
			return false
		}
		must(w.t, err)
		return true
	})
}

// Who is to hold a partition follows it and has on disk what it applied, be there traffic or not; it takes the place of another
// without a new epoch, and who is dropped does nothing any more.
func TestJoin(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.both(a, b)
	key := w.keyIn(0, 0)
	for i := range 10 {
		a.want(add(key), strconv.Itoa(i), "", strconv.Itoa(i+1))
	}
	b.caughtUpWith(a)
	w.sets(placement.Replicas{Current: []id.Node{a.self.Node, b.self.Node}, Next: []id.Node{a.self.Node, c.self.Node}})
	c.caughtUpWith(a)
	eventually(t, "what it applied is on disk", func() bool {
		s := c.Status()[0]
		return s.Role == placement.Follows && s.Durable == s.Applied
	})
	w.sets(placement.Replicas{Current: []id.Node{a.self.Node, c.self.Node}})
	eventually(t, "who is dropped knows", func() bool { return b.Status()[0].Role == placement.Idle })
	must(t, b.Lead(0, 1))
	a.want(add(key), "on", "", "11")
	must(t, c.Lead(0, 1))
	c.leads(1)
	c.want(add(key), "over", "", "12")
	l, err := w.meta.Lineage(t.Context(), 0)
	if must(t, err); l.Epoch.Epoch != 2 || l.Epoch.Node != uint32(c.self.Node) {
		t.Errorf("epoch %v", l.Epoch)
	}
}

// A take-over leaves the sets as they are.
func TestJoinThroughATakeOver(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.both(a, b)
	key := w.keyIn(0, 0)
	a.want(add(key), "1", "", "1")
	b.caughtUpWith(a)
	w.sets(placement.Replicas{Current: []id.Node{a.self.Node, b.self.Node}, Next: []id.Node{b.self.Node, c.self.Node}})
	c.caughtUpWith(a)
	must(t, c.Lead(0, 1)) // also one that is only to hold it
	c.leads(1)
	c.want(add(key), "2", "", "2")
	l, err := w.meta.Lineage(t.Context(), 0)
	if must(t, err); len(l.Epoch.Replicas) != 2 || len(l.Epoch.Next) != 2 || l.Epoch.Next[1] != uint32(c.self.Node) {
		t.Errorf("epoch %v", l.Epoch)
	}
}

// A leader says that it has work while the log takes records and does not commit them.
func TestWorks(t *testing.T) {
	w := newWorld(t, 1, 1)
	a := w.start("a")
	key := w.keyIn(0, 0)
	a.want(add(key), "1", "", "1")
	works := func(want bool) {
		t.Helper()
		eventually(t, "works "+strconv.FormatBool(want), func() bool { return a.Status()[0].Works == want })
	}
	works(false)
	w.log.hold(true)
	waits := a.submit(add(key).request("2", "", command.WantCompleted))
	works(true)
	w.log.hold(false)
	if got := a.answerOf(waits); got.err != nil {
		t.Error(got.err)
	}
	works(false)
}
