package rpc

import (
	"context"
	"slices"
	"sync"
	"time"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/id"
)

const statusAlive = "Alive"

// NodeStatus is what this process tells about itself: on /health, and to those who ask where the
// metadata daemons are. Its setters are called by the wiring, as it learns things.
type NodeStatus struct {
	clusterv1.UnimplementedNodeServiceServer

	name, node, version string
	roles               []string
	clock               host.Clock
	started             time.Time

	mu       sync.Mutex // guards what follows
	cluster  *storedv1.Cluster
	me       id.GenerationalNode
	status   clusterv1.NodeStatus
	metadata func() []string
	nodes    func() []*storedv1.Node
}

// NewNodeStatus returns the status of a process that starts.
func NewNodeStatus(cfg *config.Config, roles []string, version string, h host.Host) *NodeStatus {
	return &NodeStatus{
		name: cfg.ClusterName, node: cfg.NodeName, version: version, roles: roles, clock: h.Clock, started: h.Clock.Now(),
		status: clusterv1.NodeStatus_NODE_STATUS_STARTING, metadata: func() []string { return nil },
		nodes: func() []*storedv1.Node { return nil },
	}
}

// SetMetadata says where clients reach etcd. f must not block.
func (s *NodeStatus) SetMetadata(f func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata = f
}

// SetPeers says which nodes there are. f must not block.
func (s *NodeStatus) SetPeers(f func() []*storedv1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = f
}

// SetMember says who this process is, once it joined.
func (s *NodeStatus) SetMember(cluster *storedv1.Cluster, me id.GenerationalNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster, s.me = cluster, me
}

// SetAlive says that all parts are ready.
func (s *NodeStatus) SetAlive() { s.set(clusterv1.NodeStatus_NODE_STATUS_ALIVE) }

// SetStopping comes before anything is drained.
func (s *NodeStatus) SetStopping() { s.set(clusterv1.NodeStatus_NODE_STATUS_STOPPING) }

func (s *NodeStatus) set(status clusterv1.NodeStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Ident implements clusterv1.NodeServiceServer.
func (s *NodeStatus) Ident(context.Context, *clusterv1.IdentRequest) (*clusterv1.IdentResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &clusterv1.IdentResponse{
		ClusterName:        s.name,
		ClusterFingerprint: s.cluster.GetFingerprint(),
		NodeId:             uint32(s.me.Node),
		Generation:         s.me.Generation,
		NodeName:           s.node,
		Roles:              s.roles,
		Version:            s.version,
		Status:             s.status,
		UptimeMs:           s.clock.Now().Sub(s.started).Milliseconds(),
		MetadataUrls:       s.metadata(),
	}, nil
}

// Peers implements clusterv1.NodeServiceServer.
func (s *NodeStatus) Peers(context.Context, *clusterv1.PeersRequest) (*clusterv1.PeersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &clusterv1.PeersResponse{Nodes: s.nodes()}, nil
}

// Health is the body of GET /health.
func (s *NodeStatus) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{NodeName: s.node, ClusterName: s.name, Roles: slices.Clone(s.roles), Version: s.version, Status: "Starting"}
	switch s.status {
	case clusterv1.NodeStatus_NODE_STATUS_ALIVE:
		h.Status = statusAlive
	case clusterv1.NodeStatus_NODE_STATUS_STOPPING:
		h.Status = "Stopping"
	}
	if s.me.Node != 0 {
		h.NodeID = s.me.String()
	}
	return h
}
