package table

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// Cluster is what a node knows of its cluster.
type Cluster struct {
	Nodes   []*storedv1.Node
	Alive   map[uint32]uint32 // generations of the nodes that hold a lease, by plain id
	Epochs  []*storedv1.Epoch // one for each partition
	Self    id.GenerationalNode
	Setting []Setting // of this node
}

// Setting is a key of the configuration, with its value as text.
type Setting struct{ Key, Value string }

// Chains reads the chain of a partition's log. The metadata store answers.
type Chains func(ctx context.Context, p id.Partition) (*storedv1.Chain, error)

// tailView is the view of the newest segment of each log.
const tailView = "logs_tail_segments"

// NewClusterStatic returns what makes the rows of the cluster's catalog.
func NewClusterStatic(c *Catalog, now func() Cluster, chains Chains) *Static {
	s := &Static{catalog: c, sources: map[string]func(*input) error{
		"nodes":                 rowsOf(nodeCells, nodeRows(now)),
		"partitions":            rowsOf(partitionCells, partitionRows(now)),
		"partition_replica_set": rowsOf(replicaCells, replicaRows(now)),
		"logs":                  rowsOf(segmentCells, segmentRows(now, chains, false)),
		tailView:                rowsOf(segmentCells, segmentRows(now, chains, true)),
		"config":                rowsOf(settingRowCells, settingRows(now)),
	}}
	s.describe()
	return s
}

// plain and generational are names of nodes, as people write them.
func plain(n uint32) string                    { return "N" + strconv.FormatUint(uint64(n), 10) }
func generational(n, generation uint32) string { return fmt.Sprintf("N%d:%d", n, generation) }

func plainList(nodes []uint32) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = plain(n)
	}
	return strings.Join(names, ", ")
}

// nodeRow is a node, and whether it lives.
type nodeRow struct {
	*storedv1.Node
	alive bool
}

// The states of nodes, as they are told.
var (
	storageStates = map[storedv1.StorageState]string{
		storedv1.StorageState_STORAGE_STATE_PROVISIONING: "provisioning", storedv1.StorageState_STORAGE_STATE_READ_WRITE: "read-write",
		storedv1.StorageState_STORAGE_STATE_READ_ONLY: "read-only", storedv1.StorageState_STORAGE_STATE_GONE: "gone",
		storedv1.StorageState_STORAGE_STATE_DATA_LOSS: "data-loss", storedv1.StorageState_STORAGE_STATE_DISABLED: "disabled",
	}
	workerStates = map[storedv1.WorkerState]string{
		storedv1.WorkerState_WORKER_STATE_PROVISIONING: "provisioning", storedv1.WorkerState_WORKER_STATE_ACTIVE: "active",
		storedv1.WorkerState_WORKER_STATE_DRAINING: "draining", storedv1.WorkerState_WORKER_STATE_DISABLED: "disabled",
	}
)

func hasRole(column, role string) cell[nodeRow] {
	return flagOf(column, func(r *nodeRow) bool { return slices.Contains(r.Roles, role) })
}

var nodeCells = []cell[nodeRow]{
	textOf("plain_node_id", func(r *nodeRow) string { return plain(r.Id) }),
	textOf("gen_node_id", func(r *nodeRow) string { return generational(r.Id, r.Generation) }),
	textOf("state", func(r *nodeRow) string {
		if r.alive {
			return "alive"
		}
		return "dead"
	}),
	textOf("name", func(r *nodeRow) string { return r.Name }),
	textOf("address", func(r *nodeRow) string { return r.Address }),
	textOf("ctrl_address", func(r *nodeRow) string { return r.Address }), // one port has both
	textOr("location", func(r *nodeRow) string { return r.Location }),
	hasRole("has_admin_role", metastore.RoleAdmin), hasRole("has_worker_role", metastore.RoleWorker), hasRole("has_metadata_server_role", metastore.RoleMetadata),
	hasRole("has_log_server_role", metastore.RoleLogServer), hasRole("has_ingress_role", metastore.RoleIngress),
	textOr("storage_state", func(r *nodeRow) string { return storageStates[r.StorageState] }),
	textOr("worker_state", func(r *nodeRow) string { return workerStates[r.WorkerState] }),
	textOr("metadata_server_state", func(r *nodeRow) string {
		if slices.Contains(r.Roles, metastore.RoleMetadata) {
			return "member"
		}
		return ""
	}),
	textOr("binary_version", func(r *nodeRow) string { return r.Version }),
}

func nodeRows(now func() Cluster) func(*input, func(*nodeRow) error) error {
	return func(_ *input, yield func(*nodeRow) error) error {
		c := now()
		for _, n := range c.Nodes {
			if err := yield(&nodeRow{n, c.Alive[n.Id] == n.Generation}); err != nil {
				return err
			}
		}
		return nil
	}
}

// partitionRow is a partition with who leads it.
type partitionRow struct {
	*storedv1.Epoch
	id   id.Partition
	from id.PartitionKey
	to   id.PartitionKey
}

func (r *partitionRow) leader(text string) (string, bool) { return text, r.Node != 0 }

var partitionCells = []cell[partitionRow]{
	numberOf("partition_id", func(r *partitionRow) uint64 { return uint64(r.id) }),
	numberOf("start_key", func(r *partitionRow) uint64 { return uint64(r.from) }),
	numberOf("end_key", func(r *partitionRow) uint64 { return uint64(r.to) }),
	numberOf("log_id", func(r *partitionRow) uint64 { return uint64(r.id) }),
	{name: "leader_gen_node_id", text: func(r *partitionRow) (string, bool) { return r.leader(generational(r.Node, r.Generation)) }},
	{name: "leader_plain_node_id", text: func(r *partitionRow) (string, bool) { return r.leader(plain(r.Node)) }},
	{name: "leader_epoch", text: func(r *partitionRow) (string, bool) { return r.leader(fmt.Sprintf("e%d", r.Epoch.Epoch)) }},
	textOr("current_replica_set", func(r *partitionRow) string { return plainList(r.Replicas) }),
	textOr("next_replica_set", func(r *partitionRow) string { return plainList(r.Next) }),
}

func partitionRows(now func() Cluster) func(*input, func(*partitionRow) error) error {
	return func(_ *input, yield func(*partitionRow) error) error {
		c := now()
		for i, e := range c.Epochs {
			r := partitionRow{Epoch: e, id: id.Partition(i)}
			r.from, r.to = id.Range(r.id, uint32(len(c.Epochs)))
			if err := yield(&r); err != nil {
				return err
			}
		}
		return nil
	}
}

// replicaRow is a worker that holds a partition.
type replicaRow struct {
	partition  id.Partition
	epoch      *storedv1.Epoch
	node       uint32
	generation uint32 // 0: it is down
	membership string // current or next
}

func (r *replicaRow) leads() bool { return r.epoch.Node == r.node }

var replicaCells = []cell[replicaRow]{
	numberOf("partition_id", func(r *replicaRow) uint64 { return uint64(r.partition) }),
	textOf("plain_node_id", func(r *replicaRow) string { return plain(r.node) }),
	{name: "alive_gen_node_id", text: func(r *replicaRow) (string, bool) { return generational(r.node, r.generation), r.generation != 0 }},
	{name: "is_leader", number: func(r *replicaRow) (uint64, bool) { return 1, r.leads() }},
	textOf("membership", func(r *replicaRow) string { return r.membership }),
	{name: "leader_epoch", text: func(r *replicaRow) (string, bool) { return fmt.Sprintf("e%d", r.epoch.Epoch), r.leads() }},
}

func replicaRows(now func() Cluster) func(*input, func(*replicaRow) error) error {
	return func(_ *input, yield func(*replicaRow) error) error {
		c := now()
		for i, e := range c.Epochs {
			for _, n := range e.Replicas {
				if err := yield(&replicaRow{id.Partition(i), e, n, c.Alive[n], "current"}); err != nil {
					return err
				}
			}
			for _, n := range e.Next {
				if slices.Contains(e.Replicas, n) {
					continue // one row for each
				}
				if err := yield(&replicaRow{id.Partition(i), e, n, c.Alive[n], "next"}); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// segmentRow is a segment of a log.
type segmentRow struct {
	*storedv1.Segment
	log id.Partition
}

var segmentCells = []cell[segmentRow]{
	numberOf("log_id", func(r *segmentRow) uint64 { return uint64(r.log) }),
	numberOf("segment_index", func(r *segmentRow) uint64 { return uint64(r.Index) }),
	numberOf("base_lsn", func(r *segmentRow) uint64 { return r.Base }),
	textOf("kind", func(*segmentRow) string { return "replicated" }),
	textOf("loglet_id", func(r *segmentRow) string {
		return fmt.Sprintf("%d_%d", r.Loglet.GetId()>>32, uint32(r.Loglet.GetId()))
	}),
	textOf("sequencer", func(r *segmentRow) string {
		return generational(r.Loglet.GetSequencerNode(), r.Loglet.GetSequencerGeneration())
	}),
	textOf("replication", func(r *segmentRow) string { return r.Loglet.GetReplication() }),
	textOf("nodeset", func(r *segmentRow) string { return "[" + plainList(r.Loglet.GetNodeset()) + "]" }),
}

func segmentRows(now func() Cluster, chains Chains, tails bool) func(*input, func(*segmentRow) error) error {
	return func(in *input, yield func(*segmentRow) error) error {
		for i := range now().Epochs {
			log := id.Partition(i)
			if !in.request.Admits("log_id", strconv.Itoa(i)) {
				continue
			}
			chain, err := chains(in.ctx, log)
			if err != nil {
				return fmt.Errorf("segments of log %d: %w", i, err)
			}
			segments := chain.Segments
			if tails {
				segments = segments[max(len(segments)-1, 0):]
			}
			for _, s := range segments {
				if err := yield(&segmentRow{s, log}); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// settingRow is a setting of a node.
type settingRow struct {
	Setting
	node id.GenerationalNode
}

var settingRowCells = []cell[settingRow]{
	textOf("plain_node_id", func(r *settingRow) string { return plain(uint32(r.node.Node)) }),
	textOf("gen_node_id", func(r *settingRow) string { return generational(uint32(r.node.Node), r.node.Generation) }),
	textOf("key", func(r *settingRow) string { return r.Key }),
	textOf("value", func(r *settingRow) string { return r.Value }),
}

func settingRows(now func() Cluster) func(*input, func(*settingRow) error) error {
	return func(_ *input, yield func(*settingRow) error) error {
		c := now()
		for _, s := range c.Setting {
			if err := yield(&settingRow{s, c.Self}); err != nil {
				return err
			}
		}
		return nil
	}
}

// Partial says what is missing from the rows of a table; nil if nothing is.
func (s *Static) Partial(name string) error {
	switch {
	case name == "config":
		return errs.Newf(errs.Unsupported, "config: only this node's settings are listed")
	case s.sources[name] == nil && s.catalog.Table(name) != nil:
		return errs.Newf(errs.Unsupported, "%s: no node reports such rows yet", name)
	default:
		return nil
	}
}
