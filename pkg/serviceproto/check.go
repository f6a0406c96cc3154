package serviceproto

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// Scope is who sends a command.
type Scope struct {
	ServiceType storedv1.ServiceType
	HandlerType storedv1.HandlerType
}

// rule is what a command must look like and who may send it.
type rule struct {
	shape *shape
	needs fieldSet // at least one of these
	lacks string   // what is missing if none is there
	who   who
}

type who uint8

const (
	anybody who = iota
	withState
	stateWriter
	inWorkflow
)

var rules = [...]rule{
	0x01: {shape: &outputShape, needs: set(14, 15), lacks: "result"},
	0x02: {shape: &keyAndCompletionShape, who: withState},
	0x03: {shape: &setStateShape, needs: set(3), lacks: "value", who: stateWriter},
	0x04: {shape: &keyAndCompletionShape, who: stateWriter},
	0x05: {shape: &completionShape, who: stateWriter},
	0x06: {shape: &completionShape, who: withState},
	0x07: {shape: &getEagerStateShape, needs: set(13, 14), lacks: "result", who: withState},
	0x08: {shape: &getEagerStateKeysShape, who: withState},
	0x09: {shape: &keyAndCompletionShape, who: inWorkflow},
	0x0A: {shape: &keyAndCompletionShape, who: inWorkflow},
	0x0B: {shape: &completePromiseShape, needs: set(2, 3), lacks: "completion", who: inWorkflow},
	0x0C: {shape: &sleepShape},
	0x0D: {shape: &callShape},
	0x0E: {shape: &oneWayCallShape},
	0x10: {shape: &sendSignalShape, needs: set(4, 5, 6), lacks: "result"},
	0x11: {shape: &completionShape},
	0x12: {shape: &attachShape, needs: set(1, 3, 4), lacks: "target"},
	0x13: {shape: &attachShape, needs: set(1, 3, 4), lacks: "target"},
	0x14: {shape: &completeAwakeableShape, needs: set(2, 3), lacks: "result"},
}

// CheckCommand decodes a command wholly and says whether it may be proposed. It checks all that
// needs no schema; of a call that is all but the callee. The error is a *ProtocolError.
func CheckCommand(f Frame, s Scope) error {
	at := int(f.Type) - int(firstCommand)
	if !f.Type.IsCommand() || at >= len(rules) || rules[at].shape == nil {
		return Unexpected(f.Type) // Input too: only the engine writes it
	}
	r := &rules[at]
	seen, reason := r.shape.check(f.Payload)
	if reason != "" {
		return violation("%s command: %s", f.Type, reason)
	}
	if r.needs != 0 && !seen.hasAny(r.needs) {
		return violation("%s command without %s", f.Type, r.lacks)
	}
	if err := r.who.check(f.Type, s); err != nil {
		return err
	}
	return checkContent(f)
}

// check refuses with a *ProtocolError; it returns error so that nil stays nil.
func (w who) check(t Type, s Scope) error {
	switch w {
	case anybody:
		return nil
	case inWorkflow:
		if s.ServiceType != storedv1.ServiceType_SERVICE_TYPE_WORKFLOW {
			return docError(DocPrecondition, "%s is for workflows only", t)
		}
		return nil
	default:
	}
	switch s.ServiceType {
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
	default:
		return docError(DocPrecondition, "%s in a service, which has no state", t)
	}
	if w == stateWriter && s.HandlerType == storedv1.HandlerType_HANDLER_TYPE_SHARED {
		return docError(DocPrecondition, "%s in a shared handler, which may only read state", t)
	}
	return nil
}

// checkContent looks into the commands whose shape does not say all.
func checkContent(f Frame) error {
	switch f.Type {
	case TypeCall:
		return checkCall(f, callFields{idempotencyKey: 6, scope: 7, limitKey: 8})
	case TypeOneWayCall:
		return checkCall(f, callFields{idempotencyKey: 7, scope: 8, limitKey: 9})
	case TypeSendSignal:
		return checkSendSignal(f.Payload)
	case TypeAttachInvocation, TypeGetInvocationOutput:
		return checkAttach(f)
	case TypeCompleteAwakeable:
		text := firstText(f.Payload, 1)
		if _, _, _, err := id.ParseAwakeable(string(text)); err != nil {
			return violation("CompleteAwakeable command with id %q: %v", clip(text), err)
		}
	default:
	}
	return nil
}

// callFields are the numbers that differ between Call and OneWayCall.
type callFields struct{ idempotencyKey, scope, limitKey int32 }

func checkCall(f Frame, at callFields) error {
	scoped, limited := false, false // an empty one is none
	r := reader{b: f.Payload}
	for r.next() {
		switch int32(r.num) {
		case at.idempotencyKey:
			if len(r.bytes) == 0 {
				return docError(DocPrecondition, "%s command with an empty idempotency key", f.Type)
			}
		case at.scope:
			scoped = len(r.bytes) != 0
		case at.limitKey:
			limited = len(r.bytes) != 0
		default:
		}
	}
	switch {
	case scoped:
		return scopesAreOff(f.Type)
	case limited:
		return docError(DocFlowControl, "%s command with a limit key, but without a scope, in which alone it means something", f.Type)
	}
	return nil
}

// scopesAreOff refuses a scope, in every version: scopes belong to a feature that is off.
func scopesAreOff(t Type) error {
	return docError(DocFlowControl, "%s command with a scope, but flow control is not enabled", t)
}

func checkSendSignal(payload []byte) error {
	s, err := ParseSendSignal(payload)
	if err != nil {
		return err
	}
	if !s.Named && s.Index == 0 {
		return violation("SendSignal command without a signal id")
	}
	return nil
}

func checkAttach(f Frame) error {
	r := reader{b: f.Payload}
	for r.next() {
		switch r.num {
		case 1:
			if _, err := id.ParseInvocation(string(r.bytes)); err != nil {
				return docError(DocPrecondition, "%s command with invocation id %q: %v", f.Type, clip(r.bytes), err)
			}
		case 3:
			if len(firstText(r.bytes, 5)) != 0 {
				return scopesAreOff(f.Type)
			}
		case 4:
			if len(firstText(r.bytes, 3)) != 0 {
				return scopesAreOff(f.Type)
			}
		default:
		}
	}
	return nil
}

// firstText returns a text field of a message that was checked.
func firstText(b []byte, num int32) []byte {
	r := reader{b: b}
	for r.next() {
		if int32(r.num) == num {
			return r.bytes
		}
	}
	return nil
}

// clip bounds what a message repeats of the input.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }
