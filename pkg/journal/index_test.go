package journal_test

import (
	"encoding/hex"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/errs"
	"reprise/pkg/journal"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

func TestRowBytes(t *testing.T) {
	row := journal.Row{First: 3, Entries: 2, Time: 0x0102, Attempt: 4, Frames: []byte("frames")}
	value := row.AppendValue(nil)
	if got, want := hex.EncodeToString(value), "0201000000000000"+"04000000"+"02000000"+hex.EncodeToString([]byte("frames")); got != want {
		t.Errorf("value is %s, not %s", got, want)
	}
	back, err := journal.ParseRow(3, value)
	if err != nil || back.Entries != 2 || back.Time != 0x0102 || back.Attempt != 4 || back.First != 3 || string(back.Frames) != "frames" {
		t.Errorf("parsed %+v, %v", back, err)
	}
	if _, err := journal.ParseRow(0, value[:journal.RowHeaderSize-1]); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a short row gives %v", err)
	}
}

func join(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

func TestIndexFollowsRows(t *testing.T) {
	var x journal.Index
	rows := []journal.Row{
		{Entries: 1, Time: 10, Frames: partitiontest.Input("in")},
		{First: 1, Entries: 4, Time: 20, Attempt: 2, Frames: join(
			partitiontest.Run(1), partitiontest.RunDone(1, "x"), partitiontest.Sleep(300, 5),
			serviceproto.AppendVoid(nil, serviceproto.TypeSleepCompletion, 300),
		)},
		{First: 5, Entries: 3, Time: 30, Attempt: 1, Frames: join(
			serviceproto.AppendSignalVoid(nil, 17),
			serviceproto.AppendFailure(nil, serviceproto.TypeCallCompletion, 0, nil),
			serviceproto.AppendSignal(nil, serviceproto.SendSignal{Named: true, Name: "go"}),
		)},
	}
	size := 0
	for _, row := range rows {
		size += len(row.Frames)
		if err := x.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	if x.Entries != 8 || x.Commands != 3 || x.LastTime != 30 || x.LastAttempt != 2 || x.Bytes != int64(size) {
		t.Errorf("index is %+v", x)
	}
	for id, want := range map[uint32]journal.Outcome{0: journal.Failed, 1: journal.Success, 2: 0, 299: 0, 300: journal.Success, 1 << 31: 0} {
		if got := x.Completion(id); got != want {
			t.Errorf("completion %d is %d, not %d", id, got, want)
		}
	}
	if x.Signal(17) != journal.Success || x.Signal(18) != 0 || x.NamedSignal("go") != journal.Success || x.NamedSignal("") != 0 {
		t.Errorf("signals are %d %d %d", x.Signal(17), x.Signal(18), x.NamedSignal("go"))
	}
}

// The sleeps of a journal that are not over are known, in its order, however many there are.
func TestOpenSleeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x journal.Index
		var want []journal.Sleep
		next := uint32(0)
		for range rapid.IntRange(0, 100).Draw(t, "rows") {
			row := journal.Row{First: x.Entries, Entries: 1, Time: x.LastTime}
			if n := len(want); n > 0 && rapid.Bool().Draw(t, "completed") {
				at := rapid.IntRange(0, n-1).Draw(t, "which")
				row.Frames = serviceproto.AppendVoid(nil, serviceproto.TypeSleepCompletion, want[at].Completion)
				row.Time = max(row.Time, want[at].Due)
				want = append(want[:at], want[at+1:]...)
			} else {
				s := journal.Sleep{Due: rapid.Int64Range(0, 200).Draw(t, "due"), Completion: next}
				next++
				row.Frames = partitiontest.Sleep(s.Completion, s.Due)
				want = append(want, s)
			}
			if err := x.Add(row); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 20).Draw(t, "asked") == 0 && !slices.Equal(x.OpenSleeps(), want) {
				t.Fatalf("open are %v, want %v", x.OpenSleeps(), want)
			}
		}
		if !slices.Equal(x.OpenSleeps(), want) {
			t.Fatalf("open are %v, want %v", x.OpenSleeps(), want)
		}
	})
	var x journal.Index
	for n, frame := range [][]byte{partitiontest.Sleep(1, 50), partitiontest.Run(1), partitiontest.RunDone(1, "x"), partitiontest.Sleep(1, 60)} {
		if err := x.Add(journal.Row{First: uint32(n), Entries: 1, Time: 40, Frames: frame}); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.OpenSleeps(); !slices.Equal(got, []journal.Sleep{{Due: 50, Completion: 1}, {Due: 60, Completion: 1}}) {
		t.Errorf("of sleeps with the id of something else are open: %v", got)
	}
	if err := x.Add(journal.Row{Entries: 1, Frames: serviceproto.AppendFrame(nil, serviceproto.TypeSleep, []byte{0x08})}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a malformed sleep gives %v", err)
	}
}

// A row that is damaged is refused whole.
func TestIndexRefusesDamage(t *testing.T) {
	run := partitiontest.Run(1)
	done := partitiontest.RunDone(2, "x")
	for name, row := range map[string]journal.Row{
		"count":          {Entries: 2, Frames: run},
		"header":         {Entries: 1, Frames: run[:5]},
		"payload":        {Entries: 1, Frames: run[:len(run)-1]},
		"control":        {Entries: 1, Frames: partitiontest.End()},
		"notification":   {Entries: 2, Frames: join(done, serviceproto.AppendFrame(nil, serviceproto.TypeSleepCompletion, []byte{0xFF}))},
		"cut field":      {Entries: 1, Frames: serviceproto.AppendFrame(nil, serviceproto.TypeSleepCompletion, []byte{0x2A, 9, 1})},
		"cut fixed wire": {Entries: 1, Frames: serviceproto.AppendFrame(nil, serviceproto.TypeSleepCompletion, []byte{0x2D, 9, 1})},
	} {
		var x journal.Index
		if err := x.Add(row); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: error is %v", name, err)
		}
		if x.Entries != 0 || x.Completion(2) != 0 {
			t.Errorf("%s: the index changed: %+v", name, x)
		}
	}
}

// Whatever ids come in whatever order, the first outcome of each counts, and nothing else is there.
func TestOutcomes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x journal.Index
		want := map[uint32]journal.Outcome{}
		ids := rapid.OneOf(rapid.Uint32Range(0, 40), rapid.Uint32Range(0, 2000), rapid.Uint32())
		for range rapid.IntRange(0, 60).Draw(t, "count") {
			id, o := ids.Draw(t, "id"), journal.Success
			if rapid.Bool().Draw(t, "failed") {
				o = journal.Failed
			}
			x.NoteCompletion(id, o)
			if _, ok := want[id]; !ok {
				want[id] = o
			}
		}
		got := map[uint32]journal.Outcome{}
		for id := range want {
			got[id] = x.Completion(id)
		}
		if !maps.Equal(got, want) {
			t.Fatalf("outcomes are %v, not %v", got, want)
		}
		if id := ids.Draw(t, "other"); x.Completion(id) != want[id] {
			t.Fatalf("outcome of %d is %d, not %d", id, x.Completion(id), want[id])
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(uint32(2), join(partitiontest.Run(1), partitiontest.RunDone(1, "x")))
	f.Add(uint32(1), serviceproto.AppendSignalVoid(nil, 17))
	f.Fuzz(func(t *testing.T, entries uint32, frames []byte) {
		var x journal.Index
		if err := x.Add(journal.Row{Entries: entries, Frames: frames}); err == nil && x.Entries != entries {
			t.Errorf("%d entries became %d", entries, x.Entries)
		}
	})
}
