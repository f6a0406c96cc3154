package processor

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/snapshot"
	"reprise/pkg/span"
)

// part is one partition on this node. All but inbox belongs to the goroutine of its loop, once it
// was adopted; before, to the goroutine that recovers it.
type part struct {
	id       id.Partition
	loop     *Loop
	store    *partitionstore.Store
	opened   atomic.Pointer[partitionstore.Store] // store, for whoever borrows it
	using    sync.RWMutex                         // held to read by who borrows the store, also while it flushes, to write while it is closed
	copying  sync.Mutex                           // held while a snapshot is made
	replayed atomic.Bool                          // commands were replayed and not flushed since; for the flusher
	inbox    inbox                                // guarded by loop.mail.mu

	latest atomic.Pointer[snapshot.Latest] // the newest snapshot that is known, while p is led here
	ahead  atomic.Bool                     // it is parked because the store is ahead of the log; for Status

	missing lsn.LSN // the log is trimmed through it, and the store had less; of the goroutine that holds p

	state    atomic.Uint64 // epoch<<2 | Role, for Status; a follower is Idle here
	proposed atomic.Uint64 // LSN behind the last record that was proposed here; for Status
	called   atomic.Uint64 // 1 + the epoch that this node was called to end; 0: none
	wake     chan struct{} // gets a value when that changed

	tail   atomic.Uint64 // LSN behind the last record that a follower heard of; for metrics
	counts partMetrics

	leads atomic.Pointer[leading] // what is led here; nil: not yet, or not any more

	refused atomic.Bool // the log takes nothing now; see refused.go
	reads   []*call     // that wait for a proof of leadership meanwhile
	proving []*call     // those of the question under way; not nil while there is one
	proveBy int64       // when they are told to retry, Unix milliseconds

	awaits   bool  // it is in the loop's backlog, or starved
	lags     bool  // it is in the loop's list of those whose store has rows to commit
	commitAt int64 // when it is their turn, Unix milliseconds
	parked   error // a command could not be applied, or the store is ahead of the log: nothing is taken any more
	tenure   *tenure
	effects  []partition.Effect // reused
}

// tenure is one leadership of a partition: one loglet, one epoch.
type tenure struct {
	epoch     lsn.Epoch
	loglet    id.Loglet
	described *storedv1.Loglet
	base      lsn.LSN
	log       Appender
	next      lsn.Offset
	seq       uint64
	inflight  []group
	committed lsn.Offset // tail of what the loop may apply
	leading   bool       // the Announce is applied
	lost      func(led bool, cause error)
	began     time.Time // for metrics

	// calls by the record that they wait for are in inflight; calls that wait for an end are here.
	waiters map[id.Invocation][]*call
	// taken is the last sequence proposed for each source partition.
	taken   map[id.Partition]uint64
	timers  timers
	lanes   map[id.Partition]*lane
	cleaner cleaner
}

// group is what one turn proposed for a partition: records with consecutive offsets.
type group struct {
	first lsn.Offset
	count uint32
	buf   []byte // records not yet applied
	notes []note // of records not yet applied, in their order
	done  uint32 // records applied
	load  load   // given back when all are
	at    time.Time
}

// groupBytesMax is the size from which a group of records takes no further one: with its longest record it
// must fit into a message to a log-server.
const groupBytesMax = 4 << 20

// propose numbers the records of buf in place and hands them to the log writer. buf and notes are given
// away: the log, Apply and the rows share the bytes, which never change again.
func (p *part) propose(buf []byte, notes []note, now int64) {
	t := p.tenure
	if t == nil || p.parked != nil {
		lose(notes)
		return
	}
	if gaps := t.gaps(p, buf); len(gaps) > 0 {
		buf, notes = p.withoutGaps(gaps, buf, notes)
	}
	var count uint32 // records of the group in the making
	start, ordinal := 0, uint32(0)
	for at := 0; at < len(buf); {
		rec, _, err := command.Next(buf[at:])
		if err != nil { // producers are ours: a buffer that does not parse is a fault of ours
			lose(notes)
			p.loop.park(p, fmt.Errorf("mailbox of partition %d: %w", p.id, err))
			return
		}
		t.seq++
		command.Stamp(rec, t.loglet, (t.next + lsn.Offset(count)).At(t.base), t.epoch, t.seq, now)
		at += len(rec)
		count++
		if at-start < groupBytesMax && at < len(buf) {
			continue
		}
		var mine []note
		mine, notes = cutNotes(notes, ordinal, count)
		p.append(group{first: t.next, count: count, buf: buf[start:at:at], notes: mine})
		start, ordinal, count = at, ordinal+count, 0
	}
}

// cutNotes cuts off the notes of count records from ordinal on, and numbers them from 0.
func cutNotes(notes []note, ordinal, count uint32) (mine, rest []note) {
	n := 0
	for n < len(notes) && notes[n].ordinal < ordinal+count {
		notes[n].ordinal -= ordinal
		n++
	}
	return notes[:n:n], notes[n:]
}

// append hands a group to the log writer.
func (p *part) append(g group) {
	t := p.tenure
	for _, n := range g.notes {
		n.call.proposed = true
		g.load.add(n.call)
	}
	raw := g.buf
	g.at = p.loop.node.host.Clock.Now()
	if p.refused.Load() {
		g.notes = p.loop.prove(p, g.notes)
	}
	t.inflight = append(t.inflight, g)
	t.next += lsn.Offset(g.count)
	p.proposed.Store(uint64(t.next.At(t.base)))
	t.log.Append(g.first, g.count, raw)
}

func lose(notes []note) {
	for _, n := range notes {
		n.call.lost()
	}
}

// gap is a delivery that came before another one of its source.
type gap struct {
	ordinal uint32
	err     error
}

// gaps finds the deliveries whose predecessor was not proposed in this tenure nor applied before:
// appended, they would be a fault in the log.
func (t *tenure) gaps(p *part, buf []byte) (gaps []gap) {
	for ordinal := uint32(0); len(buf) > 0; ordinal++ {
		rec, rest, err := command.Next(buf)
		if err != nil {
			return gaps // propose reports it
		}
		buf = rest
		seq, source := command.Source(rec)
		if seq == 0 {
			continue
		}
		last, err := t.lastTaken(p, source)
		if err == nil && seq > last+1 {
			err = errs.Newf(errs.Conflict, "message %d of partition %d came before %d", seq, source, last+1)
		}
		if err != nil {
			gaps = append(gaps, gap{ordinal, err})
			continue
		}
		t.taken[source] = max(last, seq)
	}
	return gaps
}

// withoutGaps answers the calls of gaps and returns the rest, copied: it is rare.
func (p *part) withoutGaps(gaps []gap, buf []byte, notes []note) ([]byte, []note) {
	kept := make([]byte, 0, len(buf))
	var keptNotes []note
	var freed load
	for ordinal, n := uint32(0), uint32(0); len(buf) > 0; ordinal++ {
		rec, rest, err := command.Next(buf)
		if err != nil {
			return append(kept, buf...), append(keptNotes, notes...) // propose reports it
		}
		buf = rest
		var c *call
		if len(notes) > 0 && notes[0].ordinal == ordinal {
			c, notes = notes[0].call, notes[1:]
		}
		if len(gaps) == 0 || gaps[0].ordinal != ordinal {
			kept = append(kept, rec...)
			if c != nil {
				keptNotes = append(keptNotes, note{ordinal: n, call: c})
			}
			n++
			continue
		}
		if c != nil {
			freed.add(c)
			c.answer(nil, gaps[0].err)
		}
		gaps = gaps[1:]
	}
	p.loop.mail.release(p, freed)
	return kept, keptNotes
}

func (t *tenure) lastTaken(p *part, source id.Partition) (uint64, error) {
	if last, ok := t.taken[source]; ok {
		return last, nil
	}
	return p.store.SourceSeq(source)
}

// apply applies what is committed below tail, at most limit records, and acts on their effects. The log
// has the records, so what they change may be stored later. It returns whether committed records are left.
func (p *part) apply(tail lsn.Offset, limit int, now int64) (more bool) {
	t := p.tenure
	if t == nil || p.parked != nil || len(t.inflight) == 0 {
		return false
	}
	answered, err := p.applyBatch(t, tail, limit)
	if err == nil && p.store.Uncommitted() >= commitBytes {
		err = p.store.Commit()
	}
	if err != nil {
		p.loop.park(p, err)
		return false
	}
	p.loop.lag(p, now)
	p.act(answered)
	return len(t.inflight) > 0 && t.inflight[0].first+lsn.Offset(t.inflight[0].done) < tail
}

// applyBatch folds records into the view of the store. A panic is a fault of ours that must cost this
// partition only.
func (p *part) applyBatch(t *tenure, tail lsn.Offset, limit int) (notes []applied, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errs.Newf(errs.Internal, "panic: %v\n%s", r, debug.Stack())
		}
	}()
	view := p.store.View()
	p.effects = p.effects[:0]
	done := p.loop.applied[:0]
	var freed load
	m := p.loop.node.metrics
	clock := p.loop.node.host.Clock
	began := clock.Now() // of the record in hand: one look at the clock for each
	for limit > 0 && len(t.inflight) > 0 {
		g := &t.inflight[0]
		at := g.first + lsn.Offset(g.done)
		if at >= tail {
			break
		}
		raw, rest, err := command.Next(g.buf)
		if err != nil {
			return nil, err
		}
		rec, err := command.Parse(raw)
		if err != nil {
			return nil, err
		}
		if p.effects, err = partition.Apply(view, rec, p.effects); err != nil {
			return nil, fmt.Errorf("apply record %d: %w", rec.LSN, err)
		}
		ended := clock.Now()
		m.applyLeading.of(rec.Kind).Observe(ended.Sub(began).Seconds())
		began = ended
		if len(g.notes) > 0 && g.notes[0].ordinal == g.done {
			done = append(done, applied{at: rec.LSN, call: g.notes[0].call})
			g.notes = g.notes[1:]
		}
		g.buf = rest
		g.done++
		limit--
		if g.done == g.count {
			m.latency.ObserveN(ended.Sub(g.at).Seconds(), uint64(g.count))
			freed.sum(g.load)
			t.inflight[0] = group{}
			t.inflight = t.inflight[1:]
		}
	}
	p.loop.applied = done
	p.loop.mail.release(p, freed)
	return done, nil
}

// applied is a call whose record was applied.
type applied struct {
	at   lsn.LSN
	call *call
}

// act does what the effects of a batch ask for. notes are in the order of their records.
func (p *part) act(notes []applied) {
	t := p.tenure
	for i := range p.effects {
		e := &p.effects[i]
		for len(notes) > 0 && notes[0].at < e.LSN {
			t.settle(notes[0].call, nil)
			notes = notes[1:]
		}
		p.loop.node.metrics.actions[e.Kind].Inc()
		switch e.Kind {
		case partition.EffectLead:
			if e.Epoch == t.epoch {
				p.loop.lead(p)
			}
		case partition.EffectStart:
			p.loop.invoker.Start(p.activation(e))
		case partition.EffectForward:
			p.loop.invoker.Forward(e.ID, e.First, e.Entries, e.Frames)
		case partition.EffectStepped:
			p.loop.invoker.Stepped(e.ID, e.Attempt, e.Dropped, e.Entries)
		case partition.EffectStop:
			p.loop.invoker.Stop(e.ID, e.Activation)
		case partition.EffectHold:
			p.loop.invoker.Hold(e.ID, e.Activation)
		case partition.EffectRetry:
			p.loop.invoker.Retry(e.ID, e.Activation)
		case partition.EffectAnswer:
			if len(notes) > 0 && notes[0].at == e.LSN {
				t.settle(notes[0].call, e.Outcome)
				notes = notes[1:]
			}
		case partition.EffectCompleted:
			t.completed(e.ID, e.Outcome)
			p.record(e)
		case partition.EffectTimer:
			t.timers.add(e.Timer)
		case partition.EffectOutbox:
			p.loop.laneOf(p, e.Target).put(p.loop, e.Seq, e.Record)
		}
	}
	for _, n := range notes {
		t.settle(n.call, nil)
	}
}

// settle answers a call whose record is applied, or keeps it until its invocation ends.
func (t *tenure) settle(c *call, o *command.Outcome) {
	if c.gone {
		return
	}
	if o == nil {
		o = &command.Outcome{Status: command.OutcomeAccepted}
	}
	if c.want == command.WantCompleted {
		switch o.Status {
		case command.OutcomeAccepted, command.OutcomePending, command.OutcomePreviouslyAccepted:
			if o.Workflow && o.Status == command.OutcomePreviouslyAccepted {
				break // a second run of a workflow is refused, not attached
			}
			t.waiters[c.id] = append(t.waiters[c.id], c)
			return
		}
	}
	c.answer(o, nil)
}

func (t *tenure) completed(i id.Invocation, o *command.Outcome) {
	waiting, ok := t.waiters[i]
	if !ok {
		return
	}
	delete(t.waiters, i)
	for _, c := range waiting {
		c.answer(o, nil)
	}
}

// forget drops a call whose caller left while it waits for the end of an invocation.
func (p *part) forget(c *call) {
	c.gone = true
	if p.tenure == nil {
		return
	}
	waiting := p.tenure.waiters[c.id]
	if i := slices.Index(waiting, c); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
	}
	if len(waiting) == 0 {
		delete(p.tenure.waiters, c.id)
		return
	}
	p.tenure.waiters[c.id] = waiting
}

// leave drops one call of a caller, which was taken before.
func (p *part) leave(caller any, number uint64, i id.Invocation) {
	left := func(c *call) bool { return c.number == number && c.caller == caller }
	if t := p.tenure; t != nil {
		if at := slices.IndexFunc(t.waiters[i], left); at >= 0 {
			p.forget(t.waiters[i][at])
			return
		}
		for _, g := range t.inflight {
			for _, n := range g.notes {
				n.call.gone = n.call.gone || left(n.call)
			}
		}
	}
	for _, c := range slices.Concat(p.reads, p.proving) {
		c.gone = c.gone || left(c)
	}
}

// abandon drops the calls of a caller who left. All that it submitted was taken before.
func (l *Loop) abandon(caller any) {
	for _, p := range l.parts {
		if p.tenure != nil {
			p.tenure.abandon(caller)
		}
		for _, c := range slices.Concat(p.reads, p.proving) {
			c.gone = c.gone || c.caller == caller
		}
	}
}

// abandon looks at all calls: callers leave rarely.
func (t *tenure) abandon(caller any) {
	for _, g := range t.inflight {
		for _, n := range g.notes {
			n.call.gone = n.call.gone || n.call.caller == caller
		}
	}
	for i, waiting := range t.waiters {
		waiting = slices.DeleteFunc(waiting, func(c *call) bool { return c.caller == caller })
		if t.waiters[i] = waiting; len(waiting) == 0 {
			delete(t.waiters, i)
		}
	}
}

// record writes the span of an invocation that has ended.
func (p *part) record(e *partition.Effect) {
	spans := p.loop.node.host.Spans
	if !spans.Services() {
		return
	}
	row := &e.Inv.Row
	var o span.Outcome
	if f := e.Outcome.Result.GetFailure(); f != nil {
		o = span.Outcome{Failure: f.GetMessage(), Code: f.GetCode()}
	}
	t := span.Target{Service: row.Target.GetService(), Handler: row.Target.GetHandler(), Key: row.Target.GetKey(), ID: e.ID}
	spans.Invocation(row.TraceParent, row.TraceState, &t, time.UnixMilli(row.CreatedAtMs), time.UnixMilli(row.CompletedAtMs), o)
}

func (p *part) activation(e *partition.Effect) invoker.Activation {
	row := &e.Inv.Row
	return invoker.Activation{
		Partition: p.id, Partitions: p.store.Meta().GetPartitions(), ID: e.ID,
		Incarnation: lsn.LSN(row.Incarnation), Activation: lsn.LSN(row.Activation),
		Target: row.Target, Pin: row.Pin, IdempotencyKey: row.IdempotencyKey,
		TraceParent: row.TraceParent, TraceState: row.TraceState, Holding: row.Pausing,
	}
}

// park stops one partition visibly; the process and the other partitions go on.
func (l *Loop) park(p *part, err error) {
	if p.parked != nil {
		return
	}
	p.parked = err
	attrs := []slog.Attr{slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err)}
	if errors.Is(err, errAhead) {
		p.ahead.Store(true)
		l.node.metrics.blocked.WithLabelValues(strconv.Itoa(int(p.id)), aheadOfLog).Set(1)
		l.node.host.Log.LogAttrs(l.ctx, slog.LevelError, "partition is parked: its store is ahead of its log; see docs/operations.md for how to begin anew here", attrs...)
	} else {
		l.node.host.Log.LogAttrs(l.ctx, slog.LevelError, "partition is parked: its commands cannot be applied; its requests are refused until this node restarts", attrs...)
	}
	p.state.Store(uint64(placement.Parked))
	if p.store != nil {
		p.store.Fail(err) // it may hold half of a command
	}
	l.node.parked()
	l.depose(p, err)
}

// parkIf parks p if the tenure in which the fault was found has not ended: after that the store belongs
// to whoever recovers it.
func (l *Loop) parkIf(p *part, t *tenure, err error) {
	if p.tenure == t {
		l.park(p, err)
	}
}

// parkSoon parks p once the loop is done with what it does for p's tenure now.
func (l *Loop) parkSoon(p *part, err error) {
	t := p.tenure
	l.mail.do(func() { l.parkIf(p, t, err) })
}
