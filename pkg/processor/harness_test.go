package processor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
	"reprise/pkg/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait is the longest that a test waits for something that must happen.
const wait = 10 * time.Second

// retention keeps results for longer than a test.
const retention = 3_600_000

// clock shows real time and what was skipped.
type clock struct {
	host.Clock
	mu      sync.Mutex
	skipped time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Clock.Now().Add(c.skipped)
}

// skip moves the time. Timers that are armed fire when they would have: loops look at least every tick.
func (c *clock) skip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped += d
}

// world is a cluster of one log, one metadata store and the nodes that a test starts.
type world struct {
	t          *testing.T
	kv         *metatest.Fake
	meta       *metastore.Store
	log        *fakeLog
	clock      *clock
	host       host.Host
	fs         *vfs.MemFS
	partitions uint32
	endpoint   *endpoint
	cfg        processor.Config
	invoker    invoker.Config
	peers      processor.Peers
	nodesets   processor.Nodesets
	snapshots  processor.Snapshots
	nodes      atomic.Pointer[[]*worker]
	asked      atomic.Int64                        // how often it was asked how partitions stand
	takeOver   func(processor.Meta) processor.Meta // what nodes see of the metadata store, if set
}

func newWorld(t *testing.T, partitions uint32, loops int) *world {
	t.Helper()
	w := &world{t: t, kv: metatest.NewFake(), log: newFakeLog(), partitions: partitions, fs: vfs.NewCrashableMem(), invoker: invoker.Default()}
	w.host = hosttest.Real(1)
	w.host.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})) // shown when the test fails
	w.clock = &clock{Clock: w.host.Clock}
	w.host.Clock, w.host.FS = w.clock, w.fs
	w.meta = metastore.New(w.kv, "test", w.host)
	w.cfg = processor.Default(1)
	w.cfg.Dir, w.cfg.Loops = "partitions", loops
	w.cfg.Store.MemTableBytes = 1 << 20
	w.cfg.TimerHorizon = 10 * time.Minute
	w.endpoint = serve(t)
	must(t, second(w.meta.Provision(t.Context(), &storedv1.Cluster{Partitions: partitions})))
	must(t, second(w.meta.UpdateSchema(t.Context(), func(s *storedv1.Schema) (*storedv1.Schema, error) {
		return &storedv1.Schema{Version: s.Version + 1, Deployments: []*storedv1.Deployment{w.endpoint.deployment()}}, nil
	})))
	return w
}

// standing is how partitions stand at the nodes that run.
type standing struct{ w *world }

func (s standing) Standing(context.Context) (alive []placement.Attendant, err error) {
	s.w.asked.Add(1)
	for _, n := range s.w.running() {
		select {
		case <-n.ended:
		default:
			alive = append(alive, placement.Attendant{ID: n.self, Statuses: n.Status()})
		}
	}
	return alive, nil
}

func second[T any](_ T, err error) error { return err }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// assign gives partitions to nodes.
func (w *world) assign(to func(id.Partition) id.Node) {
	w.t.Helper()
	w.hold(func(p id.Partition) []id.Node { return []id.Node{to(p)} })
}

// hold gives each partition to several nodes.
func (w *world) hold(by func(id.Partition) []id.Node) {
	w.t.Helper()
	eventually(w.t, "the assignment", func() bool { // candidates write the same objects
		_, err := w.meta.Assign(w.t.Context(), w.partitions, func(current []*storedv1.Epoch) []placement.Replicas {
			all := make([]placement.Replicas, len(current))
			for i := range all {
				all[i].Current = by(id.Partition(i))
			}
			return all
		})
		if errs.Is(err, errs.Conflict) {
			return false
		}
		must(w.t, err)
		return true
	})
}

func (w *world) running() []*worker {
	if nodes := w.nodes.Load(); nodes != nil {
		return *nodes
	}
	return nil
}

// worker is a node that runs.
type worker struct {
	*processor.Node
	w       *world
	self    id.GenerationalNode
	view    *metastore.View
	metrics *prometheus.Registry
	ended   chan struct{}
	err     error
	fails   bool // the test expects an error
	stop    func()
}

// start starts a node under a name and waits until it is ready. The first one gets all partitions.
func (w *world) start(name string) *worker {
	w.t.Helper()
	n := w.launch(name)
	n.awaitReady()
	return n
}

func (w *world) launch(name string) *worker {
	w.t.Helper()
	reg, err := w.meta.RegisterNode(w.t.Context(), &storedv1.Node{Name: name}, 0, 0)
	must(w.t, err)
	n := &worker{w: w, self: id.GenerationalNode{Node: id.Node(reg.Id), Generation: reg.Generation}, ended: make(chan struct{})}
	if reg.Id == 1 && reg.Generation == 1 {
		w.assign(func(id.Partition) id.Node { return 1 })
	}
	h := w.host
	h.Metrics = prometheus.NewRegistry()
	n.metrics = h.Metrics
	n.view = metastore.NewView(w.meta, defaults(), h)
	shared := partitionstore.NewShared(1 << 20)
	log := nodeLog{w.log, n.self}
	var meta processor.Meta = w.meta
	if w.takeOver != nil {
		meta = w.takeOver(meta)
	}
	cfg := w.cfg
	cfg.Dir = name
	n.Node, err = processor.New(cfg, processor.Parts{
		Self: n.self, Writer: log, Log: log, Nodesets: w.nodesets, Meta: meta, View: n.view, Peers: w.peers, Invoker: w.invoker, Shared: shared, Snapshots: w.snapshots,
		Workers: standing{w},
	}, h)
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("node", func(context.Context) error {
		defer close(n.ended)
		n.err = lifecycle.Run(ctx, n.view, n.Node)
		if err := shared.Close(); n.err == nil {
			n.err = err
		}
		return nil
	})
	w.join(n)
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			cancel()
			_ = g.Wait() // n.err is looked at
			if n.err != nil && !n.fails {
				w.t.Errorf("node %s ended: %v", n.self, n.err)
			}
		})
	}
	w.t.Cleanup(n.stop)
	return n
}

// join shows a node to clients, in place of one with its name.
func (w *world) join(n *worker) {
	nodes := slices.DeleteFunc(slices.Clone(w.running()), func(x *worker) bool { return x.self.Node == n.self.Node })
	nodes = append(nodes, n)
	w.nodes.Store(&nodes)
}

func defaults() schema.Defaults {
	d := schema.Default()
	d.Retry.Initial = 20 * time.Millisecond
	d.Retry.MaxAttempts = 0
	return d
}

func (n *worker) awaitReady() {
	n.w.t.Helper()
	n.await("ready", n.Ready())
}

func (n *worker) await(what string, ch <-chan struct{}) {
	n.w.t.Helper()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ch:
	case <-n.ended:
		n.w.t.Fatalf("%s: the node ended: %v", what, n.err)
	case <-timer.C:
		n.w.t.Fatalf("%s: timed out", what)
	}
}

// crash stops a node and leaves of its files what was synced when it was called.
func (n *worker) crash() {
	left := n.w.fs.CrashClone(vfs.CrashCloneCfg{})
	n.w.log.hold(true) // nothing is committed after it
	n.stop()
	n.w.log.hold(false)
	n.w.fs = left
	n.w.host.FS = left
}

// eventually looks again and again until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(wait)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		pause(t.Context())
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// target names what is called.
type target struct{ service, handler, key string }

func (x target) stored() *storedv1.Target {
	t := &storedv1.Target{Service: x.service, Handler: x.handler, Key: x.key, ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
	if x.service == "O" {
		t.ServiceType, t.HandlerType = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
	}
	return t
}

// request makes an idempotent request: the same name gives the same invocation.
func (x target) request(name, input string, want command.Want) command.Request {
	i := id.IdempotentInvocation(x.service, x.key, x.service == "O", x.handler, name)
	rec, err := command.Append(nil, command.Header{Kind: command.Invoke, Frames: 1, ID: i}, &storedv1.InvokeFacts{
		Target: x.stored(), IdempotencyKey: &name, CompletionRetentionMs: retention, JournalRetentionMs: retention,
	}, partitiontest.Input(input))
	if err != nil {
		panic(err)
	}
	return command.Request{ID: i, Record: rec, Want: want}
}

func read(i id.Invocation, want command.Want) command.Request {
	rec, err := command.Append(nil, command.Header{Kind: command.Read, ID: i}, nil)
	if err != nil {
		panic(err)
	}
	return command.Request{ID: i, Record: rec, Want: want}
}

// call is Do as a client does it: it tries again, at one node after the other, until there is a result.
func (w *world) call(ctx context.Context, x target, name, input string) (string, error) {
	for try := 0; ; try++ {
		nodes := *w.nodes.Load()
		o, err := nodes[try%len(nodes)].Do(ctx, x.request(name, input, command.WantCompleted))
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case err == nil && o.Status == command.OutcomeCompleted:
			if f := o.Result.GetFailure(); f != nil {
				return "", fmt.Errorf("%d %s", f.Code, f.Message)
			}
			return string(o.Result.GetValue()), nil
		case err == nil:
			return "", fmt.Errorf("outcome %+v", o)
		case errs.Is(err, errs.NotLeader), errs.Is(err, errs.Unavailable), errs.Is(err, errs.Uncertain):
			pause(ctx)
		default:
			return "", err
		}
	}
}

// want calls and checks the result.
func (n *worker) want(x target, name, input, want string) {
	n.w.t.Helper()
	ctx, cancel := context.WithTimeoutCause(n.w.t.Context(), wait, errors.New("no result in time"))
	defer cancel()
	if got, err := n.w.call(ctx, x, name, input); err != nil || got != want {
		n.w.t.Fatalf("%s/%s of %s: %q, %v; want %q", x.service, x.handler, name, got, err, want)
	}
}

// submit proposes a request that waits for the end and returns where its answer comes.
func (n *worker) submit(r command.Request) <-chan answer {
	n.w.t.Helper()
	ch := make(chan answer, 1)
	must(n.w.t, n.Submit(nil, 0, r, func(o *command.Outcome, err error) { ch <- answer{o, err} }))
	return ch
}

// trusted is submit by a caller in the same process, whose records are not decoded before.
func (n *worker) trusted(r command.Request) <-chan answer {
	ch := make(chan answer, 1)
	g := lifecycle.NewGroup(context.Background())
	g.Go("caller", func(ctx context.Context) error {
		o, err := n.Do(ctx, r)
		ch <- answer{o, err}
		return nil
	})
	n.w.t.Cleanup(func() { _ = g.Wait() })
	return ch
}

type answer struct {
	outcome *command.Outcome
	err     error
}

func (n *worker) answerOf(ch <-chan answer) answer {
	n.w.t.Helper()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-ch:
		return a
	case <-timer.C:
		n.w.t.Fatal("no answer")
		return answer{}
	}
}

// gauge reads a metric without labels.
func (n *worker) gauge(name string) float64 {
	n.w.t.Helper()
	families, err := n.metrics.Gather()
	must(n.w.t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.Metric[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	n.w.t.Fatalf("no metric %s", name)
	return 0
}

// keyIn returns a key of an object that lies in a partition.
func (w *world) keyIn(p id.Partition, n int) string {
	for i := 0; ; i++ {
		key := fmt.Sprintf("k%d-%d", n, i)
		if id.PartitionOf(id.Hash(key), w.partitions) == p {
			return key
		}
	}
}

// nameIn returns an idempotency key with which an invocation of a plain service lies in a partition.
func (w *world) nameIn(p id.Partition, x target, prefix string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", prefix, i)
		if id.PartitionOf(x.request(name, "", command.WantNow).ID.PartitionKey(), w.partitions) == p {
			return name
		}
	}
}
