package controller

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/quorum"
)

// Change is what an operator wants of a node; a state that is unspecified stays as it is.
type Change struct {
	Worker  storedv1.WorkerState
	Storage storedv1.StorageState
	Force   bool // what may cost availability is done nevertheless; what would lose records is not
}

// Changed judges a change and returns the node as it shall be. errs.Conflict: it is not safe.
func Changed(f *metastore.Facts, n id.Node, c Change) (*storedv1.Node, error) {
	was := f.Node(n)
	if was == nil {
		return nil, errs.Newf(errs.NotFound, "there is no node %s", n)
	}
	var reasons []string
	next := proto.CloneOf(was)
	if c.Worker != storedv1.WorkerState_WORKER_STATE_UNSPECIFIED && c.Worker != was.WorkerState {
		if !slices.Contains(was.Roles, metastore.RoleWorker) {
			return nil, errs.Newf(errs.Conflict, "node %s is no worker", n)
		}
		next.WorkerState = c.Worker
		if !c.Force {
			reasons = append(reasons, workerReasons(f, was, next)...)
		}
	}
	if c.Storage != storedv1.StorageState_STORAGE_STATE_UNSPECIFIED && c.Storage != was.StorageState {
		if !slices.Contains(was.Roles, metastore.RoleLogServer) {
			return nil, errs.Newf(errs.Conflict, "node %s is no log-server", n)
		}
		next.StorageState = c.Storage
		if c.Storage == storedv1.StorageState_STORAGE_STATE_DISABLED {
			reasons = append(reasons, membershipReasons(f, n)...)
		}
		if !c.Force {
			reasons = append(reasons, storageReasons(f, was, next)...)
		}
	}
	return next, unsafe(reasons, "change node %s", n)
}

// workerReasons are against a worker's next state.
func workerReasons(f *metastore.Facts, was, next *storedv1.Node) (reasons []string) {
	const (
		provisioning = storedv1.WorkerState_WORKER_STATE_PROVISIONING
		active       = storedv1.WorkerState_WORKER_STATE_ACTIVE
		draining     = storedv1.WorkerState_WORKER_STATE_DRAINING
		disabled     = storedv1.WorkerState_WORKER_STATE_DISABLED
	)
	switch step := [2]storedv1.WorkerState{was.WorkerState, next.WorkerState}; step {
	case [2]storedv1.WorkerState{provisioning, active}, [2]storedv1.WorkerState{draining, active}:
	case [2]storedv1.WorkerState{active, draining}:
		property, err := quorum.Parse(metastore.PartitionReplication(f.Cluster))
		if err != nil {
			return append(reasons, err.Error())
		}
		others := activeWorkers(f, was.Id)
		switch {
		case len(others) < property.Copies():
			reasons = append(reasons, fmt.Sprintf("%d other workers are active, which can not hold %d copies of each partition: start another one, or give --force", len(others), property.Copies()))
		case property.Spread(others) < property.Wanted():
			reasons = append(reasons, fmt.Sprintf("the other active workers do not lie as the replication %s says: start another one in its place, or give --force", property))
		}
	case [2]storedv1.WorkerState{draining, disabled}, [2]storedv1.WorkerState{provisioning, disabled}:
		if held := holds(f.Epochs, id.Node(was.Id)); len(held) > 0 {
			reasons = append(reasons, fmt.Sprintf("it still holds partitions %s: wait until they have moved", list(held)))
			reasons = append(reasons, frozenReasons(f, id.Node(was.Id))...)
		}
	default:
		reasons = append(reasons, fmt.Sprintf("a worker does not go from %s to %s, unless with --force", WorkerStateName(was.WorkerState), WorkerStateName(next.WorkerState)))
	}
	return reasons
}

// storageReasons are against a log-server's next state.
func storageReasons(f *metastore.Facts, was, next *storedv1.Node) (reasons []string) {
	const (
		provisioning = storedv1.StorageState_STORAGE_STATE_PROVISIONING
		readWrite    = storedv1.StorageState_STORAGE_STATE_READ_WRITE
		readOnly     = storedv1.StorageState_STORAGE_STATE_READ_ONLY
		disabled     = storedv1.StorageState_STORAGE_STATE_DISABLED
	)
	switch step := [2]storedv1.StorageState{was.StorageState, next.StorageState}; step {
	case [2]storedv1.StorageState{readOnly, readWrite}, [2]storedv1.StorageState{provisioning, disabled}:
	case [2]storedv1.StorageState{readWrite, readOnly}:
		if err := selectable(f, next); err != nil {
			reasons = append(reasons, fmt.Sprintf("without it no nodeset can be chosen for new segments (%s): start another log-server, or give --force", err))
		}
	default:
		reasons = append(reasons, fmt.Sprintf("a log-server does not go from %s to %s, unless with --force", StorageStateName(was.StorageState), StorageStateName(next.StorageState)))
	}
	return reasons
}

// selectable tries to choose a nodeset, with a node as it shall be, if next is not nil.
func selectable(f *metastore.Facts, next *storedv1.Node) error {
	property, err := quorum.Parse(f.Cluster.Replication)
	if err != nil {
		return err
	}
	c := quorum.Choice{Property: property, Size: int(f.Cluster.NodesetSize)}
	for _, n := range f.Nodes {
		if next != nil && n.Id == next.Id {
			n = next
		}
		c.Candidates = append(c.Candidates, quorum.Member{Node: id.Node(n.Id), Location: n.Location, State: n.StorageState})
	}
	_, err = quorum.Select(c)
	return err
}

// Removable returns why a node may not leave the cluster. alive tells whether it was heard of in the last second.
func Removable(f *metastore.Facts, n id.Node, alive bool) error {
	node := f.Node(n)
	if node == nil {
		return errs.Newf(errs.NotFound, "there is no node %s", n)
	}
	var reasons []string
	if alive || slices.ContainsFunc(f.Present, func(p id.GenerationalNode) bool { return p.Node == n }) {
		reasons = append(reasons, fmt.Sprintf("it runs, as N%d:%d: stop the process first", node.Id, node.Generation))
	}
	if slices.Contains(node.Roles, metastore.RoleMetadata) && len(node.EtcdClientUrls) > 0 {
		reasons = append(reasons, fmt.Sprintf("it is a member of the metadata quorum: 'reprisectl metadata-server remove-node %d'", node.Id))
	}
	if held := holds(f.Epochs, n); len(held) > 0 {
		reasons = append(reasons, fmt.Sprintf("worker holds partitions %s: 'reprisectl nodes set-worker-state --nodes %d --worker-state draining', and wait until they have moved", list(held), node.Id))
		reasons = append(reasons, frozenReasons(f, n)...)
	}
	if node.StorageState == storedv1.StorageState_STORAGE_STATE_READ_WRITE {
		reasons = append(reasons, fmt.Sprintf("log server takes new records: 'reprisectl nodes set-storage-state --nodes %d --storage-state read-only'", node.Id))
	}
	return unsafe(append(reasons, membershipReasons(f, n)...), "remove node %s", n)
}

// logletsMax is how many loglets are named as reasons.
const logletsMax = 16

// membershipReasons name the loglets that a node has records of.
func membershipReasons(f *metastore.Facts, n id.Node) (reasons []string) {
	more := 0
	for _, l := range f.Logs {
		for _, s := range l.Chain.Segments {
			if !slices.Contains(s.Loglet.GetNodeset(), uint32(n)) {
				continue
			}
			if len(reasons) == logletsMax {
				more++
				continue
			}
			reasons = append(reasons, fmt.Sprintf("log server is part of a node set of loglet %s. This loglet must be trimmed first", id.Loglet(s.Loglet.Id)))
		}
	}
	if more > 0 {
		reasons = append(reasons, fmt.Sprintf("log server is part of node sets of %d more loglets", more))
	}
	return reasons
}

// holds are the partitions that a worker holds, or is to hold.
func holds(epochs []*storedv1.Epoch, n id.Node) (held []string) {
	for p, e := range epochs {
		if r := metastore.ReplicasOf(e); slices.Contains(r.All(), n) {
			held = append(held, fmt.Sprint(p))
		}
	}
	return held
}

// frozenReasons name the partitions that do not move away from a worker by themselves.
func frozenReasons(f *metastore.Facts, n id.Node) (reasons []string) {
	var frozen []string
	for p, d := range f.Directives {
		if r := metastore.ReplicasOf(f.Epochs[p]); d.GetPlacementFrozen() != "" && slices.Contains(r.All(), n) {
			frozen = append(frozen, fmt.Sprint(p))
		}
	}
	if len(frozen) > 0 {
		reasons = append(reasons, fmt.Sprintf("partitions %s stay there, for operators froze them: 'reprisectl partitions placement unfreeze %s'", list(frozen), strings.Join(frozen, ",")))
	}
	return reasons
}

// activeWorkers are those that take partitions, without one.
func activeWorkers(f *metastore.Facts, without uint32) (members []quorum.Member) {
	for _, n := range f.Nodes {
		if n.Id != without && slices.Contains(n.Roles, metastore.RoleWorker) && n.WorkerState == storedv1.WorkerState_WORKER_STATE_ACTIVE {
			members = append(members, quorum.Member{Node: id.Node(n.Id), Location: n.Location})
		}
	}
	return members
}

// unsafe is an error with a reason on each line after the first, or nil without reasons.
func unsafe(reasons []string, format string, args ...any) error {
	if len(reasons) == 0 {
		return nil
	}
	return errs.Newf(errs.Conflict, "It is not safe to %s\n%s", fmt.Sprintf(format, args...), strings.Join(reasons, "\n"))
}

func list(items []string) string { return strings.Join(items, ", ") }

// WorkerStateName is a state as people write it.
func WorkerStateName(s storedv1.WorkerState) string { return stateName(s.String(), "WORKER_STATE_") }

// StorageStateName is a state as people write it.
func StorageStateName(s storedv1.StorageState) string {
	return stateName(s.String(), "STORAGE_STATE_")
}

func stateName(text, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(text, prefix)), "_", "-")
}

// ToLead is the call with which an operator moves a leader: to want, or, if that is 0, to the follower that is furthest.
// made is false if want leads already. errs.Conflict: it can not lead, and the error says why.
func ToLead(s *metastore.Snapshot, alive []placement.Attendant, p id.Partition, want id.Node) (call placement.Call, made bool, err error) {
	if int(p) >= len(s.Epochs) {
		return call, false, errs.Newf(errs.NotFound, "there is no partition %d", p)
	}
	if err := frozen(s, p); err != nil {
		return call, false, err
	}
	e := s.Epochs[p]
	replicas, leader := metastore.ReplicasOf(e), metastore.LeaderOf(e)
	furthest := lsn.LSN(0)
	var best *placement.Attendant
	var why []string
	for i := range alive {
		a := &alive[i]
		status := a.Status(p)
		furthest = max(furthest, status.Applied)
		switch {
		case !slices.Contains(replicas.All(), a.ID.Node), want != 0 && a.ID.Node != want:
		case a.ID == leader:
			if want != 0 {
				return call, false, nil
			}
		case a.Leaving:
			why = append(why, fmt.Sprintf("%s stops", a.ID))
		case status.Role == placement.Parked:
			why = append(why, fmt.Sprintf("%s is parked: it can not apply a command", a.ID))
		case status.Role == placement.Idle:
			why = append(why, fmt.Sprintf("%s does not follow it yet", a.ID))
		case best == nil || status.Applied > best.Status(p).Applied:
			best = a
		}
	}
	if best != nil && best.Status(p).Applied+placement.FewRecords < furthest {
		why = append(why, fmt.Sprintf("%s is %d records behind", best.ID, furthest-best.Status(p).Applied))
		best = nil
	}
	if best != nil {
		return placement.Call{Partition: p, Node: best.ID.Node, Over: lsn.Epoch(e.Epoch)}, true, nil
	}
	switch {
	case len(why) > 0:
	case want == 0:
		why = []string{"no other worker holds it and lives"}
	case !slices.Contains(replicas.All(), want):
		why = []string{fmt.Sprintf("%s does not hold it", want)}
	default:
		why = []string{fmt.Sprintf("%s is not alive", want)}
	}
	return call, false, errs.Newf(errs.Conflict, "partition %d can not be led by another worker now: %s", p, strings.Join(why, ", "))
}
