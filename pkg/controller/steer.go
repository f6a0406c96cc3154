package controller

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/quorum"
)

// Steer is what an operator wants of a partition.
type Steer struct {
	Replicas []id.Node // who is to hold it; nil: as it is
	Pin      *id.Node  // who is to lead while it can, 0 for any; nil: as it is

	FreezePlacement, FreezeLeader     string // why; "": as it is
	UnfreezePlacement, UnfreezeLeader bool
}

// Steered judges what an operator wants and returns how the partition shall be. errs.Conflict: it is not possible.
func Steered(f *metastore.Facts, p id.Partition, want Steer) (metastore.Steering, error) {
	e := f.Epochs[p]
	next := metastore.Steering{Replicas: metastore.ReplicasOf(e), Directive: proto.CloneOf(f.Directives[p])}
	var reasons []string
	if want.Replicas != nil {
		reasons = setReasons(f, e, want.Replicas)
		switch {
		case e.GetEpoch() == 0:
			next.Replicas = placement.Replicas{Current: want.Replicas}
		case slices.Equal(want.Replicas, next.Replicas.Current):
			next.Replicas.Next = nil
		default:
			next.Replicas.Next = want.Replicas
		}
	}
	if want.Pin != nil {
		n := *want.Pin
		next.Directive.Pin = uint32(n)
		switch node := f.Node(n); {
		case n == 0:
		case !slices.Contains(next.Replicas.Target(), n):
			reasons = append(reasons, fmt.Sprintf("%s does not hold it, or is about to go: 'reprisectl partitions leadership show %d' tells who does", n, p))
		case node.GetWorkerState() != storedv1.WorkerState_WORKER_STATE_ACTIVE:
			reasons = append(reasons, fmt.Sprintf("%s is %s: 'reprisectl nodes set-worker-state --nodes %d --worker-state active'", n, WorkerStateName(node.GetWorkerState()), n))
		}
	}
	freeze(&next.Directive.PlacementFrozen, want.FreezePlacement, want.UnfreezePlacement)
	freeze(&next.Directive.LeadershipFrozen, want.FreezeLeader, want.UnfreezeLeader)
	if len(reasons) > 0 {
		return next, unsafe(reasons, "change partition %d", p)
	}
	return next, nil
}

func freeze(why **string, reason string, end bool) {
	switch {
	case end:
		*why = nil
	case reason != "":
		*why = &reason
	}
}

// setReasons are against a set of replicas.
func setReasons(f *metastore.Facts, e *storedv1.Epoch, set []id.Node) (reasons []string) {
	var members []quorum.Member
	for i, n := range set {
		node := f.Node(n)
		there := slices.ContainsFunc(f.Present, func(p id.GenerationalNode) bool { return p.Node == n })
		switch {
		case slices.Contains(set[:i], n):
			reasons = append(reasons, fmt.Sprintf("%s is named twice", n))
		case node == nil:
			reasons = append(reasons, fmt.Sprintf("there is no node %s", n))
		case !slices.Contains(node.Roles, metastore.RoleWorker):
			reasons = append(reasons, fmt.Sprintf("%s is no worker", n))
		case node.WorkerState != storedv1.WorkerState_WORKER_STATE_ACTIVE:
			reasons = append(reasons, fmt.Sprintf("%s is %s: 'reprisectl nodes set-worker-state --nodes %d --worker-state active'", n, WorkerStateName(node.WorkerState), n))
		case !there && !slices.Contains(e.GetReplicas(), uint32(n)):
			reasons = append(reasons, fmt.Sprintf("%s does not run, so that it can not catch up: start it", n))
		}
		members = append(members, quorum.Member{Node: n, Location: node.GetLocation()})
	}
	text := metastore.PartitionReplication(f.Cluster)
	if property, err := quorum.Parse(text); err != nil {
		reasons = append(reasons, err.Error())
	} else if property.Spread(members) < property.Wanted() {
		reasons = append(reasons, fmt.Sprintf("they do not satisfy the replication of partitions, %s: name more workers, or such in other places", text))
	}
	return reasons
}

// Settings are those of a cluster that may change while it runs; what is empty stays as it is.
type Settings struct {
	Replication          string // property text, of logs
	PartitionReplication string // property text
	NodesetSize          *uint32
}

// Configured judges new settings and returns the cluster as it shall be: logs and partitions follow by and by.
// errs.Invalid: they can not be read. errs.Conflict: the nodes that there are do not satisfy them.
func Configured(f *metastore.Facts, want Settings) (*storedv1.Cluster, error) {
	next := proto.CloneOf(f.Cluster)
	if want.Replication != "" {
		if next.PartitionReplication == "" { // they were said in one word, and are two from now on
			next.PartitionReplication = next.Replication
		}
		next.Replication = want.Replication
	}
	if want.PartitionReplication != "" {
		next.PartitionReplication = want.PartitionReplication
	}
	if want.NodesetSize != nil {
		next.NodesetSize = *want.NodesetSize
	}
	if err := normalize(next); err != nil {
		return nil, err
	}
	if proto.Equal(next, f.Cluster) {
		return next, nil
	}
	var reasons []string
	changed := *f
	changed.Cluster = next
	if err := selectable(&changed, nil); err != nil && (next.Replication != f.Cluster.Replication || next.NodesetSize != f.Cluster.NodesetSize) {
		reasons = append(reasons, fmt.Sprintf("no nodeset can be chosen for logs then: %s: start more log-servers, or such in other places", err))
	}
	if metastore.PartitionReplication(next) != metastore.PartitionReplication(f.Cluster) {
		partitions, err := quorum.Parse(metastore.PartitionReplication(next))
		if err != nil {
			return nil, err
		}
		reasons = append(reasons, workersReasons(f, partitions)...)
	}
	return next, unsafe(reasons, "change the configuration of the cluster")
}

// workersReasons say that the active workers do not satisfy a replication.
func workersReasons(f *metastore.Facts, property quorum.Property) (reasons []string) {
	members := activeWorkers(f, 0)
	if property.Spread(members) < property.Wanted() {
		reasons = append(reasons, fmt.Sprintf("%d active workers can not hold partitions as %s says: start more, or such in other places", len(members), property))
	}
	return reasons
}

// frozen is an error if an operator has frozen who leads a partition.
func frozen(s *metastore.Snapshot, p id.Partition) error {
	if int(p) < len(s.Directives) && s.Directives[p].GetLeadershipFrozen() != "" {
		return errs.Newf(errs.Conflict, "who leads partition %d is frozen: %s: 'reprisectl partitions leadership unfreeze %d'", p, s.Directives[p].GetLeadershipFrozen(), p)
	}
	return nil
}
