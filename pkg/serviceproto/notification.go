package serviceproto

import (
	"google.golang.org/protobuf/encoding/protowire"

	"reprise/pkg/id"
)

// Notification is what the engine needs to know of a notification frame.
type Notification struct {
	Type         Type
	CompletionID uint32
	// HasSignal tells that it is a signal: by index, or by name if SignalIndex is 0, which is no index.
	HasSignal   bool
	SignalIndex uint32
	SignalName  string
	Failed      bool // else void or a value
}

// ScanNotification reads the id and the kind of result of a notification. It allocates only a name.
func ScanNotification(f Frame) (Notification, error) {
	n := Notification{Type: f.Type}
	r := reader{b: f.Payload}
	for r.next() {
		switch r.num {
		case 1:
			n.CompletionID = r.uint32()
		case 2:
			n.SignalIndex, n.HasSignal = r.uint32(), true
		case 3:
			n.SignalName, n.HasSignal = string(r.text()), true
		case 6:
			n.Failed = true
		default:
		}
	}
	if !f.Type.IsNotification() {
		return Notification{}, violation("%s is not a notification", f.Type)
	}
	return n, r.err(f.Type)
}

// ParseInvocationID decodes the payload of a CallInvocationIDCompletion.
func ParseInvocationID(payload []byte) (i id.Invocation, completionID uint32, err error) {
	var text []byte
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			completionID = r.uint32()
		case 16:
			text = r.text()
		default:
		}
	}
	if err := r.err(TypeCallInvocationIDCompletion); err != nil {
		return i, 0, err
	}
	if i, err = id.ParseInvocation(string(text)); err != nil {
		return i, 0, violation("%s: %v", TypeCallInvocationIDCompletion, err)
	}
	return i, completionID, nil
}

// ResultCompletion returns the id of the completion that a command takes its result from; false if it
// has none.
func ResultCompletion(f Frame) (completionID uint32, ok bool, err error) {
	switch f.Type {
	case TypeGetLazyState, TypeGetLazyStateKeys, TypeGetPromise, TypePeekPromise, TypeCompletePromise, TypeSleep, TypeCall, TypeRun,
		TypeAttachInvocation, TypeGetInvocationOutput:
	default:
		return 0, false, nil
	}
	r := reader{b: f.Payload}
	for r.next() {
		if r.num == 11 {
			completionID = r.uint32()
		}
	}
	return completionID, true, r.err(f.Type)
}

// RunCompletion checks a ProposeRunCompletion payload and appends the notification frame that is made
// of it. The error is a *ProtocolError; then dst is returned as it was.
func RunCompletion(dst []byte, proposal []byte) (frame []byte, completionID uint32, failed bool, err error) {
	seen, reason := proposalShape.check(proposal)
	if reason == "" && !seen.hasAny(set(14, 15)) {
		reason = "no result"
	}
	if reason != "" {
		return dst, 0, false, violation("%s: %s", TypeProposeRunCompletion, reason)
	}
	var result []byte
	r := reader{b: proposal}
	for r.next() {
		switch r.num {
		case 1:
			completionID = r.uint32()
		case 14:
			result = r.bytes
		case 15:
			result, failed = r.bytes, true
		default:
		}
	}
	frame, at := begin(dst)
	frame = appendVarintField(frame, 1, uint64(completionID))
	if failed {
		frame = appendBytesField(frame, 6, result)
	} else {
		frame = appendValueField(frame, 5, result)
	}
	return finish(frame, at, TypeRunCompletion), completionID, failed, nil
}

// appendValueField appends a Value message that holds content.
func appendValueField(dst []byte, num protowire.Number, content []byte) []byte {
	return appendOptional(appendLen(dst, num, sizeOptional(1, len(content))), 1, content)
}
