package rpc

import (
	"context"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// freezing reads whether something is to be frozen.
func freezing(freeze *string, unfreeze bool) (why string, err error) {
	switch {
	case freeze == nil:
		return "", nil
	case *freeze == "":
		return "", errs.Newf(errs.Invalid, "a freeze needs a reason")
	case unfreeze:
		return "", errs.Newf(errs.Invalid, "it can not be frozen and unfrozen at once")
	}
	return *freeze, nil
}

// PlacePartition implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) PlacePartition(ctx context.Context, r *clusterv1.PlacePartitionRequest) (*clusterv1.PlacePartitionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	why, err := freezing(r.Freeze, r.Unfreeze)
	if err != nil {
		return nil, err
	}
	want := controller.Steer{FreezePlacement: why, UnfreezePlacement: r.Unfreeze}
	for _, n := range r.Replicas {
		want.Replicas = append(want.Replicas, id.Node(n))
	}
	e, d, err := s.Meta.SteerPartition(ctx, id.Partition(r.Partition), func(f *metastore.Facts) (metastore.Steering, error) {
		return controller.Steered(f, id.Partition(r.Partition), want)
	})
	if err != nil {
		return nil, err
	}
	return &clusterv1.PlacePartitionResponse{Epoch: e, Directive: d}, nil
}

// SteerLeader implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) SteerLeader(ctx context.Context, r *clusterv1.SteerLeaderRequest) (*clusterv1.SteerLeaderResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	why, err := freezing(r.Freeze, r.Unfreeze)
	if err != nil {
		return nil, err
	}
	want := controller.Steer{FreezeLeader: why, UnfreezeLeader: r.Unfreeze}
	if r.Pin != nil {
		n := id.Node(r.GetPin())
		want.Pin = &n
	}
	e, d, err := s.Meta.SteerPartition(ctx, id.Partition(r.Partition), func(f *metastore.Facts) (metastore.Steering, error) {
		return controller.Steered(f, id.Partition(r.Partition), want)
	})
	if err != nil {
		return nil, err
	}
	if r.GetPin() != 0 { // if it can lead now, it need not wait until all is quiet
		if call, made, err := controller.ToLead(s.View.Current(), s.Attendants.Alive(), id.Partition(r.Partition), id.Node(r.GetPin())); err == nil && made {
			s.Attendants.Call(call)
		}
	}
	return &clusterv1.SteerLeaderResponse{Epoch: e, Directive: d}, nil
}

// ConfigureCluster implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) ConfigureCluster(ctx context.Context, r *clusterv1.ConfigureClusterRequest) (*clusterv1.ConfigureClusterResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	want := controller.Settings{Replication: r.LogReplication, PartitionReplication: r.PartitionReplication, NodesetSize: r.LogNodesetSize}
	c, err := s.Meta.ChangeCluster(ctx, func(f *metastore.Facts) (*storedv1.Cluster, error) { return controller.Configured(f, want) })
	if err != nil {
		return nil, err
	}
	return &clusterv1.ConfigureClusterResponse{Cluster: c}, nil
}
