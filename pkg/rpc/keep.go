package rpc

import (
	"context"

	clusterv1 "reprise/api/cluster/v1"
	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/snapshot"
)

// Keeper makes snapshots of the partitions that are led here, and trims their logs; *processor.Node is one.
type Keeper interface {
	Snapshot(ctx context.Context, p id.Partition, atLeast lsn.LSN) (*snapshot.Latest, error)
	Trim(ctx context.Context, p id.Partition, through lsn.LSN, force bool) (lsn.LSN, error)
}

// ServeKeeper lets operators have snapshots made and logs trimmed. Call it before Register.
func (s *WorkerServer) ServeKeeper(k Keeper) { s.keeper = k }

func (s *WorkerServer) checkKeeper(h *workerv1.Hello) error {
	if err := s.checkHello(h); err != nil {
		return err
	}
	if s.keeper == nil {
		return errs.Newf(errs.Unsupported, "%s makes no snapshots", s.self)
	}
	return nil
}

// CreateSnapshot implements workerv1.WorkerServer.
func (s *WorkerServer) CreateSnapshot(ctx context.Context, r *workerv1.CreateSnapshotRequest) (*workerv1.CreateSnapshotResponse, error) {
	if err := s.checkKeeper(r.GetHello()); err != nil {
		return nil, err
	}
	l, err := s.keeper.Snapshot(ctx, id.Partition(r.Partition), lsn.LSN(r.MinLsn))
	if err != nil {
		return nil, err
	}
	return &workerv1.CreateSnapshotResponse{SnapshotId: l.SnapshotID, Lsn: uint64(l.MinAppliedLSN), Archived: uint64(l.Archived())}, nil
}

// TrimLog implements workerv1.WorkerServer.
func (s *WorkerServer) TrimLog(ctx context.Context, r *workerv1.TrimLogRequest) (*workerv1.TrimLogResponse, error) {
	if err := s.checkKeeper(r.GetHello()); err != nil {
		return nil, err
	}
	through, err := s.keeper.Trim(ctx, id.Partition(r.Partition), lsn.LSN(r.Through), r.Force)
	if err != nil {
		return nil, err
	}
	return &workerv1.TrimLogResponse{Through: uint64(through)}, nil
}

// KeeperClient reaches the leaders of partitions for operators.
type KeeperClient struct {
	self   id.GenerationalNode
	routes Routes
	conns  Conns
}

// NewKeeperClient returns a client.
func NewKeeperClient(self id.GenerationalNode, routes Routes, conns Conns) *KeeperClient {
	return &KeeperClient{self: self, routes: routes, conns: conns}
}

func (c *KeeperClient) leader(p uint32) (workerv1.WorkerClient, *workerv1.Hello, error) {
	if p >= c.routes.Partitions() {
		return nil, nil, errs.Newf(errs.NotFound, "there is no partition %d", p)
	}
	leader, err := leaderOf(c.routes, id.Partition(p))
	if err != nil {
		return nil, nil, err
	}
	conn, err := c.conns.Conn(leader.Node)
	if err != nil {
		return nil, nil, err
	}
	return workerv1.NewWorkerClient(conn), hello(c.routes, c.self), nil
}

// CreateSnapshot implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) CreateSnapshot(ctx context.Context, r *clusterv1.CreateSnapshotRequest) (*clusterv1.CreateSnapshotResponse, error) {
	worker, hello, err := s.Keepers.leader(r.Partition)
	if err != nil {
		return nil, err
	}
	a, err := worker.CreateSnapshot(ctx, &workerv1.CreateSnapshotRequest{Hello: hello, Partition: r.Partition, MinLsn: r.MinLsn})
	if err != nil {
		return nil, err
	}
	out := &clusterv1.CreateSnapshotResponse{SnapshotId: a.SnapshotId, Lsn: a.Lsn, Archived: a.Archived}
	if r.Trim {
		t, err := worker.TrimLog(ctx, &workerv1.TrimLogRequest{Hello: hello, Partition: r.Partition, Through: a.Archived})
		if err != nil {
			return nil, err
		}
		out.Trimmed = t.Through
	}
	return out, nil
}

// TrimLog implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) TrimLog(ctx context.Context, r *clusterv1.TrimLogRequest) (*clusterv1.TrimLogResponse, error) {
	worker, hello, err := s.Keepers.leader(r.Log)
	if err != nil {
		return nil, err
	}
	a, err := worker.TrimLog(ctx, &workerv1.TrimLogRequest{Hello: hello, Partition: r.Log, Through: r.Through, Force: r.Force})
	if err != nil {
		return nil, err
	}
	return &clusterv1.TrimLogResponse{Through: a.Through}, nil
}
