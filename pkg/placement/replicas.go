package placement

import (
	"cmp"
	"slices"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Replicas is who holds a partition.
type Replicas struct {
	Current []id.Node // preferred leader first
	Next    []id.Node // who is to hold it in their place, once they have caught up; nil: nothing changes
}

// All are those of both sets.
func (r *Replicas) All() []id.Node {
	all := slices.Clone(r.Current)
	for _, n := range r.Next {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// Target is who is to hold it in the end.
func (r *Replicas) Target() []id.Node {
	if r.Next != nil {
		return r.Next
	}
	return r.Current
}

// balanceMax is how many partitions move at a time only to even out what workers hold.
const balanceMax = 4

// Reconfigure returns who shall hold each partition. A partition that nobody has led is placed at once. Else the next set
// is written first, and takes the place of the current one when whoever is new in it has caught up, its leader is one
// of it, and as many of it have caught up as of the current one. It changes nothing without a cause: a replica that
// may not stay, a replication that is not satisfied, workers that hold more than others, which is looked at only
// while nothing else moves.
func Reconfigure(all []Holding, alive []Attendant, list []Worker, property quorum.Property) []Replicas {
	p := &plan{workers: newWorkers(list, property), all: all, alive: alive, next: make([]Replicas, len(all))}
	for i := range all {
		p.next[i] = all[i].Replicas
		if all[i].caughtUp(id.Partition(i), alive, p.workers) {
			p.next[i] = Replicas{Current: all[i].Next}
		}
		for _, n := range p.next[i].Target() {
			p.load[n]++
		}
	}
	if p.takers > 0 {
		p.room = (len(all)*property.Copies() + p.takers - 1) / p.takers
	}
	for i := range all {
		p.place(id.Partition(i))
	}
	if !slices.ContainsFunc(p.next, func(r Replicas) bool { return r.Next != nil }) {
		p.balance()
	}
	p.spreadFirsts()
	return p.next
}

// caughtUp tells whether the next set can take the place of the current one.
func (h *Holding) caughtUp(p id.Partition, alive []Attendant, w *workers) bool {
	leader := h.led(p, alive)
	if h.Next == nil || leader == nil || !slices.Contains(h.Next, leader.ID.Node) {
		return false
	}
	had, has := 0, 0
	var durable *lsn.LSN // what all who caught up have on disk: the log may have been trimmed up to there
	for _, n := range h.Current {
		s, ok := h.upToDate(p, n, alive)
		if ok && (durable == nil || s.Durable < *durable) {
			durable = &s.Durable
		}
		if ok && w.standing(n) > Out {
			had++
		}
	}
	for _, n := range h.Next {
		s, ok := h.upToDate(p, n, alive)
		switch {
		case ok && (durable == nil || s.Durable >= *durable || slices.Contains(h.Current, n)):
			has++
		case !slices.Contains(h.Current, n):
			return false
		}
	}
	return has >= max(1, min(had, w.property.Copies()))
}

// plan is a Reconfigure under way.
type plan struct {
	*workers
	all   []Holding
	alive []Attendant
	next  []Replicas
	room  int // partitions of a worker that has its share
}

// place chooses who shall hold p, unless that is decided.
func (p *plan) place(i id.Partition) {
	r, h := &p.next[i], &p.all[i]
	if h.PlacementFrozen || p.takers == 0 || r.Next != nil && p.good(r) || p.handsOver(i) {
		return
	}
	target := p.target(i)
	for _, n := range r.Target() {
		p.load[n]--
	}
	for _, n := range target {
		p.load[n]++
	}
	switch {
	case same(target, r.Current):
		r.Next = nil
	case h.Epoch == 0:
		r.Current, r.Next = target, nil
	default:
		r.Next = target
	}
}

// handsOver tells whether the leader is about to be succeeded by another of the set. That take-over would fail if the set
// changed meanwhile.
func (p *plan) handsOver(i id.Partition) bool {
	h := &p.all[i]
	if h.led(i, p.alive) == nil || h.LeaderFrozen || p.standing(h.Leader.Node) >= Keeps {
		return false
	}
	return slices.ContainsFunc(p.next[i].Target(), func(n id.Node) bool {
		_, ok := h.upToDate(i, n, p.alive)
		return ok && n != h.Leader.Node && p.standing(n) == Takes
	})
}

// good tells whether the next set is still what is wanted.
func (p *plan) good(r *Replicas) bool {
	for _, n := range r.Next {
		if !p.stays(n, r) {
			return false
		}
	}
	return len(r.Next) == p.property.Copies() && (p.spread(r.Next) == p.property.Wanted() || p.spread(r.Next) >= p.spread(r.Current))
}

// stays tells whether a replica may go on: one that has only begun must be there for that.
func (p *plan) stays(n id.Node, r *Replicas) bool {
	if slices.Contains(r.Current, n) {
		return p.standing(n) >= Keeps
	}
	return p.standing(n) == Takes
}

// target is the set that a partition should have: of who holds it as many as may stay, then others.
func (p *plan) target(i id.Partition) []id.Node {
	r, copies := &p.next[i], p.property.Copies()
	var want []id.Node
	for _, n := range append(slices.Clone(r.Current), r.Target()...) {
		if !slices.Contains(want, n) && p.stays(n, r) {
			want = append(want, n)
		}
	}
	for len(want) > copies {
		want = without(want, p.dispensable(i, want))
	}
	for len(want) < copies {
		best, ok := p.choose(i, want)
		if !ok {
			break
		}
		want = append(want, best)
	}
	want = p.respread(i, want)
	for _, n := range r.Current { // nobody takes their place
		if len(want) < copies && !slices.Contains(want, n) && p.standing(n) == Yields {
			want = append(want, n)
		}
	}
	if len(want) == 0 {
		return r.Current
	}
	return want
}

// dispensable is whom the partition misses least: who is not needed for the spread, who is new, who does not lead, who
// holds most.
func (p *plan) dispensable(i id.Partition, set []id.Node) id.Node {
	h := &p.all[i]
	return slices.MinFunc(set, func(a, b id.Node) int {
		return cmp.Or(
			cmp.Compare(p.spread(without(set, b)), p.spread(without(set, a))),
			compareBool(slices.Contains(h.Current, a), slices.Contains(h.Current, b)),
			compareBool(h.Leader.Node == a, h.Leader.Node == b),
			cmp.Compare(p.load[b], p.load[a]), cmp.Compare(Score(i, a), Score(i, b)))
	})
}

// choose returns the taker that spreads the set most, then one that has room, then the one with the highest score.
func (p *plan) choose(i id.Partition, has []id.Node) (best id.Node, ok bool) {
	better := func(a, b id.Node) bool {
		over := func(n id.Node) int { return max(0, p.load[n]+1-p.room) }
		return cmp.Or(cmp.Compare(p.spread(append(slices.Clone(has), a)), p.spread(append(slices.Clone(has), b))),
			cmp.Compare(over(b), over(a)), cmp.Compare(Score(i, a), Score(i, b)), cmp.Compare(b, a)) > 0
	}
	for _, w := range p.list {
		if w.Standing == Takes && !slices.Contains(has, w.ID) && (!ok || better(w.ID, best)) {
			best, ok = w.ID, true
		}
	}
	return best, ok
}

// respread replaces members until the set is spread as the property asks, or as well as can be.
func (p *plan) respread(i id.Partition, set []id.Node) []id.Node {
	for p.spread(set) < p.property.Wanted() && len(set) > 1 {
		out := p.dispensable(i, set)
		rest := without(set, out)
		in, ok := p.choose(i, rest)
		if !ok || p.spread(append(slices.Clone(rest), in)) <= p.spread(set) {
			break
		}
		set = append(rest, in)
	}
	return set
}

// spreadFirsts has workers begin to lead equally many of the partitions that nobody has led.
func (p *plan) spreadFirsts() {
	first := map[id.Node]int{}
	for i := range p.next {
		r := &p.next[i]
		if p.all[i].Epoch != 0 || p.all[i].PlacementFrozen || same(r.Current, p.all[i].Current) {
			continue
		}
		best := 0
		for j, n := range r.Current {
			if first[n] < first[r.Current[best]] {
				best = j
			}
		}
		r.Current = slices.Clone(r.Current)
		r.Current[0], r.Current[best] = r.Current[best], r.Current[0]
		first[r.Current[0]]++
	}
}

// balance moves replicas from workers that hold most to those that hold least, until the difference is one. What has
// data moves a few at a time.
func (p *plan) balance() {
	for moving := 0; moving < balanceMax; {
		i, next, ok := p.evener()
		if !ok {
			return
		}
		if p.all[i].Epoch == 0 {
			p.next[i].Current = next
			continue
		}
		p.next[i].Next = next
		moving++
	}
}

// evener is the set of a partition that makes loads more even.
func (p *plan) evener() (i id.Partition, next []id.Node, ok bool) {
	takers := slices.DeleteFunc(slices.Clone(p.list), func(w Worker) bool { return w.Standing != Takes })
	slices.SortFunc(takers, func(a, b Worker) int { return cmp.Or(cmp.Compare(p.load[a.ID], p.load[b.ID]), cmp.Compare(a.ID, b.ID)) })
	for _, to := range takers {
		for _, from := range slices.Backward(takers) {
			if p.load[from.ID] < p.load[to.ID]+2 {
				break
			}
			if i, ok := p.movable(from.ID, to.ID); ok {
				p.load[from.ID]--
				p.load[to.ID]++
				return i, append(without(p.next[i].Current, from.ID), to.ID), true
			}
		}
	}
	return 0, nil, false
}

// movable is the partition whose replica moves from one worker to another at the least cost.
func (p *plan) movable(from, to id.Node) (best id.Partition, ok bool) {
	for i := range p.next {
		r, h := &p.next[i], &p.all[i]
		if h.PlacementFrozen || r.Next != nil || !slices.Contains(r.Current, from) || slices.Contains(r.Current, to) ||
			p.spread(append(without(r.Current, from), to)) < p.spread(r.Current) {
			continue
		}
		n := id.Partition(i)
		if !ok || cmp.Or(compareBool(p.all[best].Leader.Node == from, h.Leader.Node == from), cmp.Compare(Score(n, to), Score(best, to))) > 0 {
			best, ok = n, true
		}
	}
	return best, ok
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

func without(set []id.Node, n id.Node) []id.Node {
	return slices.DeleteFunc(slices.Clone(set), func(m id.Node) bool { return m == n })
}

// same tells whether two sets have the same members.
func same(a, b []id.Node) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(n id.Node) bool { return !slices.Contains(b, n) })
}
