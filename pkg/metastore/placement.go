package metastore

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/placement"
)

// LeaderOf is who leads in an epoch, the zero value if nobody has led yet.
func LeaderOf(e *storedv1.Epoch) id.GenerationalNode {
	return id.GenerationalNode{Node: id.Node(e.GetNode()), Generation: e.GetGeneration()}
}

// ReplicasOf is who holds a partition, and who is to.
func ReplicasOf(e *storedv1.Epoch) placement.Replicas {
	return placement.Replicas{Current: nodeIDs(e.GetReplicas()), Next: nodeIDs(e.GetNext())}
}

// PartitionReplication is the property of replica sets, as text.
func PartitionReplication(c *storedv1.Cluster) string {
	if r := c.GetPartitionReplication(); r != "" {
		return r
	}
	return c.GetReplication()
}

func nodeIDs(plain []uint32) (nodes []id.Node) {
	for _, n := range plain {
		nodes = append(nodes, id.Node(n))
	}
	return nodes
}

func plainIDs(nodes []id.Node) (plain []uint32) {
	for _, n := range nodes {
		plain = append(plain, uint32(n))
	}
	return plain
}

// withReplicas is an epoch object in which others hold the partition; leader and epoch stay.
func withReplicas(e *storedv1.Epoch, r placement.Replicas) *storedv1.Epoch {
	next := proto.CloneOf(e)
	next.Replicas, next.Next = plainIDs(r.Current), plainIDs(r.Next)
	return next
}

// Assign asks plan which workers shall hold each partition, given what is so now, and writes what
// differs: all of it decided on one quorum read, each written only if the epoch object is still that.
// errs.Conflict: one of them changed, and some of the plan may be written; ask again.
func (s *Store) Assign(ctx context.Context, partitions uint32, plan func([]*storedv1.Epoch) []placement.Replicas) (changed int, err error) {
	err = s.tries(ctx, slowTry, func(ctx context.Context) error {
		changed = 0
		conds, writes, err := s.assignment(ctx, partitions, plan)
		if err != nil {
			return err
		}
		for len(writes) > 0 {
			n := min(len(writes), TxnOpsMax)
			if err := s.write(ctx, conds[:n], writes[:n]...); err != nil {
				return err
			}
			changed += n
			conds, writes = conds[n:], writes[n:]
		}
		return nil
	})
	if err != nil {
		return changed, fmt.Errorf("assign replicas: %w", err)
	}
	return changed, nil
}

func (s *Store) assignment(ctx context.Context, partitions uint32, plan func([]*storedv1.Epoch) []placement.Replicas) ([]Cond, []Write, error) {
	got, _, err := s.kv.Read(ctx, Range{Key: s.keys.epochs(), Prefix: true})
	if err != nil {
		return nil, nil, err
	}
	epochs, err := ofPartitions(partitions, got[0], s.keys.epochs(), func() *storedv1.Epoch { return &storedv1.Epoch{} })
	if err != nil {
		return nil, nil, err
	}
	revisions := make(map[string]int64, len(got[0]))
	for _, it := range got[0] {
		revisions[it.Key] = it.Modified
	}
	var conds []Cond
	var writes []Write
	for p, want := range plan(epochs) {
		was := ReplicasOf(epochs[p])
		if slices.Equal(want.Current, was.Current) && slices.Equal(want.Next, was.Next) {
			continue
		}
		w, err := put(s.keys.epoch(id.Partition(p)), withReplicas(epochs[p], want))
		if err != nil {
			return nil, nil, err
		}
		conds, writes = append(conds, Cond{Key: w.Key, Modified: revisions[w.Key]}), append(writes, w)
	}
	return conds, writes, nil
}

// Steering is what an operator may change of a partition.
type Steering struct {
	Replicas  placement.Replicas
	Directive *storedv1.Directive
}

// SteerPartition lets an operator change who holds or leads a partition. decide judges what one quorum read found and
// returns how it shall be; it is asked again if cluster, nodes or the partition changed before that was written.
func (s *Store) SteerPartition(ctx context.Context, p id.Partition, decide func(*Facts) (Steering, error)) (e *storedv1.Epoch, d *storedv1.Directive, err error) {
	err = s.change(ctx, func(ctx context.Context) error {
		f, err := s.facts(ctx)
		if err != nil {
			return err
		}
		if int(p) >= len(f.Epochs) {
			return errs.Newf(errs.NotFound, "there is no partition %d: they are 0 to %d", p, len(f.Epochs)-1)
		}
		now, err := decide(f)
		if err != nil {
			return err
		}
		e, d = withReplicas(f.Epochs[p], now.Replicas), now.Directive
		var writes []Write
		if !proto.Equal(e, f.Epochs[p]) {
			w, err := put(s.keys.epoch(p), e)
			if err != nil {
				return err
			}
			writes = append(writes, w)
		}
		if !proto.Equal(d, f.Directives[p]) {
			w, err := put(s.keys.directive(p), d)
			if err != nil {
				return err
			}
			writes = append(writes, w)
		}
		if len(writes) == 0 { // also: an earlier try with an unknown outcome
			return nil
		}
		return s.write(ctx, []Cond{
			{Key: s.keys.epoch(p), Modified: f.revision, Prefix: true}, {Key: s.keys.directive(p), Modified: f.revision, Prefix: true},
			{Key: s.keys.nodes(), Modified: f.revision, Prefix: true}, {Key: s.keys.cluster(), Modified: f.revision, Prefix: true},
		}, writes...)
	})
	return e, d, err
}

// ChangeCluster lets an operator change the settings of the cluster. decide judges what one quorum read found and returns the
// document as it shall be; it is asked again if cluster, nodes or epochs changed before that was written.
func (s *Store) ChangeCluster(ctx context.Context, decide func(*Facts) (*storedv1.Cluster, error)) (now *storedv1.Cluster, err error) {
	err = s.change(ctx, func(ctx context.Context) error {
		f, err := s.facts(ctx)
		if err != nil {
			return err
		}
		if now, err = decide(f); err != nil {
			return err
		}
		if proto.Equal(now, f.Cluster) { // also: an earlier try with an unknown outcome
			return nil
		}
		w, err := put(s.keys.cluster(), now)
		if err != nil {
			return err
		}
		return s.write(ctx, []Cond{
			{Key: w.Key, Modified: f.revision, Prefix: true}, {Key: s.keys.nodes(), Modified: f.revision, Prefix: true},
			{Key: s.keys.epochs(), Modified: f.revision, Prefix: true},
		}, w)
	})
	return now, err
}
