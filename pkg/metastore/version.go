package metastore

import (
	"context"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
)

// checkVersion refuses a worker that could not apply what leaders may propose. The condition that it returns holds while
// the answer does.
func (s *Store) checkVersion(items []Item, spec *storedv1.Node) (Cond, error) {
	c := &storedv1.Cluster{}
	rev, err := decode(items, c)
	if err != nil {
		return Cond{}, err
	}
	if slices.Contains(spec.Roles, RoleWorker) && spec.PartitionVersion < c.PartitionVersion {
		return Cond{}, errs.Newf(errs.Unsupported, "partitions of this cluster may have version %d, this binary applies up to %d: run the release that the other workers run, or a newer one",
			c.PartitionVersion, spec.PartitionVersion)
	}
	return Cond{Key: s.keys.cluster(), Modified: rev}, nil
}

// CommonVersion is the newest version of partitions that all workers know, 0 without any.
func CommonVersion(nodes []*storedv1.Node) uint32 {
	common := uint32(math.MaxUint32)
	for _, n := range nodes {
		if slices.Contains(n.Roles, RoleWorker) {
			common = min(common, n.PartitionVersion)
		}
	}
	if common == math.MaxUint32 {
		return 0
	}
	return common
}

// RaiseVersion lets leaders raise their partitions to the newest version that all workers know, and has workers refused
// that do not know it. It never goes back. A repeat changes nothing.
func (s *Store) RaiseVersion(ctx context.Context) (version uint32, err error) {
	err = s.change(ctx, func(ctx context.Context) error {
		got, rev, err := s.kv.Read(ctx, Range{Key: s.keys.cluster()}, Range{Key: s.keys.nodes(), Prefix: true})
		if err != nil {
			return err
		}
		c := &storedv1.Cluster{}
		modified, err := decode(got[0], c)
		if err != nil {
			return err
		}
		if modified == 0 {
			return errs.Newf(errs.NotFound, "cluster %s is not provisioned", s.name)
		}
		nodes := make([]*storedv1.Node, len(got[1]))
		for i := range got[1] {
			nodes[i] = &storedv1.Node{}
			if _, err := decode(got[1][i:i+1], nodes[i]); err != nil {
				return err
			}
		}
		if version = max(c.PartitionVersion, CommonVersion(nodes)); version == c.PartitionVersion {
			return nil
		}
		next := proto.CloneOf(c)
		next.PartitionVersion = version
		w, err := put(s.keys.cluster(), next)
		if err != nil {
			return err
		}
		return s.write(ctx, []Cond{{Key: w.Key, Modified: modified}, {Key: s.keys.nodes(), Modified: rev, Prefix: true}}, w)
	})
	if err != nil {
		return 0, fmt.Errorf("raise the version of partitions: %w", err)
	}
	return version, nil
}
