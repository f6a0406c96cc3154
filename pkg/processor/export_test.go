package processor

import "reprise/pkg/id"

// inLoop runs f in the loop of p and waits for it; false if the loop has ended first.
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

// OutboxRows is how many partitions a partition has messages for.
func (n *Node) OutboxRows(p id.Partition) (targets int) {
	n.inLoop(p, func(p *part) {
		if p.tenure == nil {
			targets = -1
			return
		}
		targets = len(p.store.OutboxTargets())
	})
	return targets
}
