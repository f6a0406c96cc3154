package loglet

import (
	"slices"

	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// holds tells whether member i said that it has all of [from, to).
func (r *Recovery) holds(i int, from, to lsn.Offset) bool {
	d := r.digests[i]
	if d == nil {
		return false
	}
	for _, e := range d.Exists {
		if e.From <= from && to <= e.To {
			return true
		}
	}
	return false
}

func (r *Recovery) stepDigested(i int, reply Reply) {
	if reply.Err != nil || reply.Digest.Status != logproto.Ok {
		return
	}
	r.digests[i] = &reply.Digest
	var answered quorum.Set
	all := true
	start := r.known
	for k, d := range r.digests {
		if d != nil {
			answered.Add(k)
			start = max(start, d.Trimmed+1) // what was trimmed was committed
		} else if r.set.Effective(k) {
			all = false
		}
	}
	if !r.set.RepairQuorum(answered) {
		return
	}
	start, hole := r.startOfRepair(start)
	if hole != 0 {
		if all {
			r.err = errs.Newf(errs.Unavailable, "loglet %s: nobody has a copy of offset %d below its tail %d", r.ref.Loglet, hole, r.tail)
		}
		return // a copy may be where no answer came from yet
	}
	r.cur, r.phase = start, repairing
	if r.cur >= r.tail {
		r.phase = done
	}
}

// startOfRepair walks from the end: the highest offset on a write quorum vouches for all below it,
// because members store in order. hole is an offset above it that nobody has, 0 if there is none.
func (r *Recovery) startOfRepair(from lsn.Offset) (start, hole lsn.Offset) {
	cuts := []lsn.Offset{from, r.tail}
	for _, d := range r.digests {
		if d == nil {
			continue
		}
		for _, e := range d.Exists {
			cuts = append(cuts, e.From, e.To)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for k := len(cuts) - 1; k > 0; k-- { // between two cuts the same members have all
		lo, hi := max(cuts[k-1], from), min(cuts[k], r.tail)
		if lo >= hi {
			continue
		}
		var have quorum.Set
		found := false
		for i := range r.digests {
			if r.holds(i, lo, hi) {
				have.Add(i)
				found = true
			}
		}
		if r.set.RepairQuorum(have) {
			return hi, hole
		}
		if !found {
			hole = lo
		}
	}
	return from, hole
}

func (r *Recovery) stepRead(i int, reply Reply) {
	a := reply.Records
	if reply.Err != nil || a.Status != logproto.Ok {
		r.barrenMember(i)
		return
	}
	if a.Trimmed >= r.cur { // decided long ago
		r.cur = min(a.Trimmed+1, r.tail)
		r.barren = quorum.Set{}
		if r.cur >= r.tail {
			r.phase = done
		}
		return
	}
	g := logproto.Group{Ref: r.ref, First: r.cur, Known: r.cur, Repair: true}
	bytes := 0
	runs := a.Groups
	for k := range runs {
		if runs[k].First != g.End() || runs[k].End() > r.tail {
			runs = runs[:k]
			break
		}
		g.Count += runs[k].Count
		bytes += len(runs[k].Records)
	}
	g.Records = make([]byte, 0, bytes)
	for k := range runs {
		g.Records = append(g.Records, runs[k].Records...)
	}
	if g.Count == 0 {
		r.barrenMember(i)
		return
	}
	r.group, r.copied = g, quorum.Set{}
	for k := range r.digests {
		if r.holds(k, g.First, g.End()) {
			r.copied.Add(k)
		}
	}
	r.advance()
}

// barrenMember tries the next holder; when all failed, all are tried again.
func (r *Recovery) barrenMember(i int) {
	r.barren.Add(i)
	for k := range r.digests {
		if r.holds(k, r.cur, r.cur+1) && !r.barren.Has(k) {
			return
		}
	}
	r.barren = quorum.Set{}
}
