package processor

import (
	"context"
	"fmt"
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

// role is what this node is to a partition.
type role uint8

const (
	none    role = iota // it is another's
	follows             // it keeps the store at the tail of the log
	leads               // it leads, or is to
)

// Status tells of each partition. Any goroutine may ask.
func (n *Node) Status() []placement.Status {
	parts := n.parts.Load()
	if parts == nil {
		return nil
	}
	all := make([]placement.Status, len(*parts))
	for i, p := range *parts {
		s := p.opened.Load() // what is asked of it is known, also when it is closed
		if s == nil {
			continue
		}
		state := p.state.Load()
		all[i] = placement.Status{Role: placement.Role(state & 3), Epoch: lsn.Epoch(state >> 2), Applied: s.AppliedLSN()}
		if all[i].Role == placement.Idle && n.role(p) == follows {
			all[i].Role = placement.Follows
		}
		all[i].Durable = s.KnownDurable()
		switch all[i].Role {
		case placement.Leads:
			all[i].Works = p.works()
			if l := p.latest.Load(); l != nil {
				all[i].Archived = l.Archived()
			}
		case placement.Parked:
			if p.ahead.Load() {
				all[i].Broken = aheadOfLog
			}
		default:
		}
	}
	return all
}

// role is what the newest view says.
func (n *Node) role(p *part) role {
	if all := n.view.Current().Epochs; int(p.id) < len(all) {
		return n.roleOf(p, all[p.id])
	}
	return none
}

// roleOf is what an epoch object says. Who leads goes on leading, also after a restart; where nobody does that
// holds the partition, the first that holds it begins. All else is decided by who calls Lead. Who is to hold it follows.
func (n *Node) roleOf(p *part, e *storedv1.Epoch) role {
	me, holders, next := uint32(n.self.Node), e.GetReplicas(), e.GetNext()
	switch {
	case !slices.Contains(holders, me) && !slices.Contains(next, me):
		return none
	case e.GetNode() == me, p.called.Load() == e.GetEpoch()+1:
		return leads
	case len(holders) > 0 && holders[0] == me && !slices.Contains(holders, e.GetNode()) && !slices.Contains(next, e.GetNode()):
		return leads
	default:
		return follows
	}
}

// epochOf is the newest epoch of the view.
func (n *Node) epochOf(p *part) lsn.Epoch {
	if all := n.view.Current().Epochs; int(p.id) < len(all) {
		return lsn.Epoch(all[p.id].GetEpoch())
	}
	return 0
}

// Lead has this node end an epoch of p, its own perhaps, and lead the next one. It does nothing if another epoch has begun, or
// the partition is not held here.
func (n *Node) Lead(pid id.Partition, over lsn.Epoch) error {
	p, err := n.part(pid)
	if err != nil {
		return err
	}
	p.called.Store(uint64(over) + 1)
	p.poke()
	if led := p.leads.Load(); led != nil && led.epoch == over {
		p.loop.mail.do(func() { p.loop.deposeIf(p, over, errImproving) })
	}
	return nil
}

func (p *part) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await blocks until cond holds, which depends on the view and on calls; false if ctx ended.
func (n *Node) await(ctx context.Context, p *part, cond func() bool) bool {
	for ctx.Err() == nil {
		changed := n.view.Changed()
		if cond() {
			return true
		}
		select {
		case <-changed:
		case <-p.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// follow keeps the store of p at the tail of its log. It returns nil when this node is to do something else.
func (n *Node) follow(ctx context.Context, p *part) error {
	for ctx.Err() == nil && n.role(p) == follows {
		e := n.view.Current().Epochs[p.id].GetEpoch()
		actx, cancel := context.WithCancel(ctx)
		g := lifecycle.NewGroup(actx)
		g.Go("follow", func(ctx context.Context) error {
			defer cancel()
			return n.followEpoch(ctx, p)
		})
		g.Go("await another role", func(ctx context.Context) error {
			n.await(ctx, p, func() bool { return n.role(p) != follows || n.view.Current().Epochs[p.id].GetEpoch() != e })
			cancel()
			return nil
		})
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// followPause is how long a follower that caught up waits for more, so that many records come with one question: each costs
// as much as an invocation. What it is behind then is replayed in a moment.
const followPause = 50 * time.Millisecond

// followEpoch applies what is committed, until ctx ends: another leader has a chain of its own.
func (n *Node) followEpoch(ctx context.Context, p *part) error {
	lineage, err := n.meta.Lineage(ctx, p.id)
	if err != nil {
		return n.unless(ctx, errs.With(errs.Unavailable, fmt.Errorf("read lineage: %w", err)))
	}
	if err := checkHistory(p, lineage); err != nil {
		return err
	}
	segments := lineage.Chain.GetSegments()
	if len(segments) == 0 {
		<-ctx.Done() // nobody has led yet
		return nil
	}
	last := segments[len(segments)-1]
	base := lsn.LSN(last.Base)
	if lsn.LSN(p.store.Meta().GetApplied()) < base-1 {
		if err := n.catchUp(ctx, p, lineage.Chain, base); err != nil {
			return n.unless(ctx, fmt.Errorf("follow to %d: %w", base, err))
		}
	}
	timer := n.host.Clock.NewTimer(followPause)
	defer timer.Stop()
	for {
		at := lsn.LSN(p.store.Meta().GetApplied()) + 1
		tail, sealed, err := n.log.WaitForTail(ctx, last.Loglet, at.In(base))
		if err == nil {
			p.tail.Store(uint64(tail.At(base)))
		}
		if err == nil && tail.At(base) > at {
			err = n.catchUp(ctx, p, lineage.Chain, tail.At(base))
		}
		if err != nil {
			return n.unless(ctx, fmt.Errorf("follow: %w", err))
		}
		if sealed { // what is left comes with the next segment
			<-ctx.Done()
			return nil
		}
		timer.Reset(followPause)
		select {
		case <-timer.C():
		case <-ctx.Done():
			return nil
		}
	}
}

// unless returns nil if ctx has ended: what went wrong is its doing.
func (n *Node) unless(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errs.Is(err, errs.Corrupt) {
		return nil
	}
	return err
}
