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
	hung   chan struct{} // closed when it goes on; nil: it does not hang
	state  storedv1.StorageState
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
		c.node[id.Node(i+1)] = &node{fs: vfs.NewCrashableMem(), state: storedv1.StorageState_STORAGE_STATE_READ_WRITE}
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

// Hang stops a log-server from answering, as SIGSTOP does, or has it go on: what was asked and answered meanwhile comes
// then.
func (c *Cluster) Hang(n id.Node, hang bool) {
	c.mu.Lock()
	nd := c.node[n]
	links := slices.Clone(nd.links)
	if was := nd.hung; was != nil {
		close(was)
	}
	nd.hung = nil
	if hang {
		nd.hung = make(chan struct{})
	}
	c.mu.Unlock()
	for _, l := range links {
		l.hang(hang)
	}
}

// awake waits while a log-server hangs.
func (c *Cluster) awake(ctx context.Context, n id.Node) error {
	c.mu.Lock()
	hung := c.node[n].hung
	c.mu.Unlock()
	if hung == nil {
		return nil
	}
	select {
	case <-hung:
		return nil
	case <-ctx.Done():
		return errs.With(errs.Uncertain, context.Cause(ctx))
	}
}

// SetState sets the storage state of a node as the metadata has it.
func (c *Cluster) SetState(n id.Node, s storedv1.StorageState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node[n].state = s
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

// Members describes nodes.
func (p *Peer) Members(nodes []id.Node) []quorum.Member {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i] = quorum.Member{Node: n, State: p.c.node[n].state}
	}
	return out
}

// link stands between a log writer and a server, so that it can be broken or held up.
type link struct {
	conn logproto.Conn
	r    logproto.Receiver
	mu   sync.Mutex
	over bool
	hung bool
	held []func() // what goes through when it does not hang any more
}

// pass lets something through, now or when the server does not hang any more.
func (l *link) pass(f func()) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	if l.hung {
		l.held = append(l.held, f)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	f()
}

func (l *link) hang(hang bool) {
	l.mu.Lock()
	for !hang && len(l.held) > 0 {
		f := l.held[0]
		l.held = l.held[1:]
		l.mu.Unlock()
		f()
		l.mu.Lock()
	}
	l.hung = hang
	l.mu.Unlock()
}

func (l *link) Send(f *logproto.Frame)      { l.pass(func() { l.conn.Send(f) }) }
func (l *link) Release(gs []logproto.Group) { l.pass(func() { l.conn.Release(gs) }) }
func (l *link) Stored(f *logproto.Frame)    { l.pass(func() { l.r.Stored(f) }) }

func (l *link) Close() {
	l.end()
	l.conn.Close()
}

func (l *link) Broken(err error) {
	if l.end() {
		l.r.Broken(err)
	}
}

// end lets nothing through any more; false if it was over.
func (l *link) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.over
	l.over, l.held = true, nil
	return !was
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
	l.conn = s.Connect(p.self, l)
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	l.hung = p.c.node[n].hung != nil
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

func ask[A any](ctx context.Context, r remote, f func() (A, error)) (A, error) {
	var none A
	if err := r.c.awake(ctx, r.n); err != nil {
		return none, err
	}
	a, err := f()
	if herr := r.c.awake(ctx, r.n); herr != nil {
		return none, herr
	}
	if r.c.At(r.n) != r.s {
		return none, errs.With(errs.Uncertain, errDown)
	}
	return a, err
}

func (r remote) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	return ask(ctx, r, func() (logproto.Info, error) { return r.s.Seal(ctx, ref) })
}

func (r remote) Info(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	return ask(ctx, r, func() (logproto.Info, error) { return r.s.Info(ctx, ref) })
}

func (r remote) Records(ctx context.Context, q logproto.RecordsRequest) (logproto.RecordsAnswer, error) {
	return ask(ctx, r, func() (logproto.RecordsAnswer, error) { return r.s.Records(ctx, q) })
}

func (r remote) Digest(ctx context.Context, q logproto.DigestRequest) (logproto.DigestAnswer, error) {
	return ask(ctx, r, func() (logproto.DigestAnswer, error) { return r.s.Digest(ctx, q) })
}

func (r remote) Repair(ctx context.Context, g logproto.Group) (logproto.Answer, error) {
	return ask(ctx, r, func() (logproto.Answer, error) { return r.s.Repair(ctx, g) })
}

func (r remote) Trim(ctx context.Context, ref logproto.Ref, through lsn.Offset) (logproto.Info, error) {
	return ask(ctx, r, func() (logproto.Info, error) { return r.s.Trim(ctx, ref, through) })
}

func (r remote) WaitForTail(ctx context.Context, w logproto.TailWait) (logproto.Info, error) {
	return ask(ctx, r, func() (logproto.Info, error) { return r.s.WaitForTail(ctx, w) })
}
