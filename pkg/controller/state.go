package controller

import (
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// View is the part of metastore.View that the control plane reads.
type View interface {
	Current() *metastore.Snapshot
	Changed() <-chan struct{}
}

// Attendants are the processes that live, by node; *Roster knows them.
type Attendants interface {
	Alive() []placement.Attendant
}

// acts tells whether self is the metadata daemon that decides: the one with the lowest id of those that live, as far as it
// knows itself. Two may.
func acts(self id.Node, s *metastore.Snapshot, alive []placement.Attendant) bool {
	return !slices.ContainsFunc(alive, func(a placement.Attendant) bool {
		n := s.Node(a.ID.Node)
		return a.ID.Node < self && n != nil && slices.Contains(n.Roles, metastore.RoleMetadata) && !a.Leaving
	})
}

// holdings are the partitions as documents of the metadata say.
func holdings(epochs []*storedv1.Epoch, directives []*storedv1.Directive) []placement.Holding {
	all := make([]placement.Holding, len(epochs))
	for p, e := range epochs {
		h := &all[p]
		h.Replicas, h.Epoch, h.Leader = metastore.ReplicasOf(e), lsn.Epoch(e.GetEpoch()), metastore.LeaderOf(e)
		if p < len(directives) {
			d := directives[p]
			h.Pin, h.LeaderFrozen, h.PlacementFrozen = id.Node(d.GetPin()), d.GetLeadershipFrozen() != "", d.GetPlacementFrozen() != ""
		}
	}
	return all
}

// markAge is how old the position of a leader is that a replica must have reached which is not behind. A beat is 200 ms old at
// most.
const markAge = 500 * time.Millisecond

// marks remembers where leaders were a moment ago.
type marks struct {
	taken   time.Time
	old     []mark // that are at least markAge old
	younger []mark
}

type mark struct {
	epoch   lsn.Epoch
	applied lsn.LSN
}

// set says in holdings where their leaders were.
func (m *marks) set(all []placement.Holding, alive []placement.Attendant, now time.Time) {
	if age := now.Sub(m.taken); age >= markAge {
		m.taken, m.old = now, m.younger
		if age > 3*markAge { // nobody looked for a while
			m.old = nil
		}
		m.younger = make([]mark, len(all))
		for p := range all {
			for i := range alive {
				if s := alive[i].Status(id.Partition(p)); alive[i].ID == all[p].Leader && s.Role == placement.Leads && s.Epoch == all[p].Epoch {
					m.younger[p] = mark{s.Epoch, s.Applied}
				}
			}
		}
	}
	for p := range all {
		if p < len(m.old) && m.old[p].epoch == all[p].Epoch {
			all[p].Mark = m.old[p].applied
		}
	}
}
