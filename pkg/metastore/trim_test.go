package metastore_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
)

// However take-overs and trims follow each other, the chain is what was appended less what was taken off, in both ways to read it.
func TestTrimAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, _ := newStore(t)
		must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 2}))
		me := register(t, s, "a")
		l := must[metastore.Lineage](t)(s.Lineage(t.Context(), 1))
		first, next, trimmed := uint32(0), uint32(0), uint64(0)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			for range rapid.IntRange(1, 60).Draw(rt, "take-overs") {
				l = must[metastore.Lineage](t)(takeOver(t.Context(), s, 1, l, me, uint64(next)))
				next++
			}
			first = rapid.Uint32Range(first, next-1).Draw(rt, "first")
			trimmed = max(trimmed, uint64(first)*10+rapid.Uint64Range(0, 15).Draw(rt, "more")) // segment i begins at 10 i + 1
			l = must[metastore.Lineage](t)(s.Trim(t.Context(), 1, l, lsn.LSN(trimmed), first))
			now := must[metastore.Lineage](t)(s.Lineage(t.Context(), 1))
			logs, _, err := s.Logs(t.Context())
			if err != nil || !proto.Equal(now.Chain, l.Chain) || !proto.Equal(logs[1].Chain, l.Chain) {
				rt.Fatalf("it was answered %v, read %v, and with all %v (%v)", l.Chain, now.Chain, logs[1].Chain, err)
			}
			if l.Chain.Trimmed != trimmed || l.Chain.FirstIndex != first || len(l.Chain.Segments) != int(next-first) {
				rt.Fatalf("trimmed through %d, from segment %d on there are %d; want %d, %d, %d", l.Chain.Trimmed, l.Chain.FirstIndex, len(l.Chain.Segments), trimmed, first, next-first)
			}
			for i, seg := range l.Chain.Segments {
				if seg.Index != first+uint32(i) {
					rt.Fatalf("segment %d is %v", i, seg)
				}
			}
		}
	})
}

func TestTrimRefuses(t *testing.T) {
	s, _ := newStore(t)
	me := register(t, s, "a")
	empty := must[metastore.Lineage](t)(s.Lineage(t.Context(), 0))
	if _, err := s.Trim(t.Context(), 0, empty, 1, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("of a log without segments: %v", err)
	}
	l := empty
	for i := range 3 {
		l = must[metastore.Lineage](t)(takeOver(t.Context(), s, 0, l, me, uint64(i)))
	}
	for _, row := range []struct {
		through lsn.LSN
		first   uint32
	}{{9, 1}, {19, 2}, {1000, 3}} { // segment 0 ends at 10, 1 at 20, and the last one is needed
		if _, err := s.Trim(t.Context(), 0, l, row.through, row.first); !errs.Is(err, errs.Internal) {
			t.Errorf("through %d, from segment %d on: %v", row.through, row.first, err)
		}
	}
	now := must[metastore.Lineage](t)(s.Trim(t.Context(), 0, l, 10, 1))
	if again := must[metastore.Lineage](t)(s.Trim(t.Context(), 0, now, 5, 0)); again.Chain.Trimmed != 10 || again.Chain.FirstIndex != 1 {
		t.Errorf("it went back: %v", again.Chain)
	}
	if _, err := s.Trim(t.Context(), 0, l, 12, 1); !errs.Is(err, errs.Conflict) {
		t.Errorf("judged by an older chain: %v", err)
	}
	must[int](t)(s.Assign(t.Context(), 1, func([]*storedv1.Epoch) []placement.Replicas { return []placement.Replicas{{Current: []id.Node{1, 2}}} }))
	if _, err := s.Trim(t.Context(), 0, now, 12, 1); !errs.Is(err, errs.Conflict) {
		t.Errorf("judged by other holders: %v", err)
	}
}

// A trim whose answer was lost is found to be done.
func TestTrimOutcomeUnknown(t *testing.T) {
	s, f := newStore(t)
	me := register(t, s, "a")
	l := must[metastore.Lineage](t)(takeOver(t.Context(), s, 0, must[metastore.Lineage](t)(s.Lineage(t.Context(), 0)), me, 1))
	lost := 0
	f.Inject = func(op string, _ int) metatest.Fault {
		if op == "txn" {
			lost++
		}
		return pick(op == "txn" && lost == 1, metatest.LostAfter)
	}
	if now, err := s.Trim(t.Context(), 0, l, 1, 0); err != nil || now.Chain.Trimmed != 1 || lost != 2 {
		t.Errorf("trimmed through %d after %d tries: %v", now.Chain.GetTrimmed(), lost, err)
	}
}
