package serviceproto

import (
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// The Parse functions read what passed CheckCommand. They refuse what is malformed, but do not
// repeat its other checks. Byte slices are borrowed from the payload, strings are copied.

// Header is a header of an invocation.
type Header struct{ Key, Value string }

// Call is a Call or a OneWayCall command.
type Call struct {
	Service, Handler, Key  string
	Parameter              []byte
	Headers                []Header
	IdempotencyKey         *string
	InvokeTime             int64 // of a OneWayCall, Unix milliseconds; 0 = now
	InvocationIDCompletion uint32
	ResultCompletion       uint32 // of a Call
	OneWay                 bool
	Name                   string
}

// ParseCall decodes a Call or OneWayCall frame.
func ParseCall(f Frame) (Call, error) {
	c := Call{OneWay: f.Type == TypeOneWayCall}
	if !c.OneWay && f.Type != TypeCall {
		return Call{}, violation("%s is not a call", f.Type)
	}
	r := reader{b: f.Payload}
	for r.next() {
		num := r.num
		switch {
		case !c.OneWay:
		case num == 4:
			c.InvokeTime = r.millis()
			continue
		case num == 11: // a field that it does not have
			continue
		case num > 4 && num < 10:
			num-- // the invoke time shifts what follows it by one
		default:
		}
		switch num {
		case 1:
			c.Service = string(r.text())
		case 2:
			c.Handler = string(r.text())
		case 3:
			c.Parameter = r.raw()
		case 4:
			c.Headers = append(c.Headers, r.header())
		case 5:
			c.Key = string(r.text())
		case 6:
			key := string(r.text())
			c.IdempotencyKey = &key
		case 10:
			c.InvocationIDCompletion = r.uint32()
		case 11:
			c.ResultCompletion = r.uint32()
		case 12:
			c.Name = string(r.text())
		default:
		}
	}
	return c, r.err(f.Type)
}

func (r *reader) header() (h Header) {
	in := reader{b: r.raw()}
	for in.next() {
		switch in.num {
		case 1:
			h.Key = string(in.text())
		case 2:
			h.Value = string(in.text())
		default:
		}
	}
	r.bad = r.bad || in.bad
	return h
}

// content returns what a Value message holds, borrowed.
func (r *reader) content() (content []byte) {
	in := reader{b: r.raw()}
	for in.next() {
		if in.num == 1 {
			content = in.raw()
		}
	}
	r.bad = r.bad || in.bad
	return content
}

// valueResult returns a Value message as a result of its own.
func (r *reader) valueResult() *storedv1.Result {
	return &storedv1.Result{Result: &storedv1.Result_Value{Value: append([]byte{}, r.content()...)}}
}

// failureResult returns a Failure message as a result.
func (r *reader) failureResult() *storedv1.Result {
	f := &storedv1.Failure{}
	in := reader{b: r.raw()}
	for in.next() {
		switch in.num {
		case 1:
			f.Code = in.uint32()
		case 2:
			f.Message = string(in.text())
		case 3:
			m := in.header()
			f.Metadata = append(f.Metadata, &storedv1.FailureMetadata{Key: m.Key, Value: m.Value})
		default:
		}
	}
	r.bad = r.bad || in.bad
	return &storedv1.Result{Result: &storedv1.Result_Failure{Failure: f}}
}

func (r *reader) err(t Type) error {
	if r.bad {
		return violation("%s: malformed", t)
	}
	return nil
}

// OutputResult returns the result of an Output command, copied.
func OutputResult(payload []byte) (*storedv1.Result, error) {
	return parseResult(payload, TypeOutput, 14, 15)
}

// CompletionResult returns the value or the failure of a notification, copied; nil if it has neither.
func CompletionResult(payload []byte) (*storedv1.Result, error) {
	return parseResult(payload, TypeSignalNotification, 5, 6)
}

func parseResult(payload []byte, t Type, value, failure int32) (res *storedv1.Result, err error) {
	r := reader{b: payload}
	for r.next() {
		switch int32(r.num) {
		case value:
			res = r.valueResult()
		case failure:
			res = r.failureResult()
		default:
		}
	}
	if err = r.err(t); err == nil && res == nil && t == TypeOutput {
		err = violation("Output command without result")
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// ParseSleep decodes a Sleep command; wakeUp is in Unix milliseconds.
func ParseSleep(payload []byte) (wakeUp int64, completionID uint32, err error) {
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			wakeUp = r.millis()
		case 11:
			completionID = r.uint32()
		default:
		}
	}
	return wakeUp, completionID, r.err(TypeSleep)
}

// ParseSetState decodes a SetState command.
func ParseSetState(payload []byte) (key, value []byte, err error) {
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			key = r.raw()
		case 3:
			value = r.content()
		default:
		}
	}
	return key, value, r.err(TypeSetState)
}

// ParseStateKey decodes a ClearState or a GetLazyState command.
func ParseStateKey(payload []byte) (key []byte, completionID uint32, err error) {
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			key = r.raw()
		case 11:
			completionID = r.uint32()
		default:
		}
	}
	return key, completionID, r.err(TypeGetLazyState)
}

// ParseGetLazyStateKeys decodes a GetLazyStateKeys command.
func ParseGetLazyStateKeys(payload []byte) (completionID uint32, err error) {
	r := reader{b: payload}
	for r.next() {
		if r.num == 11 {
			completionID = r.uint32()
		}
	}
	return completionID, r.err(TypeGetLazyStateKeys)
}

// ParseCompleteAwakeable decodes a CompleteAwakeable command; the result is copied.
func ParseCompleteAwakeable(payload []byte) (awakeable string, res *storedv1.Result, err error) {
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			awakeable = string(r.text())
		case 2:
			res = r.valueResult()
		case 3:
			res = r.failureResult()
		default:
		}
	}
	return awakeable, res, r.err(TypeCompleteAwakeable)
}

// SendSignal is a SendSignal command.
type SendSignal struct {
	Target id.Invocation
	Index  uint32 // unless it is Named
	Name   string
	Named  bool

	// result is its result field as it came: the notification has the same one under the same number.
	result []byte
}

// ParseSendSignal decodes a SendSignal command.
func ParseSendSignal(payload []byte) (s SendSignal, err error) {
	var target []byte
	r := reader{b: payload}
	for {
		before := r.b
		if !r.next() {
			break
		}
		switch r.num {
		case 1:
			target = r.text()
		case 2:
			s.Index = r.uint32()
		case 3:
			s.Name, s.Named = string(r.text()), true
		case 4, 5, 6:
			s.result = before[:len(before)-len(r.b)]
		default:
		}
	}
	if err := r.err(TypeSendSignal); err != nil {
		return SendSignal{}, err
	}
	if s.Target, err = id.ParseInvocation(string(target)); err != nil {
		return SendSignal{}, violation("SendSignal command with target %q: %v", clip(target), err)
	}
	return s, nil
}

// Error is what an attempt that failed says about it.
type Error struct {
	Code                uint32 // HTTP-like
	Message, Stacktrace string
	RelatedCommandIndex *uint32
	RelatedCommandName  *string
	RelatedCommandType  *uint32
	NextRetryDelay      *time.Duration // replaces the delay of the policy, once
	Behavior            Behavior
}

// Behavior says what should follow an Error.
type Behavior uint8

// The behaviors.
const (
	BehaviorRetry Behavior = 0
	BehaviorPause Behavior = 1
	BehaviorFail  Behavior = 2
)

// maxCode is the highest code there is; what is above counts as no code, 500.
const maxCode = 65535

// maxRetryDelay bounds what a service may ask for, so that adding it to a time cannot overflow.
const maxRetryDelay = 100 * 365 * 24 * time.Hour

// ParseError decodes an Error message. Strings are copied.
func ParseError(payload []byte) (Error, error) {
	if _, reason := errorShape.check(payload); reason != "" {
		return Error{}, violation("Error message: %s", reason)
	}
	var e Error
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			e.Code = r.uint32()
		case 2:
			e.Message = string(r.text())
		case 3:
			e.Stacktrace = string(r.text())
		case 4:
			index := r.uint32()
			e.RelatedCommandIndex = &index
		case 5:
			name := string(r.text())
			e.RelatedCommandName = &name
		case 6:
			t := r.uint32()
			e.RelatedCommandType = &t
		case 8:
			delay := time.Duration(min(r.uint64(), uint64(maxRetryDelay/time.Millisecond))) * time.Millisecond
			e.NextRetryDelay = &delay
		case 9:
			if b := r.uint32(); b <= uint32(BehaviorFail) { // an unknown one is the default
				e.Behavior = Behavior(b)
			}
		default:
		}
	}
	if e.Code == 0 || e.Code > maxCode {
		e.Code = codeInternal
	}
	return e, nil
}

// Doc is the documentation code of the failure.
func (e Error) Doc() string {
	switch e.Code {
	case CodeJournalMismatch:
		return DocJournalMismatch
	case CodeProtocolViolation:
		return DocProtocol
	default:
		return DocHandler
	}
}
