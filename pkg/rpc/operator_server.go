package rpc

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/loglet"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// Attendants knows how workers stand and can ask them to lead; *controller.Roster is one.
type Attendants interface {
	Alive() []placement.Attendant
	Call(c placement.Call) bool
}

// Operated is what operators look at and change.
type Operated struct {
	Meta       *metastore.Store
	View       *metastore.View
	Attendants Attendants
	Logs       *loglet.Client
	Keepers    *KeeperClient
	Host       host.Host
}

// OperatorServer is what reprisectl talks to.
type OperatorServer struct {
	clusterv1.UnimplementedOperatorServiceServer
	Operated
}

// NewOperatorServer returns the server of a metadata daemon.
func NewOperatorServer(o Operated) *OperatorServer { return &OperatorServer{Operated: o} }

// Register adds the service to a gRPC server.
func (s *OperatorServer) Register(r grpc.ServiceRegistrar) {
	clusterv1.RegisterOperatorServiceServer(r, s)
}

const (
	// operateMax is how long a question may take whose caller is more patient.
	operateMax = 10 * time.Second
	// digestMax is how many offsets a digest may have.
	digestMax = 1 << 20
	// leadMax is how long an answer to Lead may take.
	leadMax = 5 * time.Second
)

// Overview implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) Overview(context.Context, *clusterv1.OverviewRequest) (*clusterv1.OverviewResponse, error) {
	now := s.View.Current()
	r := &clusterv1.OverviewResponse{Cluster: now.Cluster, Nodes: now.Nodes, NodesVersion: now.NodesSince, Epochs: now.Epochs, Directives: now.Directives}
	for _, a := range s.Attendants.Alive() {
		at := &clusterv1.Attendant{Node: uint32(a.ID.Node), Generation: a.ID.Generation, Leaving: a.Leaving}
		for _, st := range a.Statuses {
			at.Statuses = append(at.Statuses, statusMessage(st))
		}
		r.Attendants = append(r.Attendants, at)
	}
	for _, p := range now.Present {
		r.Present = append(r.Present, &clusterv1.Attendant{Node: uint32(p.ID.Node), Generation: p.ID.Generation})
	}
	return r, nil
}

func statusMessage(s placement.Status) *clusterv1.PartitionStatus {
	return &clusterv1.PartitionStatus{
		Role: clusterv1.PartitionRole(s.Role), Epoch: uint64(s.Epoch), Applied: uint64(s.Applied), Durable: uint64(s.Durable), Works: s.Works,
		Archived: uint64(s.Archived), Broken: s.Broken,
	}
}

// Logs implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) Logs(ctx context.Context, _ *clusterv1.LogsRequest) (*clusterv1.LogsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	logs, cluster, err := s.Meta.Logs(ctx)
	if err != nil {
		return nil, err
	}
	r := &clusterv1.LogsResponse{Cluster: cluster}
	for _, l := range logs {
		r.Logs = append(r.Logs, &clusterv1.LogChain{Version: l.Version, Chain: l.Chain})
	}
	return r, nil
}

// last returns the last segment of a log.
func (s *OperatorServer) last(ctx context.Context, log uint32) (*storedv1.Segment, error) {
	if log >= s.View.Current().Partitions {
		return nil, errs.Newf(errs.NotFound, "there is no log %d", log)
	}
	l, err := s.Meta.Lineage(ctx, id.Partition(log))
	if err != nil {
		return nil, err
	}
	if len(l.Chain.Segments) == 0 {
		return nil, errs.Newf(errs.NotFound, "log %d has no segments: nothing was ever written", log)
	}
	return l.Chain.Segments[len(l.Chain.Segments)-1], nil
}

// FindTail implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) FindTail(ctx context.Context, r *clusterv1.FindTailRequest) (*clusterv1.FindTailResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	seg, err := s.last(ctx, r.Log)
	if err != nil {
		return nil, err
	}
	tail, sealed, err := s.Operated.Logs.FindTail(ctx, seg.Loglet)
	if err != nil {
		return nil, err
	}
	return &clusterv1.FindTailResponse{Segment: seg.Index, Sealed: sealed, Tail: uint64(tail.At(lsn.LSN(seg.Base)))}, nil
}

// SealLog implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) SealLog(ctx context.Context, r *clusterv1.SealLogRequest) (*clusterv1.SealLogResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	seg, err := s.last(ctx, r.Log)
	if err != nil {
		return nil, err
	}
	if r.Segment != nil && r.GetSegment() != seg.Index {
		return nil, errs.Newf(errs.Conflict, "segment %d is not the last one of log %d, that is %d", r.GetSegment(), r.Log, seg.Index)
	}
	tail, err := s.Operated.Logs.Seal(ctx, seg.Loglet)
	if err != nil {
		return nil, err
	}
	s.Host.Log.Info("an operator sealed the last segment of a log", slog.Uint64(logkey.Log, uint64(r.Log)), slog.String(logkey.Loglet, id.Loglet(seg.Loglet.GetId()).String()),
		slog.Uint64(logkey.LSN, uint64(tail.At(lsn.LSN(seg.Base)))), slog.String(logkey.Reason, r.Reason))
	return &clusterv1.SealLogResponse{Segment: seg.Index, Tail: uint64(tail.At(lsn.LSN(seg.Base)))}, nil
}

// segment returns the segment of a loglet, and where the next one begins.
func (s *OperatorServer) segment(ctx context.Context, l id.Loglet) (seg *storedv1.Segment, end uint64, err error) {
	if uint32(l.Log()) >= s.View.Current().Partitions || uint64(l)>>32 != uint64(l.Log()) {
		return nil, 0, errs.Newf(errs.NotFound, "there is no loglet %s", l)
	}
	lineage, err := s.Meta.Lineage(ctx, l.Log())
	if err != nil {
		return nil, 0, err
	}
	segments := lineage.Chain.Segments
	i := slices.IndexFunc(segments, func(seg *storedv1.Segment) bool { return id.Loglet(seg.Loglet.GetId()) == l })
	if i < 0 {
		return nil, 0, errs.Newf(errs.NotFound, "there is no loglet %s: 'reprisectl logs describe %d --all' shows those of the log", l, l.Log())
	}
	if i+1 < len(segments) {
		end = segments[i+1].Base
	}
	return segments[i], end, nil
}

// DescribeLoglet implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) DescribeLoglet(ctx context.Context, r *clusterv1.DescribeLogletRequest) (*clusterv1.DescribeLogletResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	seg, end, err := s.segment(ctx, id.Loglet(r.Loglet))
	if err != nil {
		return nil, err
	}
	found, err := s.Operated.Logs.Survey(ctx, seg.Loglet)
	if err != nil {
		return nil, err
	}
	return &clusterv1.DescribeLogletResponse{Log: uint32(r.Loglet >> 32), Segment: seg, End: end, Members: membersOf(found)}, nil
}

// DigestLoglet implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) DigestLoglet(ctx context.Context, r *clusterv1.DigestLogletRequest) (*clusterv1.DigestLogletResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	if r.From == 0 || r.To < r.From || r.To-r.From > digestMax {
		return nil, errs.Newf(errs.Invalid, "a digest of offsets %d to %d: at least 1, and at most %d of them", r.From, r.To, digestMax)
	}
	seg, _, err := s.segment(ctx, id.Loglet(r.Loglet))
	if err != nil {
		return nil, err
	}
	found, err := s.Operated.Logs.Digest(ctx, seg.Loglet, lsn.Offset(r.From), lsn.Offset(r.To))
	if err != nil {
		return nil, err
	}
	return &clusterv1.DigestLogletResponse{Members: membersOf(found)}, nil
}

func membersOf(found []loglet.Found) []*clusterv1.LogletMember {
	out := make([]*clusterv1.LogletMember, len(found))
	for i, f := range found {
		m := &clusterv1.LogletMember{Node: uint32(f.Node)}
		out[i] = m
		if f.Err != nil {
			m.Error = f.Err.Error()
			continue
		}
		m.Sealed, m.LocalTail, m.KnownTail, m.Trimmed = f.Info.Sealed, uint64(f.Info.Tail), uint64(f.Info.Known), uint64(f.Info.Trimmed)
		for _, e := range f.Exists {
			m.Exists = append(m.Exists, &clusterv1.OffsetRange{From: uint64(e.From), To: uint64(e.To)})
		}
	}
	return out
}

// ChangeNode implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) ChangeNode(ctx context.Context, r *clusterv1.ChangeNodeRequest) (*clusterv1.ChangeNodeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	n := id.Node(r.Node)
	node, err := s.Meta.ChangeNode(ctx, n, func(f *metastore.Facts) (*storedv1.Node, error) {
		return controller.Changed(f, n, controller.Change{Worker: r.WorkerState, Storage: r.StorageState, Force: r.Force})
	})
	if err != nil {
		return nil, err
	}
	return &clusterv1.ChangeNodeResponse{Node: node}, nil
}

// RemoveNode implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) RemoveNode(ctx context.Context, r *clusterv1.RemoveNodeRequest) (*clusterv1.RemoveNodeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	n := id.Node(r.Node)
	_, err := s.Meta.ChangeNode(ctx, n, func(f *metastore.Facts) (*storedv1.Node, error) {
		alive := slices.ContainsFunc(s.Attendants.Alive(), func(a placement.Attendant) bool { return a.ID.Node == n })
		return nil, controller.Removable(f, n, alive)
	})
	if err != nil {
		return nil, err
	}
	return &clusterv1.RemoveNodeResponse{}, nil
}

// Lead implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) Lead(ctx context.Context, r *clusterv1.LeadRequest) (*clusterv1.LeadResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, leadMax)
	defer cancel()
	if r.Partition >= s.View.Current().Partitions {
		return nil, errs.Newf(errs.NotFound, "there is no partition %d", r.Partition)
	}
	before := s.View.Current()
	was := before.Epochs[r.Partition]
	call, made, err := controller.ToLead(before, s.Attendants.Alive(), id.Partition(r.Partition), id.Node(r.Node))
	if err != nil {
		return nil, err
	}
	if !made {
		return &clusterv1.LeadResponse{Was: was, Now: was}, nil
	}
	if !s.Attendants.Call(call) {
		return nil, errs.Newf(errs.Unavailable, "%s is not connected to this metadata daemon any more", call.Node)
	}
	now, err := s.View.Await(ctx, func(now *metastore.Snapshot) bool { return now.Epochs[r.Partition].GetEpoch() > was.GetEpoch() })
	if err != nil {
		return nil, errs.Newf(errs.Uncertain, "%s was asked to lead partition %d, and nobody has begun to: %w", call.Node, r.Partition, err)
	}
	return &clusterv1.LeadResponse{Was: was, Now: now.Epochs[r.Partition]}, nil
}

// GetDocument implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) GetDocument(ctx context.Context, r *clusterv1.GetDocumentRequest) (*clusterv1.GetDocumentResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	m, version, err := s.Meta.Document(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	text, err := documentJSON(m)
	if err != nil {
		return nil, err
	}
	return &clusterv1.GetDocumentResponse{Json: text, Version: version}, nil
}

func documentJSON(m proto.Message) (string, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	return string(b), err
}

// PutDocument implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) PutDocument(ctx context.Context, r *clusterv1.PutDocumentRequest) (*clusterv1.PutDocumentResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	m, err := s.Meta.NewDocument(r.Key)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal([]byte(r.Json), m); err != nil {
		return nil, errs.Newf(errs.Invalid, "%s: %w", r.Key, err)
	}
	if err := s.Meta.PutDocument(ctx, r.Key, m, r.Version); err != nil {
		return nil, err
	}
	return &clusterv1.PutDocumentResponse{}, nil
}

// MetadataMembers implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) MetadataMembers(ctx context.Context, _ *clusterv1.MetadataMembersRequest) (*clusterv1.MetadataMembersResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	members, err := s.Meta.Members(ctx)
	if err != nil {
		return nil, err
	}
	r := &clusterv1.MetadataMembersResponse{}
	for _, m := range members {
		out := &clusterv1.MetadataMember{
			Id: m.ID, Name: m.Name, ClientUrls: m.ClientURLs, Learner: m.Learner, Version: m.Version, Leader: m.Leader,
			Term: m.Term, Applied: m.Applied, Committed: m.Committed, DbBytes: m.DBBytes,
		}
		if m.Err != nil {
			out.Error = m.Err.Error()
		}
		r.Members = append(r.Members, out)
	}
	return r, nil
}
