package rpc

import (
	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// Routes tells where partitions are led. It never blocks.
type Routes interface {
	// Fingerprint is that of the cluster; 0 while it is not known.
	Fingerprint() uint64
	// Partitions is how many there are; 0 while that is not known.
	Partitions() uint32
	// Leader returns who leads p; false if nobody does.
	Leader(p id.Partition) (id.GenerationalNode, bool)
	// Changed is closed when answers may be others.
	Changed() <-chan struct{}
}

// leaderOf returns who leads p, or Unavailable: nothing happened.
func leaderOf(r Routes, p id.Partition) (id.GenerationalNode, error) {
	l, ok := r.Leader(p)
	if !ok {
		return l, errs.Newf(errs.Unavailable, "partition %d has no leader", p)
	}
	return l, nil
}

// errMoved is what those get who wait for a partition that has another leader now: it may have happened.
func errMoved(p id.Partition) error {
	return errs.Newf(errs.Uncertain, "partition %d is led by another worker now", p)
}

// hello says to a worker who asks.
func hello(r Routes, self id.GenerationalNode) *workerv1.Hello {
	return &workerv1.Hello{Fingerprint: r.Fingerprint(), Node: uint32(self.Node), Generation: self.Generation}
}

// View is what a process knows of the cluster.
type View interface {
	Current() *metastore.Snapshot
	Changed() <-chan struct{}
}

// NewRoutes takes routes from a view of the control-plane store.
func NewRoutes(v View) Routes { return viewRoutes{v} }

type viewRoutes struct{ View }

func (r viewRoutes) Fingerprint() uint64 { return r.Current().Cluster.GetFingerprint() }
func (r viewRoutes) Partitions() uint32  { return r.Current().Partitions }

func (r viewRoutes) Leader(p id.Partition) (id.GenerationalNode, bool) {
	s := r.Current()
	if int(p) >= len(s.Epochs) || s.Epochs[p].GetNode() == 0 {
		return id.GenerationalNode{}, false
	}
	return metastore.LeaderOf(s.Epochs[p]), true
}
