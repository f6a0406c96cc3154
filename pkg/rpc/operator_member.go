package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// node reads a node through a quorum.
func (s *OperatorServer) node(ctx context.Context, n uint32) (*storedv1.Node, error) {
	nodes, err := s.Meta.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		if node.Id == n {
			return node, nil
		}
	}
	return nil, errs.Newf(errs.NotFound, "there is no node %s", id.Node(n))
}

// AddMember implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) AddMember(ctx context.Context, r *clusterv1.AddMemberRequest) (*clusterv1.AddMemberResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	node, err := s.node(ctx, r.Node)
	if err != nil {
		return nil, err
	}
	url, err := controller.JoiningMember(node)
	if err != nil {
		return nil, err
	}
	if err := s.Meta.AddMember(ctx, url, controller.Addable); err != nil {
		return nil, err
	}
	return &clusterv1.AddMemberResponse{}, nil
}

// RemoveMember implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) RemoveMember(ctx context.Context, r *clusterv1.RemoveMemberRequest) (*clusterv1.RemoveMemberResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	node, err := s.node(ctx, r.Node)
	if err != nil {
		return nil, err
	}
	members, err := s.Meta.Members(ctx)
	if err != nil {
		return nil, err
	}
	member, err := controller.RemovableMember(members, node.Name)
	if err != nil {
		return nil, err
	}
	// First nobody looks for the metadata there any more: the member may be this process's, which ends.
	_, err = s.Meta.ChangeNode(ctx, id.Node(r.Node), func(f *metastore.Facts) (*storedv1.Node, error) {
		next := proto.CloneOf(f.Node(id.Node(r.Node)))
		next.EtcdClientUrls = nil
		return next, nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.Meta.RemoveMember(ctx, member); err != nil {
		return nil, err
	}
	return &clusterv1.RemoveMemberResponse{}, nil
}
