package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/partitionstore"
)

const (
	// laneRetryMillis is the pause before a lane that was refused sends again.
	laneRetryMillis = 50
	// laneTruncateAfter is how many acknowledged rows are dropped at once under load; the rest go with a tick.
	laneTruncateAfter = 128
)

// lane carries the outbox rows of one partition to one other, in order, exactly once: the target drops
// what it has and refuses what comes too early, and a row leaves the outbox, through the log, only after
// the target applied it.
type lane struct {
	p      *part
	tenure *tenure
	target id.Partition

	queue     []message // next to send; contiguous after sent
	behind    bool      // there are rows after the queue that are not in memory
	reading   bool
	begun     bool // acked is known: it is what stands before the first row
	sent      uint64
	acked     uint64 // the target has all up to here
	truncated uint64 // proposed

	flight      []message // sent and not acknowledged, without their records
	queueBytes  int
	flightBytes int

	broken  bool   // refused: nothing is sent until retryAt, then again what follows acked
	round   uint64 // counts refusals; answers and pages that were asked for before one are out of date
	retryAt int64
}

type message struct {
	seq    uint64
	bytes  int
	record []byte // never changed
}

func (l *Loop) laneOf(p *part, target id.Partition) *lane {
	t := p.tenure
	x, ok := t.lanes[target]
	if !ok {
		x = &lane{p: p, tenure: t, target: target, behind: true}
		t.lanes[target] = x
	}
	return x
}

// put takes a row that was just stored.
func (x *lane) put(l *Loop, seq uint64, record []byte) {
	cfg := &l.node.cfg
	if x.behind || x.broken || x.reading || len(x.queue) >= cfg.LaneWindow || x.queueBytes >= cfg.LaneBytesMax {
		x.behind = true
	} else {
		x.begin(seq)
		x.queue = append(x.queue, message{seq: seq, bytes: len(record), record: record})
		x.queueBytes += len(record)
	}
	x.pump(l)
}

// begin learns from the first row what the target must have.
func (x *lane) begin(first uint64) {
	if !x.begun {
		x.begun = true
		x.sent, x.acked, x.truncated = first-1, first-1, first-1
	}
}

// pump sends what the window allows.
func (x *lane) pump(l *Loop) {
	cfg := &l.node.cfg
	for !x.broken && len(x.queue) > 0 && len(x.flight) < cfg.LaneWindow && x.flightBytes < cfg.LaneBytesMax {
		m := x.queue[0]
		x.queue[0] = message{}
		x.queue = x.queue[1:]
		x.queueBytes -= m.bytes
		if m.seq <= x.acked { // sent before, and its late answer came
			continue
		}
		x.sent = m.seq
		x.flight = append(x.flight, message{seq: m.seq, bytes: m.bytes})
		x.flightBytes += m.bytes
		x.p.counts.shuffling.Inc()
		round := x.round
		acked := func(err error) { l.mail.do(func() { x.ack(l, round, m.seq, err) }) }
		if err := l.node.send(x.target, m.record, acked); err != nil {
			x.fail(l, err)
		}
	}
	if !x.broken && len(x.queue) == 0 && x.behind && !x.reading {
		x.read(l)
	}
}

// ack takes the answer to a message. Targets apply in order, so one that is applied says so of all before.
func (x *lane) ack(l *Loop, round, seq uint64, err error) {
	switch {
	case x.p.tenure != x.tenure:
		return
	case err != nil:
		if round == x.round {
			x.fail(l, err)
		}
		return
	case seq <= x.acked:
		return
	}
	x.p.counts.shuffled.Add(float64(seq - x.acked))
	x.acked, x.sent = seq, max(x.sent, seq)
	x.p.counts.shuffling.Sub(float64(len(x.flight)))
	for len(x.flight) > 0 && x.flight[0].seq <= seq {
		x.flightBytes -= x.flight[0].bytes
		x.flight = x.flight[1:]
	}
	x.p.counts.shuffling.Add(float64(len(x.flight)))
	if x.acked-x.truncated >= laneTruncateAfter {
		x.truncate(l)
	}
	x.pump(l)
}

// fail has the lane read its rows again after what was acknowledged. What was sent meanwhile and
// arrives late is a duplicate there.
func (x *lane) fail(l *Loop, err error) {
	x.broken, x.behind = true, true
	x.p.counts.shuffling.Sub(float64(len(x.flight)))
	x.queue, x.queueBytes, x.flight, x.flightBytes = nil, 0, nil, 0
	x.round++
	x.retryAt = l.nowMillis() + laneRetryMillis
	level := slog.LevelDebug
	if c := errs.CodeOf(err); c == errs.Invalid || c == errs.Unsupported || c == errs.Internal {
		level = slog.LevelWarn // it does not heal by trying again
	}
	l.node.host.Log.LogAttrs(l.ctx, level, "message to a partition was refused and is sent again",
		slog.Int(logkey.Partition, int(x.p.id)), slog.Int(logkey.Peer, int(x.target)), slog.Any(logkey.Err, err))
}

// retry ends the pause after a refusal. A page that is being read is waited for: it may begin too late.
func (x *lane) retry(l *Loop, now int64) {
	if !x.broken || x.reading || now < x.retryAt && x.retryAt-now <= laneRetryMillis { // the clock may be set back
		return
	}
	x.broken, x.sent = false, x.acked
	x.pump(l)
}

// read loads the rows after sent, off the loop, at most a window.
func (x *lane) read(l *Loop) {
	snap, err := x.p.store.Snapshot()
	if err != nil {
		l.parkSoon(x.p, err)
		return
	}
	x.reading, x.behind = true, false
	from, round := x.sent+1, x.round
	cfg := &l.node.cfg
	l.node.background("read outbox", func(context.Context) error {
		defer func() { _ = snap.Close() }() // nothing was written through it
		page, more, err := readOutbox(snap, x.target, from, cfg)
		l.mail.do(func() {
			if x.p.tenure != x.tenure {
				return
			}
			x.reading = false
			switch {
			case err != nil:
				l.park(x.p, fmt.Errorf("read outbox: %w", err))
				return
			case round != x.round:
				return // after its pause it is read from another place
			}
			// Rows that were put since the snapshot are after what it saw.
			x.behind = x.behind || more
			if len(page) > 0 {
				x.begin(page[0].seq)
			}
			x.queue = page
			for _, m := range page {
				x.queueBytes += m.bytes
			}
			x.pump(l)
		})
		return nil
	})
}

func readOutbox(snap *partitionstore.Snapshot, target id.Partition, from uint64, cfg *Config) (page []message, more bool, err error) {
	it := snap.Outbox(target, from)
	defer errs.CloseInto(&err, it)
	for bytes := 0; ; {
		seq, rec, err := it.Next()
		if errors.Is(err, io.EOF) {
			return page, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if len(page) == cfg.LaneWindow || bytes >= cfg.LaneBytesMax {
			return page, true, nil
		}
		page = append(page, message{seq: seq, bytes: len(rec), record: append([]byte(nil), rec...)})
		bytes += len(rec)
	}
}

// truncate proposes to drop the rows that the target has applied.
func (x *lane) truncate(l *Loop) {
	rec, err := command.Append(nil, command.Header{Kind: command.TruncateOutbox},
		&storedv1.TruncateOutbox{Target: uint32(x.target), Through: x.acked})
	if err == nil {
		err = l.mail.record(x.p, rec, nil)
	}
	if err != nil {
		return // deposed, or never: the next leader sends the rows again
	}
	x.truncated = x.acked
}

// tickLanes truncates what is acknowledged and retries what was refused.
func (l *Loop) tickLanes(p *part, now int64) {
	for _, x := range p.tenure.lanes {
		if x.acked > x.truncated {
			x.truncate(l)
		}
		x.retry(l, now)
	}
}
