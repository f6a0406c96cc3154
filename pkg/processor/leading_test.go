package processor_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/processor"
)

// A caller learns whether its request may have happened.
func TestLosingLeadershipIsTold(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	waits := n.submit(hang.request("waits", "", command.WantCompleted))
	eventually(t, "it waits", func() bool { return n.Waiters(0) == 1 })
	w.log.hold(true)
	proposed := n.submit(echo.request("proposed", "", command.WantCompleted))
	eventually(t, "it is proposed", func() bool { return w.log.waiting(0) == 1 })
	var unproposed <-chan answer
	n.Depose(0, func() { unproposed = n.submit(echo.request("unproposed", "", command.WantCompleted)) })
	for _, row := range []struct {
		name string
		ch   <-chan answer
		want errs.Code
	}{{"waits", waits, errs.Uncertain}, {"proposed", proposed, errs.Uncertain}, {"not proposed", unproposed, errs.NotLeader}} {
		if a := n.answerOf(row.ch); !errs.Is(a.err, row.want) {
			t.Errorf("%s: %v, want %s", row.name, a.err, row.want)
		}
	}
	w.log.hold(false)
	close(w.endpoint.free)
	n.want(hang, "waits", "", "done")
}

func TestStoppingAnswersAll(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	waits := n.submit(hang.request("waits", "", command.WantCompleted))
	eventually(t, "it waits", func() bool { return n.Waiters(0)+n.Waiters(1) == 1 })
	n.stop()
	if a := n.answerOf(waits); !errs.Is(a.err, errs.Uncertain) {
		t.Errorf("%v", a.err)
	}
	if _, err := n.Do(t.Context(), echo.request("late", "", command.WantCompleted)); !errs.Is(err, errs.NotLeader) {
		t.Errorf("after the end: %v", err)
	}
}

// A node that gets a partition leads it; the one that lost it does not fight for it.
func TestPartitionsMove(t *testing.T) {
	w := newWorld(t, 2, 1)
	a := w.start("a")
	a.want(add(w.keyIn(1, 0)), "1", "", "1")
	waits := a.submit(hang.request("waits", "", command.WantCompleted))
	eventually(t, "it waits", func() bool { return a.Waiters(0)+a.Waiters(1) == 1 })
	b := w.start("b") // ready, although it has no partition
	w.assign(func(id.Partition) id.Node { return b.self.Node })
	eventually(t, "b leads", func() bool { return b.gauge("reprise_processor_led_partitions") == 2 })
	if got := a.answerOf(waits); !errs.Is(got.err, errs.Uncertain) {
		t.Errorf("who waited at a: %v", got.err)
	}
	close(w.endpoint.free)
	b.want(hang, "waits", "", "done")
	b.want(add(w.keyIn(1, 0)), "2", "", "2")
	for p := range id.Partition(2) {
		l, err := w.meta.Lineage(t.Context(), p)
		if must(t, err); l.Epoch.Node != uint32(b.self.Node) || l.Epoch.Epoch != 2 {
			t.Errorf("epoch of partition %d: %v", p, l.Epoch)
		}
	}
	if got := a.gauge("reprise_processor_led_partitions"); got != 0 {
		t.Errorf("a leads %g partitions", got)
	}
}

// metaFaults decides what becomes of take-overs.
type metaFaults struct {
	processor.Meta
	calls atomic.Int32
	fault func(call int32) (happens bool, err error)
}

func (m *metaFaults) TakeOver(ctx context.Context, p id.Partition, was metastore.Lineage, next *storedv1.Epoch, chain *storedv1.Chain, me id.GenerationalNode) (metastore.Lineage, error) {
	happens, err := m.fault(m.calls.Add(1))
	var l metastore.Lineage
	if happens {
		var terr error
		if l, terr = m.Meta.TakeOver(ctx, p, was, next, chain, me); terr != nil {
			return l, terr
		}
	}
	return l, err
}

// What a campaign left behind, known or not, does not keep the next one from leading.
func TestCampaignsRecover(t *testing.T) {
	for _, row := range []struct {
		name    string
		happens bool
		err     error
		epoch   uint64
	}{
		{"unknown and done", true, errs.Newf(errs.Uncertain, "injected"), 3},
		{"unknown and not done", false, errs.Newf(errs.Uncertain, "injected"), 1},
		{"conflict", false, errs.Newf(errs.Conflict, "injected"), 1},
		{"unavailable", false, errs.Newf(errs.Unavailable, "injected"), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.takeOver = func(m processor.Meta) processor.Meta {
				return &metaFaults{Meta: m, fault: func(call int32) (bool, error) {
					if call <= 2 {
						return row.happens, row.err
					}
					return true, nil
				}}
			}
			n := w.start("a")
			n.want(echo, "1", "hello", "hello")
			l, err := w.meta.Lineage(t.Context(), 0)
			must(t, err)
			if l.Epoch.Epoch != row.epoch || len(l.Chain.Segments) != 1 {
				t.Errorf("epoch %d, %d segments: empty loglets are to be replaced", l.Epoch.Epoch, len(l.Chain.Segments))
			}
		})
	}
}

func TestSealsThatFailAreTriedAgain(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	w.log.breakSeals(errs.Newf(errs.Fenced, "another life of the loglet is there"))
	w.log.fail(0, 0)
	eventually(t, "it is lost", func() bool { return n.gauge("reprise_processor_led_partitions") == 0 })
	w.log.breakSeals(nil)
	n.want(echo, "1", "hello", "hello")
}

// A newer process of the node is the one reason to end.
func TestBeingReplacedEndsTheNode(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	n.fails = true
	must(t, second(w.meta.RegisterNode(t.Context(), &storedv1.Node{Name: "a"}, 0, 0)))
	w.log.fail(0, 0)
	<-n.ended
	if !errs.Is(n.err, errs.Fenced) {
		t.Errorf("it ended with %v", n.err)
	}
}

// What is not flushed is bounded, and what is lost with the process comes back from the log.
func TestReplayAfterACrash(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.cfg.ReplayBudget = 50
	n := w.start("a")
	key := w.keyIn(1, 0)
	for i := range 100 {
		n.want(add(key), strconv.Itoa(i), "", strconv.Itoa(i+1))
	}
	eventually(t, "a flush", func() bool { return n.gauge("reprise_processor_unflushed_commands") <= 50 })
	pending := n.submit(hang.request("pending", "", command.WantCompleted))
	eventually(t, "it runs", func() bool { return w.endpoint.count("hang") == 1 })
	n.crash()
	if a := n.answerOf(pending); !errs.Is(a.err, errs.Uncertain) {
		t.Errorf("who waited: %v", a.err)
	}
	n = w.start("a")
	n.want(add(key), "99", "", "100") // stored
	n.want(add(key), "new", "", "101")
	close(w.endpoint.free)
	n.want(hang, "pending", "", "done") // resumed from its row
	if got := w.endpoint.count("hang"); got != 2 {
		t.Errorf("%d attempts", got)
	}
}
