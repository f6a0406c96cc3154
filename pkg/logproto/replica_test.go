package logproto_test

import (
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

var (
	writer = id.GenerationalNode{Node: 1, Generation: 4}
	other  = id.GenerationalNode{Node: 2, Generation: 9}
	ref    = logproto.Ref{Loglet: 7, Sequencer: writer, Nonce: 11}
)

// replica holds [1, tail) and knows of commits below known.
func replica(tail, known lsn.Offset) logproto.Replica {
	r := logproto.NewReplica(7)
	if tail > 1 {
		r.Ref, r.Identified, r.Tail = ref, true, tail
	}
	r.Known = known
	return r
}

func sealed(r logproto.Replica) logproto.Replica {
	r.Ref, r.Identified, r.Sealed = ref, true, true
	return r
}

func grp(first lsn.Offset, count uint32) logproto.Group {
	return logproto.Group{Ref: ref, First: first, Count: count, Records: []byte("x"), Known: 1}
}

func TestStoreRules(t *testing.T) {
	with := func(g logproto.Group, f func(*logproto.Group)) logproto.Group { f(&g); return g }
	repair := func(g *logproto.Group) { g.Repair = true }
	for name, c := range map[string]struct {
		r        logproto.Replica
		g        logproto.Group
		from     id.GenerationalNode
		want     logproto.Status
		from1    lsn.Offset // what is to be written
		to1      lsn.Offset
		tailThen lsn.Offset
	}{
		"the first records":                 {replica(1, 1), grp(1, 3), writer, logproto.Ok, 1, 4, 4},
		"the next records":                  {replica(4, 1), grp(4, 2), writer, logproto.Ok, 4, 6, 6},
		"offset 0":                          {replica(1, 1), grp(0, 3), writer, logproto.Malformed, 0, 0, 1},
		"no records":                        {replica(1, 1), grp(1, 0), writer, logproto.Malformed, 0, 0, 1},
		"no bytes":                          {replica(1, 1), with(grp(1, 1), func(g *logproto.Group) { g.Records = nil }), writer, logproto.Malformed, 0, 0, 1},
		"offsets run over":                  {replica(1, 1), grp(1<<32-2, 3), writer, logproto.Malformed, 0, 0, 1},
		"sealed":                            {sealed(replica(4, 1)), grp(4, 1), writer, logproto.Sealed, 0, 0, 4},
		"sealed, known offset":              {sealed(replica(4, 1)), grp(2, 1), writer, logproto.Sealed, 0, 0, 4},
		"sealed, repair":                    {sealed(replica(4, 1)), with(grp(4, 1), repair), other, logproto.Ok, 4, 5, 5},
		"another sequencer":                 {replica(4, 1), with(grp(4, 1), func(g *logproto.Group) { g.Sequencer.Generation++ }), writer, logproto.SequencerMismatch, 0, 0, 4},
		"another life":                      {replica(4, 1), with(grp(4, 1), func(g *logproto.Group) { g.Nonce++ }), writer, logproto.SequencerMismatch, 0, 0, 4},
		"another life, repair":              {sealed(replica(4, 1)), with(grp(4, 1), func(g *logproto.Group) { g.Nonce++; g.Repair = true }), other, logproto.SequencerMismatch, 0, 0, 4},
		"from another node":                 {replica(4, 1), grp(4, 1), other, logproto.SequencerMismatch, 0, 0, 4},
		"from an older run":                 {replica(1, 1), grp(1, 1), id.GenerationalNode{Node: 1, Generation: 3}, logproto.SequencerMismatch, 0, 0, 1},
		"a hole that nobody committed":      {replica(4, 1), grp(5, 1), writer, logproto.OutOfBounds, 0, 0, 4},
		"a hole that was committed":         {replica(4, 9), grp(9, 1), writer, logproto.Ok, 9, 10, 10},
		"a hole that the sender vouches":    {replica(4, 1), with(grp(9, 1), func(g *logproto.Group) { g.Known = 9 }), writer, logproto.Ok, 9, 10, 10},
		"a hole beyond the commits":         {replica(4, 8), grp(9, 1), writer, logproto.OutOfBounds, 0, 0, 4},
		"a repeat":                          {replica(9, 1), grp(4, 3), writer, logproto.Ok, 7, 7, 9},
		"half a repeat":                     {replica(5, 1), grp(4, 3), writer, logproto.Ok, 5, 7, 7},
		"repair below the tail":             {replica(9, 1), with(grp(4, 3), repair), other, logproto.Ok, 4, 7, 9},
		"repair beyond what it vouches for": {replica(4, 1), with(grp(6, 3), repair), other, logproto.OutOfBounds, 0, 0, 4},
	} {
		r := c.r
		got, write := r.Store(&c.g, c.from)
		if got != c.want || write.From != c.from1 || write.To != c.to1 || r.Tail != c.tailThen {
			t.Errorf("%s: %s, writes [%d, %d), tail %d; want %s, [%d, %d), %d", name, got, write.From, write.To, r.Tail, c.want, c.from1, c.to1, c.tailThen)
		}
		if got == logproto.SequencerMismatch && (r.Known != c.r.Known || r.Ref != c.r.Ref) {
			t.Errorf("%s: a stranger was believed", name)
		}
	}
}

func TestTrimmedIsNotStoredAgain(t *testing.T) {
	r := replica(9, 9)
	if s, changed := r.Trim(ref, 5); s != logproto.Ok || !changed {
		t.Fatalf("trim: %s, %t", s, changed)
	}
	g := grp(4, 4)
	g.Repair = true
	if s, w := r.Store(&g, other); s != logproto.Ok || w != (logproto.Range{From: 6, To: 8}) {
		t.Errorf("repair over the trim point: %s, %+v", s, w)
	}
}

func TestTrimRules(t *testing.T) {
	for name, c := range map[string]struct {
		through lsn.Offset
		want    logproto.Status
		changed bool
		then    lsn.Offset
	}{
		"below one":            {0, logproto.Malformed, false, 2},
		"again":                {2, logproto.Ok, false, 2},
		"backwards":            {1, logproto.Ok, false, 2},
		"further":              {4, logproto.Ok, true, 4},
		"clipped to the tail":  {8, logproto.Ok, true, 5},
		"beyond all that is":   {9, logproto.Malformed, false, 2},
		"far beyond all there": {90, logproto.Malformed, false, 2},
	} {
		r := replica(6, 9)
		r.Trimmed = 2
		s, changed := r.Trim(ref, c.through)
		if s != c.want || changed != c.changed || r.Trimmed != c.then {
			t.Errorf("%s: %s, %t, trimmed %d; want %s, %t, %d", name, s, changed, r.Trimmed, c.want, c.changed, c.then)
		}
	}
}

func TestSealRules(t *testing.T) {
	r := replica(4, 2)
	if s, changed := r.Seal(ref); s != logproto.Ok || !changed || !r.Sealed {
		t.Errorf("first seal: %s, %t", s, changed)
	}
	if s, changed := r.Seal(ref); s != logproto.Ok || changed {
		t.Errorf("second seal: %s, %t", s, changed)
	}
	stranger := ref
	stranger.Nonce++
	if s, changed := r.Seal(stranger); s != logproto.SequencerMismatch || changed {
		t.Errorf("seal of another life: %s, %t", s, changed)
	}
	empty := replica(1, 1)
	if s, changed := empty.Seal(ref); s != logproto.Ok || !changed || empty.Ref != ref {
		t.Errorf("seal of an empty loglet: %s, %t, %+v", s, changed, empty)
	}
	if i := empty.Info(stranger); i.Status != logproto.SequencerMismatch {
		t.Errorf("info of another life: %+v", i)
	}
}

func TestReleaseNeedsAnIdentity(t *testing.T) {
	r := replica(1, 1)
	if r.Release(ref, 9); r.Known != 1 {
		t.Errorf("an empty replica believes %d", r.Known)
	}
	r = replica(4, 2)
	if r.Release(ref, 9); r.Known != 9 {
		t.Errorf("known is %d", r.Known)
	}
	if r.Release(ref, 3); r.Known != 9 {
		t.Errorf("known fell to %d", r.Known)
	}
}
