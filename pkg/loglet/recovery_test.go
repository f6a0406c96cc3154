package loglet

import (
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

func nodeset(t *testing.T, replication string, states ...storedv1.StorageState) *quorum.Nodeset {
	t.Helper()
	p, err := quorum.Parse(replication)
	if err != nil {
		t.Fatal(err)
	}
	var members []quorum.Member
	for i, s := range states {
		members = append(members, quorum.Member{Node: id.Node(i + 1), State: s})
	}
	set, err := quorum.NewNodeset(p, members)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const (
	rw   = storedv1.StorageState_STORAGE_STATE_READ_WRITE
	lost = storedv1.StorageState_STORAGE_STATE_DATA_LOSS
	off  = storedv1.StorageState_STORAGE_STATE_DISABLED
)

func sealedAt(tail, known lsn.Offset) Reply {
	return Reply{Seal: logproto.Info{Status: logproto.Ok, Sealed: true, Tail: tail, Known: known}}
}

func digest(ranges ...logproto.Range) Reply {
	return Reply{Digest: logproto.DigestAnswer{Status: logproto.Ok, Exists: ranges}}
}

func asks(r *Recovery, a Ask) (members []int) {
	for _, w := range r.Wants() {
		if w.Ask == a {
			members = append(members, w.Member)
		}
	}
	return members
}

func TestTailWithoutRepair(t *testing.T) {
	for name, c := range map[string]struct {
		set     *quorum.Nodeset
		answers map[int]Reply
		tail    lsn.Offset // 0: not decided
	}{
		"one of three sealed decides nothing": {nodeset(t, "2", rw, rw, rw), map[int]Reply{0: sealedAt(5, 5)}, 0},
		"two agree":                           {nodeset(t, "2", rw, rw, rw), map[int]Reply{0: sealedAt(5, 1), 2: sealedAt(5, 1)}, 5},
		"the highest is known":                {nodeset(t, "2", rw, rw, rw), map[int]Reply{0: sealedAt(3, 1), 1: sealedAt(7, 7)}, 7},
		"the highest has one copy":            {nodeset(t, "2", rw, rw, rw), map[int]Reply{0: sealedAt(3, 3), 1: sealedAt(7, 3)}, 0},
		"an empty loglet":                     {nodeset(t, "2", rw, rw, rw), map[int]Reply{0: sealedAt(1, 1), 1: sealedAt(1, 1)}, 1},
		"a disabled node does not count":      {nodeset(t, "2", rw, rw, off), map[int]Reply{0: sealedAt(5, 5)}, 0},
		"nor one that lost its data":          {nodeset(t, "2", rw, rw, lost), map[int]Reply{0: sealedAt(5, 5), 2: sealedAt(5, 5)}, 0},
		"one copy":                            {nodeset(t, "1", rw), map[int]Reply{0: sealedAt(9, 1)}, 9},
	} {
		r := NewRecovery(logproto.Ref{Loglet: 1}, c.set)
		for m, reply := range c.answers {
			r.Step(Want{Ask: AskSeal, Member: m}, reply)
		}
		tail, ok, err := r.Done()
		if err != nil || ok != (c.tail != 0) || ok && tail != c.tail {
			t.Errorf("%s: tail %d, done %t, %v; want %d", name, tail, ok, err, c.tail)
		}
	}
}

func TestUnsealedAnswersDoNotCount(t *testing.T) {
	r := NewRecovery(logproto.Ref{}, nodeset(t, "2", rw, rw, rw))
	for m := range 3 {
		reply := sealedAt(4, 4)
		reply.Seal.Sealed = m == 0
		r.Step(Want{Ask: AskSeal, Member: m}, reply)
	}
	if _, ok, _ := r.Done(); ok {
		t.Error("one sealed member of three decided the tail")
	}
}

func TestRepairStory(t *testing.T) {
	r := NewRecovery(logproto.Ref{Loglet: 1}, nodeset(t, "2", rw, rw, rw))
	r.Step(Want{Ask: AskSeal, Member: 0}, sealedAt(9, 3))
	r.Step(Want{Ask: AskSeal, Member: 1}, sealedAt(6, 3))
	if got := asks(r, AskDigest); len(got) != 3 {
		t.Fatalf("digests are wanted from %v", got)
	}
	w := Want{Ask: AskDigest, From: 3, To: 9}
	r.Step(w, digest(logproto.Range{From: 3, To: 9}))
	w.Member = 1
	r.Step(w, digest(logproto.Range{From: 4, To: 6})) // 5 is on two: all below it is, too
	if got := asks(r, AskRecords); len(got) != 1 || got[0] != 0 {
		t.Fatalf("records are wanted from %v", got)
	}
	r.Step(Want{Ask: AskRecords, From: 6, To: 9}, Reply{Records: logproto.RecordsAnswer{Status: logproto.Ok, Groups: []logproto.Run{
		{First: 6, Count: 1, Records: []byte("six")}, {First: 7, Count: 2, Records: []byte("seveneight")},
	}}})
	if got := asks(r, AskRepair); len(got) != 2 || got[0] != 1 {
		t.Fatalf("repair goes to %v", got)
	}
	want := r.Wants()[0]
	if g := want.Group; g.First != 6 || g.Count != 3 || g.Known != 6 || string(g.Records) != "sixseveneight" || !g.Repair {
		t.Fatalf("repair stores %+v", g)
	}
	r.Step(want, Reply{Err: errs.Newf(errs.Unavailable, "down")})
	r.Step(want, Reply{Repair: logproto.Answer{Status: logproto.Disabled}})
	if _, ok, _ := r.Done(); ok {
		t.Fatal("done without a second copy")
	}
	r.Step(want, Reply{Repair: logproto.Answer{Status: logproto.Ok}})
	if tail, ok, err := r.Done(); !ok || tail != 9 || err != nil {
		t.Fatalf("tail %d, done %t, %v", tail, ok, err)
	}
}

// With four copies on four members, of which one lost its data, there is no write quorum any more: what the others have is brought to all of them.
func TestRepairWithoutAWriteQuorum(t *testing.T) {
	r := NewRecovery(logproto.Ref{Loglet: 1}, nodeset(t, "4", rw, rw, lost, rw))
	r.Step(Want{Ask: AskSeal, Member: 3}, sealedAt(2, 1)) // one of them is an f-majority
	w := Want{Ask: AskDigest, From: 1, To: 2}
	for m, d := range map[int]Reply{0: digest(), 3: digest(logproto.Range{From: 1, To: 2})} {
		w.Member = m
		r.Step(w, d)
	}
	if got := asks(r, AskRecords); got != nil {
		t.Fatalf("records are wanted from %v before all that are left have told what they have", got)
	}
	w.Member = 1
	r.Step(w, digest(logproto.Range{From: 1, To: 2}))
	r.Step(Want{Ask: AskRecords, Member: 1, From: 1, To: 2}, Reply{Records: logproto.RecordsAnswer{Status: logproto.Ok, Groups: []logproto.Run{{First: 1, Count: 1, Records: []byte("one")}}}})
	wants := r.Wants()
	if len(wants) != 1 || wants[0].Ask != AskRepair || wants[0].Member != 0 {
		t.Fatalf("wanted: %+v", wants)
	}
	r.Step(wants[0], Reply{Repair: logproto.Answer{Status: logproto.Ok}})
	if tail, ok, err := r.Done(); !ok || tail != 2 || err != nil {
		t.Errorf("tail %d, done %t, %v", tail, ok, err)
	}
}

func TestRepairNeedsACopy(t *testing.T) {
	r := NewRecovery(logproto.Ref{Loglet: 1}, nodeset(t, "2", rw, rw, rw))
	r.Step(Want{Ask: AskSeal, Member: 0}, sealedAt(9, 3))
	r.Step(Want{Ask: AskSeal, Member: 1}, sealedAt(6, 3))
	w := Want{Ask: AskDigest, From: 3, To: 9}
	for m := range 2 {
		w.Member = m
		r.Step(w, digest(logproto.Range{From: 3, To: 5}))
	}
	if got := asks(r, AskDigest); len(got) != 1 || got[0] != 2 {
		t.Fatalf("digests are still wanted from %v", got)
	}
	w.Member = 2
	r.Step(w, digest())
	if _, ok, err := r.Done(); !ok || !errs.Is(err, errs.Unavailable) {
		t.Errorf("records that nobody has: done %t, %v", ok, err)
	}
}

func TestStaleAnswersAreAskedAgain(t *testing.T) {
	r := NewRecovery(logproto.Ref{Loglet: 1}, nodeset(t, "2", rw, rw, rw))
	for range staleMax {
		r.Step(Want{Ask: AskSeal, Member: 0}, sealedAt(3, 9))
		r.Step(Want{Ask: AskSeal, Member: 1}, sealedAt(3, 1))
		if got := asks(r, AskSeal); len(got) != 3 {
			t.Fatalf("seal is wanted from %v", got)
		}
	}
	r.Step(Want{Ask: AskSeal, Member: 0}, sealedAt(3, 9))
	r.Step(Want{Ask: AskSeal, Member: 1}, sealedAt(3, 1))
	if _, ok, err := r.Done(); !ok || !errs.Is(err, errs.Corrupt) {
		t.Errorf("lost commits: done %t, %v", ok, err)
	}
}
