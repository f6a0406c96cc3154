package invoker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

func workflow(key string) *storedv1.Target {
	return &storedv1.Target{
		Service: "W", Handler: "run", Key: key, ServiceType: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW,
		HandlerType: storedv1.HandlerType_HANDLER_TYPE_WORKFLOW,
	}
}

// showed describes a notification by its type, id and result.
func showed(f []byte) string {
	var n servicev1.Notification
	frame, _, _, err := serviceproto.NextFrame(f, 1<<30)
	if err != nil || proto.Unmarshal(frame.Payload, &n) != nil {
		return "malformed"
	}
	text := fmt.Sprintf("%s %d", strings.TrimSuffix(frame.Type.String(), "Completion"), n.GetCompletionId())
	switch r := n.GetResult().(type) {
	case *servicev1.Notification_Void:
		return text + " void"
	case *servicev1.Notification_Value:
		return text + fmt.Sprintf(" %q", r.Value.GetContent())
	case *servicev1.Notification_Failure:
		return text + fmt.Sprintf(" %d %s", r.Failure.GetCode(), r.Failure.GetMessage())
	case *servicev1.Notification_StateKeys:
		return text + fmt.Sprintf(" %s", r.StateKeys.GetKeys())
	default:
		return text + fmt.Sprintf(" %T", r)
	}
}

// A command and the completion that answers it at once: to the stream that asked, and in the same place of the next replay.
func TestCommandsThatAreAnsweredAtOnce(t *testing.T) {
	nobody := id.NewInvocation(1, [16]byte{1})
	cases := []struct {
		name   string
		frames [][]byte
		want   []string
	}{
		{"state", [][]byte{
			partitiontest.SetState("k", "v"), partitiontest.GetLazyState("k", 1), partitiontest.ClearState("k"), partitiontest.GetLazyState("k", 2),
			partitiontest.SetState("a", ""), partitiontest.SetState("b", ""), partitiontest.GetLazyStateKeys(3),
			partitiontest.ClearAllState(), partitiontest.GetLazyStateKeys(4),
		}, []string{`GetLazyState 1 "v"`, "GetLazyState 2 void", "GetLazyStateKeys 3 [a b]", "GetLazyStateKeys 4 []"}},
		{"sleep in the past", [][]byte{partitiontest.Sleep(1, 1)}, []string{"Sleep 1 void"}},
		{"completion id 0", [][]byte{partitiontest.Sleep(0, 1)}, []string{"Sleep 0 void"}},
		{"promise", [][]byte{
			partitiontest.PeekPromise("p", 1), partitiontest.GetPromise("p", 2), partitiontest.ResolvePromise("p", 3, "v"),
			partitiontest.RejectPromise("p", 4, 400, "no"), partitiontest.PeekPromise("p", 5), partitiontest.RejectPromise("q", 6, 400, "no"), partitiontest.GetPromise("q", 7),
		}, []string{
			"PeekPromise 1 void", "CompletePromise 3 void", `GetPromise 2 "v"`, "CompletePromise 4 409 promise was already completed",
			`PeekPromise 5 "v"`, "CompletePromise 6 void", "GetPromise 7 400 no",
		}},
		{"attach", [][]byte{
			partitiontest.Attach(nobody, 1), partitiontest.GetOutput(nobody, 2), partitiontest.AttachWorkflow("W", "hello", 3),
		}, []string{"AttachInvocation 1 404 not found", "GetInvocationOutput 2 404 not found", "AttachInvocation 3 404 not found"}},
		{"unknown fields", [][]byte{serviceproto.AppendFrame(nil, serviceproto.TypeSleep, []byte{0x08, 1, 0x58, 1, 0xa2, 6, 1, 'x'})}, []string{"Sleep 1 void"}},
		{"run before its command", [][]byte{proposal(1, "early"), partitiontest.Run(1)}, []string{`Run 1 "early"`}},
		{"run twice", [][]byte{partitiontest.Run(1), proposal(1, "first"), proposal(1, "second")}, []string{`Run 1 "first"`, `Run 1 "first"`}},
		{"run twice, then a failure", [][]byte{partitiontest.Run(1), proposal(1, "first"), failedProposal(1, 400, "no")}, []string{`Run 1 "first"`, `Run 1 "first"`}},
		{"runs in another order", [][]byte{partitiontest.Run(1), partitiontest.Run(2), proposal(2, "b"), proposal(1, "a")}, []string{`Run 2 "b"`, `Run 1 "a"`}},
		{"run that was never begun", [][]byte{proposal(9, "x"), partitiontest.Run(1), failedProposal(1, 400, "no")}, []string{`Run 9 "x"`, "Run 1 400 no"}},
	}
	for _, version := range []uint32{5, 6, 7} {
		for _, tc := range cases {
			t.Run(fmt.Sprint("v", version, "/", tc.name), func(t *testing.T) {
				l := newLoop(t, endpoint(t, func(p *peer) {
					if p.Attempt > 1 {
						var got []string
						for _, f := range p.Replay {
							if f.Type.IsNotification() {
								got = append(got, showed(f.Raw))
							}
						}
						output(p, strings.Join(got, ", "))
						return
					}
					p.Send(tc.frames...)
					for _, want := range tc.want {
						f, err := p.Next()
						if err != nil {
							return
						}
						if got := showed(f.Raw); got != want {
							p.Send(errorMessage(&servicev1.Error{Code: 418, Message: fmt.Sprintf("%s, not %s", got, want), Behavior: 2}))
							return
						}
					}
					p.Send(errorMessage(&servicev1.Error{Code: 500, Message: "again"}))
				}, false), versions(version, version, true))
				want := tc.want
				if strings.HasPrefix(tc.name, "run twice") { // told twice, stored once
					want = want[:1]
				}
				l.wantValue(l.invoke(workflow(tc.name), ""), strings.Join(want, ", "))
				l.wantNothingHeld()
			})
		}
	}
}

// Who waits for a promise is woken by who completes it; both attach to a third one by its id.
func TestPromiseBetweenInvocations(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		switch {
		case len(p.Replay) > 1:
			output(p, showed(p.Replay[len(p.Replay)-1].Raw))
		case p.Input() == "wait":
			p.Send(partitiontest.GetPromise("p", 1), partitiontest.Suspension([]uint32{1}, []uint32{1}))
		default:
			p.Send(partitiontest.ResolvePromise("p", 1, "yes"), partitiontest.Output("completed"), partitiontest.End())
		}
	}, false))
	waits := l.invoke(workflow("k"), "wait")
	l.wantStatus(waits, suspended)
	l.wantValue(l.invoke(workflow("k"), "complete"), "completed")
	l.wantValue(waits, `GetPromise 1 "yes"`)
	l.wantNothingHeld()
}

// A handler that was cancelled and goes on is not started again and again for the cancellation it has seen.
func TestCancellationThatWasSeen(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		l := newLoop(t, endpoint(t, func(p *peer) {
			if p.Types() == "Input SignalNotification SignalNotification" {
				output(p, fmt.Sprint("attempt ", p.Attempt))
				return
			}
			p.Send(partitiontest.Suspension([]uint32{1}, []uint32{1}))
		}, false))
		l.lazy = lazy
		i := l.invoke(service("h"), "")
		cancel := func() {
			l.propose(command.Header{Kind: command.Signal, ID: i}, nil, serviceproto.AppendSignalVoid(nil, serviceproto.SignalCancel))
		}
		l.wantStatus(i, suspended)
		cancel()
		l.wantStatus(i, suspended)
		l.wantNothingHeld()
		l.advance(time.Minute)
		cancel()
		l.wantValue(i, "attempt 3")
		l.wantNothingHeld()
	}
}

// What a handler says with its Error decides, in every version.
func TestBehaviorInEveryVersion(t *testing.T) {
	for _, version := range []uint32{5, 6, 7} {
		said := &servicev1.Error{Code: 418, Message: "teapot"}
		l := newLoop(t, endpoint(t, func(p *peer) { p.Send(errorMessage(said)) }, false), versions(version, version, true))
		said.Behavior = servicev1.ErrorBehavior(serviceproto.BehaviorPause)
		if f := l.wantFailure(l.invoke(service("h"), ""), "RT0007"); f.GetCode() != 418 || f.GetMessage() != "teapot" {
			t.Errorf("version %d: paused with %v", version, f)
		}
		said.Behavior = servicev1.ErrorBehavior(serviceproto.BehaviorFail)
		if f := l.result(l.invoke(service("h"), "")).GetFailure(); f.GetCode() != 418 || f.GetMessage() != "teapot" {
			t.Errorf("version %d: failed with %v", version, f)
		}
		l.wantNothingHeld()
	}
}

// The depth of await trees is configured.
func TestAwaitDepth(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Input() == "awaiting" {
			p.Send(partitiontest.Frame(serviceproto.TypeAwaitingOn, &servicev1.AwaitingOn{AwaitingOn: &servicev1.Future{
				NestedFutures: []*servicev1.Future{{NestedFutures: []*servicev1.Future{{WaitingSignals: []uint32{1}}}}},
			}}))
			return
		}
		p.Send(deepTree(3))
	}, false), versions(7, 7, true), func(l *loop, _ *storedv1.Deployment) { l.cfg.AwaitDepthMax = 2 })
	l.wantFailure(l.invoke(service("h"), ""), "RT0025")
	l.wantFailure(l.invoke(service("h"), "awaiting"), "RT0025")
	l.wantNothingHeld()
}

// Faults in commands that only some handlers may send at all; the text says what is wrong.
func TestBadCommands(t *testing.T) {
	nobody := id.NewInvocation(1, [16]byte{1}).String()
	frame := partitiontest.Frame
	cases := []struct {
		name   string
		target *storedv1.Target
		frame  []byte
		doc    string
		text   string
	}{
		{"promise in a service", service("h"), partitiontest.GetPromise("p", 1), "RT0017", "GetPromise is for workflows only"},
		{"promise in an object", object("h", "k"), partitiontest.PeekPromise("p", 1), "RT0017", "PeekPromise is for workflows only"},
		{"state in a service", service("h"), partitiontest.GetLazyState("k", 1), "RT0017", "GetLazyState in a service, which has no state"},
		{"write in a shared handler", object("shared", "k"), partitiontest.ClearAllState(), "RT0017", "ClearAllState in a shared handler, which may only read state"},
		{"state key", object("h", "k"), raw(serviceproto.TypeSetState, []byte{0x0a, 1, 0xff, 0x1a, 0}), "RT0012", "SetState command: the text of field 1 is not UTF-8"},
		{"SetState without value", object("h", "k"), raw(serviceproto.TypeSetState, []byte{0x0a, 1, 'k'}), "RT0012", "SetState command without value"},
		{"eager state without result", object("h", "k"), raw(serviceproto.TypeGetEagerState, []byte{0x0a, 1, 'k'}), "RT0012", "GetEagerState command without result"},
		{"promise without completion", workflow("k"), raw(serviceproto.TypeCompletePromise, []byte{0x0a, 1, 'k'}), "RT0012", "CompletePromise command without completion"},
		{"attach to nothing", service("h"), raw(serviceproto.TypeAttachInvocation, []byte{0x58, 1}), "RT0012", "AttachInvocation command without target"},
		{"attach to a bad id", service("h"), raw(serviceproto.TypeAttachInvocation, []byte{0x0a, 3, 'f', 'o', 'o'}), "RT0017", `AttachInvocation command with invocation id "foo": bad format`},
		{"output of a bad id", service("h"), raw(serviceproto.TypeGetInvocationOutput, []byte{0x0a, 3, 'f', 'o', 'o'}), "RT0017", `GetInvocationOutput command with invocation id "foo": bad format`},
		{"output of nothing", service("h"), raw(serviceproto.TypeGetInvocationOutput, []byte{0x58, 1}), "RT0012", "GetInvocationOutput command without target"},
		{"awakeable of a bad id", service("h"), message(serviceproto.TypeCompleteAwakeable, 1, "foo", 2, ""), "RT0012", `CompleteAwakeable command with id "foo": bad format`},
		{"signal to a bad id", service("h"), frame(serviceproto.TypeSendSignal, &servicev1.SendSignalCommand{
			TargetInvocationId: "foo", SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1}, Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}), "RT0012", `SendSignal command with target "foo": bad format`},
		{"signal without id", service("h"), frame(serviceproto.TypeSendSignal, &servicev1.SendSignalCommand{
			TargetInvocationId: nobody, Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}), "RT0012", "SendSignal command without a signal id"},
		{"signal without result", service("h"), frame(serviceproto.TypeSendSignal, &servicev1.SendSignalCommand{
			TargetInvocationId: nobody, SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1},
		}), "RT0012", "SendSignal command without result"},
		{"awakeable without result", service("h"), frame(serviceproto.TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{
			AwakeableId: id.FormatAwakeable(id.NewInvocation(1, [16]byte{1}), 17),
		}), "RT0012", "CompleteAwakeable command without result"},
		{"empty idempotency key", service("h"), frame(serviceproto.TypeCall, &servicev1.CallCommand{
			ServiceName: "S", HandlerName: "h", IdempotencyKey: proto.String(""),
		}), "RT0017", "Call command with an empty idempotency key"},
		{"scope", service("h"), frame(serviceproto.TypeCall, &servicev1.CallCommand{ServiceName: "S", HandlerName: "h", Scope: proto.String("s")}),
			"RT0024", "Call command with a scope, but flow control is not enabled"},
		{"limit key without a scope", service("h"), frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{ServiceName: "S", HandlerName: "h", LimitKey: proto.String("l")}),
			"RT0024", "OneWayCall command with a limit key, but without a scope, in which alone it means something"},
		{"scope of a target", service("h"), message(serviceproto.TypeAttachInvocation, 4, nested(1, "W", 2, "k", 3, "s")),
			"RT0024", "AttachInvocation command with a scope, but flow control is not enabled"},
		{"two results", service("h"), raw(serviceproto.TypeOutput, []byte{0x72, 0, 0x7a, 0}), "RT0012", "Output command: field 15 is given twice, or beside another that excludes it"},
		{"cut protobuf", service("h"), raw(serviceproto.TypeRun, []byte{0x58}), "RT0012", "Run command: it is not well-formed protobuf"},
		{"header", service("h"), raw(serviceproto.TypeCall, []byte{0x22, 3, 0x0a, 1, 0xff}), "RT0012", "Call command: in field 4: the text of field 1 is not UTF-8"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			once := uint32(1)
			l := newLoop(t, endpoint(t, sends(tc.frame), false), versions(7, 7, true), func(_ *loop, d *storedv1.Deployment) {
				for _, s := range d.Services {
					s.Options = &storedv1.Options{RetryPolicy: &storedv1.RetryPolicy{MaxAttempts: &once}}
				}
			})
			if f := l.wantFailure(l.invoke(tc.target, ""), tc.doc); f.GetMessage() != tc.text {
				t.Errorf("%q, not %q", f.GetMessage(), tc.text)
			}
			l.wantNothingHeld()
		})
	}
}
