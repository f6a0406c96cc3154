package rpc

import (
	"context"
	"sync"

	logv1 "reprise/api/log/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/quorum"
)

// LogDialer finds and connects log-servers: the one of this process by direct call, the others by gRPC.
// It is what the sequencer and the loglet client ask for, and a lifecycle.Part that owns the streams.
type LogDialer struct {
	self   id.GenerationalNode
	header *logv1.Header
	nodes  func() []*storedv1.Node
	peers  *LogPeers
	local  LogEngine // nil if this process has none

	mu      sync.Mutex
	group   *lifecycle.Group // nil before Run and after it
	waiting []*logStream     // dialled before Run
	stopped bool
}

// NewLogDialer returns the dialer of the process self in the cluster with a fingerprint. nodes is the
// metadata's present view; local is the log-server of this process or nil.
func NewLogDialer(self id.GenerationalNode, cluster uint64, nodes func() []*storedv1.Node, peers *LogPeers, local LogEngine) *LogDialer {
	return &LogDialer{
		self: self, nodes: nodes, peers: peers, local: local,
		header: &logv1.Header{Cluster: cluster, Node: uint32(self.Node), Generation: self.Generation},
	}
}

var errDialerStopped = errs.Newf(errs.Unavailable, "the process stops")

// Run lets streams live until ctx ends.
func (d *LogDialer) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	d.mu.Lock()
	d.group = g
	waiting := d.waiting
	d.waiting = nil
	for _, s := range waiting {
		g.Go("log stream", s.run)
	}
	d.mu.Unlock()
	<-ctx.Done()
	d.mu.Lock()
	d.group, d.stopped = nil, true
	d.mu.Unlock()
	return g.Wait()
}

// Members describes nodes as the metadata knows them now. One that it does not know may be newer than
// our view, so it counts as one that answers for its data.
func (d *LogDialer) Members(want []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(want))
	nodes := d.nodes()
	for i, n := range want {
		out[i] = quorum.Member{Node: n, State: storedv1.StorageState_STORAGE_STATE_PROVISIONING}
		for _, node := range nodes {
			if id.Node(node.Id) == n {
				out[i].Location, out[i].State = node.Location, node.StorageState
			}
		}
	}
	return out
}

// Server returns a log-server for recoveries and readers.
func (d *LogDialer) Server(n id.Node) (logproto.Server, error) {
	if d.local != nil && n == d.self.Node {
		return d.local, nil
	}
	conn, err := d.peers.Conn(n)
	if err != nil {
		return nil, err
	}
	return logClient{c: logv1.NewLogServerClient(conn), header: d.header}, nil
}

// Dial connects the log writer of this process to a log-server.
func (d *LogDialer) Dial(n id.Node, r logproto.Receiver) logproto.Conn {
	if d.local != nil && n == d.self.Node {
		return d.local.Connect(d.self, r)
	}
	s := &logStream{d: d, node: n, r: r, frames: make(chan *logproto.Frame, 1), releases: make(chan []logproto.Group, 1), closed: make(chan struct{})}
	d.mu.Lock()
	stopped := d.stopped
	switch {
	case d.group != nil:
		d.group.Go("log stream", s.run)
	case !stopped:
		d.waiting = append(d.waiting, s)
	}
	d.mu.Unlock()
	if stopped {
		r.Broken(errDialerStopped)
	}
	return s
}
