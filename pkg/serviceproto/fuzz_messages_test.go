package serviceproto_test

import (
	"testing"

	. "reprise/pkg/serviceproto"
)

// FuzzMessages: no reader of a message breaks on bytes that nothing has checked, and what it returns lies in them.
func FuzzMessages(f *testing.F) {
	for _, v := range vectors {
		b := unhex(f, v.hex)
		f.Add(b[min(len(b), FrameHeaderSize):])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		within := func(parts ...[]byte) {
			n := 0
			for _, p := range parts {
				n += len(p)
			}
			if n > len(b) {
				t.Fatalf("%d bytes were made of %d", n, len(b))
			}
		}
		for _, typ := range []Type{TypeCall, TypeOneWayCall} {
			if c, err := ParseCall(Frame{Type: typ, Payload: b}); err == nil {
				within([]byte(c.Service), []byte(c.Handler), []byte(c.Key))
			}
		}
		_, _, _ = ParseSleep(b)
		if key, value, err := ParseSetState(b); err == nil {
			within(key, value)
		}
		if key, _, err := ParseStateKey(b); err == nil {
			within(key)
		}
		_, _ = ParseGetLazyStateKeys(b)
		if text, res, err := ParseCompleteAwakeable(b); err == nil {
			within([]byte(text), res.GetValue())
		}
		_, _ = ParseSendSignal(b)
		if res, err := OutputResult(b); err == nil {
			within(res.GetValue())
		}
		if res, err := CompletionResult(b); err == nil {
			within(res.GetValue())
		}
		for _, typ := range []Type{TypeSleepCompletion, TypeCallCompletion, TypeRunCompletion, TypeSignalNotification, TypeCall} {
			_, _ = ScanNotification(Frame{Type: typ, Payload: b})
		}
		if a, err := StoredAwait(b); err == nil {
			a.Satisfied(everything{})
			if a.Depth() > len(b) {
				t.Fatalf("a tree of depth %d in %d bytes", a.Depth(), len(b))
			}
		}
	})
}
