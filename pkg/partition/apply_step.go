package partition

import (
	"errors"
	"math"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// noLimit is for frames that are in the log: their size was checked before.
const noLimit = math.MaxUint32

// applyStep stores what an attempt sent and does what its commands ask for, in one go.
//
// What cannot be decoded was not checked by whoever proposed it. What stood before it is kept, and the
// invocation is paused: a fault of ours must not stop the partition.
func (a *application) applyStep() error {
	inv, err := a.attempted()
	if err != nil {
		return err
	}
	if inv == nil {
		a.emit(Effect{Kind: EffectStepped, Dropped: true, ID: a.rec.ID, Activation: a.rec.Activation, Attempt: a.rec.Attempt})
		return nil
	}
	a.step = step{inv: inv, index: inv.Journal, body: a.rec.Body}
	if err := a.stepFacts(); err != nil {
		return err
	}
	final, cause := a.applyFrames()
	if cause != nil && protocolError(cause) == nil {
		return cause
	}
	if err := a.storeRow(); err != nil {
		return err
	}
	if cause == nil {
		cause = a.finish(final)
	}
	a.step.inv = nil
	if bad := protocolError(cause); bad != nil {
		return a.pause(inv, &storedv1.AttemptFailure{Code: bad.Code, Message: bad.Message, DocCode: bad.Doc})
	}
	return cause
}

// protocolError returns err if it says that a frame is wrong, else nil.
func protocolError(err error) *serviceproto.ProtocolError {
	if err == nil {
		return nil
	}
	var bad *serviceproto.ProtocolError
	if errors.As(err, &bad) {
		return bad
	}
	return nil
}

func malformedStep(message string) error {
	return &serviceproto.ProtocolError{Doc: serviceproto.DocProtocol, Code: 500, Message: message}
}

// stepFacts takes what the proposer resolved: the deployment, with the first record, and callees.
func (a *application) stepFacts() error {
	if len(a.rec.Facts) == 0 {
		return nil
	}
	var facts storedv1.StepFacts
	if err := facts.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	a.step.callees, a.step.seen = facts.Callees, facts.Seen
	row := &a.step.inv.Row
	if facts.Pin == nil || row.Pin != nil {
		return nil
	}
	row.Pin = facts.Pin
	row.ModifiedAtMs = a.now
	return a.st.PutInvocation(a.step.inv)
}

// applyFrames goes through the frames of the record. final is the Suspension or End that closes it, if any.
func (a *application) applyFrames() (final serviceproto.Frame, err error) {
	s := &a.step
	for rest := s.body; len(rest) > 0; {
		f, next, ok, err := serviceproto.NextFrame(rest, noLimit)
		if err != nil {
			return final, err
		}
		if !ok {
			return final, malformedStep("a frame is cut short")
		}
		rest = next
		if f.Type == serviceproto.TypeSuspension || f.Type == serviceproto.TypeEnd {
			if len(rest) > 0 {
				return final, malformedStep("frames follow the end of an attempt")
			}
			return f, nil
		}
		if err := a.applyFrame(f, len(s.body)-len(rest)); err != nil {
			return final, err
		}
	}
	return final, nil
}

func (a *application) applyFrame(f serviceproto.Frame, end int) error {
	s := &a.step
	if f.Type == serviceproto.TypeRunCompletion {
		return a.applyRunCompletion(f, end)
	}
	kept, row, rebuilt, entries := s.kept, s.row, s.rebuilt, s.entries
	s.keep(f, end)
	err := a.applyCommand(f)
	if err != nil {
		s.kept, s.row, s.rebuilt, s.entries = kept, row, rebuilt, entries
	}
	return err
}

// applyCommand does what a command asks for beside being stored.
func (a *application) applyCommand(f serviceproto.Frame) error {
	switch f.Type {
	case serviceproto.TypeRun, serviceproto.TypeGetEagerState, serviceproto.TypeGetEagerStateKeys:
		return nil
	case serviceproto.TypeOutput:
		a.step.output = f.Payload
		return nil
	case serviceproto.TypeSetState:
		return a.applySetState(f)
	case serviceproto.TypeClearState:
		return a.applyClearState(f)
	case serviceproto.TypeClearAllState:
		service, key := a.object()
		return a.st.ClearAllUserState(service, key)
	case serviceproto.TypeGetLazyState:
		return a.applyGetLazyState(f)
	case serviceproto.TypeGetLazyStateKeys:
		return a.applyGetLazyStateKeys(f)
	case serviceproto.TypeSleep:
		return a.applySleep(f)
	case serviceproto.TypeCall, serviceproto.TypeOneWayCall:
		return a.applyCall(f)
	case serviceproto.TypeCompleteAwakeable:
		return a.applyCompleteAwakeable(f)
	case serviceproto.TypeSendSignal:
		return a.applySendSignal(f)
	case serviceproto.TypeGetPromise, serviceproto.TypePeekPromise:
		return a.applyGetPromise(f)
	case serviceproto.TypeCompletePromise:
		return a.applyCompletePromise(f)
	case serviceproto.TypeAttachInvocation, serviceproto.TypeGetInvocationOutput:
		return a.applyAttachCommand(f)
	default:
		return errs.Newf(errs.Unsupported, "%s at %d: this binary does not apply it", f.Type, a.rec.LSN)
	}
}

// applyRunCompletion stores the outcome of a run. The first one for an id counts, and is told again.
func (a *application) applyRunCompletion(f serviceproto.Frame, end int) error {
	s := &a.step
	n, err := serviceproto.ScanNotification(f)
	if err != nil {
		return err
	}
	if s.index.Completion(n.CompletionID) != 0 {
		s.rebuild(0)
		s.again = append(s.again, n.CompletionID)
		return nil
	}
	s.keep(f, end)
	s.note(n)
	return nil
}

func (a *application) applySetState(f serviceproto.Frame) error {
	name, value, err := serviceproto.ParseSetState(f.Payload)
	if err != nil {
		return err
	}
	service, key := a.object()
	return a.st.SetUserState(service, key, name, value)
}

func (a *application) object() (service, key string) {
	t := a.step.inv.Row.Target
	return t.GetService(), t.GetKey()
}

func (a *application) applyClearState(f serviceproto.Frame) error {
	name, _, err := serviceproto.ParseStateKey(f.Payload)
	if err != nil {
		return err
	}
	service, key := a.object()
	return a.st.ClearUserState(service, key, name)
}

func (a *application) applyGetLazyState(f serviceproto.Frame) error {
	name, completion, err := serviceproto.ParseStateKey(f.Payload)
	if err != nil {
		return err
	}
	service, key := a.object()
	value, found, err := a.st.UserState(service, key, name)
	if err != nil {
		return err
	}
	if !found {
		a.step.completed(completion, serviceproto.AppendVoid(nil, serviceproto.TypeGetLazyStateCompletion, completion))
		return nil
	}
	a.step.completed(completion, serviceproto.AppendValue(nil, serviceproto.TypeGetLazyStateCompletion, completion, value))
	return nil
}

func (a *application) applyGetLazyStateKeys(f serviceproto.Frame) error {
	completion, err := serviceproto.ParseGetLazyStateKeys(f.Payload)
	if err != nil {
		return err
	}
	service, key := a.object()
	names, err := a.st.UserStateNames(service, key)
	if err != nil {
		return err
	}
	a.step.completed(completion, serviceproto.AppendStateKeys(nil, completion, names))
	return nil
}

func (a *application) applySleep(f serviceproto.Frame) error {
	due, completion, err := serviceproto.ParseSleep(f.Payload)
	if err != nil {
		return err
	}
	if due <= a.now {
		a.step.completed(completion, serviceproto.AppendVoid(nil, serviceproto.TypeSleepCompletion, completion))
		return nil
	}
	inv := a.step.inv
	return a.putTimer(sleepTimer(inv, due, completion))
}

// applyCall creates the callee, here or at the partition of its key, with what the proposer resolved.
func (a *application) applyCall(f serviceproto.Frame) error {
	s := &a.step
	call, err := serviceproto.ParseCall(f)
	if err != nil {
		return err
	}
	if len(s.callees) == 0 || s.callees[0].GetFacts() == nil {
		return malformedStep("a call was not resolved")
	}
	callee := s.callees[0]
	s.callees = s.callees[1:]
	to, err := invocationID(callee.Id)
	if err != nil {
		return err
	}
	s.completed(call.InvocationIDCompletion, serviceproto.AppendInvocationID(nil, call.InvocationIDCompletion, to.String()))
	facts := callee.Facts
	facts.CallerId, facts.CallerTarget = idBytes(s.inv.ID), s.inv.Row.Target
	facts.ExecuteAtMs, facts.Sink = call.InvokeTime, nil
	if !call.OneWay {
		facts.ExecuteAtMs = 0
		facts.Sink = s.sink(call.ResultCompletion)
	}
	return a.send(creation{id: to, facts: facts, input: serviceproto.AppendInput(nil, call.Headers, call.Parameter), owned: true})
}

func idBytes(i id.Invocation) []byte { return append([]byte{}, i[:]...) }

// applyCompleteAwakeable resolves an awakeable of any invocation. One of the old kind addresses nothing.
func (a *application) applyCompleteAwakeable(f serviceproto.Frame) error {
	text, result, err := serviceproto.ParseCompleteAwakeable(f.Payload)
	if err != nil {
		return err
	}
	to, index, legacy, err := id.ParseAwakeable(text)
	if err != nil {
		return malformedStep("awakeable id: " + err.Error())
	}
	if legacy {
		return nil
	}
	return a.signal(to, serviceproto.AppendSignalResult(nil, index, result))
}

// applySendSignal hands a signal to any invocation, even to the one that sends it.
func (a *application) applySendSignal(f serviceproto.Frame) error {
	s, err := serviceproto.ParseSendSignal(f.Payload)
	if err != nil {
		return err
	}
	return a.signal(s.Target, serviceproto.AppendSignal(nil, s))
}

// finish does what the last frame of an attempt asks for.
func (a *application) finish(final serviceproto.Frame) error {
	switch {
	case final.Raw == nil:
		return nil
	case final.Type == serviceproto.TypeSuspension:
		return a.suspend(final.Payload)
	default:
		return a.end()
	}
}

// suspend has the invocation wait, unless what it waits for is there: then it goes on in a new activation.
func (a *application) suspend(payload []byte) error {
	inv := a.step.inv
	await, err := serviceproto.ParseSuspension(payload, inv.Row.Pin.GetProtocolVersion())
	if err != nil {
		return err
	}
	if inv.Row.Pausing {
		return a.pause(inv, nil)
	}
	if a.satisfied(await) {
		a.emit(Effect{Kind: EffectStop, ID: inv.ID, Activation: a.rec.Activation})
		return a.activate(inv)
	}
	a.deactivate(inv, storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED)
	inv.Row.Awaiting = await.AppendStored(nil)
	return a.st.PutInvocation(inv)
}

// satisfied tells whether what a handler waits for is there. If nothing came since its replay, a signal
// that it was shown and that may come again is one that it has taken: it waits for the next one. Else the
// invocation would be started over and over, as after a cancellation that its handler survived.
func (a *application) satisfied(await serviceproto.Await) bool {
	index := a.step.index
	if index.Entries-index.Commands > a.step.seen {
		return await.Satisfied(index)
	}
	return await.Satisfied(serviceproto.Once{Resolved: index})
}

// end completes the invocation with its last Output.
func (a *application) end() error {
	output := a.step.output
	if output == nil {
		var err error
		if output, err = a.lastOutput(); err != nil {
			return err
		}
	}
	if output == nil {
		return malformedStep("the attempt ended without an output")
	}
	result, err := serviceproto.OutputResult(output)
	if err != nil {
		return err
	}
	inv := a.step.inv
	a.step.inv = nil // what follows is not part of the step any more
	return a.complete(inv, result)
}
