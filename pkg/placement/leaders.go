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
	Role    Role
	Epoch   lsn.Epoch // while it leads
	Applied lsn.LSN
	Durable lsn.LSN // all up to it survives a crash without the log
}

// Holding is who holds a partition, and who led it last.
type Holding struct {
	Epoch   lsn.Epoch           // 0: nobody has led yet
	Leader  id.GenerationalNode // of that epoch
	Holders []id.Node           // preferred leader first
	Late    bool                // it has had no leader for longer than whoever begins by itself needs
}

// Attendant is a worker that lives and tells how its partitions stand.
type Attendant struct {
	ID       id.GenerationalNode
	Leaving  bool     // it stops: others are to lead
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

// fewRecords is how far behind another a candidate may be that leads fewer partitions: it has applied them in a moment.
const fewRecords = 1000

// Leaders returns whom to call for the partitions whose leader does not live, or is leaving.
func Leaders(partitions []Holding, alive []Attendant) []Call {
	led := map[id.Node]int{}
	for _, h := range partitions {
		led[h.Leader.Node]++
	}
	var calls []Call
	for p, h := range partitions {
		if h.served(alive) {
			continue
		}
		best := h.candidate(id.Partition(p), alive, led)
		if best == nil {
			continue
		}
		led[h.Leader.Node]--
		led[best.ID.Node]++
		calls = append(calls, Call{Partition: id.Partition(p), Node: best.ID.Node, Over: h.Epoch})
	}
	return calls
}

// served tells whether a leader lives, or somebody begins to lead without being called: the next process of its
// node, or the first holder where no holder has led.
func (h *Holding) served(alive []Attendant) bool {
	begins := h.Leader.Node
	if !slices.Contains(h.Holders, begins) {
		if len(h.Holders) == 0 {
			return true // nobody holds it
		}
		begins = h.Holders[0]
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

// candidate is who should lead: of those that are about as far as the one that is furthest, who leads least.
func (h *Holding) candidate(p id.Partition, alive []Attendant, led map[id.Node]int) *Attendant {
	var able []*Attendant
	for _, n := range h.Holders {
		for i := range alive {
			a := &alive[i]
			if a.ID.Node == n && !a.Leaving && a.Status(p).Role != Parked && a.ID != h.Leader {
				able = append(able, a)
			}
		}
	}
	if len(able) == 0 {
		return nil
	}
	far := lsn.LSN(0)
	for _, a := range able {
		far = max(far, a.Status(p).Applied)
	}
	able = slices.DeleteFunc(able, func(a *Attendant) bool { return a.Status(p).Applied+fewRecords < far })
	return slices.MinFunc(able, func(a, b *Attendant) int { return cmp.Compare(led[a.ID.Node], led[b.ID.Node]) })
}
