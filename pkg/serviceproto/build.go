package serviceproto

import (
	"google.golang.org/protobuf/encoding/protowire"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// The Append functions append a whole frame and keep nothing. An id stands in a oneof on the wire,
// so it is written even if it is 0; a void result is an empty message, never left out.

// AppendVoid appends a completion without a value.
func AppendVoid(dst []byte, t Type, completionID uint32) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 1, uint64(completionID))
	return finish(appendLen(dst, 4, 0), at, t)
}

// AppendValue appends a completion with a value.
func AppendValue(dst []byte, t Type, completionID uint32, value []byte) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 1, uint64(completionID))
	return finish(appendValueField(dst, 5, value), at, t)
}

// AppendFailure appends a completion with a failure.
func AppendFailure(dst []byte, t Type, completionID uint32, f *storedv1.Failure) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 1, uint64(completionID))
	return finish(appendFailureField(dst, 6, f), at, t)
}

// AppendResult appends a completion with whichever of value and failure the result is.
func AppendResult(dst []byte, t Type, completionID uint32, res *storedv1.Result) []byte {
	if f := res.GetFailure(); f != nil {
		return AppendFailure(dst, t, completionID, f)
	}
	return AppendValue(dst, t, completionID, res.GetValue())
}

// AppendInvocationID appends the completion that tells the id of a callee.
func AppendInvocationID(dst []byte, completionID uint32, idText string) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 1, uint64(completionID))
	return finish(appendBytesField(dst, 16, idText), at, TypeCallInvocationIDCompletion)
}

// AppendStateKeys appends the completion of a GetLazyStateKeys command.
func AppendStateKeys(dst []byte, completionID uint32, keys [][]byte) []byte {
	size := 0
	for _, k := range keys {
		size += protowire.SizeTag(1) + protowire.SizeBytes(len(k))
	}
	dst, at := begin(dst)
	dst = appendVarintField(dst, 1, uint64(completionID))
	dst = appendLen(dst, 17, size)
	for _, k := range keys {
		dst = appendBytesField(dst, 1, k)
	}
	return finish(dst, at, TypeGetLazyStateKeysCompletion)
}

// AppendSignalVoid appends a signal without a value, such as SignalCancel.
func AppendSignalVoid(dst []byte, index uint32) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 2, uint64(index))
	return finish(appendLen(dst, 4, 0), at, TypeSignalNotification)
}

// AppendSignalValue appends a signal with a value.
func AppendSignalValue(dst []byte, index uint32, value []byte) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 2, uint64(index))
	return finish(appendValueField(dst, 5, value), at, TypeSignalNotification)
}

// AppendSignalFailure appends a signal with a failure.
func AppendSignalFailure(dst []byte, index uint32, f *storedv1.Failure) []byte {
	dst, at := begin(dst)
	dst = appendVarintField(dst, 2, uint64(index))
	return finish(appendFailureField(dst, 6, f), at, TypeSignalNotification)
}

// AppendSignalResult appends a signal with whichever of value and failure the result is.
func AppendSignalResult(dst []byte, index uint32, res *storedv1.Result) []byte {
	if f := res.GetFailure(); f != nil {
		return AppendSignalFailure(dst, index, f)
	}
	return AppendSignalValue(dst, index, res.GetValue())
}

// AppendSignal appends the notification that a SendSignal command asks for.
func AppendSignal(dst []byte, s SendSignal) []byte {
	dst, at := begin(dst)
	if s.Named {
		dst = appendBytesField(dst, 3, s.Name)
	} else {
		dst = appendVarintField(dst, 2, uint64(s.Index))
	}
	return finish(append(dst, s.result...), at, TypeSignalNotification)
}

// AppendCommandAck appends the ack of a command; index counts commands, Input is 0.
func AppendCommandAck(dst []byte, index uint32) []byte { return appendAck(dst, TypeCommandAck, index) }

// AppendRunAck appends the ack of a run proposal.
func AppendRunAck(dst []byte, completionID uint32) []byte {
	return appendAck(dst, TypeProposeRunCompletionAck, completionID)
}

func appendAck(dst []byte, t Type, v uint32) []byte {
	dst, at := begin(dst)
	if v != 0 {
		dst = appendVarintField(dst, 1, uint64(v))
	}
	return finish(dst, at, t)
}

// AppendInput appends the Input command, entry 0 of a journal.
func AppendInput(dst []byte, headers []Header, body []byte) []byte {
	dst, at := begin(dst)
	for _, h := range headers {
		dst = appendPairField(dst, 1, h.Key, h.Value)
	}
	return finish(appendValueField(dst, 14, body), at, TypeInput)
}

// appendPairField appends a message of two strings, such as a Header.
func appendPairField(dst []byte, num protowire.Number, key, value string) []byte {
	dst = appendLen(dst, num, sizeOptional(1, len(key))+sizeOptional(2, len(value)))
	return appendOptional(appendOptional(dst, 1, key), 2, value)
}

func appendFailureField(dst []byte, num protowire.Number, f *storedv1.Failure) []byte {
	size := sizeOptional(2, len(f.GetMessage()))
	if f.GetCode() != 0 {
		size += protowire.SizeTag(1) + protowire.SizeVarint(uint64(f.GetCode()))
	}
	for _, m := range f.GetMetadata() {
		pair := sizeOptional(1, len(m.GetKey())) + sizeOptional(2, len(m.GetValue()))
		size += protowire.SizeTag(3) + protowire.SizeBytes(pair)
	}
	dst = appendLen(dst, num, size)
	if f.GetCode() != 0 {
		dst = appendVarintField(dst, 1, uint64(f.GetCode()))
	}
	dst = appendOptional(dst, 2, f.GetMessage())
	for _, m := range f.GetMetadata() {
		dst = appendPairField(dst, 3, m.GetKey(), m.GetValue())
	}
	return dst
}

// StateEntry is one key of an object's or workflow's state.
type StateEntry struct{ Key, Value []byte }

// Start is what the first frame of an attempt says.
type Start struct {
	Version      uint32 // of the attempt; fields that it does not have are not sent
	ID           id.Invocation
	KnownEntries uint32
	State        []StateEntry
	PartialState bool
	Key          string // of the object or workflow

	RetryCount     uint32 // failed attempts since the last stored command
	SinceLastEntry uint64 // milliseconds since the journal changed
	RandomSeed     uint64
	Scope          *string
	LimitKey       *string
	IdempotencyKey *string
}

// AppendStart appends the Start message.
func AppendStart(dst []byte, s *Start) []byte {
	dst, at := begin(dst)
	dst = appendBytesField(dst, 1, s.ID[:])
	dst = s.ID.AppendText(appendLen(dst, 2, id.InvocationTextLen))
	dst = appendUint(dst, 3, uint64(s.KnownEntries))
	for _, e := range s.State {
		dst = appendLen(dst, 4, sizeOptional(1, len(e.Key))+sizeOptional(2, len(e.Value)))
		dst = appendOptional(appendOptional(dst, 1, e.Key), 2, e.Value)
	}
	if s.PartialState {
		dst = appendVarintField(dst, 5, 1)
	}
	dst = appendOptional(dst, 6, s.Key)
	dst = appendUint(dst, 7, uint64(s.RetryCount))
	dst = appendUint(dst, 8, s.SinceLastEntry)
	dst = appendUint(dst, 9, s.RandomSeed)
	if s.Version >= 7 {
		dst = appendPresent(dst, 10, s.Scope)
		dst = appendPresent(dst, 11, s.LimitKey)
		dst = appendPresent(dst, 12, s.IdempotencyKey)
	}
	return finish(dst, at, TypeStart)
}

// appendUint leaves 0 out.
func appendUint(dst []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return appendVarintField(dst, num, v)
}

// appendPresent appends a string that may be absent; an empty one is there.
func appendPresent(dst []byte, num protowire.Number, v *string) []byte {
	if v == nil {
		return dst
	}
	return appendBytesField(dst, num, *v)
}
