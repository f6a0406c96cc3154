package processor

import (
	"context"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition"
)

// call is somebody who waits for a record, and perhaps for the end of an invocation.
// The loop answers it exactly once.
type call struct {
	caller   any    // of Submit, else nil
	number   uint64 // the caller's, of Submit
	want     command.Want
	internal bool // of another partition or of the processor itself: not bounded with new calls
	id       id.Invocation
	bytes    int  // of the record
	proposed bool // the record was handed to the log: an error is Uncertain from here on
	read     bool // the record changes nothing
	gone     bool // nobody waits for the answer any more; the loop's goroutine only
	// answered runs in the loop's goroutine and must not block.
	answered func(c *call)

	outcome *command.Outcome
	err     error
	done    chan struct{} // capacity 1, of calls that block
}

func (c *call) answer(o *command.Outcome, err error) {
	c.outcome, c.err = o, err
	c.answered(c)
}

// lost answers a call whose partition is no longer led here.
func (c *call) lost() {
	if c.proposed {
		c.answer(nil, errs.Newf(errs.Uncertain, "leadership was lost after the request was proposed"))
		return
	}
	c.answer(nil, errNotLed)
}

func wakeCaller(c *call) { c.done <- struct{}{} } // capacity 1, sent once: never blocks

func newCall() any { return &call{done: make(chan struct{}, 1), answered: wakeCaller} }

// Do proposes the record of r and waits for what r wants. If ctx ends first the request goes on
// without its caller. Codes: NotLeader and Unavailable say that nothing happened; Uncertain that it may have.
func (n *Node) Do(ctx context.Context, r command.Request) (*command.Outcome, error) {
	p, rec, err := n.partOf(&r)
	if err != nil {
		return nil, err
	}
	switch rec.Kind {
	case command.Invoke, command.Signal, command.Read: // the ingress of this process made it, in a hurry
	default:
		if err := partition.Check(rec); err != nil {
			return nil, err
		}
	}
	c := n.calls.Get().(*call)
	c.want, c.id, c.proposed = r.Want, r.ID, false
	if err := n.take(p, r, c); err != nil {
		n.calls.Put(c)
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		// The loop may still hold c, so it is not used again.
		p.loop.mail.do(func() { p.forget(c) })
		return nil, errs.With(errs.Uncertain, context.Cause(ctx))
	}
	outcome, err := c.outcome, c.err
	c.outcome, c.err = nil, nil
	n.calls.Put(c)
	return outcome, err
}

// Submit is Do without waiting, for requests of other processes: answered runs once in the partition's loop
// and must not block, unless Submit returns an error, or Abandon or Leave comes first. It keeps nothing of r.
// caller is compared only, number is the caller's.
func (n *Node) Submit(caller any, number uint64, r command.Request, answered func(*command.Outcome, error)) error {
	p, rec, err := n.partOf(&r)
	if err != nil {
		return err
	}
	if err := partition.Check(rec); err != nil {
		return err
	}
	c := &call{caller: caller, number: number, want: r.Want, id: r.ID, answered: func(c *call) { answered(c.outcome, c.err) }}
	return n.take(p, r, c)
}

// take leaves a request with its partition.
func (n *Node) take(p *part, r command.Request, c *call) error {
	c.read = command.KindOf(r.Record) == command.Read
	if n.full.Load() && !c.read {
		return errDiskFull
	}
	if p.refused.Load() {
		return p.loop.takeRefused(p, c)
	}
	return p.loop.mail.record(p, r.Record, c)
}

// Abandon says that nobody waits for the answers of what caller, which is not nil, submitted before. Its
// requests go on.
func (n *Node) Abandon(caller any) {
	for _, l := range n.loops {
		l.mail.do(func() { l.abandon(caller) })
	}
}

// Leave says that nobody waits for the answer of the request for i to which caller gave number, and which it
// submitted before. The request goes on.
func (n *Node) Leave(caller any, number uint64, i id.Invocation) {
	p, err := n.partFor(i.PartitionKey())
	if err != nil {
		return // nothing was taken
	}
	p.loop.mail.do(func() { p.leave(caller, number, i) })
}

// partOf returns the partition and the record of a request. A record that does not parse would park it once it is in the
// log, so what is wrong is refused before.
func (n *Node) partOf(r *command.Request) (p *part, rec command.Record, err error) {
	rec, err = parseOne(r.Record)
	switch {
	case err != nil:
		return nil, rec, err
	case rec.ID != r.ID:
		return nil, rec, errs.Newf(errs.Invalid, "the record is of another invocation than %s", r.ID)
	case rec.SourceSeq != 0:
		return nil, rec, errs.Newf(errs.Invalid, "a request has the number of a message")
	}
	if !rec.Kind.Requestable() {
		return nil, rec, errs.Newf(errs.Unsupported, "a request of kind %d", rec.Kind)
	}
	p, err = n.partFor(r.ID.PartitionKey())
	return p, rec, err
}

func parseOne(b []byte) (command.Record, error) {
	one, rest, err := command.Next(b)
	if err == nil && len(rest) > 0 {
		err = errs.Newf(errs.Invalid, "%d bytes follow the record", len(rest))
	}
	if err != nil {
		return command.Record{}, errs.With(errs.Invalid, err)
	}
	rec, err := command.Parse(one)
	if errs.Is(err, errs.Corrupt) { // of somebody else; nothing of ours is
		err = errs.With(errs.Invalid, err)
	}
	return rec, err
}

// Accept proposes a record that another partition, led by another process, numbered for target; acked runs
// once it is applied, as with Submit. A repeat is harmless. Codes as of Do, and Conflict for a record whose
// predecessor is missing.
func (n *Node) Accept(target id.Partition, record []byte, acked func(error)) error {
	rec, err := parseOne(record)
	if err != nil {
		return err
	}
	if err := partition.Check(rec); err != nil {
		return err
	}
	return n.accept(target, rec, record, acked)
}

func (n *Node) accept(target id.Partition, rec command.Record, record []byte, acked func(error)) error {
	p, err := n.part(target)
	if err != nil {
		return err
	}
	if !rec.Kind.Deliverable() {
		return errs.Newf(errs.Unsupported, "a message of kind %d", rec.Kind)
	}
	if of := id.PartitionOf(rec.ID.PartitionKey(), n.partitions); of != target || rec.SourceSeq == 0 || uint32(rec.Source) >= n.partitions {
		return errs.Newf(errs.Invalid, "message %d of partition %d for partition %d came to %d", rec.SourceSeq, rec.Source, of, target)
	}
	c := &call{internal: true, want: command.WantAccepted, answered: func(c *call) { acked(c.err) }}
	return p.loop.mail.record(p, record, c)
}

// send hands a message to the leader of its target: here if that is this node, else through a peer.
// acked is called by any goroutine, once, unless send returns an error; it must not block.
func (n *Node) send(target id.Partition, record []byte, acked func(error)) error {
	rec, err := parseOne(record)
	if err != nil {
		return err
	}
	err = n.accept(target, rec, record, acked)
	if err == nil || n.peers == nil || !errs.Is(err, errs.NotLeader) {
		return err
	}
	return n.peers.Send(target, record, acked)
}
