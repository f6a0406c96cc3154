package processor

import (
	"time"

	"reprise/pkg/placement"
)

// Policy is what of a Config may change while a Node runs.
type Policy struct {
	SnapshotRecords  uint64
	SnapshotInterval time.Duration
	SnapshotsMax     int // made at a time
	Durability       placement.Durability
	TrimDelay        time.Duration
	RequestBytesMax  int
}

// SetPolicy replaces the policy: what is looked at from now on is held against it.
func (n *Node) SetPolicy(p Policy) {
	n.current.Store(&p)
	n.exports.set(p.SnapshotsMax)
}

// policy is the one that holds now.
func (n *Node) policy() Policy { return *n.current.Load() }

// policy of the start.
func (c *Config) policy() Policy {
	return Policy{
		SnapshotRecords: c.SnapshotRecords, SnapshotInterval: c.SnapshotInterval, SnapshotsMax: c.SnapshotsMax, Durability: c.Durability, TrimDelay: c.TrimDelay,
		RequestBytesMax: c.RequestBytesMax,
	}
}
