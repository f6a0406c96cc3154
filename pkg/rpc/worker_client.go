package rpc

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
)

// WorkerClient reaches the leaders of partitions in other processes. It is a lifecycle.Part, and what
// the ingress needs of partitions and a processor of its peers.
//
// There is one stream to each worker that carries everything. Requests that
// come while a message is on the wire go together in the next one.
type WorkerClient struct {
	cfg     WorkerConfig
	self    id.GenerationalNode
	routes  Routes
	conns   Conns
	host    host.Host
	refused prometheus.Counter
	ready   chan struct{}
	own     *own // nil: this process is no worker

	// mu guards what follows. Order: WorkerClient.mu, then peer.mu. Never held across I/O or a callback.
	mu    sync.Mutex
	group *lifecycle.Group
	peers map[id.GenerationalNode]*peer
}

// Conns has a connection to each node; *Peers is one.
type Conns interface {
	// Conn returns the connection to a node, connected or not.
	Conn(n id.Node) (*grpc.ClientConn, error)
}

// NewWorkerClient checks cfg and builds a client.
func NewWorkerClient(cfg WorkerConfig, self id.GenerationalNode, routes Routes, conns Conns, h host.Host) (*WorkerClient, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "reprise_rpc_worker_requests_refused_total", Help: "Requests refused because too many waited to be sent to a worker.",
	})
	h.Metrics.MustRegister(refused)
	return &WorkerClient{
		cfg: cfg, self: self, routes: routes, conns: conns, host: h, refused: refused, ready: make(chan struct{}), peers: map[id.GenerationalNode]*peer{},
	}, nil
}

// SetOwn names the worker of this process, which is asked directly for what it leads. Call it before Run.
func (c *WorkerClient) SetOwn(w Worker) { c.own = newOwn(w) }

// Ready is closed when requests are taken.
func (c *WorkerClient) Ready() <-chan struct{} { return c.ready }

// Run keeps the connections until ctx ends.
func (c *WorkerClient) Run(ctx context.Context) error {
	group := lifecycle.NewGroup(ctx)
	group.Go("routes", func(ctx context.Context) error {
		c.setGroup(group) // peers may join while this goroutine lives
		defer c.setGroup(nil)
		close(c.ready)
		for {
			changed := c.routes.Changed()
			c.dropMoved()
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

func (c *WorkerClient) setGroup(g *lifecycle.Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group = g
}

// dropMoved ends the waiting for partitions whose leader is another one now, and the peers that lead
// nothing any more: a leader that hangs would never answer.
func (c *WorkerClient) dropMoved() {
	leaders := map[id.GenerationalNode]bool{}
	for p := range c.routes.Partitions() {
		if l, ok := c.routes.Leader(id.Partition(p)); ok {
			leaders[l] = true
		}
	}
	c.mu.Lock()
	peers := make([]*peer, 0, len(c.peers))
	for l, p := range c.peers {
		peers = append(peers, p)
		if !leaders[l] {
			delete(c.peers, l)
			p.retire()
		}
	}
	c.mu.Unlock()
	movedFrom := func(leader id.GenerationalNode) func(id.Partition) bool {
		return func(part id.Partition) bool {
			l, ok := c.routes.Leader(part)
			return ok && l != leader
		}
	}
	for _, p := range peers {
		p.failMoved(movedFrom(p.leader))
	}
	if c.own != nil {
		c.own.failMoved(movedFrom(c.self))
	}
}

// Do sends a request to the leader of its partition and waits for what it wants. If ctx ends first the
// request goes on without its caller, and the worker is told. Codes: NotLeader and Unavailable say that nothing happened;
// Uncertain that it may have.
func (c *WorkerClient) Do(ctx context.Context, r command.Request) (*command.Outcome, error) {
	n := c.routes.Partitions()
	if n == 0 {
		return nil, errs.Newf(errs.Unavailable, "the partitions of the cluster are not known yet")
	}
	w := newWaiter()
	w.partition, w.want, w.id = id.PartitionOf(r.ID.PartitionKey(), n), r.Want, r.ID
	p, err := c.submit(w, r.Record)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		p.forget(w)
		return nil, errs.With(errs.Uncertain, context.Cause(ctx))
	}
	return w.outcome, w.err
}

// Send hands a numbered message to the leader of its target without waiting. acked is called once, by
// any goroutine, unless Send returns an error; it must not block. Messages to one target that are sent
// one after the other arrive in that order, or not at all after the first that failed.
func (c *WorkerClient) Send(target id.Partition, record []byte, acked func(error)) error {
	w := newWaiter()
	w.partition, w.acked = target, acked
	_, err := c.submit(w, record)
	return err
}

// Deliver is Send with waiting.
func (c *WorkerClient) Deliver(ctx context.Context, target id.Partition, record []byte) error {
	done := make(chan error, 1) // one answer: the callback never blocks
	if err := c.Send(target, record, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errs.With(errs.Uncertain, context.Cause(ctx))
	}
}

// receiver takes requests for one leader.
type receiver interface {
	submit(w *waiter, record []byte) error
	forget(w *waiter)
}

func (c *WorkerClient) submit(w *waiter, record []byte) (receiver, error) {
	l, err := leaderOf(c.routes, w.partition)
	if err != nil {
		return nil, err
	}
	if c.own != nil && l == c.self {
		return c.own, c.own.submit(w, record)
	}
	p, err := c.peer(l)
	if err != nil {
		return nil, err
	}
	return p, p.submit(w, record)
}

// peer returns the peer of a leader, and starts it if it is new.
func (c *WorkerClient) peer(l id.GenerationalNode) (*peer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.peers[l]; ok {
		return p, nil
	}
	if c.group == nil {
		return nil, errs.Newf(errs.Unavailable, "this process does not exchange with workers yet, or no more")
	}
	p := newPeer(c, l)
	c.peers[l] = p
	c.group.Go("worker "+l.String(), p.run)
	return p, nil
}

// waiter is somebody who waits for an answer. It is answered exactly once.
type waiter struct {
	number    uint64 // guarded by the mutex of its receiver until it is answered
	partition id.Partition
	want      command.Want  // 0: a delivery
	id        id.Invocation // of a request
	acked     func(error)   // of a delivery

	outcome *command.Outcome
	err     error
	done    chan struct{} // capacity 1: an answer never blocks
}

func newWaiter() *waiter { return &waiter{done: make(chan struct{}, 1)} }

func (w *waiter) answer(o *command.Outcome, err error) {
	if w.acked != nil {
		w.acked(err)
		return
	}
	w.outcome, w.err = o, err
	w.done <- struct{}{}
}
