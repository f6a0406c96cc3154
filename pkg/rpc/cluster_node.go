package rpc

import (
	"context"
	"slices"
	"sync"
	"time"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
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
	seen     func() *metastore.Snapshot // what it knows of the metadata; nil: nothing yet

	databases []Database
}

// Database of this process.
type Database struct {
	Name string
	// Compact gives back the space of what was deleted, and returns how many bytes of disk were and are taken. Any goroutine may
	// call it.
	Compact func(ctx context.Context) (before, after uint64, err error)
}

// NewNodeStatus returns the status of a process that starts.
func NewNodeStatus(cfg *config.Config, roles []string, version string, h host.Host) *NodeStatus {
	return &NodeStatus{
		name: cfg.ClusterName, node: cfg.NodeName, version: version, roles: roles, clock: h.Clock, started: h.Clock.Now(),
		status: clusterv1.NodeStatus_NODE_STATUS_STARTING, metadata: func() []string { return nil },
		seen: func() *metastore.Snapshot { return nil },
	}
}

// SetMetadata says where clients reach etcd. f must not block.
func (s *NodeStatus) SetMetadata(f func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata = f
}

// SetView says what this process knows of the metadata. f must not block.
func (s *NodeStatus) SetView(f func() *metastore.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = f
}

// AddDatabase says that a database can be compacted from now on.
func (s *NodeStatus) AddDatabase(d Database) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases = append(s.databases, d)
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
	r := &clusterv1.IdentResponse{
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
	}
	if seen := s.seen(); seen != nil {
		r.NodesVersion, r.SchemaVersion = seen.NodesSince, seen.Registry.Version()
	}
	return r, nil
}

// Peers implements clusterv1.NodeServiceServer.
func (s *NodeStatus) Peers(context.Context, *clusterv1.PeersRequest) (*clusterv1.PeersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen := s.seen(); seen != nil {
		return &clusterv1.PeersResponse{Nodes: seen.Nodes}, nil
	}
	return &clusterv1.PeersResponse{}, nil
}

// Compact implements clusterv1.NodeServiceServer.
func (s *NodeStatus) Compact(ctx context.Context, r *clusterv1.CompactRequest) (*clusterv1.CompactResponse, error) {
	s.mu.Lock()
	all := slices.Clone(s.databases)
	s.mu.Unlock()
	for _, name := range r.Databases {
		if !slices.ContainsFunc(all, func(d Database) bool { return d.Name == name }) {
			return nil, errs.Newf(errs.NotFound, "there is no database %s at node %s", name, s.node)
		}
	}
	resp := &clusterv1.CompactResponse{}
	for _, d := range all {
		if len(r.Databases) > 0 && !slices.Contains(r.Databases, d.Name) {
			continue
		}
		before, after, err := d.Compact(ctx)
		if err != nil {
			return nil, err
		}
		resp.Databases = append(resp.Databases, &clusterv1.CompactedDatabase{Name: d.Name, BytesBefore: before, BytesAfter: after})
	}
	return resp, nil
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
