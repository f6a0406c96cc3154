package processor

import (
	"context"
	"errors"
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
// what it has, and a row leaves the outbox, through the log, only after the target applied it.
type lane struct {
	p      *part
	tenure *tenure
	target id.Partition

	queue     []message // next to send; contiguous after sent
	behind    bool      // there are rows after the queue that are not in memory
	reading   bool
	sent      uint64
	acked     uint64
	truncated uint64 // proposed
	broken    bool   // refused: wait until nothing is in flight, then read again after acked
	retryAt   int64
}

type message struct {
	seq    uint64
	record []byte
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
	if x.behind || x.broken || x.reading || len(x.queue) >= l.node.cfg.LaneWindow {
		x.behind = true
	} else {
		x.queue = append(x.queue, message{seq: seq, record: record})
	}
	x.pump(l)
}

func (x *lane) inflight() int { return int(x.sent - x.acked) }

// pump sends what the window allows.
func (x *lane) pump(l *Loop) {
	if x.broken {
		return
	}
	for len(x.queue) > 0 && x.inflight() < l.node.cfg.LaneWindow {
		m := x.queue[0]
		x.queue[0] = message{}
		x.queue = x.queue[1:]
		if m.seq <= x.acked { // sent before, and its late answer came
			continue
		}
		x.sent = max(x.sent, m.seq)
		seq := m.seq
		acked := func(err error) { l.mail.do(func() { x.ack(l, seq, err) }) }
		if err := l.node.send(x.target, m.record, acked); err != nil {
			x.fail(l)
			return
		}
	}
	if len(x.queue) == 0 && x.behind && !x.reading {
		x.read(l)
	}
}

func (x *lane) ack(l *Loop, seq uint64, err error) {
	if x.p.tenure != x.tenure {
		return
	}
	switch {
	case err != nil:
		x.fail(l)
	case seq == x.acked+1 || x.acked == 0:
		x.acked, x.sent = seq, max(x.sent, seq)
	case seq > x.acked+1: // cannot be: targets apply in order
		x.fail(l)
	}
	if x.acked-x.truncated >= laneTruncateAfter {
		x.truncate(l)
	}
	x.pump(l)
}

// fail has the lane read its rows again after what was acknowledged. What was sent meanwhile and
// arrives late is a duplicate there.
func (x *lane) fail(l *Loop) {
	x.broken, x.behind, x.queue = true, true, nil
	x.retryAt = l.nowMillis() + laneRetryMillis
}

// read loads the rows after sent, off the loop, at most a window.
func (x *lane) read(l *Loop) {
	x.reading, x.behind = true, false
	from := x.sent + 1
	snap := x.p.store.Snapshot()
	limit := l.node.cfg.LaneWindow
	l.node.background("read outbox", func(context.Context) error {
		defer func() { _ = snap.Close() }() // nothing was written through it
		page, more, err := readOutbox(snap, x.target, from, limit)
		l.mail.do(func() {
			if x.p.tenure != x.tenure {
				return
			}
			x.reading = false
			if err != nil {
				l.park(x.p, err)
				return
			}
			if x.broken {
				return
			}
			if len(page) > 0 && x.acked == 0 {
				x.sent, x.acked, x.truncated = page[0].seq-1, page[0].seq-1, page[0].seq-1
			}
			x.queue = page
			// Rows that were put since the snapshot are after what it saw.
			x.behind = x.behind || more
			x.pump(l)
		})
		return nil
	})
}

func readOutbox(snap *partitionstore.Snapshot, target id.Partition, from uint64, limit int) (page []message, more bool, err error) {
	it := snap.Outbox(target, from)
	defer errs.CloseInto(&err, it)
	for {
		seq, rec, err := it.Next()
		if errors.Is(err, io.EOF) {
			return page, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, message{seq: seq, record: append([]byte(nil), rec...)})
	}
}

// truncate proposes to drop the rows that the target has applied.
func (x *lane) truncate(l *Loop) {
	rec, err := command.Append(nil, command.Header{Kind: command.TruncateOutbox},
		&storedv1.TruncateOutbox{Target: uint32(x.target), Through: x.acked})
	if err == nil {
		err = l.mail.record(x.p, rec, nil, &l.node.cfg)
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
		if x.broken && now >= x.retryAt {
			x.broken, x.sent = false, x.acked
			l.node.host.Log.LogAttrs(l.ctx, slog.LevelDebug, "outbox lane retries",
				slog.Int(logkey.Partition, int(p.id)), slog.Int(logkey.Peer, int(x.target)))
			x.pump(l)
		}
	}
}
