package logservertest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

var errDown = errs.Newf(errs.Unavailable, "the log-server is down")

// Cluster is log-servers N1 to Nn.
type Cluster struct {
	t    testing.TB
	h    host.Host
	mu   sync.Mutex
	node map[id.Node]*node
}

type node struct {
	fs     *vfs.MemFS
	cut    bool
	server *logserver.Server // nil while it is down
	store  *logstore.Store
	cancel context.CancelFunc
	group  *lifecycle.Group
	links  []*link
}

// New starts n log-servers, which end with the test.
func New(t testing.TB, n int) *Cluster {
	c := &Cluster{t: t, h: host.New(slog.New(slog.DiscardHandler)), node: map[id.Node]*node{}}
	for i := range n {
		c.node[id.Node(i+1)] = &node{fs: vfs.NewCrashableMem()}
		c.Start(id.Node(i + 1))
	}
	t.Cleanup(func() {
		for i := range c.node {
			c.Stop(i)
		}
	})
	return c
}

// Config of the log-servers: small, without a reserve.
func Config() (logserver.Config, logstore.Config) {
	server, store := logserver.Default(), logstore.Default()
	server.ReserveBytes = 0
	store.MemtableBytes, store.CacheBytes = 1<<20, 1<<20
	return server, store
}

// Start brings a stopped or crashed log-server up.
func (c *Cluster) Start(n id.Node) {
	c.t.Helper()
	h := c.h
	h.FS = c.node[n].fs
	serverCfg, storeCfg := Config()
	store, err := logstore.Open(storeCfg, h, "log-store")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := logserver.New(serverCfg, store, id.GenerationalNode{Node: n, Generation: 1}, h)
	g := lifecycle.NewGroup(context.Background())
	g.Go("log-server", func(context.Context) error { return server.Run(ctx) })
	<-server.Ready()
	c.mu.Lock()
	defer c.mu.Unlock()
	nd := c.node[n]
	nd.server, nd.store, nd.cancel, nd.group = server, store, cancel, g
}

// Stop stops a log-server in order.
func (c *Cluster) Stop(n id.Node) { c.end(n, false) }

// Crash ends a log-server; what it had not synced is lost.
func (c *Cluster) Crash(n id.Node) { c.end(n, true) }

func (c *Cluster) end(n id.Node, crash bool) {
	c.mu.Lock()
	nd := c.node[n]
	server := nd.server
	nd.server = nil
	links := nd.links
	nd.links = nil
	c.mu.Unlock()
	if server == nil {
		return
	}
	for _, l := range links {
		l.Broken(errDown)
	}
	fs := nd.fs
	if crash { // after the last answer got through: what that promised is in the clone
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
	}
	nd.cancel()
	if err := nd.group.Wait(); err != nil {
		c.t.Errorf("log-server %d: %v", n, err)
	}
	if err := nd.store.Close(); err != nil {
		c.t.Errorf("log store %d: %v", n, err)
	}
	nd.fs = fs
}

// Cut makes a log-server unreachable, or reachable again, while it lives.
func (c *Cluster) Cut(n id.Node, cut bool) {
	c.mu.Lock()
	nd := c.node[n]
	nd.cut = cut
	links := nd.links
	if cut {
		nd.links = nil
	}
	c.mu.Unlock()
	if cut {
		for _, l := range links {
			l.Broken(errDown)
		}
	}
}

// At returns the log-server of a node itself, nil while it is down.
func (c *Cluster) At(n id.Node) *logserver.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nd := c.node[n]; nd != nil && !nd.cut {
		return nd.server
	}
	return nil
}

// Loglet describes a loglet of partition p on all log-servers.
func (c *Cluster) Loglet(p id.Partition, index uint32, seq id.GenerationalNode, replication string) *storedv1.Loglet {
	l := &storedv1.Loglet{
		Id: uint64(id.NewLoglet(p, index)), SequencerNode: uint32(seq.Node), SequencerGeneration: seq.Generation,
		Replication: replication, Nonce: c.h.Rand.Uint64(),
	}
	for n := range c.node {
		l.Nodeset = append(l.Nodeset, uint32(n))
	}
	slices.Sort(l.Nodeset)
	return l
}

// Peer is a process that talks to the cluster.
type Peer struct {
	c    *Cluster
	self id.GenerationalNode
}

// Peer returns a peer.
func (c *Cluster) Peer(self id.GenerationalNode) *Peer { return &Peer{c: c, self: self} }

// Members describes nodes: all read-write.
func (p *Peer) Members(nodes []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i] = quorum.Member{Node: n, State: storedv1.StorageState_STORAGE_STATE_READ_WRITE}
	}
	return out
}

// link stands between a log writer and a server, so that it can be broken.
type link struct {
	logproto.Conn
	r    logproto.Receiver
	mu   sync.Mutex
	over bool
}

func (l *link) Stored(f *logproto.Frame) {
	l.mu.Lock()
	over := l.over
	l.mu.Unlock()
	if !over {
		l.r.Stored(f)
	}
}

func (l *link) Broken(err error) {
	l.mu.Lock()
	over := l.over
	l.over = true
	l.mu.Unlock()
	if !over {
		l.r.Broken(err)
	}
}

type dead struct{}

func (dead) Send(*logproto.Frame)     {}
func (dead) Release([]logproto.Group) {}
func (dead) Close()                   {}

// Dial connects to a log-server.
func (p *Peer) Dial(n id.Node, r logproto.Receiver) logproto.Conn {
	s := p.c.At(n)
	if s == nil {
		r.Broken(errDown)
		return dead{}
	}
	l := &link{r: r}
	l.Conn = s.Connect(p.self, l)
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.node[n].links = append(p.c.node[n].links, l)
	return l
}

// Server returns a log-server.
func (p *Peer) Server(n id.Node) (logproto.Server, error) {
	s := p.c.At(n)
	if s == nil {
		return nil, errDown
	}
	return remote{p.c, n, s}, nil
}

// remote checks at each call whether the server can be reached, and again before it answers.
type remote struct {
	c *Cluster
	n id.Node
	s *logserver.Server
}

func reach[A any](r remote, a A, err error) (A, error) {
	if r.c.At(r.n) != r.s {
		var none A
		return none, errs.With(errs.Uncertain, errDown)
	}
	return a, err
}

func (r remote) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	a, err := r.s.Seal(ctx, ref)
	return reach(r, a, err)
}

func (r remote) Info(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	a, err := r.s.Info(ctx, ref)
	return reach(r, a, err)
}

func (r remote) Records(ctx context.Context, q logproto.RecordsRequest) (logproto.RecordsAnswer, error) {
	a, err := r.s.Records(ctx, q)
	return reach(r, a, err)
}

func (r remote) Digest(ctx context.Context, q logproto.DigestRequest) (logproto.DigestAnswer, error) {
	a, err := r.s.Digest(ctx, q)
	return reach(r, a, err)
}

func (r remote) Repair(ctx context.Context, g logproto.Group) (logproto.Answer, error) {
	a, err := r.s.Repair(ctx, g)
	return reach(r, a, err)
}

func (r remote) Trim(ctx context.Context, ref logproto.Ref, through lsn.Offset) (logproto.Info, error) {
	a, err := r.s.Trim(ctx, ref, through)
	return reach(r, a, err)
}

func (r remote) WaitForTail(ctx context.Context, w logproto.TailWait) (logproto.Info, error) {
	a, err := r.s.WaitForTail(ctx, w)
	return reach(r, a, err)
}
