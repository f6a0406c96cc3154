package serviceproto_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	. "reprise/pkg/serviceproto"
)

// unhex decodes hex with blanks in it.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("bad hex %q: %v", s, err)
	}
	return b
}

func parseID(t testing.TB, text string) id.Invocation {
	t.Helper()
	i, err := id.ParseInvocation(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return i
}

// messageOf returns an empty message of the type.
func messageOf(t Type) proto.Message {
	switch t {
	case TypeStart:
		return &servicev1.Start{}
	case TypeSuspension:
		return &servicev1.Suspension{}
	case TypeError:
		return &servicev1.Error{}
	case TypeEnd:
		return &servicev1.End{}
	case TypeCommandAck:
		return &servicev1.CommandAck{}
	case TypeProposeRunCompletion:
		return &servicev1.ProposeRunCompletion{}
	case TypeAwaitingOn:
		return &servicev1.AwaitingOn{}
	case TypeProposeRunCompletionAck:
		return &servicev1.ProposeRunCompletionAck{}
	case TypeInput:
		return &servicev1.InputCommand{}
	case TypeOutput:
		return &servicev1.OutputCommand{}
	case TypeGetLazyState:
		return &servicev1.GetLazyStateCommand{}
	case TypeSetState:
		return &servicev1.SetStateCommand{}
	case TypeClearState:
		return &servicev1.ClearStateCommand{}
	case TypeClearAllState:
		return &servicev1.ClearAllStateCommand{}
	case TypeGetLazyStateKeys:
		return &servicev1.GetLazyStateKeysCommand{}
	case TypeGetEagerState:
		return &servicev1.GetEagerStateCommand{}
	case TypeGetEagerStateKeys:
		return &servicev1.GetEagerStateKeysCommand{}
	case TypeGetPromise:
		return &servicev1.GetPromiseCommand{}
	case TypePeekPromise:
		return &servicev1.PeekPromiseCommand{}
	case TypeCompletePromise:
		return &servicev1.CompletePromiseCommand{}
	case TypeSleep:
		return &servicev1.SleepCommand{}
	case TypeCall:
		return &servicev1.CallCommand{}
	case TypeOneWayCall:
		return &servicev1.OneWayCallCommand{}
	case TypeSendSignal:
		return &servicev1.SendSignalCommand{}
	case TypeRun:
		return &servicev1.RunCommand{}
	case TypeAttachInvocation:
		return &servicev1.AttachInvocationCommand{}
	case TypeGetInvocationOutput:
		return &servicev1.GetInvocationOutputCommand{}
	case TypeCompleteAwakeable:
		return &servicev1.CompleteAwakeableCommand{}
	default:
		return &servicev1.Notification{}
	}
}

const seedID = "inv_1lwHJJiWjqpY4VR3tsv0mj1GjfSRzeifFa"

const startV6 = "0000000000000051" +
	"0a183ab263584d83befa6484a13bc3c2ef17b053c363458916a2" +
	"1226696e765f316c77484a4a69576a7170593456523374737630" + "6d6a31476a6653527a6569664661" +
	"1801" + "2801" + "489c9b80f696bbdca1b001"

const inputRunIt = "0400000000000094" +
	"0a280a16782d726573746174652d696e67726573732d70617468120e2f477265657465722f52756e4974" +
	"0a190a0a757365722d6167656e74120b6375726c2f372e38382e31" +
	"0a0d0a0661636365707412032a2f2a" +
	"0a200a0c636f6e74656e742d7479706512106170706c69636174696f6e2f6a736f6e" +
	"0a130a0e636f6e74656e742d6c656e677468120135" +
	"72070a0522626f6222"

const startObject = "000000000000005f" +
	"0a18548ae3cba54055b3112695f8d07e57673ce4783e9dac9204" +
	"1226696e765f31666f41697259344b4b7a693038435a594253544370455856645676616f53616c33" +
	"1801" + "220a0a05636f756e74120135" + "32026b31" + "48eaaacbafc490989bca01"

func str(s string) *string { return &s }

// vectors are frames as they were recorded, with what they hold.
var vectors = []struct {
	name  string
	hex   string
	flags uint16
	want  proto.Message
}{
	{"start of a service", startV6, 0, &servicev1.Start{
		Id:      []byte("\x3a\xb2\x63\x58\x4d\x83\xbe\xfa\x64\x84\xa1\x3b\xc3\xc2\xef\x17\xb0\x53\xc3\x63\x45\x89\x16\xa2"),
		DebugId: seedID, KnownEntries: 1, PartialState: true, RandomSeed: 12701120552794852764,
	}},
	{"start of an object", startObject, 0, &servicev1.Start{
		Id:      []byte("\x54\x8a\xe3\xcb\xa5\x40\x55\xb3\x11\x26\x95\xf8\xd0\x7e\x57\x67\x3c\xe4\x78\x3e\x9d\xac\x92\x04"),
		DebugId: "inv_1foAirY4KKzi08CZYBSTCpEXVdVvaoSal3", KnownEntries: 1, Key: "k1", RandomSeed: 14570939765629310314,
		StateMap: []*servicev1.Start_StateEntry{{Key: []byte("count"), Value: []byte("5")}},
	}},
	{"input", inputRunIt, 0, &servicev1.InputCommand{
		Headers: []*servicev1.Header{
			{Key: "x-restate-ingress-path", Value: "/Greeter/RunIt"}, {Key: "user-agent", Value: "curl/7.88.1"},
			{Key: "accept", Value: "*/*"}, {Key: "content-type", Value: "application/json"}, {Key: "content-length", Value: "5"},
		},
		Value: &servicev1.Value{Content: []byte(`"bob"`)},
	}},
	{"run", "04110000 00000009 5801 62057374657031", 0, &servicev1.RunCommand{ResultCompletionId: 1, Name: "step1"}},
	{"proposal", "00050000 0000000d 0801 72092272616e20626f6222", 0, &servicev1.ProposeRunCompletion{
		ResultCompletionId: 1, Result: &servicev1.ProposeRunCompletion_Value{Value: []byte(`"ran bob"`)},
	}},
	{"flagged proposal", "00058000 0000000d 0801 72092272616e20626f6222", FlagRequestedAck, &servicev1.ProposeRunCompletion{
		ResultCompletionId: 1, Result: &servicev1.ProposeRunCompletion_Value{Value: []byte(`"ran bob"`)},
	}},
	{"run completion", "80110000 0000000f 0801 2a0b0a092272616e20626f6222", 0, completion(1, value(`"ran bob"`))},
	{"output", "04010000 0000000d 720b0a092272616e20626f6222", 0, &servicev1.OutputCommand{
		Result: &servicev1.OutputCommand_Value{Value: &servicev1.Value{Content: []byte(`"ran bob"`)}},
	}},
	{"end", "00030000 00000000", 0, &servicev1.End{}},
	{"awaiting on", "00060000 0000000e 0a0c 120101 2205 0a0101 2801 2801", 0, &servicev1.AwaitingOn{AwaitingOn: &servicev1.Future{
		WaitingSignals: []uint32{1}, CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED,
		NestedFutures: []*servicev1.Future{{
			WaitingCompletions: []uint32{1}, CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED,
		}},
	}}},
	{"run ack", "00070000 00000002 0801", 0, &servicev1.ProposeRunCompletionAck{CompletionId: 1}},
	{"sleep", "040c0000 00000009 08939592 86a034 5801", 0, &servicev1.SleepCommand{WakeUpTime: 1795309210259, ResultCompletionId: 1}},
	{"suspension", "00010000 00000006 0a0101 120101", 0, &servicev1.Suspension{WaitingCompletions: []uint32{1}, WaitingSignals: []uint32{1}}},
	{"sleep completion", "800c0000 00000004 0801 2200", 0, completion(1, void())},
	{"call", "040d000000000024 0a0747726565746572 120548656c6c6f 1a03226322 22090a04782d6d79120168 5001 5802", 0, &servicev1.CallCommand{
		ServiceName: "Greeter", HandlerName: "Hello", Parameter: []byte(`"c"`), Headers: []*servicev1.Header{{Key: "x-my", Value: "h"}},
		InvocationIdNotificationIdx: 1, ResultCompletionId: 2,
	}},
	{"call invocation id", "800e00000000002b 0801 820126696e765f3162687458594570747859343235673866643861566f735a69584e70655945746b52", 0,
		&servicev1.Notification{
			Id:     &servicev1.Notification_CompletionId{CompletionId: 1},
			Result: &servicev1.Notification_InvocationId{InvocationId: "inv_1bhtXYEptxY425g8fd8aVosZiXNpeYEtkR"},
		}},
	{"call completion", "800d00000000000c 0802 2a080a06226869206322", 0, completion(2, value(`"hi c"`))},
	{"one-way call", "040e000000000022 0a0747726565746572 120548656c6c6f 1a07226c6174657222 2089a6de85a034 5003", 0, &servicev1.OneWayCallCommand{
		ServiceName: "Greeter", HandlerName: "Hello", Parameter: []byte(`"later"`), InvokeTime: 1795308360457, InvocationIdNotificationIdx: 3,
	}},
	{"error", "0002 0000 0000001c 08f403 12097472616e7369656e74 2001 2a057374657052 309108 4032", 0, &servicev1.Error{
		Code: 500, Message: "transient", RelatedCommandIndex: proto.Uint32(1), RelatedCommandName: str("stepR"),
		RelatedCommandType: proto.Uint32(0x0411), NextRetryDelay: proto.Uint64(50),
	}},
	{"eager state, absent", "0407000000000009 0a05636f756e74 6a00", 0, &servicev1.GetEagerStateCommand{
		Key: []byte("count"), Result: &servicev1.GetEagerStateCommand_Void{Void: &servicev1.Void{}},
	}},
	{"eager state", "040700000000000c 0a05636f756e74 72030a0135", 0, &servicev1.GetEagerStateCommand{
		Key: []byte("count"), Result: &servicev1.GetEagerStateCommand_Value{Value: &servicev1.Value{Content: []byte("5")}},
	}},
	{"set state", "040300000000000c 0a05636f756e74 1a030a0135", 0, &servicev1.SetStateCommand{
		Key: []byte("count"), Value: &servicev1.Value{Content: []byte("5")},
	}},
	{"cancel", "fbff000000000004 1001 2200", 0, signal(1, void())},
	{"awakeable", "fbff00000000000b 1011 2a070a052272657322", 0, signal(17, value(`"res"`))},
	{"send cancel", "0410 0000 0000002c 0a26696e765f316c77484a4a69576a71705934565233747376306d6a31476a6653527a6569664661 1001 2200", 0,
		&servicev1.SendSignalCommand{
			TargetInvocationId: seedID, SignalId: &servicev1.SendSignalCommand_Idx{Idx: 1},
			Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
		}},
	{"failed output", "0401000000000010 7a0e 089903 120943616e63656c6c6564", 0, &servicev1.OutputCommand{
		Result: &servicev1.OutputCommand_Failure{Failure: &servicev1.Failure{Code: 409, Message: "Cancelled"}},
	}},
	{"promise conflict", "800b000000000026 0804 3222 089903 121d 70726f6d6973652077617320616c726561647920636f6d706c65746564", 0,
		completion(4, failure(409, "promise was already completed"))},
}

type notificationResult func(*servicev1.Notification)

func void() notificationResult {
	return func(n *servicev1.Notification) { n.Result = &servicev1.Notification_Void{Void: &servicev1.Void{}} }
}

func value(s string) notificationResult {
	return func(n *servicev1.Notification) {
		n.Result = &servicev1.Notification_Value{Value: &servicev1.Value{Content: []byte(s)}}
	}
}

func failure(code uint32, message string) notificationResult {
	return func(n *servicev1.Notification) {
		n.Result = &servicev1.Notification_Failure{Failure: &servicev1.Failure{Code: code, Message: message}}
	}
}

func completion(cid uint32, res notificationResult) proto.Message {
	n := &servicev1.Notification{Id: &servicev1.Notification_CompletionId{CompletionId: cid}}
	res(n)
	return n
}

func signal(index uint32, res notificationResult) proto.Message {
	n := &servicev1.Notification{Id: &servicev1.Notification_SignalId{SignalId: index}}
	res(n)
	return n
}

// TestVectors reads recorded frames with the generated code and writes them again.
func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			raw := unhex(t, v.hex)
			f, rest, ok, err := NextFrame(raw, 1<<20)
			if err != nil || !ok || len(rest) != 0 || f.Flags != v.flags || !f.Type.Known() {
				t.Fatalf("cut %v %04x, rest %d, %v, %v", f.Type, f.Flags, len(rest), ok, err)
			}
			m := messageOf(f.Type)
			if err := proto.Unmarshal(f.Payload, m); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(m, v.want) {
				t.Errorf("%s is %v, not %v", f.Type, m, v.want)
			}
			payload, err := proto.Marshal(v.want)
			if err != nil {
				t.Fatal(err)
			}
			back := AppendFrame(nil, f.Type, payload)
			back[2] |= byte(v.flags >> 8)
			if !bytes.Equal(back, raw) {
				t.Errorf("written as\n%x, not\n%x", back, raw)
			}
		})
	}
}

// TestBuilders builds recorded frames with what the engine uses.
func TestBuilders(t *testing.T) {
	cancelled := &storedv1.Failure{Code: 409, Message: "promise was already completed"}
	startOfService := Start{Version: 6, ID: parseID(t, seedID), KnownEntries: 1, PartialState: true, RandomSeed: id.RandomSeed(parseID(t, seedID))}
	startOfObject := Start{
		Version: 6, ID: parseID(t, "inv_1foAirY4KKzi08CZYBSTCpEXVdVvaoSal3"), KnownEntries: 1, Key: "k1", RandomSeed: id.RandomSeed(parseID(t, "inv_1foAirY4KKzi08CZYBSTCpEXVdVvaoSal3")),
		State: []StateEntry{{Key: []byte("count"), Value: []byte("5")}},
	}
	for _, c := range []struct {
		name, hex string
		got       []byte
	}{
		{"start of a service", startV6, AppendStart(nil, &startOfService)},
		{"start of an object", startObject, AppendStart(nil, &startOfObject)},
		{"input", inputRunIt, AppendInput(nil, []Header{
			{"x-restate-ingress-path", "/Greeter/RunIt"}, {"user-agent", "curl/7.88.1"}, {"accept", "*/*"},
			{"content-type", "application/json"}, {"content-length", "5"},
		}, []byte(`"bob"`))},
		{"run completion", "80110000 0000000f 0801 2a0b0a092272616e20626f6222", AppendValue(nil, TypeRunCompletion, 1, []byte(`"ran bob"`))},
		{"run ack", "00070000 00000002 0801", AppendRunAck(nil, 1)},
		{"command ack", "00040000 00000002 0801", AppendCommandAck(nil, 1)},
		{"sleep completion", "800c0000 00000004 0801 2200", AppendVoid(nil, TypeSleepCompletion, 1)},
		{"completion id 0", "800c0000 00000004 0800 2200", AppendVoid(nil, TypeSleepCompletion, 0)},
		{"empty value", "80110000 00000004 0801 2a00", AppendValue(nil, TypeRunCompletion, 1, nil)},
		{"call invocation id", "800e00000000002b 0801 820126696e765f3162687458594570747859343235673866643861566f735a69584e70655945746b52",
			AppendInvocationID(nil, 1, "inv_1bhtXYEptxY425g8fd8aVosZiXNpeYEtkR")},
		{"call completion", "800d00000000000c 0802 2a080a06226869206322", AppendResult(nil, TypeCallCompletion, 2,
			&storedv1.Result{Result: &storedv1.Result_Value{Value: []byte(`"hi c"`)}})},
		{"promise conflict", "800b000000000026 0804 3222 089903 121d 70726f6d6973652077617320616c726561647920636f6d706c65746564",
			AppendFailure(nil, TypeCompletePromiseCompletion, 4, cancelled)},
		{"result of a failed call", "800d000000000026 0804 3222 089903 121d 70726f6d6973652077617320616c726561647920636f6d706c65746564",
			AppendResult(nil, TypeCallCompletion, 4, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: cancelled}})},
		{"cancel", "fbff000000000004 1001 2200", AppendSignalVoid(nil, SignalCancel)},
		{"awakeable", "fbff00000000000b 1011 2a070a052272657322", AppendSignalValue(nil, 17, []byte(`"res"`))},
		{"awakeable result", "fbff00000000000b 1011 2a070a052272657322", AppendSignalResult(nil, 17,
			&storedv1.Result{Result: &storedv1.Result_Value{Value: []byte(`"res"`)}})},
		{"state keys", "8006 0000 0000000b 0801 8a0106 0a0161 0a0162", AppendStateKeys(nil, 1, [][]byte{[]byte("a"), []byte("b")})},
		{"no state keys", "8006 0000 00000005 0801 8a0100", AppendStateKeys(nil, 1, nil)},
	} {
		if want := unhex(t, c.hex); !bytes.Equal(c.got, want) {
			t.Errorf("%s is\n%x, not\n%x", c.name, c.got, want)
		}
	}
}
