package serviceproto_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	. "reprise/pkg/serviceproto"
)

var (
	inService  = Scope{ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
	inObject   = Scope{ServiceType: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, HandlerType: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}
	inShared   = Scope{ServiceType: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, HandlerType: storedv1.HandlerType_HANDLER_TYPE_SHARED}
	inRun      = Scope{ServiceType: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, HandlerType: storedv1.HandlerType_HANDLER_TYPE_WORKFLOW}
	inWfShared = Scope{ServiceType: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, HandlerType: storedv1.HandlerType_HANDLER_TYPE_SHARED}
)

// frameOf encodes a message with the generated code.
func frameOf(t testing.TB, typ Type, m proto.Message) Frame {
	t.Helper()
	payload, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	raw := AppendFrame(nil, typ, payload)
	f, _, _, err := NextFrame(raw, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func hexFrame(t testing.TB, typ Type, payload string) Frame {
	t.Helper()
	b := unhex(t, payload)
	return Frame{Type: typ, Payload: b, Raw: AppendFrame(nil, typ, b)}
}

func val(s string) *servicev1.Value { return &servicev1.Value{Content: []byte(s)} }

const (
	goodSign = "sign_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ"
	goodProm = "prom_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ"
)

func TestCheckCommand(t *testing.T) {
	attachTo := func(id string) *servicev1.AttachInvocationCommand {
		return &servicev1.AttachInvocationCommand{Target: &servicev1.AttachInvocationCommand_InvocationId{InvocationId: id}}
	}
	outputOf := func(wf *servicev1.WorkflowTarget) *servicev1.GetInvocationOutputCommand {
		return &servicev1.GetInvocationOutputCommand{Target: &servicev1.GetInvocationOutputCommand_WorkflowTarget{WorkflowTarget: wf}}
	}
	idempotent := func(target *servicev1.IdempotentRequestTarget) *servicev1.AttachInvocationCommand {
		return &servicev1.AttachInvocationCommand{Target: &servicev1.AttachInvocationCommand_IdempotentRequestTarget{IdempotentRequestTarget: target}}
	}
	signal := func(target string) *servicev1.SendSignalCommand {
		return &servicev1.SendSignalCommand{
			TargetInvocationId: target, SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1},
			Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}
	}
	awakeable := func(id string) *servicev1.CompleteAwakeableCommand {
		return &servicev1.CompleteAwakeableCommand{AwakeableId: id, Result: &servicev1.CompleteAwakeableCommand_Value{Value: val("")}}
	}
	getEager := &servicev1.GetEagerStateCommand{Key: []byte("k"), Result: &servicev1.GetEagerStateCommand_Void{Void: &servicev1.Void{}}}
	complete := &servicev1.CompletePromiseCommand{Key: "p", Completion: &servicev1.CompletePromiseCommand_CompletionValue{CompletionValue: val("")}}
	for _, c := range []struct {
		name string
		f    Frame
		s    Scope
		doc  string
	}{
		// What every handler may send.
		{"output", frameOf(t, TypeOutput, &servicev1.OutputCommand{Result: &servicev1.OutputCommand_Value{Value: val("")}}), inService, ""},
		{"sleep", frameOf(t, TypeSleep, &servicev1.SleepCommand{WakeUpTime: 1 << 63, ResultCompletionId: 1}), inService, ""},
		{"run without anything", hexFrame(t, TypeRun, ""), inService, ""},
		{"call", frameOf(t, TypeCall, &servicev1.CallCommand{ServiceName: "S", HandlerName: "h", IdempotencyKey: str("k")}), inService, ""},
		{"call without a key", frameOf(t, TypeCall, &servicev1.CallCommand{ServiceName: "S", HandlerName: "h"}), inService, ""},
		{"one-way call", frameOf(t, TypeOneWayCall, &servicev1.OneWayCallCommand{ServiceName: "S", IdempotencyKey: str("k")}), inService, ""},
		{"cancel", frameOf(t, TypeSendSignal, signal(seedID)), inService, ""},
		{"attach", frameOf(t, TypeAttachInvocation, attachTo(seedID)), inService, ""},
		{"attach to a key", frameOf(t, TypeAttachInvocation, idempotent(&servicev1.IdempotentRequestTarget{ServiceName: "S", IdempotencyKey: "k", Scope: str("")})), inService, ""},
		{"output of a workflow", frameOf(t, TypeGetInvocationOutput, outputOf(&servicev1.WorkflowTarget{WorkflowName: "W"})), inService, ""},
		{"awakeable", frameOf(t, TypeCompleteAwakeable, awakeable(goodSign)), inService, ""},
		{"old awakeable", frameOf(t, TypeCompleteAwakeable, awakeable(goodProm)), inService, ""},
		{"unknown fields", hexFrame(t, TypeRun, "a80601 b20601ff bd0601020304 b1060102030405060708 c306c406 f80101"), inService, ""},

		// Malformed ones.
		{"bad UTF-8 in a name", hexFrame(t, TypeCall, "0a01ff"), inService, "RT0012"},
		{"bad UTF-8 in a header", hexFrame(t, TypeCall, "22030a01ff"), inService, "RT0012"},
		{"bad UTF-8 in a failure", hexFrame(t, TypeOutput, "7a03 1201ff"), inService, "RT0012"},
		{"bad UTF-8 in a label", hexFrame(t, TypeRun, "6201ff"), inService, "RT0012"},
		{"truncated", hexFrame(t, TypeCall, "0a0547726565"), inService, "RT0012"},
		{"truncated inside", hexFrame(t, TypeOutput, "7202 0a05"), inService, "RT0012"},
		{"endless number", hexFrame(t, TypeRun, "58ffffffffffffffffffffff01"), inService, "RT0012"},
		{"field 0", hexFrame(t, TypeRun, "0001"), inService, "RT0012"},
		{"wrong wire type", hexFrame(t, TypeRun, "5a0101"), inService, "RT0012"},
		{"number where text is", hexFrame(t, TypeRun, "6001"), inService, "RT0012"},
		{"a field twice", hexFrame(t, TypeRun, "5801 5802"), inService, "RT0012"},
		{"two results", hexFrame(t, TypeOutput, "7200 7a00"), inService, "RT0012"},
		{"open group", hexFrame(t, TypeRun, "c306"), inService, "RT0012"},

		// What the endpoint may not send at all.
		{"input", frameOf(t, TypeInput, &servicev1.InputCommand{Value: val("")}), inService, "RT0012"},
		{"control message", hexFrame(t, TypeStart, ""), inService, "RT0012"},
		{"command ack", hexFrame(t, TypeCommandAck, ""), inService, "RT0012"},
		{"notification", hexFrame(t, TypeRunCompletion, "08012a00"), inService, "RT0012"},
		{"unknown control message", hexFrame(t, 0x0100, ""), inService, "RT0012"},
		{"gap", hexFrame(t, 0x040F, ""), inService, "RT0012"},
		{"unknown command", hexFrame(t, 0x0420, ""), inService, "RT0012"},
		{"custom command", hexFrame(t, 0xFC01, ""), inService, "RT0012"},

		// Results and targets that are missing.
		{"output without result", hexFrame(t, TypeOutput, "620161"), inService, "RT0012"},
		{"set state without value", hexFrame(t, TypeSetState, "0a016b"), inObject, "RT0012"},
		{"eager state without result", hexFrame(t, TypeGetEagerState, "0a016b"), inObject, "RT0012"},
		{"promise without completion", hexFrame(t, TypeCompletePromise, "0a0170"), inRun, "RT0012"},
		{"attach without target", hexFrame(t, TypeAttachInvocation, "5801"), inService, "RT0012"},
		{"get output without target", hexFrame(t, TypeGetInvocationOutput, "5801"), inService, "RT0012"},
		{"signal without result", frameOf(t, TypeSendSignal, &servicev1.SendSignalCommand{
			TargetInvocationId: seedID, SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1},
		}), inService, "RT0012"},
		{"signal without id", frameOf(t, TypeSendSignal, &servicev1.SendSignalCommand{
			TargetInvocationId: seedID, Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}), inService, "RT0012"},
		{"signal to nobody", frameOf(t, TypeSendSignal, signal("inv_1xx")), inService, "RT0012"},
		{"awakeable without result", frameOf(t, TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{AwakeableId: goodSign}), inService, "RT0012"},
		{"awakeable of a bad id", frameOf(t, TypeCompleteAwakeable, awakeable("sign_1xx")), inService, "RT0012"},
		{"awakeable of another kind of id", frameOf(t, TypeCompleteAwakeable, awakeable(seedID)), inService, "RT0012"},
		{"attach to a bad id", frameOf(t, TypeAttachInvocation, attachTo("foo")), inService, "RT0017"},
		{"get output of a bad id", frameOf(t, TypeGetInvocationOutput, &servicev1.GetInvocationOutputCommand{
			Target: &servicev1.GetInvocationOutputCommand_InvocationId{InvocationId: "dp_13RK0Gco7eAbHkQ1EkAAJG1"},
		}), inService, "RT0017"},

		// Idempotency keys, scopes, limit keys.
		{"empty idempotency key", frameOf(t, TypeCall, &servicev1.CallCommand{IdempotencyKey: str("")}), inService, "RT0017"},
		{"empty idempotency key, one way", frameOf(t, TypeOneWayCall, &servicev1.OneWayCallCommand{IdempotencyKey: str("")}), inService, "RT0017"},
		{"scope", frameOf(t, TypeCall, &servicev1.CallCommand{Scope: str("s")}), inService, "RT0024"},
		{"scope, one way", frameOf(t, TypeOneWayCall, &servicev1.OneWayCallCommand{Scope: str("s")}), inService, "RT0024"},
		{"limit key", frameOf(t, TypeCall, &servicev1.CallCommand{LimitKey: str("l")}), inService, "RT0024"},
		{"limit key, one way", frameOf(t, TypeOneWayCall, &servicev1.OneWayCallCommand{LimitKey: str("l")}), inService, "RT0024"},
		{"empty scope and limit key", frameOf(t, TypeCall, &servicev1.CallCommand{Scope: str(""), LimitKey: str("")}), inService, ""},
		{"scope of a workflow", frameOf(t, TypeGetInvocationOutput, outputOf(&servicev1.WorkflowTarget{Scope: str("s")})), inService, "RT0024"},
		{"scope of a key", frameOf(t, TypeAttachInvocation, idempotent(&servicev1.IdempotentRequestTarget{Scope: str("s")})), inService, "RT0024"},

		// State keys are UTF-8 by rule.
		{"key of set", hexFrame(t, TypeSetState, "0a01ff 1a00"), inObject, "RT0012"},
		{"key of clear", hexFrame(t, TypeClearState, "0a01ff"), inObject, "RT0012"},
		{"key of get", hexFrame(t, TypeGetLazyState, "0a01ff"), inObject, "RT0012"},
		{"key of eager get", hexFrame(t, TypeGetEagerState, "0a01ff 6a00"), inObject, "RT0012"},
		{"eager keys", hexFrame(t, TypeGetEagerStateKeys, "7203 0a01ff"), inObject, "RT0012"},
		{"no eager keys", hexFrame(t, TypeGetEagerStateKeys, ""), inObject, ""},

		// Who may do what: promises beyond the table below.
		{"complete a promise", frameOf(t, TypeCompletePromise, complete), inRun, ""},
		{"complete a promise, shared", frameOf(t, TypeCompletePromise, complete), inWfShared, ""},
		{"complete a promise in an object", frameOf(t, TypeCompletePromise, complete), inObject, "RT0017"},
		{"eager get in a service", frameOf(t, TypeGetEagerState, getEager), inService, "RT0017"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckCommand(c.f, c.s)
			if doc := docOf(t, err); doc != c.doc {
				t.Errorf("%q (%v), not %q", doc, err, c.doc)
			}
		})
	}
}

// TestAccess is the table of who may read and write state and use promises.
func TestAccess(t *testing.T) {
	read := []Frame{
		hexFrame(t, TypeGetLazyState, "0a016b"), hexFrame(t, TypeGetLazyStateKeys, ""),
		hexFrame(t, TypeGetEagerState, "0a016b6a00"), hexFrame(t, TypeGetEagerStateKeys, "7200"),
	}
	write := []Frame{
		hexFrame(t, TypeSetState, "0a016b1a00"), hexFrame(t, TypeClearState, "0a016b"), hexFrame(t, TypeClearAllState, ""),
	}
	promise := []Frame{hexFrame(t, TypeGetPromise, "0a0170"), hexFrame(t, TypePeekPromise, "0a0170"), hexFrame(t, TypeCompletePromise, "0a01701200")}
	for _, c := range []struct {
		name                 string
		s                    Scope
		read, write, promise bool
	}{
		{"service", inService, false, false, false},
		{"object exclusive", inObject, true, true, false},
		{"object shared", inShared, true, false, false},
		{"workflow run", inRun, true, true, true},
		{"workflow shared", inWfShared, true, false, true},
		{"unknown", Scope{}, false, false, false},
	} {
		for _, group := range []struct {
			frames []Frame
			may    bool
		}{{read, c.read}, {write, c.write}, {promise, c.promise}} {
			for _, f := range group.frames {
				want := "RT0017"
				if group.may {
					want = ""
				}
				err := CheckCommand(f, c.s)
				if doc := docOf(t, err); doc != want {
					t.Errorf("%s in %s: %q, not %q", f.Type, c.name, doc, want)
				}
			}
		}
	}
}

// TestCheckVectors: what SDKs sent is accepted.
func TestCheckVectors(t *testing.T) {
	for _, v := range vectors {
		f, _, _, _ := NextFrame(unhex(t, v.hex), 1<<20)
		if !f.Type.IsCommand() || f.Type == TypeInput {
			continue
		}
		if err := CheckCommand(f, inRun); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

// TestMessagesAreBounded: an error does not repeat a huge id.
func TestMessagesAreBounded(t *testing.T) {
	f := frameOf(t, TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{
		AwakeableId: strings.Repeat("x", 1<<20), Result: &servicev1.CompleteAwakeableCommand_Value{Value: val("")},
	})
	if err := CheckCommand(f, inService); err == nil || len(err.Error()) > 300 {
		t.Errorf("message of %d bytes", len(err.Error()))
	}
}
