package serviceproto_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"reprise/pkg/journal"
	. "reprise/pkg/serviceproto"
)

// everything resolves whatever is asked for.
type everything struct{}

func (everything) Completion(uint32) journal.Outcome  { return journal.Success }
func (everything) Signal(uint32) journal.Outcome      { return journal.Success }
func (everything) NamedSignal(string) journal.Outcome { return journal.Success }

func seed(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.hex))
	}
}

// FuzzNextFrame: frames that are cut cover the bytes, whatever they are.
func FuzzNextFrame(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var back []byte
		rest := b
		for {
			fr, next, ok, err := NextFrame(rest, 1<<16)
			if err != nil && (ok || docOf(t, err) != "RT0003") {
				t.Fatalf("%v, %v", ok, err)
			}
			if !ok {
				break
			}
			back = append(back, fr.Raw...)
			rest = next
		}
		if !bytes.Equal(append(back, rest...), b) {
			t.Fatalf("%x was lost or made up", b)
		}
	})
}

// FuzzCheckCommand: what is accepted can be read by the generated code, which checks UTF-8 too, and by
// every reader of ours with the same outcome.
func FuzzCheckCommand(f *testing.F) {
	for _, v := range vectors {
		b := unhex(f, v.hex)
		f.Add(uint16(b[0])<<8|uint16(b[1]), b[FrameHeaderSize:])
	}
	f.Fuzz(func(t *testing.T, n uint16, payload []byte) {
		fr := Frame{Type: Type(n), Payload: payload, Raw: AppendFrame(nil, Type(n), payload)}
		if err := CheckCommand(fr, inRun); err != nil {
			docOf(t, err)
			return
		}
		if !fr.Type.Known() || !fr.Type.IsCommand() || fr.Type == TypeInput {
			t.Fatalf("%s was accepted", fr.Type)
		}
		m := messageOf(fr.Type)
		if err := proto.Unmarshal(payload, m); err != nil {
			t.Fatalf("%s %x: accepted, but %v", fr.Type, payload, err)
		}
		vt := messageOf(fr.Type)
		if err := vt.(interface{ UnmarshalVT([]byte) error }).UnmarshalVT(payload); err != nil {
			t.Fatalf("%s %x: accepted, but %v", fr.Type, payload, err)
		}
		if err := readAll(fr); err != nil {
			t.Fatalf("%s %x: accepted, but %v", fr.Type, payload, err)
		}
	})
}

// readAll reads a command with all that is there for its type.
func readAll(f Frame) (err error) {
	switch f.Type {
	case TypeOutput:
		_, err = OutputResult(f.Payload)
	case TypeCall, TypeOneWayCall:
		_, err = ParseCall(f)
	case TypeSleep:
		_, _, err = ParseSleep(f.Payload)
	case TypeSetState:
		_, _, err = ParseSetState(f.Payload)
	case TypeClearState, TypeGetLazyState:
		_, _, err = ParseStateKey(f.Payload)
	case TypeGetLazyStateKeys:
		_, err = ParseGetLazyStateKeys(f.Payload)
	case TypeCompleteAwakeable:
		_, _, err = ParseCompleteAwakeable(f.Payload)
	case TypeSendSignal:
		var s SendSignal
		if s, err = ParseSendSignal(f.Payload); err == nil {
			var n Frame
			if n, _, _, err = NextFrame(AppendSignal(nil, s), 1<<30); err == nil {
				_, err = ScanNotification(n)
			}
		}
	case TypeGetPromise, TypePeekPromise:
		_, _, err = ParsePromise(f)
	case TypeCompletePromise:
		_, err = ParseCompletePromise(f.Payload)
	case TypeAttachInvocation, TypeGetInvocationOutput:
		_, _, err = ParseAttach(f)
	default:
	}
	return err
}

// FuzzRunCompletion: what is accepted makes a notification that can be read.
func FuzzRunCompletion(f *testing.F) {
	f.Add(unhex(f, "0801 72092272616e20626f6222"))
	f.Add(unhex(f, "0802 7a0a 08f403 120172 1a021200"))
	f.Fuzz(func(t *testing.T, proposal []byte) {
		frame, cid, failed, err := RunCompletion(nil, proposal)
		if err != nil {
			docOf(t, err)
			return
		}
		fr, rest, ok, err := NextFrame(frame, 1<<30)
		if err != nil || !ok || len(rest) != 0 {
			t.Fatalf("%x is no frame", frame)
		}
		n, err := ScanNotification(fr)
		if err != nil || n != (Notification{Type: TypeRunCompletion, CompletionID: cid, Failed: failed}) {
			t.Fatalf("%x is %+v, %v", frame, n, err)
		}
		if err := proto.Unmarshal(fr.Payload, messageOf(fr.Type)); err != nil {
			t.Fatalf("%x: %v", frame, err)
		}
		res, err := CompletionResult(fr.Payload)
		if err != nil || (res.GetFailure() != nil) != failed {
			t.Fatalf("%x has result %v, %v", frame, res, err)
		}
	})
}

// FuzzSuspension: what is accepted can be evaluated and is satisfied when everything is there.
func FuzzSuspension(f *testing.F) {
	f.Add(uint32(6), unhex(f, "0a0101 120101"))
	f.Add(uint32(7), unhex(f, "220c 120101 2205 0a0101 2801 2801"))
	f.Fuzz(func(t *testing.T, version uint32, payload []byte) {
		version = 5 + version%3
		a, err := ParseSuspension(payload, version)
		if err != nil {
			docOf(t, err)
			return
		}
		if !a.Satisfied(everything{}) {
			t.Fatalf("%x waits although everything is there", payload)
		}
		if _, err := StoredAwait(a.AppendStored(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzOther reads what else comes from an endpoint.
func FuzzOther(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseError(b); err == nil {
			if uerr := proto.Unmarshal(b, messageOf(TypeError)); uerr != nil || e.Code == 0 || e.Code > 65535 {
				t.Fatalf("%+v, %v", e, uerr)
			}
		}
		if _, _, err := ParseAwaitingOn(b); err == nil {
			if err := proto.Unmarshal(b, messageOf(TypeAwaitingOn)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ScanNotification(Frame{Type: TypeSignalNotification, Payload: b}); err != nil {
			docOf(t, err)
		}
	})
}
