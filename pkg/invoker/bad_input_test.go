package invoker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// message is a frame of bytes fields, given as number and content.
func message(t serviceproto.Type, fields ...any) []byte {
	return raw(t, nested(fields...))
}

func nested(fields ...any) (b []byte) {
	for i := 0; i < len(fields); i += 2 {
		b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(b, v)
		case []byte:
			b = protowire.AppendBytes(b, v)
		}
	}
	return b
}

// header is the beginning of a message that declares a length.
func header(t serviceproto.Type, length uint32) []byte {
	b := raw(t, nil)
	return append(b[:4], byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}

// limit is what a message must be shorter than, by default.
const limit = 32<<20 + messageSlackBytes

const damaged = "a\xffb"

// badMessages are messages that no SDK may send, with what is said of them.
var badMessages = []struct {
	name  string
	frame []byte
	doc   string
	text  string
}{
	{"unknown control message", raw(0x0008, nil), "RT0012", "unknown message type 0x0008 from the service"},
	{"last unknown control message", raw(0x03FF, nil), "RT0012", "unknown message type 0x03ff from the service"},
	{"the command that there is not", raw(0x040F, nil), "RT0012", "unknown message type 0x040f from the service"},
	{"command of a later version", raw(0x0415, nil), "RT0012", "unknown message type 0x0415 from the service"},
	{"last command", raw(0x7FFF, nil), "RT0012", "unknown message type 0x7fff from the service"},
	{"unknown notification", raw(0x8001, nil), "RT0012", "unknown message type 0x8001 from the service"},
	{"first custom command", raw(0xFC00, nil), "RT0012", "unknown message type 0xfc00 from the service"},
	{"last custom command", raw(0xFFFF, nil), "RT0012", "unknown message type 0xffff from the service"},

	{"Start", raw(serviceproto.TypeStart, nil), "RT0012", "unexpected message Start from the service: only the engine sends it"},
	{"Input", partitiontest.Input("x"), "RT0012", "unexpected message Input from the service: only the engine sends it"},
	{"CommandAck", raw(serviceproto.TypeCommandAck, nil), "RT0012", "unexpected message CommandAck from the service: only the engine sends it"},
	{"ack of a run", raw(serviceproto.TypeProposeRunCompletionAck, nil), "RT0012", "unexpected message ProposeRunCompletionAck from the service: only the engine sends it"},
	{"completion of a run", partitiontest.RunDone(1, "x"), "RT0012", "unexpected message RunCompletion from the service: only the engine sends it"},
	{"completion of a call", message(serviceproto.TypeCallCompletion, 5, ""), "RT0012", "unexpected message CallCompletion from the service: only the engine sends it"},
	{"signal", serviceproto.AppendSignalVoid(nil, 1), "RT0012", "unexpected message SignalNotification from the service: only the engine sends it"},

	{"UTF-8, service", message(serviceproto.TypeCall, 1, damaged), "RT0012", "Call command: the text of field 1 is not UTF-8"},
	{"UTF-8, handler", message(serviceproto.TypeCall, 1, "S", 2, damaged), "RT0012", "Call command: the text of field 2 is not UTF-8"},
	{"UTF-8, name of a header", message(serviceproto.TypeCall, 4, nested(1, damaged)), "RT0012", "Call command: in field 4: the text of field 1 is not UTF-8"},
	{"UTF-8, value of a header", message(serviceproto.TypeOneWayCall, 5, nested(2, damaged)), "RT0012", "OneWayCall command: in field 5: the text of field 2 is not UTF-8"},
	{"UTF-8, key", message(serviceproto.TypeCall, 5, damaged), "RT0012", "Call command: the text of field 5 is not UTF-8"},
	{"UTF-8, idempotency key", message(serviceproto.TypeOneWayCall, 7, damaged), "RT0012", "OneWayCall command: the text of field 7 is not UTF-8"},
	{"UTF-8, label", message(serviceproto.TypeRun, 12, damaged), "RT0012", "Run command: the text of field 12 is not UTF-8"},
	{"UTF-8, key of state", message(serviceproto.TypeSetState, 1, damaged, 3, ""), "RT0012", "SetState command: the text of field 1 is not UTF-8"},
	{"UTF-8, keys of state", message(serviceproto.TypeGetEagerStateKeys, 14, nested(1, damaged)), "RT0012", "GetEagerStateKeys command: in field 14: the text of field 1 is not UTF-8"},
	{"UTF-8, promise", message(serviceproto.TypeGetPromise, 1, damaged), "RT0012", "GetPromise command: the text of field 1 is not UTF-8"},
	{"UTF-8, name of a signal", message(serviceproto.TypeSendSignal, 3, damaged), "RT0012", "SendSignal command: the text of field 3 is not UTF-8"},
	{"UTF-8, awakeable", message(serviceproto.TypeCompleteAwakeable, 1, damaged, 2, ""), "RT0012", "CompleteAwakeable command: the text of field 1 is not UTF-8"},
	{"UTF-8, target to attach to", message(serviceproto.TypeAttachInvocation, 4, nested(2, damaged)), "RT0012", "AttachInvocation command: in field 4: the text of field 2 is not UTF-8"},
	{"UTF-8, failure", message(serviceproto.TypeOutput, 15, nested(2, damaged)), "RT0012", "Output command: in field 15: the text of field 2 is not UTF-8"},
	{"UTF-8, metadata of a failure", message(serviceproto.TypeOutput, 15, nested(3, nested(1, damaged))), "RT0012", "Output command: in field 15: in field 3: the text of field 1 is not UTF-8"},
	{"UTF-8, failure of a run", message(serviceproto.TypeProposeRunCompletion, 15, nested(2, damaged)), "RT0012", "ProposeRunCompletion: in field 15: the text of field 2 is not UTF-8"},
	{"UTF-8, message of an Error", message(serviceproto.TypeError, 2, damaged), "RT0012", "Error message: the text of field 2 is not UTF-8"},
	{"UTF-8, command that an Error names", message(serviceproto.TypeError, 5, damaged), "RT0012", "Error message: the text of field 5 is not UTF-8"},

	{"cut command", raw(serviceproto.TypeSleep, []byte{0x08}), "RT0012", "Sleep command: it is not well-formed protobuf"},
	{"cut inside", message(serviceproto.TypeOutput, 14, []byte{0x0a, 5}), "RT0012", "Output command: in field 14: it is not well-formed protobuf"},
	{"wrong wire type", raw(serviceproto.TypeSleep, []byte{0x0a, 0}), "RT0012", "Sleep command: field 1 has the wrong wire type"},
	{"cut proposal", raw(serviceproto.TypeProposeRunCompletion, []byte{0x08}), "RT0012", "ProposeRunCompletion: it is not well-formed protobuf"},
	{"cut Error", raw(serviceproto.TypeError, []byte{0x08}), "RT0012", "Error message: it is not well-formed protobuf"},

	{"scope", message(serviceproto.TypeCall, 1, "S", 2, "h", 7, "s"), "RT0024", "Call command with a scope, but flow control is not enabled"},
	{"limit key", message(serviceproto.TypeCall, 1, "S", 2, "h", 8, "l"), "RT0024", "Call command with a limit key, but without a scope, in which alone it means something"},

	{"command at the limit", header(serviceproto.TypeOutput, limit), "RT0003", "message Output of 33816576 bytes, the limit is 33816576"},
	{"proposal over the limit", header(serviceproto.TypeProposeRunCompletion, limit+1), "RT0003", "message ProposeRunCompletion of 33816577 bytes, the limit is 33816576"},
	{"suspension of 4 GiB", header(serviceproto.TypeSuspension, 1<<32-1), "RT0003", "message Suspension of 4294967295 bytes, the limit is 33816576"},
}

// Whatever an SDK sends that it may not: the attempt fails with a text that says what it was, what came before it
// counts, what follows does not, and the next attempt is as good as any. Of a message that is too long, the header
// is enough: nothing follows it here.
func TestBadInput(t *testing.T) {
	for _, version := range []uint32{5, 6, 7} {
		l := newLoop(t, endpoint(t, func(p *peer) {
			if len(p.Replay) > 1 {
				output(p, p.Types())
				return
			}
			var n int
			_, _ = fmt.Sscan(p.Input(), &n)
			bad := badMessages[n]
			p.Send(partitiontest.Run(1), proposal(1, "x"), bad.frame)
			if bad.doc == serviceproto.DocMessageTooLarge {
				<-p.Request.Context().Done()
				return
			}
			p.Send(partitiontest.Run(2), partitiontest.Output("wrong"), partitiontest.End())
		}, false), versions(version, version, true))
		for n, bad := range badMessages {
			t.Run(fmt.Sprint("v", version, "/", bad.name), func(t *testing.T) {
				l.t = t
				i := l.invoke(service("h"), fmt.Sprint(n))
				l.wantFailed(i, bad.doc, bad.text)
				if b := l.v.runs[i].failure.Behavior; b != serviceproto.BehaviorRetry {
					t.Errorf("it is not tried again: %d", b)
				}
				l.advance(drainMax + tickMillis*time.Millisecond)
				l.wantValue(i, "Input Run RunCompletion")
				l.wantNothingHeld()
			})
		}
		l.t = t
	}
}

// Of a result that comes twice, the first is acked and kept. The second is answered with the first: an ack would say
// that the second was taken.
func TestDoubledRunWithAcks(t *testing.T) {
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprint("together=", together), func(t *testing.T) {
			l := newLoop(t, endpoint(t, func(p *peer) {
				if p.Attempt > 1 {
					output(p, p.Types()+", "+showed(p.Replay[len(p.Replay)-1].Raw))
					return
				}
				p.Send(partitiontest.Run(1), flagged(proposal(1, "first")))
				second := flagged(proposal(1, "second"))
				if together {
					p.Send(second)
				}
				for _, want := range []string{"ProposeRunCompletionAck 1 <nil>", `Run 1 "first"`} {
					if f, err := p.Next(); err != nil || showed(f.Raw) != want {
						p.Send(errorMessage(&servicev1.Error{Code: 418, Message: fmt.Sprintf("%q, %v; not %s", f.Raw, err, want), Behavior: 2}))
						return
					}
					if !together {
						p.Send(second)
					}
				}
				p.Send(errorMessage(&servicev1.Error{Code: 500, Message: "again"}))
			}, false), versions(7, 7, true))
			l.wantValue(l.invoke(service("h"), ""), `Input Run RunCompletion, Run 1 "first"`)
			l.wantNothingHeld()
		})
	}
}

// A service whose deployment speaks only versions that are gone cannot be called; a newer deployment heals that.
func TestCallOfADeprecatedDeployment(t *testing.T) {
	var l *loop
	old := deployment(2, "http://127.0.0.1:1")
	old.MinProtocolVersion, old.MaxProtocolVersion = 2, 4
	old.Services = []*storedv1.Service{{
		Name: "Old", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Handlers: []*storedv1.Handler{{Name: "h"}},
	}}
	for _, frame := range [][]byte{call("Old", "h", ""), message(serviceproto.TypeOneWayCall, 1, "Old", 2, "h")} {
		uri := endpoint(t, sends(frame), false)
		l = newLoop(t, uri)
		l.register(deployment(1, uri), old)
		f := l.wantFailure(l.invoke(service("h"), ""), "RT0020")
		_, command, _ := strings.Cut(f.GetMessage(), "all of ")
		if f.GetCode() != 500 || command != "Old/h: its deployment "+id.Deployment(old.Id).String()+" speaks no protocol version that this server has; upgrade its SDK" {
			t.Errorf("%v", f)
		}
		l.wantNothingHeld()
	}
}
