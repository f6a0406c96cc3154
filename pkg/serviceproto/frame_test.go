package serviceproto_test

import (
	"bytes"
	"errors"
	"testing"

	. "reprise/pkg/serviceproto"
)

// docOf returns the documentation code of an error, "" for nil.
func docOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var p *ProtocolError
	if !errors.As(err, &p) {
		t.Fatalf("%v is not a ProtocolError", err)
	}
	if p.Code != 500 || p.Message == "" {
		t.Errorf("%s has code %d and message %q", p.Doc, p.Code, p.Message)
	}
	return p.Doc
}

// TestNextFrameSplit feeds all recorded frames, cut into two at every byte.
func TestNextFrameSplit(t *testing.T) {
	var stream []byte
	var ends []int
	for _, v := range vectors {
		stream = append(stream, unhex(t, v.hex)...)
		ends = append(ends, len(stream))
	}
	for cut := range len(stream) + 1 {
		var got int
		buf := bytes.Clone(stream[:cut])
		drain := func() {
			for {
				f, rest, ok, err := NextFrame(buf, 1<<20)
				if err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if !ok {
					if !bytes.Equal(rest, buf) {
						t.Fatalf("cut at %d: a part of a frame was eaten", cut)
					}
					return
				}
				want := unhex(t, vectors[got].hex)
				if !bytes.Equal(f.Raw, want) || !bytes.Equal(f.Payload, want[FrameHeaderSize:]) || f.Flags != vectors[got].flags {
					t.Fatalf("cut at %d: frame %d is %x", cut, got, f.Raw)
				}
				got++
				buf = rest
			}
		}
		drain()
		if n := 0; got > 0 || cut >= ends[0] {
			for n < len(ends) && ends[n] <= cut {
				n++
			}
			if got != n {
				t.Fatalf("cut at %d: %d frames of %d", cut, got, n)
			}
		}
		buf = append(bytes.Clone(buf), stream[cut:]...)
		drain()
		if got != len(vectors) || len(buf) != 0 {
			t.Fatalf("cut at %d: %d frames, %d bytes left", cut, got, len(buf))
		}
	}
}

func TestNextFrameLimit(t *testing.T) {
	const limit = 33816576
	for _, c := range []struct {
		name, header string
		doc          string
	}{
		{"below", "04010000 0203ffff", ""},
		{"at", "04010000 02040000", "RT0003"},
		{"above", "04010000 ffffffff", "RT0003"},
		{"cut header", "04010000 ffffff", ""},
	} {
		_, _, ok, err := NextFrame(unhex(t, c.header), limit)
		if doc := docOf(t, err); ok || doc != c.doc {
			t.Errorf("%s: %v, %q, not %q", c.name, ok, doc, c.doc)
		}
	}
	f, rest, ok, err := NextFrame(unhex(t, "0003ffff00000000"), 1)
	if !ok || err != nil || f.Type != TypeEnd || f.Flags != 0xffff || f.Payload == nil || len(rest) != 0 {
		t.Errorf("empty frame with all flags: %+v, %v, %v", f, ok, err)
	}
}

// TestFrameBorders: a frame that was cut must not let an append run into the next one.
func TestFrameBorders(t *testing.T) {
	stream := append(unhex(t, "04050000 00000000"), unhex(t, "00030000 00000000")...)
	f, _, _, _ := NextFrame(stream, 10)
	_ = append(f.Raw, 0xff)
	_ = append(f.Payload, 0xff)
	if stream[8] != 0 {
		t.Error("the next frame was overwritten")
	}
}

func TestAppendFrame(t *testing.T) {
	b := AppendFrame([]byte("x"), TypeRun, []byte{1, 2})
	if want := append([]byte("x"), unhex(t, "04110000 00000002 0102")...); !bytes.Equal(b, want) {
		t.Errorf("%x", b)
	}
	PutFrameHeader(b[1:], TypeSignalNotification, 0x01020304)
	if want := append([]byte("x"), unhex(t, "fbff0000 01020304 0102")...); !bytes.Equal(b, want) {
		t.Errorf("%x", b)
	}
}

func TestTypes(t *testing.T) {
	known := map[Type]string{
		TypeStart: "Start", TypeSuspension: "Suspension", TypeError: "Error", TypeEnd: "End", TypeCommandAck: "CommandAck",
		TypeProposeRunCompletion: "ProposeRunCompletion", TypeAwaitingOn: "AwaitingOn", TypeProposeRunCompletionAck: "ProposeRunCompletionAck",
		TypeInput: "Input", TypeOutput: "Output", TypeGetLazyState: "GetLazyState", TypeSetState: "SetState", TypeClearState: "ClearState",
		TypeClearAllState: "ClearAllState", TypeGetLazyStateKeys: "GetLazyStateKeys", TypeGetEagerState: "GetEagerState",
		TypeGetEagerStateKeys: "GetEagerStateKeys", TypeGetPromise: "GetPromise", TypePeekPromise: "PeekPromise",
		TypeCompletePromise: "CompletePromise", TypeSleep: "Sleep", TypeCall: "Call", TypeOneWayCall: "OneWayCall",
		TypeSendSignal: "SendSignal", TypeRun: "Run", TypeAttachInvocation: "AttachInvocation",
		TypeGetInvocationOutput: "GetInvocationOutput", TypeCompleteAwakeable: "CompleteAwakeable",
		TypeGetLazyStateCompletion: "GetLazyStateCompletion", TypeGetLazyStateKeysCompletion: "GetLazyStateKeysCompletion",
		TypeGetPromiseCompletion: "GetPromiseCompletion", TypePeekPromiseCompletion: "PeekPromiseCompletion",
		TypeCompletePromiseCompletion: "CompletePromiseCompletion", TypeSleepCompletion: "SleepCompletion",
		TypeCallCompletion: "CallCompletion", TypeCallInvocationIDCompletion: "CallInvocationIdCompletion",
		TypeRunCompletion: "RunCompletion", TypeAttachInvocationCompletion: "AttachInvocationCompletion",
		TypeGetInvocationOutputCompletion: "GetInvocationOutputCompletion", TypeSignalNotification: "SignalNotification",
	}
	for n := range 1 << 16 {
		typ := Type(n)
		name, ok := known[typ]
		if typ.Known() != ok || ok && typ.String() != name {
			t.Errorf("%04x: known %v, %s", n, typ.Known(), typ)
		}
		if typ.IsControl() != (n < 0x400) || typ.IsCommand() != (n >= 0x400 && n < 0x8000) || typ.IsNotification() != (n >= 0x8000 && n < 0xfc00) {
			t.Errorf("%04x: %v, %v, %v", n, typ.IsControl(), typ.IsCommand(), typ.IsNotification())
		}
	}
	if got := Type(0x100).String(); got != "Type(0x0100)" {
		t.Errorf("unknown type is %s", got)
	}
}

func TestVersions(t *testing.T) {
	if got := AcceptHeader(); got != "application/vnd.restate.endpointmanifest.v1+json, application/vnd.restate.endpointmanifest.v2+json, "+
		"application/vnd.restate.endpointmanifest.v3+json, application/vnd.restate.endpointmanifest.v4+json" {
		t.Errorf("accept is %s", got)
	}
	for v, want := range map[uint32]string{5: "5", 6: "6", 7: "7", 8: "8"} {
		if got := ContentType(v); got != "application/vnd.restate.invocation.v"+want {
			t.Errorf("content-type of %d is %s", v, got)
		}
	}
	for _, c := range []struct {
		contentType string
		version     int
	}{
		{"application/vnd.restate.endpointmanifest.v1+json", 1}, {"application/vnd.restate.endpointmanifest.v4+json", 4},
		{"application/vnd.restate.endpointmanifest.v5+json", 0}, {"application/vnd.restate.endpointmanifest.v4+json; charset=utf-8", 0},
		{"application/json", 0}, {"", 0},
	} {
		if v, ok := ManifestVersion(c.contentType); v != c.version || ok != (v != 0) {
			t.Errorf("%q is version %d, %v", c.contentType, v, ok)
		}
	}
	for _, c := range []struct {
		low, high, server, want uint32
		ok, overlaps            bool
	}{
		{5, 7, 6, 6, true, true}, {5, 7, 7, 7, true, true}, {5, 5, 6, 5, true, true}, {6, 6, 7, 6, true, true},
		{1, 99, 6, 6, true, true}, {7, 7, 6, 6, false, true}, {1, 4, 6, 4, false, false}, {8, 9, 7, 7, false, false},
	} {
		if v, ok := Negotiate(c.low, c.high, c.server); v != c.want || ok != c.ok || Overlaps(c.low, c.high) != c.overlaps {
			t.Errorf("%d to %d with %d: %d, %v, overlaps %v", c.low, c.high, c.server, v, ok, Overlaps(c.low, c.high))
		}
	}
}
