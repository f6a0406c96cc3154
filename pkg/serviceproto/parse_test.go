package serviceproto_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	. "reprise/pkg/serviceproto"
)

func TestParseCall(t *testing.T) {
	headers := []*servicev1.Header{{Key: "a", Value: "1"}, {Key: "b"}}
	call := frameOf(t, TypeCall, &servicev1.CallCommand{
		ServiceName: "S", HandlerName: "h", Parameter: []byte("p"), Headers: headers, Key: "k", IdempotencyKey: str("i"),
		Scope: str("s"), LimitKey: str("l"), InvocationIdNotificationIdx: 1, ResultCompletionId: 2, Name: "n",
	})
	oneWay := frameOf(t, TypeOneWayCall, &servicev1.OneWayCallCommand{
		ServiceName: "S", HandlerName: "h", Parameter: []byte("p"), InvokeTime: 77, Headers: headers, Key: "k", IdempotencyKey: str("i"),
		Scope: str("s"), LimitKey: str("l"), InvocationIdNotificationIdx: 1, Name: "n",
	})
	want := Call{
		Service: "S", Handler: "h", Key: "k", Parameter: []byte("p"), Headers: []Header{{"a", "1"}, {"b", ""}},
		IdempotencyKey: str("i"), InvocationIDCompletion: 1, ResultCompletion: 2, Name: "n",
	}
	wantOneWay := want
	wantOneWay.ResultCompletion, wantOneWay.InvokeTime, wantOneWay.OneWay = 0, 77, true
	for _, c := range []struct {
		f    Frame
		want Call
	}{
		{call, want},
		{oneWay, wantOneWay},
		{hexFrame(t, TypeCall, ""), Call{}},
		{hexFrame(t, TypeOneWayCall, "5805"), Call{OneWay: true}}, // field 11 is a Call's
		{hexFrame(t, TypeOneWayCall, "20ffffffffffffffffff01"), Call{OneWay: true, InvokeTime: math.MaxInt64}},
	} {
		got, err := ParseCall(c.f)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s is %+v, %v", c.f.Type, got, err)
		}
	}
	for _, f := range []Frame{hexFrame(t, TypeRun, ""), hexFrame(t, TypeCall, "0a05"), hexFrame(t, TypeCall, "0801"), hexFrame(t, TypeCall, "22020a05")} {
		if got, err := ParseCall(f); docOf(t, err) != "RT0012" {
			t.Errorf("%s %x is %+v, %v", f.Type, f.Payload, got, err)
		}
	}
}

func TestParseStateAndSleep(t *testing.T) {
	set := frameOf(t, TypeSetState, &servicev1.SetStateCommand{Key: []byte("k"), Value: val("v")})
	if k, v, err := ParseSetState(set.Payload); string(k) != "k" || string(v) != "v" || err != nil {
		t.Errorf("set state: %q, %q, %v", k, v, err)
	}
	get := frameOf(t, TypeGetLazyState, &servicev1.GetLazyStateCommand{Key: []byte("k"), ResultCompletionId: 3})
	if k, cid, err := ParseStateKey(get.Payload); string(k) != "k" || cid != 3 || err != nil {
		t.Errorf("get lazy state: %q, %d, %v", k, cid, err)
	}
	keys := frameOf(t, TypeGetLazyStateKeys, &servicev1.GetLazyStateKeysCommand{ResultCompletionId: 4, Name: "n"})
	if cid, err := ParseGetLazyStateKeys(keys.Payload); cid != 4 || err != nil {
		t.Errorf("get lazy state keys: %d, %v", cid, err)
	}
	for in, want := range map[uint64]int64{0: 0, 1795309210259: 1795309210259, math.MaxUint64: math.MaxInt64} {
		sleep := frameOf(t, TypeSleep, &servicev1.SleepCommand{WakeUpTime: in, ResultCompletionId: 5})
		if at, cid, err := ParseSleep(sleep.Payload); at != want || cid != 5 || err != nil {
			t.Errorf("sleep until %d: %d, %d, %v", in, at, cid, err)
		}
	}
	bad := []byte{0xff}
	if _, _, err := ParseSetState(bad); docOf(t, err) != "RT0012" {
		t.Errorf("bad set state: %v", err)
	}
	if _, _, err := ParseStateKey(bad); docOf(t, err) != "RT0012" {
		t.Errorf("bad state key: %v", err)
	}
	if _, _, err := ParseSleep(bad); docOf(t, err) != "RT0012" {
		t.Errorf("bad sleep: %v", err)
	}
}

func TestResults(t *testing.T) {
	failed := &servicev1.Failure{Code: 409, Message: "m", Metadata: []*servicev1.FailureMetadata{{Key: "a", Value: "1"}, {Key: "b"}}}
	wantFailed := &storedv1.Result{Result: &storedv1.Result_Failure{Failure: &storedv1.Failure{
		Code: 409, Message: "m", Metadata: []*storedv1.FailureMetadata{{Key: "a", Value: "1"}, {Key: "b"}},
	}}}
	wantValue := &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("v")}}
	outputs := []struct {
		m    *servicev1.OutputCommand
		want *storedv1.Result
	}{
		{&servicev1.OutputCommand{Result: &servicev1.OutputCommand_Value{Value: val("v")}}, wantValue},
		{&servicev1.OutputCommand{Result: &servicev1.OutputCommand_Failure{Failure: failed}, Name: "n"}, wantFailed},
		{&servicev1.OutputCommand{Result: &servicev1.OutputCommand_Value{Value: val("")}}, &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte{}}}},
	}
	for _, c := range outputs {
		f := frameOf(t, TypeOutput, c.m)
		got, err := OutputResult(f.Payload)
		clear(f.Payload) // it must have been copied
		if err != nil || !proto.Equal(got, c.want) {
			t.Errorf("output is %v, %v, not %v", got, err, c.want)
		}
	}
	if got, err := OutputResult(nil); docOf(t, err) != "RT0012" || got != nil {
		t.Errorf("output without result: %v, %v", got, err)
	}
	for _, want := range []*storedv1.Result{wantValue, wantFailed} {
		f, _, _, _ := NextFrame(AppendResult(nil, TypeCallCompletion, 9, want), 1<<20)
		if got, err := CompletionResult(f.Payload); err != nil || !proto.Equal(got, want) {
			t.Errorf("completion is %v, %v, not %v", got, err, want)
		}
		f, _, _, _ = NextFrame(AppendSignalResult(nil, 9, want), 1<<20)
		if got, err := CompletionResult(f.Payload); err != nil || !proto.Equal(got, want) {
			t.Errorf("signal is %v, %v, not %v", got, err, want)
		}
	}
	f, _, _, _ := NextFrame(AppendVoid(nil, TypeSleepCompletion, 9), 1<<20)
	if got, err := CompletionResult(f.Payload); err != nil || got != nil {
		t.Errorf("void is %v, %v", got, err)
	}
	if got, err := CompletionResult([]byte{0x2a, 5}); docOf(t, err) != "RT0012" || got != nil {
		t.Errorf("malformed: %v, %v", got, err)
	}

	awake := frameOf(t, TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{
		AwakeableId: goodSign, Result: &servicev1.CompleteAwakeableCommand_Failure{Failure: failed},
	})
	if text, got, err := ParseCompleteAwakeable(awake.Payload); text != goodSign || err != nil || !proto.Equal(got, wantFailed) {
		t.Errorf("awakeable: %s, %v, %v", text, got, err)
	}
}

func TestSendSignal(t *testing.T) {
	target := parseID(t, seedID)
	for _, c := range []struct {
		name string
		m    *servicev1.SendSignalCommand
		want *servicev1.Notification
	}{
		{"cancel", &servicev1.SendSignalCommand{
			SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1}, Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}, &servicev1.Notification{Id: &servicev1.Notification_SignalId{SignalId: 1}, Result: &servicev1.Notification_Void{Void: &servicev1.Void{}}}},
		{"value", &servicev1.SendSignalCommand{
			SignalId: &servicev1.SendSignalCommand_Idx{Idx: 17}, Result: &servicev1.SendSignalCommand_Value{Value: val("v")}, EntryName: "label",
		}, &servicev1.Notification{Id: &servicev1.Notification_SignalId{SignalId: 17}, Result: &servicev1.Notification_Value{Value: val("v")}}},
		{"named failure", &servicev1.SendSignalCommand{
			SignalId: &servicev1.SendSignalCommand_Name{Name: "s"},
			Result:   &servicev1.SendSignalCommand_Failure{Failure: &servicev1.Failure{Code: 1, Message: "m"}},
		}, &servicev1.Notification{
			Id: &servicev1.Notification_SignalName{SignalName: "s"}, Result: &servicev1.Notification_Failure{Failure: &servicev1.Failure{Code: 1, Message: "m"}},
		}},
	} {
		c.m.TargetInvocationId = seedID
		s, err := ParseSendSignal(frameOf(t, TypeSendSignal, c.m).Payload)
		if err != nil || s.Target != target {
			t.Fatalf("%s: %+v, %v", c.name, s, err)
		}
		f, rest, ok, err := NextFrame(AppendSignal([]byte{}, s), 1<<20)
		got := &servicev1.Notification{}
		if err != nil || !ok || len(rest) != 0 || f.Type != TypeSignalNotification || proto.Unmarshal(f.Payload, got) != nil || !proto.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

func TestParseError(t *testing.T) {
	f := frameOf(t, TypeError, &servicev1.Error{
		Code: 570, Message: "m", Stacktrace: "s", RelatedCommandIndex: proto.Uint32(0), RelatedCommandName: str(""),
		RelatedCommandType: proto.Uint32(0x411), NextRetryDelay: proto.Uint64(50), Behavior: servicev1.ErrorBehavior_ERROR_BEHAVIOR_FAIL,
	})
	delay := 50 * time.Millisecond
	want := Error{
		Code: 570, Message: "m", Stacktrace: "s", RelatedCommandIndex: proto.Uint32(0), RelatedCommandName: str(""),
		RelatedCommandType: proto.Uint32(0x411), NextRetryDelay: &delay, Behavior: BehaviorFail,
	}
	if got, err := ParseError(f.Payload); err != nil || !reflect.DeepEqual(got, want) || got.Doc() != "RT0016" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct {
		name, payload string
		want          Error
		doc           string
	}{
		{"nothing", "", Error{Code: 500}, "RT0007"},
		{"code 500", "08f403", Error{Code: 500}, "RT0007"},
		{"highest code", "08ffff03", Error{Code: 65535}, "RT0007"},
		{"code above", "08808004", Error{Code: 500}, "RT0007"},
		{"protocol violation", "08bb04", Error{Code: 571}, "RT0012"},
		{"pause", "4801", Error{Code: 500, Behavior: BehaviorPause}, "RT0007"},
		{"unknown behavior", "4803", Error{Code: 500}, "RT0007"},
	} {
		if got, err := ParseError(unhex(t, c.payload)); err != nil || !reflect.DeepEqual(got, c.want) || got.Doc() != c.doc {
			t.Errorf("%s: %+v, %s, %v", c.name, got, got.Doc(), err)
		}
	}
	long, err := ParseError(unhex(t, "40ffffffffffffffffff01"))
	if err != nil || *long.NextRetryDelay < 99*365*24*time.Hour {
		t.Errorf("endless delay: %+v, %v", long, err)
	}
	for _, payload := range []string{"08", "1201ff", "0801 0801"} {
		if got, err := ParseError(unhex(t, payload)); docOf(t, err) != "RT0012" {
			t.Errorf("%s: %+v, %v", payload, got, err)
		}
	}
}

func TestScanNotification(t *testing.T) {
	named := AppendSignal(nil, SendSignal{Name: "n", Named: true})
	failed := &storedv1.Failure{Code: 1}
	for _, c := range []struct {
		name string
		b    []byte
		want Notification
	}{
		{"void", AppendVoid(nil, TypeSleepCompletion, 3), Notification{Type: TypeSleepCompletion, CompletionID: 3}},
		{"value", AppendValue(nil, TypeRunCompletion, 3, []byte("v")), Notification{Type: TypeRunCompletion, CompletionID: 3}},
		{"failure", AppendFailure(nil, TypeRunCompletion, 3, failed), Notification{Type: TypeRunCompletion, CompletionID: 3, Failed: true}},
		{"id", AppendInvocationID(nil, 3, seedID), Notification{Type: TypeCallInvocationIDCompletion, CompletionID: 3}},
		{"keys", AppendStateKeys(nil, 3, nil), Notification{Type: TypeGetLazyStateKeysCompletion, CompletionID: 3}},
		{"signal", AppendSignalVoid(nil, 1), Notification{Type: TypeSignalNotification, HasSignal: true, SignalIndex: 1}},
		{"failed signal", AppendSignalFailure(nil, 17, failed), Notification{Type: TypeSignalNotification, HasSignal: true, SignalIndex: 17, Failed: true}},
		{"named signal", named, Notification{Type: TypeSignalNotification, HasSignal: true, SignalName: "n"}},
	} {
		f, _, _, err := NextFrame(c.b, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ScanNotification(f); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, not %+v", c.name, got, err, c.want)
		}
	}
	for _, f := range []Frame{hexFrame(t, TypeRun, ""), hexFrame(t, TypeSleepCompletion, "08"), hexFrame(t, TypeSleepCompletion, "0a00")} {
		if got, err := ScanNotification(f); docOf(t, err) != "RT0012" {
			t.Errorf("%s %x: %+v", f.Type, f.Payload, got)
		}
	}
}

func TestRunCompletion(t *testing.T) {
	for _, c := range []struct {
		name, proposal, frame string
		cid                   uint32
		failed                bool
	}{
		{"recorded", "0801 72092272616e20626f6222", "80110000 0000000f 0801 2a0b0a092272616e20626f6222", 1, false},
		{"empty value", "0801 7200", "80110000 00000004 0801 2a00", 1, false},
		{"id 0", "7200", "80110000 00000004 0800 2a00", 0, false},
		{"failure", "0802 7a0a 08f403 120172 1a021200", "80110000 0000000e 0802 320a 08f403 120172 1a021200", 2, true},
		{"order of fields", "7a02 0801 0805", "80110000 00000006 0805 3202 0801", 5, true},
	} {
		got, cid, failed, err := RunCompletion([]byte("x"), unhex(t, c.proposal))
		if want := append([]byte("x"), unhex(t, c.frame)...); err != nil || !bytes.Equal(got, want) || cid != c.cid || failed != c.failed {
			t.Errorf("%s: %x, %d, %v, %v", c.name, got, cid, failed, err)
		}
	}
	for name, proposal := range map[string]string{
		"no result": "0801", "nothing": "", "two results": "72007a00", "bad failure": "7a0108", "bad text": "7a031201ff", "cut": "0801 7205",
	} {
		got, _, _, err := RunCompletion([]byte("x"), unhex(t, proposal))
		if docOf(t, err) != "RT0012" || string(got) != "x" {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestStart(t *testing.T) {
	i := parseID(t, seedID)
	s := Start{
		ID: i, KnownEntries: 3, State: []StateEntry{{Key: []byte("a"), Value: nil}, {Key: []byte("b"), Value: []byte("1")}}, PartialState: true,
		Key: "k", RetryCount: 2, SinceLastEntry: 53, RandomSeed: 9, Scope: str(""), LimitKey: str("l"), IdempotencyKey: str("i"),
	}
	want := &servicev1.Start{
		Id: i[:], DebugId: seedID, KnownEntries: 3, PartialState: true, Key: "k", RetryCountSinceLastStoredEntry: 2,
		DurationSinceLastStoredEntry: 53, RandomSeed: 9,
		StateMap: []*servicev1.Start_StateEntry{{Key: []byte("a")}, {Key: []byte("b"), Value: []byte("1")}},
	}
	for version := uint32(5); version <= 7; version++ {
		if s.Version = version; version == 7 {
			want.Scope, want.LimitKey, want.IdempotencyKey = str(""), str("l"), str("i")
		}
		f, _, _, _ := NextFrame(AppendStart(nil, &s), 1<<20)
		got := &servicev1.Start{}
		if err := proto.Unmarshal(f.Payload, got); err != nil || !proto.Equal(got, want) || f.Type != TypeStart {
			t.Errorf("version %d: %v, %v", version, got, err)
		}
	}
}

func TestCompletionOfEverything(t *testing.T) {
	var zero id.Invocation
	b := AppendInvocationID(nil, 0, zero.String())
	f, _, _, _ := NextFrame(b, 1<<20)
	got := &servicev1.Notification{}
	if err := proto.Unmarshal(f.Payload, got); err != nil || got.GetInvocationId() != zero.String() {
		t.Errorf("%v, %v", got, err)
	}
	if _, ok := got.GetId().(*servicev1.Notification_CompletionId); !ok {
		t.Error("completion id 0 was left out")
	}
}

func TestParsePromise(t *testing.T) {
	for _, f := range []Frame{
		frameOf(t, TypeGetPromise, &servicev1.GetPromiseCommand{Key: "p", ResultCompletionId: 3, Name: "label"}),
		frameOf(t, TypePeekPromise, &servicev1.PeekPromiseCommand{Key: "p", ResultCompletionId: 3}),
	} {
		if name, completion, err := ParsePromise(f); err != nil || name != "p" || completion != 3 {
			t.Errorf("%s: %q %d, %v", f.Type, name, completion, err)
		}
	}
	for _, c := range []struct {
		name string
		m    *servicev1.CompletePromiseCommand
		want *storedv1.Result
	}{
		{"value", &servicev1.CompletePromiseCommand{Completion: &servicev1.CompletePromiseCommand_CompletionValue{CompletionValue: val("v")}},
			&storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("v")}}},
		{"failure", &servicev1.CompletePromiseCommand{Completion: &servicev1.CompletePromiseCommand_CompletionFailure{
			CompletionFailure: &servicev1.Failure{Code: 418, Message: "m", Metadata: []*servicev1.FailureMetadata{{Key: "k", Value: "v"}}},
		}}, &storedv1.Result{Result: &storedv1.Result_Failure{
			Failure: &storedv1.Failure{Code: 418, Message: "m", Metadata: []*storedv1.FailureMetadata{{Key: "k", Value: "v"}}},
		}}},
	} {
		c.m.Key, c.m.ResultCompletionId = "p", 4
		got, err := ParseCompletePromise(frameOf(t, TypeCompletePromise, c.m).Payload)
		if err != nil || got.Promise != "p" || got.Completion != 4 || !proto.Equal(got.Result, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, payload := range []string{"0a0170", "0a01ff 1200", "0a0170 12"} {
		if got, err := ParseCompletePromise(unhex(t, payload)); docOf(t, err) != "RT0012" {
			t.Errorf("%s: %+v, %v", payload, got, err)
		}
	}
}

// A target that is named has the id that follows from its name.
func TestParseAttach(t *testing.T) {
	key, empty := "k", ""
	for _, c := range []struct {
		name string
		m    *servicev1.AttachInvocationCommand
		want id.Invocation
	}{
		{"id", &servicev1.AttachInvocationCommand{Target: &servicev1.AttachInvocationCommand_InvocationId{InvocationId: seedID}}, parseID(t, seedID)},
		{"workflow", &servicev1.AttachInvocationCommand{Target: &servicev1.AttachInvocationCommand_WorkflowTarget{
			WorkflowTarget: &servicev1.WorkflowTarget{WorkflowName: "Wf", WorkflowKey: "wk1", Scope: &empty},
		}}, parseID(t, "inv_14NAYWOkWeyC4HqaAv3eM70hJLaHxEfgB2")},
		{"service", idempotentAttach(&servicev1.IdempotentRequestTarget{
			ServiceName: "Greeter", HandlerName: "Greet", IdempotencyKey: "k1",
		}), parseID(t, "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y")},
		{"object", idempotentAttach(&servicev1.IdempotentRequestTarget{
			ServiceName: "Counter", ServiceKey: &key, HandlerName: "Add", IdempotencyKey: "ck1",
		}), id.IdempotentInvocation("Counter", "k", true, "Add", "ck1")},
		{"object with an empty key", idempotentAttach(&servicev1.IdempotentRequestTarget{
			ServiceName: "Counter", ServiceKey: &empty, HandlerName: "Add", IdempotencyKey: "ck1",
		}), id.IdempotentInvocation("Counter", "", true, "Add", "ck1")},
	} {
		c.m.ResultCompletionId = 5
		f := frameOf(t, TypeAttachInvocation, c.m)
		if err := CheckCommand(f, inService); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, typ := range []Type{TypeAttachInvocation, TypeGetInvocationOutput} { // they have the same fields
			f.Type = typ
			if got, completion, err := ParseAttach(f); err != nil || got != c.want || completion != 5 {
				t.Errorf("%s by %s: %s %d, %v", c.name, typ, got, completion, err)
			}
		}
	}
	for payload, doc := range map[string]string{
		"5805": "RT0012", "0a03 666f6f": "RT0017", "1a03 0a01ff": "RT0012", "22020a05": "RT0012",
	} {
		if _, _, err := ParseAttach(Frame{Type: TypeAttachInvocation, Payload: unhex(t, payload)}); docOf(t, err) != doc {
			t.Errorf("%s: %v, not %s", payload, err, doc)
		}
	}
}

func idempotentAttach(target *servicev1.IdempotentRequestTarget) *servicev1.AttachInvocationCommand {
	return &servicev1.AttachInvocationCommand{Target: &servicev1.AttachInvocationCommand_IdempotentRequestTarget{IdempotentRequestTarget: target}}
}

func TestParseInvocationID(t *testing.T) {
	want, err := id.ParseInvocation(seedID)
	if err != nil {
		t.Fatal(err)
	}
	f, _, _, err := NextFrame(AppendInvocationID(nil, 3, seedID), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got, completion, err := ParseInvocationID(f.Payload); err != nil || got != want || completion != 3 {
		t.Errorf("%s %d, %v", got, completion, err)
	}
	for _, bad := range [][]byte{{0x08}, AppendInvocationID(nil, 3, "inv_1")[8:]} {
		if got, _, err := ParseInvocationID(bad); docOf(t, err) != "RT0012" {
			t.Errorf("%x: %s", bad, got)
		}
	}
}

func TestResultCompletion(t *testing.T) {
	for _, c := range []struct {
		t    Type
		hex  string
		want uint32
		ok   bool
	}{
		{TypeSleep, "5805", 5, true}, {TypeRun, "5807", 7, true}, {TypeCall, "50015802", 2, true}, {TypeGetLazyState, "0a016b5803", 3, true},
		{TypeOneWayCall, "5001", 0, false}, {TypeSetState, "0a016b", 0, false}, {TypeOutput, "7200", 0, false},
	} {
		got, ok, err := ResultCompletion(hexFrame(t, c.t, c.hex))
		if err != nil || got != c.want || ok != c.ok {
			t.Errorf("%s: %d %t, %v", c.t, got, ok, err)
		}
	}
	if _, _, err := ResultCompletion(hexFrame(t, TypeSleep, "58")); docOf(t, err) != "RT0012" {
		t.Error("a malformed command has a result")
	}
}
