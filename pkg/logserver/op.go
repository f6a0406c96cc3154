package logserver

import (
	"context"

	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

type opKind uint8

const (
	opFrame  opKind = 1 // groups of a log writer
	opRepair opKind = 2 // one group of a recovery
	opSeal   opKind = 3
	opTrim   opKind = 4
	opUpkeep opKind = 5 // keep advanced known global tails
)

// op waits for the committer.
type op struct {
	kind   opKind
	oneWay bool // of a frame: no answer is wanted
	conn   *Conn
	frame  *logproto.Frame
	bytes  int   // of its records
	call   *call // of the other kinds, but for upkeep
}

// call is a request whose caller waits. The committer writes the outcome, then closes done.
type call struct {
	ref     logproto.Ref
	group   logproto.Group
	through lsn.Offset
	done    chan struct{}

	status logproto.Status
	answer logproto.Answer
	info   logproto.Info
	err    error
}

func (o *op) refuse(err error) {
	switch {
	case o.conn != nil:
		if !o.oneWay {
			o.conn.broken(err)
		}
	case o.call != nil:
		o.call.err = err
		close(o.call.done)
	}
}

// push queues an operation. An error means that nothing happened.
func (s *Server) push(o op) error {
	if o.frame != nil {
		for i := range o.frame.Groups {
			o.bytes += len(o.frame.Groups[i].Records)
		}
	}
	s.queueMu.Lock()
	var err error
	switch {
	case s.stopped:
		err = errStopped
	case s.cfg.QueueBytesMax > 0 && s.queueBytes > 0 && s.queueBytes+o.bytes > s.cfg.QueueBytesMax:
		err = errs.Newf(errs.Unavailable, "%d bytes wait for the log-server's disk", s.queueBytes)
	case len(s.queue) >= s.cfg.QueueMax:
		err = errs.Newf(errs.Unavailable, "%d operations wait for the log-server's disk", len(s.queue))
	default:
		s.queue = append(s.queue, o)
		s.queueBytes += o.bytes
	}
	s.queueMu.Unlock()
	if err != nil {
		s.metrics.rejected.Add(float64(o.bytes))
		return err
	}
	s.metrics.accepted.Add(float64(o.bytes))
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *Server) do(ctx context.Context, kind opKind, c *call) error {
	c.done = make(chan struct{})
	if err := s.push(op{kind: kind, call: c}); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return errs.With(errs.Uncertain, context.Cause(ctx))
	}
}

// Seal ends normal stores of the loglet for ever. It answers once the seal is durable.
func (s *Server) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	c := &call{ref: ref}
	err := s.do(ctx, opSeal, c)
	return c.outcome(err)
}

// Trim drops the offsets up to through. It answers once that is durable.
func (s *Server) Trim(ctx context.Context, ref logproto.Ref, through lsn.Offset) (logproto.Info, error) {
	c := &call{ref: ref, through: through}
	err := s.do(ctx, opTrim, c)
	return c.outcome(err)
}

// outcome must not read what the committer may still write: it does so only after done.
func (c *call) outcome(err error) (logproto.Info, error) {
	if err != nil {
		return logproto.Info{}, err
	}
	return c.info, nil
}

// Repair stores a group of a recovery: allowed after the seal and below the tail.
func (s *Server) Repair(ctx context.Context, g logproto.Group) (logproto.Answer, error) {
	g.Repair = true
	c := &call{ref: g.Ref, group: g}
	if err := s.do(ctx, opRepair, c); err != nil {
		return logproto.Answer{}, err
	}
	return c.answer, nil
}
