package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/placement"
)

// ControlServer is where processes attend at a metadata daemon.
type ControlServer struct {
	clusterv1.UnimplementedControlServiceServer

	fingerprint uint64
	roster      *controller.Roster
}

// NewControlServer returns a server for the members of a cluster.
func NewControlServer(fingerprint uint64, roster *controller.Roster) *ControlServer {
	return &ControlServer{fingerprint: fingerprint, roster: roster}
}

// Register adds the service to a gRPC server.
func (s *ControlServer) Register(r grpc.ServiceRegistrar) {
	clusterv1.RegisterControlServiceServer(r, s)
}

// callsMax is how many calls may wait to be sent to one process; more are dropped, and made again.
const callsMax = 4096

// Attend implements clusterv1.ControlServiceServer.
func (s *ControlServer) Attend(stream clusterv1.ControlService_AttendServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.Fingerprint != s.fingerprint || first.Node == 0 {
		return ToStatus(errs.Newf(errs.Invalid, "this is a metadata daemon of cluster %016x, not %016x", s.fingerprint, first.Fingerprint))
	}
	calls := make(chan placement.Call, callsMax)
	visit := s.roster.Enter(id.GenerationalNode{Node: id.Node(first.Node), Generation: first.Generation}, func(c placement.Call) {
		select {
		case calls <- c:
		default:
		}
	})
	defer visit.Leave()
	visit.Beat(beatOf(first))
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	beats := make(chan controller.Beat) // unbuffered: none comes after the visit
	// Not waited for: only our return ends a Recv, as it ends the stream.
	lifecycle.NewGroup(ctx).Go("beats", func(context.Context) error {
		for {
			r, err := stream.Recv()
			if err != nil {
				cancel(err)
				return nil
			}
			select {
			case beats <- beatOf(r):
			case <-ctx.Done():
				return nil
			}
		}
	})
	for {
		select {
		case b := <-beats:
			visit.Beat(b)
		case c := <-calls:
			if err := stream.Send(&clusterv1.AttendResponse{Partition: uint32(c.Partition), Over: uint64(c.Over)}); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

func beatOf(r *clusterv1.AttendRequest) controller.Beat {
	b := controller.Beat{Leaving: r.Leaving, SentAtMillis: r.SentAtMs, Statuses: make([]placement.Status, len(r.Statuses))}
	for i, s := range r.Statuses {
		b.Statuses[i] = statusOf(s)
	}
	return b
}

func statusOf(s *clusterv1.PartitionStatus) placement.Status {
	return placement.Status{
		Role: placement.Role(s.Role), Epoch: lsn.Epoch(s.Epoch), Applied: lsn.LSN(s.Applied), Durable: lsn.LSN(s.Durable), Works: s.Works,
		Archived: lsn.LSN(s.Archived), Broken: s.Broken,
	}
}

// ControlClient attends at metadata daemons.
type ControlClient struct {
	fingerprint uint64
	me          id.GenerationalNode
	conns       Conns
}

var _ membership.Metadata = (*ControlClient)(nil)

// NewControlClient returns the client of a member.
func NewControlClient(fingerprint uint64, me id.GenerationalNode, conns Conns) *ControlClient {
	return &ControlClient{fingerprint: fingerprint, me: me, conns: conns}
}

// Attend implements membership.Metadata.
func (c *ControlClient) Attend(ctx context.Context, n id.Node) (membership.Meeting, error) {
	conn, err := c.conns.Conn(n)
	if err != nil {
		return nil, err
	}
	stream, err := clusterv1.NewControlServiceClient(conn).Attend(ctx)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "attend at %s: %s", n, status.Convert(err).Message())
	}
	return &meeting{c: c, stream: stream}, nil
}

type meeting struct {
	c      *ControlClient
	stream clusterv1.ControlService_AttendClient
}

// Tell implements membership.Meeting.
func (m *meeting) Tell(leaving bool, nowMillis int64, statuses []placement.Status) error {
	r := &clusterv1.AttendRequest{
		Fingerprint: m.c.fingerprint, Node: uint32(m.c.me.Node), Generation: m.c.me.Generation, Leaving: leaving, SentAtMs: nowMillis,
	}
	for _, s := range statuses {
		r.Statuses = append(r.Statuses, statusMessage(s))
	}
	return m.stream.Send(r)
}

// Await implements membership.Meeting.
func (m *meeting) Await() (id.Partition, lsn.Epoch, error) {
	r, err := m.stream.Recv()
	if err != nil {
		return 0, 0, err
	}
	return id.Partition(r.Partition), lsn.Epoch(r.Over), nil
}

// Prober tries the fabric ports of nodes.
func Prober(nodes func() []*storedv1.Node) controller.Probe {
	return func(ctx context.Context, n id.Node) bool {
		for _, node := range nodes() {
			if id.Node(node.Id) != n {
				continue
			}
			address, err := hostPort(node.Address)
			if err != nil {
				return true // nothing is known
			}
			return listens(ctx, address)
		}
		return true
	}
}

// probeTimeout is how long a port may take to be refused.
const probeTimeout = 200 * time.Millisecond

// listens returns false only if the machine says that nobody listens.
func listens(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close() // nothing was sent
	return true
}
