package processor_test

import (
	"fmt"
	"strconv"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

// both gives all partitions to two nodes, of which the first is to begin.
func (w *world) both(first, second *worker) {
	w.t.Helper()
	w.hold(func(id.Partition) []id.Node { return []id.Node{first.self.Node, second.self.Node} })
}

func (n *worker) leads(partitions float64) {
	n.w.t.Helper()
	eventually(n.w.t, n.self.String()+" leads", func() bool { return n.gauge("reprise_processor_led_partitions") == partitions })
}

func (n *worker) caughtUpWith(leader *worker) {
	n.w.t.Helper()
	eventually(n.w.t, "the follower is at the tail", func() bool {
		a, b := leader.Status(), n.Status()
		for p := range a {
			if a[p].Applied == 0 || a[p].Applied != b[p].Applied {
				return false
			}
		}
		return true
	})
}

// Who follows is at the tail, and goes on where the leader ended when it is called.
func TestFollowersTakeOver(t *testing.T) {
	w := newWorld(t, 2, 1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	keys := []string{w.keyIn(0, 0), w.keyIn(1, 0)}
	for i := range 20 {
		a.want(add(keys[i%2]), strconv.Itoa(i), "", strconv.Itoa(i/2+1))
	}
	b.caughtUpWith(a)
	if s := b.Status()[0]; s.Role != placement.Follows || s.Epoch != 0 {
		t.Errorf("status of a follower: %+v", s)
	}
	if s := a.Status()[0]; s.Role != placement.Leads || s.Epoch != 1 {
		t.Errorf("status of a leader: %+v", s)
	}
	waits := a.submit(hang.request("waits", "", command.WantCompleted))
	eventually(t, "it runs", func() bool { return w.endpoint.count("hang") == 1 })
	for p := range id.Partition(2) {
		must(t, b.Lead(p, 1))
	}
	b.leads(2)
	a.leads(0)
	if got := a.answerOf(waits); !errs.Is(got.err, errs.Uncertain) {
		t.Errorf("who waited at a: %v", got.err)
	}
	close(w.endpoint.free)
	b.want(hang, "waits", "", "done")
	for i := 20; i < 40; i++ {
		b.want(add(keys[i%2]), strconv.Itoa(i), "", strconv.Itoa(i/2+1))
	}
	a.caughtUpWith(b) // it follows now
	must(t, a.Lead(0, 2))
	a.leads(1)
	b.leads(1)
	a.want(add(keys[0]), "back", "", "21")
}

// A call to end an epoch that is over changes nothing, nor does one to a node that does not hold the partition.
func TestLateCallsChangeNothing(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.both(a, b)
	a.want(echo, "1", "x", "x")
	b.caughtUpWith(a)
	for _, over := range []lsn.Epoch{0, 2, 7} {
		must(t, b.Lead(0, over))
		must(t, c.Lead(0, over))
	}
	must(t, c.Lead(0, 1))
	a.want(echo, "2", "x", "x")
	b.caughtUpWith(a)
	l, err := w.meta.Lineage(t.Context(), 0)
	if must(t, err); l.Epoch.Epoch != 1 || l.Epoch.Node != uint32(a.self.Node) {
		t.Errorf("epoch %v", l.Epoch)
	}
	if err := b.Lead(5, 1); !errs.Is(err, errs.Invalid) {
		t.Errorf("a partition that is not there: %v", err)
	}
}

// A leader that is called to end its own epoch begins the next one at once, and nobody is told anything but to wait.
func TestLeadsAnew(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	key := w.keyIn(0, 0)
	for epoch := uint64(1); epoch < 4; epoch++ {
		n.want(add(key), fmt.Sprint("x", epoch), "", strconv.FormatUint(epoch, 10))
		must(t, n.Lead(0, lsn.Epoch(epoch)))
		eventually(t, "the next epoch", func() bool {
			s := n.Status()[0]
			return s.Role == placement.Leads && uint64(s.Epoch) == epoch+1
		})
		must(t, n.Lead(0, lsn.Epoch(epoch))) // late
	}
	n.want(add(key), "last", "", "4")
	if s := n.Status(); s[0].Epoch != 4 || s[1].Epoch != 1 {
		t.Errorf("epochs %d and %d", s[0].Epoch, s[1].Epoch)
	}
}

// A leader that restarts leads again if nobody was called meanwhile.
func TestLeadersRestart(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	key := w.keyIn(0, 0)
	a.want(add(key), "1", "", "1")
	b.caughtUpWith(a)
	a.crash()
	a = w.start("a")
	a.leads(1)
	a.want(add(key), "2", "", "2")
	b.caughtUpWith(a)
}

// A follower that was away reads what it missed, over several epochs.
func TestFollowersComeBack(t *testing.T) {
	w := newWorld(t, 1, 1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	key := w.keyIn(0, 0)
	a.want(add(key), "1", "", "1")
	b.caughtUpWith(a)
	b.crash()
	for i := 2; i < 10; i++ {
		a.want(add(key), strconv.Itoa(i), "", strconv.Itoa(i))
		w.log.fail(0, 1) // it leads again with the next epoch
	}
	a.want(add(key), "10", "", "10")
	b = w.start("b")
	b.caughtUpWith(a)
}
