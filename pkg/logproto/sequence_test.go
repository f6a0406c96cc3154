package logproto_test

import (
	"errors"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

func sequence(t *testing.T, replication string, n int) *logproto.Sequence {
	t.Helper()
	p, err := quorum.Parse(replication)
	if err != nil {
		t.Fatal(err)
	}
	var ms []quorum.Member
	for i := range n {
		ms = append(ms, quorum.Member{Node: id.Node(i + 1), State: storedv1.StorageState_STORAGE_STATE_READ_WRITE})
	}
	set, err := quorum.NewNodeset(p, ms)
	if err != nil {
		t.Fatal(err)
	}
	return logproto.NewSequence(ref, set)
}

func ok(tail lsn.Offset) logproto.Answer { return logproto.Answer{Status: logproto.Ok, Tail: tail} }

// take takes all groups for a member and returns their numbers.
func take(s *logproto.Sequence, i int) (numbers []uint64, last logproto.Group) {
	for {
		g, n, more := s.Take(i)
		if !more {
			return numbers, last
		}
		numbers, last = append(numbers, n), g
	}
}

func TestSequenceCommitsAPrefixAtTheQuorum(t *testing.T) {
	s := sequence(t, "2", 3)
	s.Append(1, 3, []byte("a"))
	s.Append(4, 2, []byte("bb"))
	s.Append(6, 1, []byte("c"))
	for i := range 3 {
		if n, _ := take(s, i); len(n) != 3 {
			t.Fatalf("member %d gets %v", i, n)
		}
	}
	steps := []struct {
		member   int
		number   uint64
		advanced bool
		known    lsn.Offset
	}{
		{0, 0, false, 1}, {0, 1, false, 1}, {0, 2, false, 1}, // one copy of all
		{1, 1, false, 1}, // not counted: the group before it is missing there
		{2, 0, true, 4},
		{1, 0, false, 4}, {1, 1, true, 6}, // the second member repeats
		{2, 1, false, 6}, {2, 2, true, 7},
	}
	for k, c := range steps {
		if got := s.Answered(c.member, c.number, ok(c.known)); got != c.advanced || s.Known() != c.known {
			t.Fatalf("step %d: advanced %t, known %d; want %t, %d", k, got, s.Known(), c.advanced, c.known)
		}
	}
	if groups, bytes := s.Waiting(); groups != 0 || bytes != 0 || s.CommittedBytes() != 4 {
		t.Errorf("%d groups, %d bytes wait; %d committed", groups, bytes, s.CommittedBytes())
	}
}

func TestSequenceSkipsWhatOthersCommitted(t *testing.T) {
	s := sequence(t, "2", 3)
	s.Append(1, 1, []byte("a"))
	take(s, 0)
	take(s, 1)
	take(s, 2)
	s.Lost(2)
	s.Answered(0, 0, ok(2))
	s.Answered(1, 0, ok(2))
	if s.HasFor(2) {
		t.Error("a committed group is sent again")
	}
	s.Append(2, 1, []byte("b"))
	n, g := take(s, 2)
	if len(n) != 1 || g.First != 2 || g.Known != 2 {
		t.Fatalf("the member that was away gets %v, %+v", n, g)
	}
	take(s, 0)
	s.Answered(2, n[0], ok(3))
	if !s.Answered(0, 1, ok(3)) || s.Known() != 3 {
		t.Errorf("known is %d", s.Known())
	}
}

func TestSequenceSendsAgainWhatWasLost(t *testing.T) {
	s := sequence(t, "1", 1)
	s.Append(1, 1, []byte("a"))
	s.Append(2, 1, []byte("b"))
	take(s, 0)
	s.Lost(0)
	if n, _ := take(s, 0); len(n) != 2 {
		t.Fatalf("again: %v", n)
	}
	s.Answered(0, 0, ok(2))
	s.Answered(0, 1, logproto.Answer{Status: logproto.Disabled})
	if n, _ := take(s, 0); len(n) != 1 || n[0] != 1 {
		t.Errorf("after a refusal: %v", n)
	}
}

func TestSequenceEnds(t *testing.T) {
	for name, c := range map[string]struct {
		a    logproto.Answer
		want error
	}{
		"sealed":                   {logproto.Answer{Status: logproto.Sealed, Sealed: true}, logproto.ErrSealed},
		"another life":             {logproto.Answer{Status: logproto.SequencerMismatch}, logproto.ErrNotEmpty},
		"records that we sent not": {ok(9), logproto.ErrNotEmpty},
	} {
		s := sequence(t, "1", 1)
		s.Append(1, 1, []byte("a"))
		take(s, 0)
		if s.Answered(0, 0, c.a) || !errors.Is(s.Ended(), c.want) || s.Known() != 1 {
			t.Errorf("%s: ended with %v, known %d", name, s.Ended(), s.Known())
		}
		if s.Answered(0, 0, ok(2)) || s.Known() != 1 {
			t.Errorf("%s: it commits after its end", name)
		}
	}
	s := sequence(t, "1", 1)
	s.Append(1, 1, []byte("a"))
	take(s, 0)
	if a := ok(2); !s.Answered(0, 0, logproto.Answer{Status: a.Status, Tail: a.Tail, Sealed: true}) || s.Known() != 2 || !errors.Is(s.Ended(), logproto.ErrSealed) {
		t.Errorf("a store before the seal: known %d, %v", s.Known(), s.Ended())
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	s := sequence(t, "1", 1)
	next := lsn.FirstOffset
	record := []byte("record")
	allocs := testing.AllocsPerRun(1000, func() {
		s.Append(next, 1, record)
		next++
		_, n, _ := s.Take(0)
		s.Answered(0, n, ok(next))
	})
	if allocs > 0 {
		t.Errorf("%v allocations per append", allocs)
	}
}
