package processor

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
)

// tickInterval is the grain of timeouts, retries and truncation; sleeps are as exact as the clock.
const tickInterval = 100 * time.Millisecond

// Loop owns several partitions: one goroutine does all that orders, applies and acts.
type Loop struct {
	node     *Node
	mail     *mailbox
	invoker  *invoker.Invoker
	parts    []*part // of this loop, in the order of their ids; the loop's goroutine only
	applied  []applied
	backlog  []*part // with committed records to apply, in the order of their turns
	spare    []*part
	starved  []*part      // that have, and whose store gives no credit
	seen     atomic.Int64 // when it looked at the clock last, Unix milliseconds; for metrics
	creditAt int64        // when they are asked again, Unix milliseconds
	lagging  []*part      // whose stores have rows to commit, in the order of their turns

	ctx context.Context //nolint:containedctx // of Run, for log lines
}

func newLoop(n *Node) *Loop {
	return &Loop{node: n, mail: newMailbox()}
}

// creditInterval is how often a store is asked again that could not take a batch.
const creditInterval = 10 * time.Millisecond

// Run turns until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	l.ctx = ctx
	var t taken
	clock := l.node.host.Clock
	timer := clock.NewTimer(tickInterval)
	defer timer.Stop()
	nextTick := host.Millis(clock)
	for ctx.Err() == nil {
		worked := l.mail.take(&t)
		now := host.Millis(clock)
		l.seen.Store(now)
		nextTick = min(nextTick, now+tickInterval.Milliseconds()) // the clock may be set back
		l.askCredit(now)
		if worked || len(l.backlog) > 0 {
			l.turn(&t, now)
		}
		l.commitLagging(now)
		fired := l.fireTimers(now)
		l.invoker.Fire(now)
		if now >= nextTick {
			l.tick(now)
			nextTick = now + tickInterval.Milliseconds()
		}
		l.invoker.Flush()
		if worked || fired || len(l.backlog) > 0 {
			continue
		}
		timer.Reset(l.pause(now, nextTick))
		select {
		case <-ctx.Done():
		case <-l.mail.wake:
		case <-timer.C():
		}
	}
	for _, p := range l.parts {
		l.depose(p, errs.Newf(errs.Unavailable, "this node is stopping"))
	}
	return nil
}

// pause is how long the loop may sleep.
func (l *Loop) pause(now, nextTick int64) time.Duration {
	until := nextTick
	if len(l.starved) > 0 {
		until = min(until, l.creditAt)
	}
	if len(l.lagging) > 0 {
		until = min(until, l.lagging[0].commitAt)
	}
	if due, ok := l.invoker.Due(); ok {
		until = min(until, due)
	}
	for _, p := range l.parts {
		if p.tenure != nil && p.tenure.leading && !p.tenure.crowded() { // else a commit wakes the loop
			if due, ok := p.tenure.timers.first(); ok && due < until {
				until = due
			}
		}
	}
	return time.Duration(max(until-now, 0)) * time.Millisecond
}

// turn proposes first, so that the disk works meanwhile; then applies what committed and acts.
func (l *Loop) turn(t *taken, now int64) {
	for i := range t.parts {
		if tp := &t.parts[i]; tp.count > 0 {
			tp.p.propose(tp.buf, tp.notes, now)
		}
	}
	l.node.writer.Flush()
	for i := range t.parts {
		tp := &t.parts[i]
		if tn := tp.p.tenure; tn != nil && tn.loglet == tp.loglet && tp.committed > tn.committed {
			tn.committed = tp.committed
			l.await(tp.p)
		}
	}
	l.applyBacklog(now)
	for _, f := range t.control {
		f()
	}
	for i := range t.events {
		l.invoker.Handle(t.events[i])
	}
}

// await lets p wait for its turn to apply, unless it does.
func (l *Loop) await(p *part) {
	if !p.awaits {
		p.awaits = true
		l.backlog = append(l.backlog, p)
	}
}

// applyBacklog gives each partition that waits one turn. One whose store has no credit is left out, and
// the others go on.
func (l *Loop) applyBacklog(now int64) {
	turns := l.backlog
	l.backlog, l.spare = l.spare[:0], turns
	for _, p := range turns {
		p.awaits = false
		switch {
		case p.tenure == nil:
		case !p.store.Credit():
			p.awaits = true
			if len(l.starved) == 0 {
				l.creditAt = now + creditInterval.Milliseconds()
			}
			l.starved = append(l.starved, p)
			l.node.metrics.stalls.Inc()
		case p.apply(p.tenure.committed, l.node.cfg.BatchCommandsMax, now):
			l.await(p)
		}
	}
}

// askCredit lets the partitions try again that had no credit.
func (l *Loop) askCredit(now int64) {
	l.creditAt = min(l.creditAt, now+creditInterval.Milliseconds()) // the clock may be set back
	if len(l.starved) == 0 || now < l.creditAt {
		return
	}
	l.backlog = append(l.backlog, l.starved...)
	clear(l.starved)
	l.starved = l.starved[:0]
}

// Rows are committed to a store when they are commitLag old or commitBytes long, whatever comes first: a batch
// costs as much as several rows, and what changes often is stored once. The log makes them durable meanwhile.
const (
	commitLag   = 20 * time.Millisecond
	commitBytes = 1 << 20
)

// lag has the rows of p's store committed soon.
func (l *Loop) lag(p *part, now int64) {
	if !p.lags && p.store.Uncommitted() > 0 {
		p.lags, p.commitAt = true, now+commitLag.Milliseconds()
		l.lagging = append(l.lagging, p)
	}
}

// commitLagging commits the stores whose turn it is.
func (l *Loop) commitLagging(now int64) {
	n := 0
	for _, p := range l.lagging {
		if p.commitAt > now && p.commitAt-now <= commitLag.Milliseconds() { // the clock may be set back
			break
		}
		n++
		p.lags = false
		if p.tenure == nil { // its end committed
			continue
		}
		if err := p.store.Commit(); err != nil {
			l.park(p, err)
		}
	}
	l.lagging = slices.Delete(l.lagging, 0, n)
}

func (l *Loop) tick(now int64) {
	l.invoker.Tick(now)
	for _, p := range l.parts {
		p.boundProof(now)
		if p.tenure != nil && p.tenure.leading {
			l.tickLanes(p, now)
			l.scanTimers(p, now)
			l.clean(p, now)
		}
	}
}

// Propose implements invoker.Owner.
func (l *Loop) Propose(pid id.Partition, rec []byte) bool {
	p, err := l.node.part(pid)
	if err != nil {
		return false
	}
	return l.mail.record(p, rec, nil) == nil
}

// Post implements invoker.Owner.
func (l *Loop) Post(ev invoker.Event) { l.mail.post(ev) }

// notify reports the log writer's news of one loglet to the loop.
type notify struct {
	p *part
}

// Committed implements the log writer's callback.
func (n notify) Committed(l id.Loglet, tail lsn.Offset) { n.p.loop.mail.commit(n.p, l, tail) }

// Failed implements the log writer's callback.
func (n notify) Failed(l id.Loglet, err error) {
	loop := n.p.loop
	loop.mail.do(func() {
		if t := n.p.tenure; t != nil && t.loglet == l {
			loop.depose(n.p, err)
		}
	})
}

// Refusing implements the log writer's callback.
func (n notify) Refusing(l id.Loglet, refusing bool) {
	loop := n.p.loop
	loop.mail.do(func() {
		if t := n.p.tenure; t != nil && t.loglet == l {
			loop.refuse(n.p, refusing)
		}
	})
}

// start runs the loop and its invoker under g.
func (l *Loop) start(g *lifecycle.Group) {
	g.Go("invoker", l.invoker.Run)
	g.Go("processor loop", l.Run)
}
