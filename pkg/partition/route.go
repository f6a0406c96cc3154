package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/serviceproto"
)

// What one record may do in place for others; the rest becomes messages of the partition to itself.
// Constants of the apply version: another number gives other rows.
const (
	chainStepsMax = 256
	chainBytesMax = 1 << 20
)

// chain counts what a record did in place for others.
type chain struct {
	steps int
	bytes int
}

// inPlace tells whether a message for key, of that many bytes, is applied within this command. Messages
// never overtake: while some of the partition to itself wait, newer ones follow them.
func (a *application) inPlace(key id.PartitionKey, bytes int) (bool, error) {
	if !a.own(key) {
		return false, nil
	}
	if a.chain.steps >= chainStepsMax || a.chain.bytes >= chainBytesMax {
		return false, nil
	}
	empty, err := a.st.OutboxEmpty(a.self())
	if err != nil || !empty {
		return false, err
	}
	a.chain.steps++
	a.chain.bytes += bytes
	return true, nil
}

// own tells whether the partition has the key.
func (a *application) own(key id.PartitionKey) bool {
	return uint64(key) >= a.meta.KeyFrom && uint64(key) <= a.meta.KeyTo
}

func (a *application) self() id.Partition {
	return id.PartitionOf(id.PartitionKey(a.meta.KeyFrom), a.meta.Partitions)
}

// post puts a record into the outbox for the partition of h.ID.
func (a *application) post(h command.Header, facts command.Facts, body []byte) error {
	target := id.PartitionOf(h.ID.PartitionKey(), a.meta.Partitions)
	seq, err := a.st.OutboxSeq(target)
	if err != nil {
		return err
	}
	seq++
	if len(body) > 0 {
		h.Frames = 1
	}
	rec, err := command.Append(nil, h, facts, body)
	if err != nil {
		return errs.With(errs.Internal, err)
	}
	command.SetSource(rec, a.self(), seq)
	if err := a.st.PutOutbox(target, seq, rec); err != nil {
		return err
	}
	a.emit(Effect{Kind: EffectOutbox, ID: h.ID, Target: target, Seq: seq, Record: rec})
	return nil
}

// send creates an invocation here or at the partition of its key. c.input is owned.
func (a *application) send(c creation) error {
	here, err := a.inPlace(c.id.PartitionKey(), len(c.input))
	if err != nil {
		return err
	}
	if here {
		_, err := a.invoke(c)
		return err
	}
	return a.post(command.Header{Kind: command.Invoke, ID: c.id}, c.facts, c.input)
}

// respond hands a result to an invocation that called or attached.
func (a *application) respond(sink *storedv1.Sink, result *storedv1.Result) error {
	t := serviceproto.TypeCallCompletion
	if sink.Attached {
		t = serviceproto.TypeAttachInvocationCompletion
	}
	return a.reply(sink, serviceproto.AppendResult(nil, t, sink.CompletionId, result))
}

// reply hands a completion to the invocation that waits for it.
func (a *application) reply(sink *storedv1.Sink, frame []byte) error {
	to, err := invocationID(sink.Invocation)
	if err != nil {
		return err
	}
	here, err := a.inPlace(to.PartitionKey(), len(frame))
	if err != nil {
		return err
	}
	life := lsn.LSN(sink.Incarnation)
	if here {
		_, err := a.notify(to, life, frame)
		return err
	}
	return a.post(command.Header{Kind: command.Respond, ID: to, Incarnation: life}, nil, frame)
}

// signal hands a signal to an invocation.
func (a *application) signal(to id.Invocation, frame []byte) error {
	here, err := a.inPlace(to.PartitionKey(), len(frame))
	if err != nil {
		return err
	}
	if here {
		_, err := a.notify(to, anyLife, frame)
		return err
	}
	return a.post(command.Header{Kind: command.Signal, ID: to}, nil, frame)
}

func invocationID(b []byte) (i id.Invocation, err error) {
	if len(b) != len(i) {
		return i, errs.Newf(errs.Corrupt, "invocation id of %d bytes", len(b))
	}
	copy(i[:], b)
	return i, nil
}
