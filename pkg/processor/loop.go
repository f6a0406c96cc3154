package processor

import (
	"context"
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
	node    *Node
	mail    *mailbox
	invoker *invoker.Invoker
	parts   []*part // of this loop, in the order of their ids; the loop's goroutine only
	applied []applied
	backlog []*part // with committed records left over from the last turn

	ctx context.Context //nolint:containedctx // of Run, for log lines
}

func newLoop(n *Node) *Loop {
	return &Loop{node: n, mail: newMailbox()}
}

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
		if worked || len(l.backlog) > 0 {
			l.turn(&t, now)
		}
		fired := l.fireTimers(now)
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
	for _, p := range l.parts {
		if p.tenure != nil && p.tenure.leading {
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
			tp.p.propose(tp.buf, tp.count, tp.notes, now)
		}
	}
	l.node.writer.Flush()
	backlog := l.backlog
	l.backlog = nil
	for _, p := range backlog {
		l.applyPart(p)
	}
	for i := range t.parts {
		tp := &t.parts[i]
		if tn := tp.p.tenure; tn != nil && tn.loglet == tp.loglet && tp.committed > tn.committed {
			tn.committed = tp.committed
			l.applyPart(tp.p)
		}
	}
	for _, f := range t.control {
		f()
	}
	for i := range t.events {
		l.invoker.Handle(t.events[i])
	}
}

func (l *Loop) applyPart(p *part) {
	if p.tenure == nil {
		return
	}
	if p.apply(p.tenure.committed, l.node.cfg.BatchCommandsMax) {
		l.backlog = append(l.backlog, p)
	}
}

func (l *Loop) tick(now int64) {
	l.invoker.Tick(now)
	for _, p := range l.parts {
		if p.tenure != nil && p.tenure.leading {
			l.tickLanes(p, now)
			l.scanTimers(p, now)
		}
	}
}

// Propose implements invoker.Owner.
func (l *Loop) Propose(pid id.Partition, rec []byte) bool {
	p, err := l.node.part(pid)
	if err != nil {
		return false
	}
	return l.mail.record(p, rec, nil, &l.node.cfg) == nil
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

// start runs the loop and its invoker under g.
func (l *Loop) start(g *lifecycle.Group) {
	g.Go("invoker", l.invoker.Run)
	g.Go("processor loop", l.Run)
}
