package invoker

import (
	"context"
	"encoding/binary"
	"log/slog"

	"reprise/pkg/invoker/h2"
	"reprise/pkg/logkey"
	"reprise/pkg/serviceproto"
)

var _ h2.Handler = (*attempt)(nil)

// Header judges the response headers.
func (a *attempt) Header(r *h2.Response) {
	a.v.metrics.response(a.route, r.Status)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deafLocked() {
		return
	}
	a.headed = true
	a.server = r.Get("x-restate-server")
	if f := badResponse(r, a.route.contentType, a.v.host.Clock); f != nil {
		a.failLocked(f)
	}
}

// deafLocked tells whether what comes is discarded.
func (a *attempt) deafLocked() bool { return a.deaf || a.failure != nil || a.final != notFinal }

// Data takes messages apart. Those that become part of a record hold on to their share of the window
// until it is applied, so a handler can't get far ahead of the log.
func (a *attempt) Data(b []byte) {
	a.v.metrics.via(a.route).received.Add(float64(len(b)))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deafLocked() {
		a.out.Credit(len(b))
		return
	}
	data, before := b, len(a.partial) // bytes whose window was given back before
	if before > 0 {
		a.partial = append(a.partial, b...)
		data = a.partial
	}
	held := 0
	for !a.deafLocked() {
		f, rest, ok, err := serviceproto.NextFrame(data, a.sizes.MessageBytesMax+messageSlackBytes)
		if err != nil {
			a.proposeLocked()
			a.failLocked(violation(err))
			break
		}
		if !ok {
			break
		}
		data = rest
		a.active.Store(a.v.now.Load()) // a frame counts, its bytes do not
		if len(f.Payload) >= a.sizes.MessageWarnBytes {
			a.warnLarge(f)
		}
		if a.frameLocked(f) {
			n := len(f.Raw) - before
			held += n
			a.next.bytes += n
		}
		before = 0
		if len(a.body) >= stepBytesMax || a.next.lookups >= stepLookupsMax {
			a.proposeLocked()
		}
	}
	switch {
	case a.deafLocked() || len(data) == 0:
		a.partial = keepSmall(a.partial)
	case len(data) == len(a.partial): // still the beginning of one message, in place
	default:
		a.partial = append(a.partial[:0], data...)
	}
	if len(b) > held {
		a.out.Credit(len(b) - held)
	}
	if !a.deafLocked() {
		a.heldAgainLocked()
	}
}

func (a *attempt) warnLarge(f serviceproto.Frame) {
	a.v.host.Log.LogAttrs(context.Background(), slog.LevelWarn, "large message from a handler",
		slog.String(logkey.Invocation, a.id.String()), slog.Int(logkey.Bytes, len(f.Payload)), slog.Uint64(logkey.Attempt, uint64(a.number)))
}

// Drained proposes what came together.
func (a *attempt) Drained() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure == nil {
		a.proposeLocked()
	}
}

// Ended takes the end of the response.
func (a *attempt) Ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if !a.deafLocked() {
		a.failLocked(failuref(serviceproto.DocHandler, "unknown: the endpoint ended its response without a final message"))
	}
	a.tellLocked()
}

// Closed takes the end of the exchange.
func (a *attempt) Closed(err error) {
	a.mu.Lock()
	a.closed = true
	if err != nil && !a.deafLocked() {
		a.failLocked(unreachable(err))
	}
	a.tellLocked()
	a.mu.Unlock()
	a.unref()
}

// tellLocked tells the loop that the response is over, if it asked.
func (a *attempt) tellLocked() {
	if a.tell {
		a.tell = false
		a.post(eventOver)
	}
}

// failLocked ends the attempt from the side of the transport; the loop is told.
func (a *attempt) failLocked(f *failure) {
	if a.failure != nil {
		return
	}
	a.failure = f
	if a.deaf {
		return
	}
	a.finishLocked()
	a.freeLocked()
	a.post(eventFailed)
}

func (a *attempt) post(kind eventKind) {
	a.refs.Add(1) // of the event
	a.v.owner.Post(Event{kind: kind, attempt: a})
}

// frameLocked takes one message. kept tells that it is part of the record in the making.
func (a *attempt) frameLocked(f serviceproto.Frame) (kept bool) {
	switch {
	case f.Type.IsCommand():
		return a.commandLocked(f)
	case f.Type == serviceproto.TypeProposeRunCompletion:
		return a.proposalLocked(f)
	case f.Type == serviceproto.TypeEnd:
		if a.hasOutput {
			a.finalLocked(f, finalEnd)
		} else {
			a.rejectLocked(failuref(serviceproto.DocProtocol, "End without an Output"))
		}
	case f.Type == serviceproto.TypeSuspension:
		await, err := serviceproto.ParseSuspension(f.Payload, a.version)
		if a.awaitLocked(await, err) {
			a.finalLocked(f, finalSuspension)
		}
	case f.Type == serviceproto.TypeError:
		if e, err := serviceproto.ParseError(f.Payload); err != nil {
			a.rejectLocked(violation(err))
		} else {
			a.rejectLocked(handlerError(e))
		}
	case f.Type == serviceproto.TypeAwaitingOn:
		await, _, err := serviceproto.ParseAwaitingOn(f.Payload)
		if a.awaitLocked(await, err) {
			a.awaiting = append(a.awaiting[:0], shown(f.Payload)...)
		}
	default:
		a.rejectLocked(violation(serviceproto.Unexpected(f.Type)))
	}
	return false
}

// awaitingBytesMax is how long what a handler waits for may be to be shown to people.
const awaitingBytesMax = 16 << 10

// shown returns the payload of an AwaitingOn if it is kept for people who look, else nothing.
func shown(payload []byte) []byte {
	if len(payload) > awaitingBytesMax {
		return nil
	}
	return payload
}

// awaitLocked tells whether what the handler says it waits for is in order; else the attempt fails.
func (a *attempt) awaitLocked(await serviceproto.Await, err error) bool {
	if err == nil {
		err = await.Within(a.v.cfg.AwaitDepthMax)
	}
	if err != nil {
		a.rejectLocked(violation(err))
	}
	return err == nil
}

// rejectLocked fails the attempt; what came before in good order counts.
func (a *attempt) rejectLocked(f *failure) {
	a.proposeLocked()
	a.failLocked(f)
}

func (a *attempt) commandLocked(f serviceproto.Frame) bool {
	if err := serviceproto.CheckCommand(f, a.scope); err != nil {
		a.rejectLocked(violation(err))
		return false
	}
	switch f.Type {
	case serviceproto.TypeCall, serviceproto.TypeOneWayCall:
		callee, fail := a.callee(f)
		if fail != nil {
			a.rejectLocked(fail)
			return false
		}
		a.callees = append(a.callees, callee)
		if callee.Facts.IdempotencyKey != nil {
			a.next.lookups++
		}
	case serviceproto.TypeGetLazyState, serviceproto.TypeGetLazyStateKeys, serviceproto.TypeGetPromise, serviceproto.TypePeekPromise,
		serviceproto.TypeAttachInvocation, serviceproto.TypeGetInvocationOutput:
		a.next.lookups++
	case serviceproto.TypeOutput:
		a.hasOutput = true
	default:
	}
	a.awaiting = a.awaiting[:0]
	a.appendLocked(f)
	if f.Flags&serviceproto.FlagRequestedAck != 0 {
		a.answerLocked(serviceproto.AppendCommandAck(a.answers, a.commands))
	}
	a.next.commands++
	a.commands++
	return true
}

// appendLocked adds a frame, without its flags, to the record in the making.
func (a *attempt) appendLocked(f serviceproto.Frame) {
	at := len(a.body)
	a.body = append(a.body, f.Raw...)
	binary.BigEndian.PutUint16(a.body[at+2:], 0)
	a.next.frames++
}

// answerLocked notes what is sent when the record is applied: answers with more at its end.
func (a *attempt) answerLocked(answers []byte) {
	a.next.answers += len(answers) - len(a.answers)
	a.answers = answers
}

// proposalLocked makes the completion of a run from its proposal. It comes back with Forward when it is
// stored, in its place among other notifications; the first for an id, if there was one.
func (a *attempt) proposalLocked(f serviceproto.Frame) bool {
	body, completionID, _, err := serviceproto.RunCompletion(a.body, f.Payload)
	if err != nil {
		a.rejectLocked(violation(err))
		return false
	}
	a.awaiting = a.awaiting[:0]
	a.body = body
	a.next.frames++
	if a.version >= 7 && f.Flags&serviceproto.FlagRequestedAck != 0 && a.asked.add(completionID) {
		a.acks.add(completionID)
	}
	return true
}

// ackedLocked returns notifications as the handler gets them: the result of a run that it asked an ack
// for is but that.
func (a *attempt) ackedLocked(frames []byte) []byte {
	if a.acks.empty() {
		return frames
	}
	out := a.acked[:0]
	for len(frames) > 0 {
		f, rest, ok, err := serviceproto.NextFrame(frames, ^uint32(0))
		if err != nil || !ok {
			break // of storage, where it was checked
		}
		n, err := serviceproto.ScanNotification(f)
		if err == nil && f.Type == serviceproto.TypeRunCompletion && a.acks.take(n.CompletionID) {
			out = serviceproto.AppendRunAck(out, n.CompletionID)
		} else {
			out = append(out, f.Raw...)
		}
		frames = rest
	}
	a.acked = keepSmall(out)
	return out
}

// finalLocked takes End or Suspension: the request body ends, what follows is ignored.
func (a *attempt) finalLocked(f serviceproto.Frame, which finalMessage) {
	a.appendLocked(f)
	if which == finalSuspension {
		a.facts.Seen = a.seen
	}
	a.proposeLocked()
	if a.failure == nil {
		a.final = which
		a.finishLocked()
	}
}

// scanLocked notes what the stored journal has.
func (a *attempt) scanLocked(frames []byte) (count uint32) {
	for len(frames) > 0 {
		f, rest, ok, err := serviceproto.NextFrame(frames, ^uint32(0))
		if err != nil || !ok {
			return count // of storage, where it was checked
		}
		a.hasOutput = a.hasOutput || f.Type == serviceproto.TypeOutput
		frames = rest
		count++
	}
	return count
}
