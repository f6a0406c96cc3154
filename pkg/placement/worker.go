package placement

import (
	"reprise/pkg/id"
	"reprise/pkg/quorum"
)

// Standing says what a worker may hold, from nothing to more than it has.
type Standing uint8

// The standings.
const (
	Out    Standing = 0 // it is disabled or not in the cluster: what it holds does not count
	Yields Standing = 1 // it is drained, or away for too long: others take its place once there are some
	Keeps  Standing = 2 // it is away for a while
	Takes  Standing = 3 // it is there and takes more
)

// Worker is a worker as placement sees it.
type Worker struct {
	ID       id.Node
	Location string // region[.zone]
	Standing Standing
}

// workers are those of a snapshot.
type workers struct {
	property quorum.Property
	list     []Worker // by id
	by       map[id.Node]Worker
	takers   int
	load     map[id.Node]int // partitions that a worker is to hold
}

func newWorkers(list []Worker, property quorum.Property) *workers {
	w := &workers{property: property, list: list, by: make(map[id.Node]Worker, len(list)), load: make(map[id.Node]int, len(list))}
	for _, x := range list {
		w.by[x.ID] = x
		if x.Standing == Takes {
			w.takers++
		}
	}
	return w
}

func (w *workers) standing(n id.Node) Standing { return w.by[n].Standing }

// spread is how well the property is satisfied by replicas on nodes.
func (w *workers) spread(nodes []id.Node) int {
	members := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		members[i] = quorum.Member{Node: n, Location: w.by[n].Location}
	}
	return w.property.Spread(members)
}

// Score is what a worker bids for a partition: fixed for ever, and as good as random.
func Score(p id.Partition, n id.Node) uint64 {
	x := uint64(p)<<32 | uint64(n)
	for range 2 { // two rounds of splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}
