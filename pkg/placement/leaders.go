package placement

import (
	"cmp"
	"slices"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Role is what a worker is to a partition.
type Role uint8

// The roles.
const (
	Idle    Role = 0 // it does not hold the partition, or has only begun to
	Follows Role = 1 // it keeps its store at the tail of the log
	Leads   Role = 2 // it takes requests
	Parked  Role = 3 // a command could not be applied: it does nothing until it restarts
)

// Status is how a partition stands at a worker.
type Status struct {
	Role     Role
	Epoch    lsn.Epoch // while it leads
	Applied  lsn.LSN
	Durable  lsn.LSN // all up to it survives a crash without the log
	Works    bool    // while it leads: there are records that are not applied yet
	Archived lsn.LSN // while it leads: what the oldest snapshot holds that is kept; 0: none is known
	Broken   string  // why it is parked, in a word; "": a command could not be applied
}

// Holding is who holds a partition, who led it last, and what operators have decided about it.
type Holding struct {
	Replicas
	Epoch  lsn.Epoch           // 0: nobody has led yet
	Leader id.GenerationalNode // of that epoch
	Late   bool                // it has had no leader for longer than whoever begins by itself needs
	Mark   lsn.LSN             // what the leader had applied a moment ago
	Stuck  bool                // the leader lives, and does not get on: with its work, or to lead at all
	Tried  id.Node             // who was called last for this epoch, without effect; 0: nobody
	Rests  bool                // it was moved lately: a leader that lives keeps it

	Pin             id.Node // who is to lead while it can; 0: anybody
	LeaderFrozen    bool    // nobody else may begin to lead
	PlacementFrozen bool    // only operators change who holds it
}

// Attendant is a worker that lives and tells how its partitions stand.
type Attendant struct {
	ID       id.GenerationalNode
	Leaving  bool     // it stops: others are to lead
	Drained  bool     // it is to hold nothing: others are to lead once they can
	ClockOff bool     // its clock differs from that of the others
	Statuses []Status // by partition
}

// Status returns how p stands there.
func (a *Attendant) Status(p id.Partition) Status {
	if int(p) < len(a.Statuses) {
		return a.Statuses[p]
	}
	return Status{}
}

// Call asks a worker to end an epoch of a partition and lead the next one.
type Call struct {
	Partition id.Partition
	Node      id.Node
	Over      lsn.Epoch
}

// FewRecords is how far behind another a worker may be that is to lead: it has applied them in a moment.
const FewRecords = 1000

// Leaders returns whom to call for the partitions whose leader does not live, or is leaving.
func Leaders(partitions []Holding, alive []Attendant) []Call {
	led := leading(partitions)
	var calls []Call
	for i := range partitions {
		p, h := id.Partition(i), &partitions[i]
		if h.LeaderFrozen || h.served(alive) {
			continue
		}
		if best := h.candidate(p, alive, led); best != nil {
			led[h.Leader.Node]--
			led[best.ID.Node]++
			calls = append(calls, Call{Partition: p, Node: best.ID.Node, Over: h.Epoch})
		}
	}
	return calls
}

// leading counts what each worker leads.
func leading(partitions []Holding) map[id.Node]int {
	led := map[id.Node]int{}
	for i := range partitions {
		led[partitions[i].Leader.Node]++
	}
	return led
}

// served tells whether a leader lives, or somebody begins to lead without being called: the next process of its
// node, or the first holder where no holder has led.
func (h *Holding) served(alive []Attendant) bool {
	begins := h.Leader.Node
	if !slices.Contains(h.All(), begins) {
		if len(h.Current) == 0 {
			return true // nobody holds it
		}
		begins = h.Current[0]
	}
	for _, a := range alive {
		switch {
		case a.Leaving:
		case a.ID == h.Leader && begins == a.ID.Node:
			return true
		case a.ID.Node == begins:
			return !h.Late
		}
	}
	return false
}

// candidate is who should lead: of those that are about as far as the one that is furthest, who is to stay, then who was not
// tried last, then who is pinned, then who leads least.
func (h *Holding) candidate(p id.Partition, alive []Attendant, led map[id.Node]int) *Attendant {
	var able []*Attendant
	for _, n := range h.All() {
		if a := find(alive, n); a != nil && !a.Leaving && a.Status(p).Role != Parked && a.ID != h.Leader {
			able = append(able, a)
		}
	}
	able = prefer(able, func(a *Attendant) bool { return !a.ClockOff })
	if len(able) == 0 {
		return nil
	}
	far := lsn.LSN(0)
	for _, a := range able {
		far = max(far, a.Status(p).Applied)
	}
	able = prefer(able, func(a *Attendant) bool { return a.Status(p).Applied+FewRecords >= far })
	able = prefer(able, func(a *Attendant) bool { return !a.Drained && slices.Contains(h.Target(), a.ID.Node) })
	able = prefer(able, func(a *Attendant) bool { return a.ID.Node != h.Tried })
	able = prefer(able, func(a *Attendant) bool { return a.ID.Node == h.Pin })
	return slices.MinFunc(able, func(a, b *Attendant) int { return cmp.Compare(led[a.ID.Node], led[b.ID.Node]) })
}

// prefer keeps those that are good, or all if none is.
func prefer(all []*Attendant, good func(*Attendant) bool) []*Attendant {
	if !slices.ContainsFunc(all, good) {
		return all
	}
	return slices.DeleteFunc(all, func(a *Attendant) bool { return !good(a) })
}

func find(alive []Attendant, n id.Node) *Attendant {
	for i := range alive {
		if alive[i].ID.Node == n {
			return &alive[i]
		}
	}
	return nil
}
