package placement

import (
	"cmp"
	"slices"

	"reprise/pkg/id"
)

// led is the leader, if it lives and says that it leads.
func (h *Holding) led(p id.Partition, alive []Attendant) *Attendant {
	a := find(alive, h.Leader.Node)
	if a == nil || a.ID != h.Leader {
		return nil
	}
	if s := a.Status(p); s.Role != Leads || s.Epoch != h.Epoch {
		return nil
	}
	return a
}

// upToDate tells whether a replica is at most a moment behind the leader.
func (h *Holding) upToDate(p id.Partition, n id.Node, alive []Attendant) (s Status, ok bool) {
	leader, a := h.led(p, alive), find(alive, n)
	if leader == nil || a == nil {
		return s, false
	}
	s = a.Status(p)
	switch {
	case a == leader:
		return s, true
	case s.Role != Follows:
		return s, false
	default:
		return s, s.Applied+FewRecords >= leader.Status(p).Applied || h.Mark > 0 && s.Applied >= h.Mark
	}
}

// Moves returns whom to call for partitions whose leader lives: it is to hold them no more, or does not get on, and, so
// long as there is a budget, another is pinned, or leads much less. It calls only who is up to date.
func Moves(partitions []Holding, alive []Attendant, budget int) []Call {
	led := leading(partitions)
	m := moves{partitions: partitions, alive: alive, led: led, moved: make([]bool, len(partitions))}
	for i := range partitions {
		p, h := id.Partition(i), &partitions[i]
		leader := find(alive, h.Leader.Node)
		if leader == nil || leader.ID != h.Leader || leader.Leaving || h.LeaderFrozen || h.Rests {
			continue
		}
		if leader.Drained || h.Stuck || !slices.Contains(h.Target(), h.Leader.Node) {
			next := m.successor(p)
			if next == nil && h.Stuck && h.led(p, alive) == nil { // nobody knows where the log ends: who is furthest will do
				if next = h.candidate(p, alive, led); next != nil && next.Status(p).Role != Follows {
					next = nil
				}
			}
			m.call(p, next)
		}
	}
	for i := range partitions {
		if h := &partitions[i]; budget > 0 && h.Pin != 0 && h.Pin != h.Leader.Node && m.call(id.Partition(i), m.able(id.Partition(i), h.Pin)) {
			budget--
		}
	}
	for budget > 0 && m.even() {
		budget--
	}
	return m.calls
}

type moves struct {
	partitions []Holding
	alive      []Attendant
	led        map[id.Node]int
	moved      []bool
	calls      []Call
}

func (m *moves) call(p id.Partition, to *Attendant) bool {
	if to == nil {
		return false
	}
	h := &m.partitions[p]
	m.led[h.Leader.Node]--
	m.led[to.ID.Node]++
	m.moved[p] = true
	m.calls = append(m.calls, Call{Partition: p, Node: to.ID.Node, Over: h.Epoch})
	return true
}

// able returns a worker if it could lead p in place of its leader without a pause.
func (m *moves) able(p id.Partition, n id.Node) *Attendant {
	h, a := &m.partitions[p], find(m.alive, n)
	if a == nil || a.Leaving || a.Drained || a.ClockOff || a.ID == h.Leader || m.moved[p] || h.Rests || h.LeaderFrozen || !slices.Contains(h.Target(), n) {
		return nil
	}
	if _, ok := h.upToDate(p, n, m.alive); !ok {
		return nil
	}
	return a
}

// successor is who leads least of those that could lead p.
func (m *moves) successor(p id.Partition) *Attendant {
	var all []*Attendant
	for _, n := range m.partitions[p].All() {
		if a := m.able(p, n); a != nil {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil
	}
	all = prefer(all, func(a *Attendant) bool { return a.ID.Node != m.partitions[p].Tried })
	return slices.MinFunc(all, func(a, b *Attendant) int { return cmp.Compare(m.led[a.ID.Node], m.led[b.ID.Node]) })
}

// even moves one partition from who leads most to who leads least, if that is a quarter of a share less.
func (m *moves) even() bool {
	var there []*Attendant
	for i := range m.alive {
		if a := &m.alive[i]; len(a.Statuses) > 0 && !a.Drained && !a.Leaving {
			there = append(there, a)
		}
	}
	if len(there) < 2 {
		return false
	}
	slack := 1 + len(m.partitions)/len(there)/4
	slices.SortFunc(there, func(a, b *Attendant) int {
		return cmp.Or(cmp.Compare(m.led[a.ID.Node], m.led[b.ID.Node]), cmp.Compare(a.ID.Node, b.ID.Node))
	})
	for _, to := range there {
		for _, from := range slices.Backward(there) {
			if m.led[from.ID.Node] <= m.led[to.ID.Node]+slack {
				break
			}
			if p, ok := m.between(from.ID, to.ID.Node); ok {
				return m.call(p, to)
			}
		}
	}
	return false
}

// between is the partition with the highest score that one worker leads and another could.
func (m *moves) between(from id.GenerationalNode, to id.Node) (best id.Partition, ok bool) {
	for i := range m.partitions {
		p, h := id.Partition(i), &m.partitions[i]
		if h.Leader == from && h.Pin != from.Node && m.able(p, to) != nil && (!ok || Score(p, to) > Score(best, to)) {
			best, ok = p, true
		}
	}
	return best, ok
}
