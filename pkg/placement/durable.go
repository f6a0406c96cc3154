package placement

import (
	"slices"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Durability is where the state must be before records are taken off a log. The names are those of the configuration.
type Durability string

// The modes.
const (
	DurableNowhere  Durability = "none"                     // records are never taken off
	DurableHolders  Durability = "replica-set-only"         // on the disks of all holders
	DurableBalanced Durability = "balanced"                 // in a snapshot, and on the disk of one holder
	DurableSnapshot Durability = "snapshot-only"            // in a snapshot
	DurableAll      Durability = "snapshot-and-replica-set" // in a snapshot, and on the disks of all holders
)

// Or is the mode, or the one that is right for so many workers.
func (d Durability) Or(workers int) Durability {
	switch {
	case d != "":
		return d
	case workers > 1:
		return DurableBalanced
	default:
		return DurableHolders
	}
}

// Snapshots tells whether the mode counts on snapshots.
func (d Durability) Snapshots() bool {
	return d == DurableBalanced || d == DurableSnapshot || d == DurableAll
}

// Point is up to where records of a partition may be taken off its log. durable is what is on the disk of each holder, with 0
// where that is not known; archived is what the oldest snapshot holds that is kept.
func (d Durability) Point(durable []lsn.LSN, archived lsn.LSN) lsn.LSN {
	if len(durable) == 0 {
		return 0
	}
	switch d {
	case DurableHolders:
		return slices.Min(durable)
	case DurableBalanced:
		return min(archived, slices.Max(durable))
	case DurableSnapshot:
		return archived
	case DurableAll:
		return min(archived, slices.Min(durable))
	default:
		return 0
	}
}

// DurableAt is what is on the disks of the holders of p, in their order, as those say who live.
func DurableAt(p id.Partition, holders []id.Node, alive []Attendant) []lsn.LSN {
	durable := make([]lsn.LSN, len(holders))
	for i, n := range holders {
		for k := range alive {
			if alive[k].ID.Node == n {
				durable[i] = alive[k].Status(p).Durable
			}
		}
	}
	return durable
}
