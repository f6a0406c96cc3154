package processor

import (
	"context"
	"log/slog"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
)

// version is the one to which partitions are to be raised: all workers of the cluster know it.
func (n *Node) version() uint32 {
	return min(n.view.Current().Cluster.GetPartitionVersion(), partition.VersionMax)
}

// awaitVersion has the leader of an epoch propose a barrier when the cluster allows another version, until ctx ends.
func (n *Node) awaitVersion(ctx context.Context, p *part, epoch lsn.Epoch) error {
	for done := uint32(0); n.await(ctx, p, func() bool { return n.version() > done }); {
		done = n.version()
		p.loop.mail.do(func() { p.loop.raise(p, epoch, done) })
	}
	return nil
}

// raise proposes that all that follows has the meaning of a version, unless it has. It may come before the Announce is applied.
func (l *Loop) raise(p *part, epoch lsn.Epoch, version uint32) {
	if p.tenure == nil || p.tenure.epoch != epoch || p.store.Meta().GetVersion() >= version {
		return
	}
	rec, err := command.Append(nil, command.Header{Kind: command.Barrier}, &storedv1.BarrierFacts{Version: version})
	if err != nil {
		l.park(p, err)
		return
	}
	l.node.host.Log.LogAttrs(l.ctx, slog.LevelDebug, "partition is raised to another version", slog.Int(logkey.Partition, int(p.id)), slog.Uint64(logkey.Count, uint64(version)))
	p.propose(rec, nil, l.nowMillis())
	l.node.writer.Flush()
}
