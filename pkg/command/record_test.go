package command_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

func sample(t testing.TB, dst []byte) []byte {
	t.Helper()
	h := command.Header{
		Kind: command.Step, Flags: 3, Frames: 2, Time: 5, Incarnation: 7, Activation: 8, Attempt: 9,
		SourceSeq: 11, Source: 12, ID: id.NewInvocation(13, [16]byte{14}),
	}
	rec, err := command.Append(dst, h, &storedv1.TimerFacts{DueMs: 1, Kind: 2, Index: 3}, []byte("one"), []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRecordRoundTrip(t *testing.T) {
	rec := sample(t, nil)
	command.Stamp(rec, id.NewLoglet(1, 2), 100, 4, 21, 1000)
	if err := command.Verify(rec); err != nil {
		t.Fatal(err)
	}
	r, err := command.Parse(rec)
	if err != nil {
		t.Fatal(err)
	}
	want := command.Header{
		Kind: command.Step, Flags: 3, Frames: 2, LSN: 100, Loglet: id.NewLoglet(1, 2), Epoch: 4, Seq: 21, Time: 1000,
		Incarnation: 7, Activation: 8, Attempt: 9, SourceSeq: 11, Source: 12, ID: id.NewInvocation(13, [16]byte{14}),
	}
	if r.Header != want {
		t.Errorf("header %+v, want %+v", r.Header, want)
	}
	if string(r.Body) != "onetwo" || !bytes.Equal(r.Raw, rec) {
		t.Errorf("body %q, raw %d bytes", r.Body, len(r.Raw))
	}
	var facts storedv1.TimerFacts
	if err := facts.UnmarshalVT(r.Facts); err != nil || facts.Index != 3 {
		t.Errorf("facts %v, %v", &facts, err)
	}
	if seq, source := command.Source(rec); seq != 11 || source != 12 {
		t.Errorf("source %d/%d", seq, source)
	}
}

// The layout is stored for years: these bytes never change.
func TestRecordLayout(t *testing.T) {
	rec := sample(t, nil)
	command.Stamp(rec, id.NewLoglet(1, 2), 100, 4, 21, 1000)
	const want = "84000000" + "PPPPPPPP" + "0103" + "0300" + "02000000" + "6400000000000000" + "0200000001000000" + "0400000000000000" +
		"1500000000000000" + "e803000000000000" + "0700000000000000" + "0800000000000000" + "09000000" + "06000000" +
		"0b00000000000000" + "0c00" + "000000000000" + "000000000000000d" + "0e000000000000000000000000000000" + "080110021803" + "6f6e6574776f"
	got := hex.EncodeToString(rec)
	if got[:8] != want[:8] || got[16:] != want[16:] {
		t.Errorf("layout\n got %s\nwant %s", got, want)
	}
}

func TestDamageIsFound(t *testing.T) {
	rec := sample(t, nil)
	command.Stamp(rec, 1, 1, 1, 1, 1)
	for i := 8; i < len(rec); i++ {
		bad := bytes.Clone(rec)
		bad[i] ^= 0x40
		if err := command.Verify(bad); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("a flipped bit at %d is not found: %v", i, err)
		}
	}
}

func TestNextCutsRecords(t *testing.T) {
	buf := sample(t, sample(t, nil))
	for i := range 2 {
		rec, rest, err := command.Next(buf)
		if err != nil || len(rec) != 132 {
			t.Fatalf("record %d: %d bytes, %v", i, len(rec), err)
		}
		buf = rest
	}
	if len(buf) != 0 {
		t.Errorf("%d bytes are left", len(buf))
	}
	one := sample(t, nil)
	for _, cut := range []int{0, 3, command.HeaderSize - 1, len(one) - 1} {
		if _, _, err := command.Next(one[:cut]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", cut, len(one), err)
		}
	}
	newer := bytes.Clone(one)
	newer[8] = 2
	if _, err := command.Parse(newer); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a newer format: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(sample(f, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, rest, err := command.Next(b)
		if err != nil {
			return
		}
		if len(rec)+len(rest) != len(b) {
			t.Fatal("bytes were lost")
		}
		if r, err := command.Parse(rec); err == nil && len(r.Facts)+len(r.Body)+command.HeaderSize != len(rec) {
			t.Fatal("facts and body do not add up")
		}
	})
}

func TestAppendAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	facts := &storedv1.TimerFacts{DueMs: 1}
	frame := []byte("frame")
	got := testing.AllocsPerRun(100, func() {
		rec, err := command.Append(buf[:0], command.Header{Kind: command.Fire}, facts, frame)
		if err != nil {
			t.Fatal(err)
		}
		command.Stamp(rec, 1, 1, 1, 1, 1)
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}
