package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
)

const workerCluster = 0xc0ffee

// fakeWorker is a worker whose partitions do what the test says.
type fakeWorker struct {
	submit func(r command.Request, answered func(*command.Outcome, error)) error
	accept func(target id.Partition, record []byte, acked func(error)) error

	abandoned chan<- struct{}                      // with room for each exchange that ends; may be nil
	submitted func(number uint64, i id.Invocation) // instead of submit, of requests that are never answered
	left      func(number uint64, i id.Invocation)
}

func (f fakeWorker) Leave(_ any, number uint64, i id.Invocation) {
	if f.left != nil {
		f.left(number, i)
	}
}

func (f fakeWorker) Submit(_ any, number uint64, r command.Request, answered func(*command.Outcome, error)) error {
	if f.submitted != nil {
		f.submitted(number, r.ID)
		return nil
	}
	return f.submit(r, answered)
}

func (f fakeWorker) Abandon(any) {
	if f.abandoned != nil {
		f.abandoned <- struct{}{}
	}
}

func (f fakeWorker) Accept(target id.Partition, record []byte, acked func(error)) error {
	return f.accept(target, record, acked)
}

// workers are the nodes of a cluster in memory, and the routes to them.
type workers struct {
	t *testing.T

	mu        sync.Mutex
	listeners map[id.Node]*bufconn.Listener
	conns     map[id.Node]*grpc.ClientConn
	open      []net.Conn
	leader    id.GenerationalNode
	changed   chan struct{}
	frames    int // received by servers, hellos included
}

func newWorkers(t *testing.T) *workers {
	w := &workers{t: t, listeners: map[id.Node]*bufconn.Listener{}, conns: map[id.Node]*grpc.ClientConn{}, changed: make(chan struct{})}
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		for _, c := range w.conns {
			_ = c.Close()
		}
		goleak.VerifyNone(t, ignore)
	})
	return w
}

func (w *workers) Fingerprint() uint64 { return workerCluster }
func (w *workers) Partitions() uint32  { return 24 }

func (w *workers) Leader(id.Partition) (id.GenerationalNode, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leader, w.leader.Node != 0
}

func (w *workers) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *workers) lead(n id.GenerationalNode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader = n
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *workers) Conn(n id.Node) (*grpc.ClientConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.conns[n]; ok {
		return c, nil
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		w.mu.Lock()
		l := w.listeners[n]
		w.mu.Unlock()
		if l == nil {
			return nil, errors.New("refused")
		}
		conn, err := l.DialContext(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open = append(w.open, conn)
		return conn, err
	}
	c, err := grpc.NewClient("passthrough:///"+n.String(), append(rpc.DialOptions(), grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	w.conns[n] = c
	return c, err
}

// cut breaks all connections.
func (w *workers) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// call waits for the completion of an invocation in the background; the channel is closed after acked.
func (w *workers) call(c *rpc.WorkerClient, rec []byte, acked func(error)) <-chan struct{} {
	done := make(chan struct{})
	g := lifecycle.NewGroup(background)
	g.Go("call", func(context.Context) error {
		defer close(done)
		_, err := c.Do(background, command.Request{ID: someone, Record: rec, Want: command.WantCompleted})
		acked(err)
		return nil
	})
	return done
}

// serve starts a worker and makes it the leader.
func (w *workers) serve(self id.GenerationalNode, cluster func() uint64, f fakeWorker) {
	w.t.Helper()
	s, err := rpc.NewWorkerServer(rpc.DefaultWorker(), self, cluster, f)
	if err != nil {
		w.t.Fatal(err)
	}
	w.start(self, s)
}

func (w *workers) start(self id.GenerationalNode, s *rpc.WorkerServer) {
	l := bufconn.Listen(1 << 20)
	count := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		return h(srv, countedStream{ss, w})
	}
	g := grpc.NewServer(append(rpc.ServerOptions(), grpc.ChainStreamInterceptor(count))...)
	s.Register(g)
	group := lifecycle.NewGroup(context.Background())
	group.Go("serve", func(context.Context) error { return g.Serve(l) })
	w.mu.Lock()
	w.listeners[self.Node] = l
	w.mu.Unlock()
	w.t.Cleanup(func() {
		g.Stop()
		_ = group.Wait()
	})
	w.lead(self)
}

type countedStream struct {
	grpc.ServerStream
	w *workers
}

func (s countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.frames++
	return err
}

func (w *workers) client(cfg rpc.WorkerConfig, clock *hosttest.Clock) *rpc.WorkerClient {
	w.t.Helper()
	return w.clientWith(cfg, clock, nil)
}

// clientWith is a client of self, in a process that is a worker itself unless own is nil.
func (w *workers) clientWith(cfg rpc.WorkerConfig, clock *hosttest.Clock, own rpc.Worker) *rpc.WorkerClient {
	w.t.Helper()
	c, err := rpc.NewWorkerClient(cfg, self, w, w, hosttest.New(clock, 1))
	if err != nil {
		w.t.Fatal(err)
	}
	if own != nil {
		c.SetOwn(own)
	}
	ctx, stop := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("client", c.Run)
	w.t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			w.t.Error(err)
		}
	})
	<-c.Ready()
	return c
}

func invokeRecord(t *testing.T, i id.Invocation, size int) []byte {
	t.Helper()
	rec, err := command.Append(nil, command.Header{Kind: command.Invoke, Frames: 1, ID: i}, &storedv1.InvokeFacts{}, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

var (
	cluster    = func() uint64 { return workerCluster }
	workerOne  = id.GenerationalNode{Node: 1, Generation: 4}
	workerTwo  = id.GenerationalNode{Node: 2, Generation: 1}
	someone    = id.WorkflowInvocation("Wf", "a")
	background = context.Background()
)
