package processor

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// inLoop runs f in the loop of p, which must live, and waits for it.
func (n *Node) inLoop(p id.Partition, f func(p *part)) {
	part, err := n.part(p)
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	part.loop.mail.do(func() {
		defer close(done)
		f(part)
	})
	<-done
}

// Waiters is how many calls of a partition wait for an end.
func (n *Node) Waiters(p id.Partition) (waiters int) {
	n.inLoop(p, func(p *part) {
		if p.tenure != nil {
			for _, w := range p.tenure.waiters {
				waiters += len(w)
			}
		}
	})
	return waiters
}

// Calls is how many calls of a partition are not answered.
func (n *Node) Calls(p id.Partition) (calls int) {
	n.inLoop(p, func(p *part) {
		if p.tenure == nil {
			return
		}
		for _, g := range p.tenure.inflight {
			calls += len(g.notes)
		}
		for _, w := range p.tenure.waiters {
			calls += len(w)
		}
	})
	return calls
}

// OutboxTargets is how many partitions a partition has messages for; -1 if it is not led here.
func (n *Node) OutboxTargets(p id.Partition) (targets int) {
	n.inLoop(p, func(p *part) {
		if p.tenure == nil {
			targets = -1
			return
		}
		targets = len(p.store.OutboxTargets())
	})
	return targets
}

// Rows is how many rows of a partition there are.
type Rows struct{ Active, Completed, Timers int }

// Rows counts rows of a partition.
func (n *Node) Rows(p id.Partition) (r Rows) {
	n.inLoop(p, func(p *part) {
		snap, err := p.store.Snapshot()
		if err != nil {
			panic(err)
		}
		defer func() { _ = snap.Close() }()
		active, completed, timers := snap.Active(), snap.Completed(), snap.Timers(0)
		defer func() { _, _, _ = active.Close(), completed.Close(), timers.Close() }()
		r.Active = count(active.Next)
		r.Completed = count(completed.Next)
		r.Timers = count(timers.Next)
	})
	return r
}

func count[T any](next func() (T, error)) (n int) {
	for {
		_, err := next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			panic(err)
		}
		n++
	}
}

// NextClean is when a partition looks for what expired.
func (n *Node) NextClean(p id.Partition) (at time.Time) {
	n.inLoop(p, func(p *part) { at = time.UnixMilli(p.tenure.cleaner.at) })
	return at
}

// Attempts is how many attempts run in the loop of p, and how many activations wait for one.
func (n *Node) Attempts(p id.Partition) (running, queued int) {
	n.inLoop(p, func(p *part) { running, queued = p.loop.invoker.Running() })
	return running, queued
}

// TimersKept is how many timers of a partition are in memory.
func (n *Node) TimersKept(p id.Partition) (timers int) {
	n.inLoop(p, func(p *part) {
		if p.tenure != nil {
			timers = len(p.tenure.timers.heap)
		}
	})
	return timers
}

// Busy has the loop of p do nothing but f.
func (n *Node) Busy(p id.Partition, f func()) { n.inLoop(p, func(*part) { f() }) }

// Depose ends the tenure of p at the end of f, in one turn of its loop.
func (n *Node) Depose(p id.Partition, f func()) {
	n.inLoop(p, func(p *part) {
		f()
		p.loop.depose(p, errs.Newf(errs.Unavailable, "deposed by a test"))
	})
}

// Starved tells whether p waits for its store.
func (n *Node) Starved(p id.Partition) (starved bool) {
	n.inLoop(p, func(p *part) { starved = slices.Contains(p.loop.starved, p) })
	return starved
}

// HorizonAfter tells whether all partitions led here know their timers up to after a time.
func (n *Node) HorizonAfter(at time.Time) bool {
	after := true
	for i := range *n.parts.Load() {
		n.inLoop(id.Partition(i), func(p *part) {
			after = after && (p.tenure == nil || !p.tenure.timers.scanning && p.tenure.timers.horizon > at.UnixMilli())
		})
	}
	return after
}

// Flush makes what p has applied durable, as far as it is committed.
func (n *Node) Flush(ctx context.Context, p id.Partition) error {
	part, err := n.part(p)
	if err != nil {
		return err
	}
	err = n.flush(ctx, part)
	part.unflushed() // looks
	return err
}
