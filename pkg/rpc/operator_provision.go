package rpc

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/metastore"
)

// FounderServer is what reprisectl talks to at a metadata daemon while there is no cluster.
type FounderServer struct {
	clusterv1.UnimplementedOperatorServiceServer
	meta     *metastore.Store
	defaults *storedv1.Cluster
	rand     host.Rand
}

// NewFounderServer returns the server; defaults is the cluster unless the operator says otherwise.
func NewFounderServer(meta *metastore.Store, defaults *storedv1.Cluster, h host.Host) *FounderServer {
	return &FounderServer{meta: meta, defaults: defaults, rand: h.Rand}
}

// Register adds the service to a gRPC server.
func (s *FounderServer) Register(r grpc.ServiceRegistrar) {
	clusterv1.RegisterOperatorServiceServer(r, s)
}

// Overview implements clusterv1.OperatorServiceServer: there is nothing.
func (s *FounderServer) Overview(context.Context, *clusterv1.OverviewRequest) (*clusterv1.OverviewResponse, error) {
	return &clusterv1.OverviewResponse{}, nil
}

// Provision implements clusterv1.OperatorServiceServer.
func (s *FounderServer) Provision(ctx context.Context, r *clusterv1.ProvisionRequest) (*clusterv1.ProvisionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	next, err := controller.Founded(s.defaults, controller.Founding{
		Partitions: r.Partitions,
		Settings:   controller.Settings{Replication: r.LogReplication, PartitionReplication: r.PartitionReplication, NodesetSize: r.LogNodesetSize},
	})
	if err != nil || r.DryRun {
		return &clusterv1.ProvisionResponse{Cluster: next}, err
	}
	for next.Fingerprint == 0 {
		next.Fingerprint = s.rand.Uint64()
	}
	cluster, err := s.meta.Provision(ctx, next)
	switch {
	case err != nil:
		return nil, err
	case cluster.Fingerprint != next.Fingerprint:
		return nil, controller.AlreadyFounded(cluster)
	}
	return &clusterv1.ProvisionResponse{Cluster: cluster}, nil
}

// Provision implements clusterv1.OperatorServiceServer: there is a cluster.
func (s *OperatorServer) Provision(ctx context.Context, _ *clusterv1.ProvisionRequest) (*clusterv1.ProvisionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	cluster, err := s.Meta.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	return nil, controller.AlreadyFounded(cluster)
}

// Lend returns a listener that accepts on ln. Once it is closed and nobody accepts any more, giveBack makes ln accept again.
func Lend(ln net.Listener) (lent net.Listener, giveBack func() error, err error) {
	port, ok := ln.(interface{ SetDeadline(t time.Time) error })
	if !ok {
		return nil, nil, errs.Newf(errs.Internal, "a %T can not be lent", ln)
	}
	return lentListener{ln, port.SetDeadline}, func() error { return port.SetDeadline(time.Time{}) }, nil
}

type lentListener struct {
	net.Listener
	deadline func(time.Time) error
}

// Close ends Accept, but not the listener.
func (l lentListener) Close() error { return l.deadline(time.Unix(1, 0)) }
