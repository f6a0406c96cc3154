package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/placement"
)

// pendingPage is how many rows are read ahead of the loop when work is rebuilt from rows.
const pendingPage = 256

// won is the outcome of a campaign.
type won struct {
	epoch  lsn.Epoch
	loglet *storedv1.Loglet
	base   lsn.LSN
}

// campaign seals the last loglet of the partition's log, finds its final tail, takes over in one
// transaction, and brings the store up to that tail. Nothing is promised before the transaction.
func (n *Node) campaign(ctx context.Context, p *part) (won, error) {
	was, err := n.meta.Lineage(ctx, p.id)
	if err != nil {
		return won{}, errs.With(errs.Unavailable, fmt.Errorf("read lineage: %w", err))
	}
	if n.roleOf(p, was.Epoch) != leads { // a leader must not be disturbed by a view that is late
		return won{}, errs.Newf(errs.Unavailable, "the partition is another node's to lead")
	}
	if err := checkHistory(p, was); err != nil {
		return won{}, err
	}
	chain := was.Chain
	if chain == nil {
		chain = &storedv1.Chain{}
	}
	tail, index := lsn.First, uint32(0)
	began := n.host.Clock.Now()
	if k := len(chain.Segments); k > 0 {
		last := chain.Segments[k-1]
		end, err := n.log.Seal(ctx, last.Loglet)
		if err != nil {
			return won{}, errs.With(errs.Unavailable, fmt.Errorf("seal loglet %d: %w", last.Index, err))
		}
		tail, index = end.At(lsn.LSN(last.Base)), last.Index+1
	}
	if err := checkTail(p, tail); err != nil { // another one may lead
		return won{}, err
	}
	sealed := n.host.Clock.Now()
	loglet, err := n.log.NewLoglet(p.id, index)
	if err != nil {
		return won{}, errs.With(errs.Unavailable, fmt.Errorf("choose nodeset: %w", err))
	}
	next := extend(chain, &storedv1.Segment{Index: index, Base: uint64(tail), Loglet: loglet, CreatedAtMs: host.Millis(n.host.Clock)})
	epoch := &storedv1.Epoch{}
	if was.Epoch != nil {
		epoch = proto.CloneOf(was.Epoch) // with what a newer release wrote
	}
	epoch.Epoch, epoch.Node, epoch.Generation = epoch.Epoch+1, uint32(n.self.Node), n.self.Generation
	if _, err := n.meta.TakeOver(ctx, p.id, was, epoch, next, n.self); err != nil {
		return won{}, fmt.Errorf("take over: %w", err) // if the outcome is unknown, the next campaign reads it
	}
	claimed := n.host.Clock.Now()
	if err := n.catchUp(ctx, p, next, tail); err != nil {
		return won{}, fmt.Errorf("replay to %d: %w", tail, err)
	}
	n.metrics.stages[stageSeal].Observe(sealed.Sub(began).Seconds())
	n.metrics.stages[stageClaim].Observe(claimed.Sub(sealed).Seconds())
	n.metrics.stages[stageReplay].Observe(n.host.Clock.Now().Sub(claimed).Seconds())
	return won{epoch: lsn.Epoch(epoch.Epoch), loglet: loglet, base: tail}, nil
}

// extend returns the chain with seg after it; an empty last segment is replaced.
func extend(chain *storedv1.Chain, seg *storedv1.Segment) *storedv1.Chain {
	segments := chain.Segments
	if k := len(segments); k > 0 && segments[k-1].Base == seg.Base {
		segments = segments[:k-1]
	}
	return &storedv1.Chain{Segments: append(segments[:len(segments):len(segments)], seg), Trimmed: chain.Trimmed}
}

// smallReplay is up to how many records are applied without waiting for a turn.
const smallReplay = 1000

// catchUp applies the committed records that the store lacks, up to tail. Effects are dropped: what
// is pending is rebuilt from rows.
func (n *Node) catchUp(ctx context.Context, p *part, chain *storedv1.Chain, tail lsn.LSN) error {
	if err := checkTail(p, tail); err != nil {
		return err
	}
	from := lsn.LSN(p.store.Meta().GetApplied()) + 1
	if from == tail {
		return nil
	}
	if tail-from > smallReplay {
		select {
		case n.replays <- struct{}{}:
			defer func() { <-n.replays }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	started := host.Millis(n.host.Clock)
	r := replayer{store: p.store, clock: n.host.Clock, times: &n.metrics.applyFollower}
	err := n.log.Read(ctx, chain, from, tail, func(first lsn.LSN, _ int, records []byte) error {
		if err := r.take(first, records); err != nil {
			return err
		}
		return n.flushIfOver(ctx, p)
	})
	if cerr := p.store.Commit(); err == nil { // also of a read that broke off: the next one begins after it
		err = fatal(cerr)
	}
	if err != nil {
		return err
	}
	if tail-from <= smallReplay {
		return nil
	}
	n.host.Log.LogAttrs(ctx, slog.LevelDebug, "partition replayed", slog.Int(logkey.Partition, int(p.id)),
		slog.Uint64(logkey.Count, uint64(tail-from)), slog.Duration(logkey.Elapsed, time.Duration(host.Millis(n.host.Clock)-started)*time.Millisecond))
	return nil
}

// adopt gives the loop a partition whose leadership was won: it opens the loglet and announces itself.
// lost is called once, in the loop, when the tenure ends.
func (l *Loop) adopt(p *part, w won, lost func(led bool, cause error)) {
	t := &tenure{
		epoch: w.epoch, loglet: id.Loglet(w.loglet.Id), described: w.loglet, base: w.base, next: lsn.FirstOffset, committed: lsn.FirstOffset, lost: lost, began: l.node.host.Clock.Now(),
		waiters: map[id.Invocation][]*call{}, taken: map[id.Partition]uint64{}, lanes: map[id.Partition]*lane{},
	}
	from, to := id.Range(p.id, l.node.partitions)
	announce, err := command.Append(nil, command.Header{Kind: command.Announce}, &storedv1.Announcement{
		Node: uint32(l.node.self.Node), Generation: l.node.self.Generation,
		KeyFrom: uint64(from), KeyTo: uint64(to), Partitions: l.node.partitions,
	})
	if err != nil {
		lost(false, err)
		return
	}
	l.mail.expect(p, t.loglet)
	if t.log, err = l.node.writer.Open(w.loglet, w.base, notify{p: p}); err != nil {
		lost(false, err)
		return
	}
	p.tenure = t
	command.Stamp(announce, t.loglet, t.next.At(t.base), t.epoch, 0, l.nowMillis())
	t.inflight = append(t.inflight, group{first: t.next, count: 1, buf: announce, at: l.node.host.Clock.Now()})
	t.log.Append(t.next, 1, announce)
	t.next++
	p.proposed.Store(uint64(t.next.At(t.base)))
	l.node.writer.Flush()
}

// lead begins to act: the Announce is applied and stored, so everything older is known.
func (l *Loop) lead(p *part) {
	t, starting := p.tenure, l.node.starting()
	t.leading = true
	p.latest.Store(nil) // others may have made snapshots since
	l.node.metrics.stages[stageAnnounce].Observe(l.node.host.Clock.Now().Sub(t.began).Seconds())
	p.state.Store(uint64(t.epoch)<<2 | uint64(placement.Leads))
	p.leads.Store(&leading{epoch: t.epoch, loglet: t.described})
	l.mail.openInbox(p)
	l.node.led(true)
	l.node.metrics.led(p.id)
	level := slog.LevelInfo
	if starting {
		level = slog.LevelDebug // one line will tell of all
	}
	l.node.host.Log.LogAttrs(l.ctx, level, "partition is led here",
		slog.Int(logkey.Partition, int(p.id)), slog.Uint64(logkey.Epoch, uint64(t.epoch)))
	l.scanTimers(p, l.nowMillis())
	l.scheduleFirstClean(p, l.nowMillis())
	l.resume(p)
	for _, target := range p.store.OutboxTargets() {
		l.laneOf(p, target).pump(l)
	}
}

// resume starts the invocations that the rows say are invoked, page by page, while calls are taken.
func (l *Loop) resume(p *part) {
	tenure := p.tenure
	snap, err := p.store.Snapshot()
	if err != nil {
		l.parkSoon(p, err)
		return
	}
	l.node.background("resume invocations", func(ctx context.Context) error {
		defer func() { _ = snap.Close() }() // nothing was written through it
		it := snap.Active()
		defer func() { _ = it.Close() }() // read only
		page := make([]id.Invocation, 0, pendingPage)
		flush := func() {
			ids := page
			page = make([]id.Invocation, 0, pendingPage)
			l.mail.do(func() {
				if p.tenure == tenure {
					l.startPending(p, ids)
				}
			})
		}
		for ctx.Err() == nil {
			inv, err := it.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				l.mail.do(func() { l.parkIf(p, tenure, fmt.Errorf("read active invocations: %w", err)) })
				return nil
			}
			if inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
				page = append(page, inv.ID)
			}
			if len(page) == pendingPage {
				flush()
			}
		}
		flush()
		return nil
	})
}

func (l *Loop) startPending(p *part, ids []id.Invocation) {
	for _, i := range ids {
		inv, err := p.store.Invocation(i)
		if err != nil {
			l.park(p, err)
			return
		}
		if inv != nil && inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
			l.startInvocation(p, inv)
		}
	}
}

// startInvocation has the invoker start an activation, unless it has it already.
func (l *Loop) startInvocation(p *part, inv *invocation.Invocation) {
	l.invoker.Start(p.activation(&partition.Effect{ID: inv.ID, Inv: inv}))
}

// deposeIf deposes p if it is in that epoch.
func (l *Loop) deposeIf(p *part, epoch lsn.Epoch, cause error) {
	if p.tenure != nil && p.tenure.epoch == epoch {
		l.depose(p, cause)
	}
}

// depose ends a tenure: nothing of it is acted on any more. What was proposed and not applied may
// yet be in the log; the next leader, perhaps this node, finds out.
func (l *Loop) depose(p *part, cause error) {
	t := p.tenure
	if t == nil {
		return
	}
	if p.parked == nil {
		if err := p.store.Commit(); err != nil { // whoever recovers p finds it
			cause = err
		}
	}
	p.tenure = nil
	p.leads.Store(nil)
	p.refused.Store(false)
	if p.parked == nil {
		p.state.Store(uint64(placement.Idle))
	}
	l.loseReads(p)
	for _, n := range l.mail.closeInbox(p) {
		n.call.lost()
	}
	t.log.Close()
	p.counts.shuffling.Set(0)
	l.invoker.StopPartition(p.id)
	for _, g := range t.inflight {
		for _, n := range g.notes {
			n.call.lost()
		}
	}
	for _, waiting := range t.waiters {
		for _, c := range waiting {
			c.lost()
		}
	}
	if t.leading {
		l.node.led(false)
	}
	t.lost(t.leading, cause)
}
