package serviceproto_test

import (
	"testing"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/journal"
	. "reprise/pkg/serviceproto"
)

// TestAllocations: a step does not allocate here.
func TestAllocations(t *testing.T) {
	stream := unhex(t, "04110000 00000009 5801 62057374657031")
	proposal := unhex(t, "0801 72092272616e20626f6222")
	set := hexFrame(t, TypeSetState, "0a05636f756e74 1a030a0135")
	output := hexFrame(t, TypeOutput, "720b0a092272616e20626f6222")
	sleep := hexFrame(t, TypeSleep, "08939592 86a034 5801")
	call := frameOf(t, TypeCall, &servicev1.CallCommand{ServiceName: "S", HandlerName: "h", Parameter: []byte("p"), IdempotencyKey: str("k")})
	eager := hexFrame(t, TypeGetEagerState, "0a05636f756e74 72030a0135")
	await, err := ParseSuspension(suspension(t, &servicev1.Suspension{AwaitingOn: node(first, signalIndex(1), node(all, 1, 2))}), 7)
	if err != nil {
		t.Fatal(err)
	}
	var res Resolved = resolved{completions: map[uint32]journal.Outcome{1: succeeded}}
	start := Start{Version: 7, ID: parseID(t, seedID), KnownEntries: 1, PartialState: true, RandomSeed: 1, IdempotencyKey: str("k")}
	headers := []Header{{"content-type", "application/json"}}
	buf := make([]byte, 0, 4096)

	for name, f := range map[string]func() error{
		"cut":            func() error { _, _, _, err := NextFrame(stream, 1<<20); return err },
		"check run":      func() error { f, _, _, _ := NextFrame(stream, 1<<20); return CheckCommand(f, inService) },
		"check set":      func() error { return CheckCommand(set, inObject) },
		"check output":   func() error { return CheckCommand(output, inService) },
		"check sleep":    func() error { return CheckCommand(sleep, inService) },
		"check call":     func() error { return CheckCommand(call, inService) },
		"check eager":    func() error { return CheckCommand(eager, inObject) },
		"run completion": func() error { _, _, _, err := RunCompletion(buf, proposal); return err },
		"scan": func() error {
			b, _, _, _ := RunCompletion(buf, proposal)
			f, _, _, _ := NextFrame(b, 1<<20)
			_, err := ScanNotification(f)
			return err
		},
		"set state":   func() error { _, _, err := ParseSetState(set.Payload); return err },
		"sleep":       func() error { _, _, err := ParseSleep(sleep.Payload); return err },
		"void":        func() error { AppendVoid(buf, TypeSleepCompletion, 1); return nil },
		"value":       func() error { AppendValue(buf, TypeCallCompletion, 1, proposal); return nil },
		"id":          func() error { AppendInvocationID(buf, 1, seedID); return nil },
		"signal":      func() error { AppendSignalValue(buf, 17, proposal); return nil },
		"start":       func() error { AppendStart(buf, &start); return nil },
		"input":       func() error { AppendInput(buf, headers, proposal); return nil },
		"acks":        func() error { AppendRunAck(AppendCommandAck(buf, 1), 1); return nil },
		"await":       func() error { await.Satisfied(res); return nil },
		"content":     func() error { ContentType(6); AcceptHeader(); return nil },
		"suspension":  func() error { _, err := StoredAwait(await.AppendStored(buf)); return err },
		"type string": func() error { _ = TypeRun.String(); return nil },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = f() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCheckRun(b *testing.B) {
	stream := unhex(b, "04110000 00000009 5801 62057374657031")
	b.ReportAllocs()
	for b.Loop() {
		f, _, _, _ := NextFrame(stream, 1<<20)
		if CheckCommand(f, inService) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkRunCompletion(b *testing.B) {
	proposal := unhex(b, "0801 72092272616e20626f6222")
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _, _ = RunCompletion(buf[:0], proposal)
	}
}
