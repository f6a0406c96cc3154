package logserver

import (
	"context"
	"fmt"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
)

// committer is what the one goroutine that writes works with.
type committer struct {
	s       *Server
	batch   *logstore.Batch
	ops     []op      // decided in this round
	touched []*loglet // by this round
	repairs bool      // this round writes below a tail
	parts   [][]byte
	ranges  []logproto.Range
	groups  int
	records uint32

	unlooked int // bytes committed since the free space was looked at
}

// lookEvery is after how many bytes the free space is looked at.
const lookEvery = 4 << 20

func (s *Server) commitLoop(ctx context.Context) error {
	c := &committer{s: s, batch: s.store.NewBatch()}
	var spare []op
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return c.batch.Close()
		}
		for {
			s.queueMu.Lock()
			taken := s.queue
			s.queue, s.queueBytes = spare[:0], 0
			s.queueMu.Unlock()
			if len(taken) == 0 {
				spare = taken
				break
			}
			if err := c.round(taken); err != nil {
				return err
			}
			clear(taken)
			spare = taken
		}
	}
}

// round decides the operations in their order and commits them, in more than one batch if they are
// too many bytes.
func (c *committer) round(ops []op) error {
	for i := range ops {
		o := &ops[i]
		if o.kind == opTrim && !c.batch.Empty() { // a trim looks into the store
			if err := c.commit(); err != nil {
				return c.fail(ops[i:], err)
			}
		}
		c.ops = append(c.ops, *o)
		if err := c.decide(o); err != nil {
			return c.fail(ops[i+1:], err)
		}
		if c.batch.Len() > c.s.cfg.BatchBytesMax || c.s.cfg.BatchRecordsMax > 0 && c.records >= c.s.cfg.BatchRecordsMax {
			if err := c.commit(); err != nil {
				return c.fail(ops[i+1:], err)
			}
		}
	}
	if err := c.commit(); err != nil {
		return c.fail(nil, err)
	}
	return nil
}

func (c *committer) decide(o *op) error {
	switch o.kind {
	case opFrame:
		return c.frame(o)
	case opRepair:
		return c.repair(o.call)
	case opSeal:
		return c.seal(o.call)
	case opTrim:
		return c.trim(o.call)
	default:
		return c.upkeep()
	}
}

func (c *committer) touch(l id.Loglet) (*loglet, error) {
	lg, err := c.s.get(l)
	if err != nil {
		return nil, err
	}
	if !lg.inBatch {
		lg.inBatch = true
		c.touched = append(c.touched, lg)
	}
	return lg, nil
}

func (c *committer) seal(call *call) error {
	lg, err := c.touch(call.ref.Loglet)
	if err != nil {
		return err
	}
	identified := lg.staged.Identified
	var changed bool
	call.status, changed = lg.staged.Seal(call.ref)
	if !changed {
		return nil
	}
	if !identified {
		if err := c.batch.Identity(lg.staged.Ref); err != nil {
			return err
		}
	}
	lg.keptKnown = true
	if err := c.batch.Known(call.ref.Loglet, lg.staged.Known); err != nil {
		return err
	}
	return c.batch.Seal(call.ref.Loglet)
}

func (c *committer) trim(call *call) error {
	lg, err := c.touch(call.ref.Loglet)
	if err != nil {
		return err
	}
	var changed bool
	if call.status, changed = lg.staged.Trim(call.ref, call.through); changed {
		return c.batch.Trim(call.ref.Loglet, lg.staged.Trimmed)
	}
	return nil
}

func (c *committer) upkeep() error {
	c.s.mu.Lock()
	all := make([]*loglet, 0, len(c.s.loglets))
	for _, lg := range c.s.loglets {
		all = append(all, lg)
	}
	c.s.mu.Unlock()
	for _, lg := range all {
		if lg.keptKnown || !lg.staged.Identified {
			continue
		}
		lg.keptKnown = true
		if err := c.batch.Known(lg.staged.Loglet, lg.staged.Known); err != nil {
			return err
		}
	}
	return nil
}

// commit makes the round durable, shows it and answers.
func (c *committer) commit() error {
	if !c.batch.Empty() {
		if c.repairs {
			c.hideUnsynced()
		}
		bytes := c.batch.Len()
		start := c.s.h.Clock.Now()
		if err := c.batch.Commit(!c.s.cfg.Unsynced); err != nil {
			return err
		}
		c.s.metrics.batch(bytes, c.groups, c.s.h.Clock.Now().Sub(start))
		if c.unlooked += bytes; c.unlooked > lookEvery { // a fast disk fills between two looks of the upkeep
			c.unlooked = 0
			c.s.checkSpace()
		}
	}
	c.publish()
	for i := range c.ops {
		c.answer(&c.ops[i])
	}
	c.reset()
	return nil
}

func (c *committer) reset() {
	for _, lg := range c.touched {
		lg.inBatch = false
		lg.fresh = lg.fresh[:0]
	}
	clear(c.touched)
	clear(c.ops)
	c.touched, c.ops = c.touched[:0], c.ops[:0]
	c.repairs, c.groups, c.records = false, 0, 0
}

// hideUnsynced tells readers what they may find below a tail before it is synced.
func (c *committer) hideUnsynced() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, lg := range c.touched {
		lg.unsynced = append(lg.unsynced[:0], lg.fresh...)
	}
}

func (c *committer) publish() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, lg := range c.touched {
		lg.seen = lg.staged
		lg.unsynced = lg.unsynced[:0]
		if lg.changed != nil {
			close(lg.changed)
			lg.changed = nil
		}
	}
}

func (c *committer) answer(o *op) {
	switch o.kind {
	case opFrame:
		if o.oneWay || o.conn.over.Load() {
			return
		}
		for i := range o.frame.Answers { // the status stands; the rest is what is synced now
			a, g := &o.frame.Answers[i], &o.frame.Groups[i]
			if lg := c.find(g.Loglet); lg != nil && lg.staged.Knows(g.Ref) {
				*a = lg.staged.Answer(a.Status)
			}
		}
		o.conn.r.Stored(o.frame)
	case opRepair:
		lg := c.find(o.call.ref.Loglet)
		if lg != nil && lg.staged.Knows(o.call.ref) {
			o.call.answer = lg.staged.Answer(o.call.status)
		} else {
			o.call.answer = logproto.Answer{Status: o.call.status}
		}
		close(o.call.done)
	case opSeal, opTrim:
		if lg := c.find(o.call.ref.Loglet); lg != nil {
			o.call.info = lg.staged.Info(o.call.ref)
		}
		o.call.info.Status = o.call.status
		close(o.call.done)
	}
}

// find returns a loglet that this round touched: its staged copy is what was just synced.
func (c *committer) find(l id.Loglet) *loglet {
	for _, lg := range c.touched {
		if lg.staged.Loglet == l {
			return lg
		}
	}
	return nil
}

// fail ends the server: what the store holds now is not known, so nothing of it is shown and nobody
// gets an Ok any more. What readers see stays as it was.
func (c *committer) fail(rest []op, err error) error {
	c.s.failed.Store(true)
	err = fmt.Errorf("log-server: %w", err)
	for i := range c.ops {
		c.ops[i].refuse(err)
	}
	for i := range rest {
		rest[i].refuse(err)
	}
	_ = c.batch.Close() // the error is already told
	return err
}
