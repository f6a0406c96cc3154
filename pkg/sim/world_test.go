package sim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

// setup is a cluster and what clients do.
type setup struct {
	name         string
	replication  string
	zones        []string // of the log-servers
	workers      int
	daemons      int
	partitions   uint32
	copies       int
	replayBudget int64
	clients      int
	requests     int
	run          time.Duration // with faults
	heal         time.Duration // after them, at most
}

// faults are how often what goes wrong.
type faults struct {
	loss, twice, late float64
	kill              float64 // per round
	cut               float64
	wipe              float64
	jump              float64
	halt              float64       // per round, that a process is stopped
	out               float64       // per round, that the endpoint refuses all for a while
	objects           float64       // of requests to the object store, that it fails
	slow              float64       // per round, that the object store becomes slow
	skew              time.Duration // at most
}

// world is one cluster in one bubble.
type world struct {
	seed      uint64
	rnd       *rand.Rand // the driver's
	setup     setup
	faults    faults
	keep      keeping
	mistakes  mistakes
	verbose   func(string)
	log       slog.Handler
	ctx       context.Context // of all
	cancel    context.CancelFunc
	group     *lifecycle.Group
	net       *network
	fake      *metatest.Fake
	meta      *metastore.Store // without a network
	machines  []*machine
	workers   []*machine
	processes map[string]*process
	endpoint  *endpoint
	bucket    *bucket
	check     *checks
	history   history
	kills     int
	stops     int
	wipes     int
	calmed    bool   // nothing goes wrong any more
	wiped     bool   // a log-server lost its disk
	trace     uint64 // of all that happened, before the end

	// mu guards broken, and machines where the driver adds one. It is a leaf.
	mu     sync.Mutex
	broken error // the first
}

// violate notes that something does not hold.
func (w *world) violate(rule, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = fmt.Errorf("%s: %s", rule, fmt.Sprintf(format, args...))
	}
}

func (w *world) violation() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *world) say(format string, args ...any) {
	if w.verbose != nil {
		w.verbose(fmt.Sprintf(format, args...))
	}
}

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

// between is a time between two, short ones more often.
func (w *world) between(least, most time.Duration) time.Duration {
	x := w.rnd.Float64()
	return least + time.Duration(float64(most-least)*x*x*x)
}

func (w *world) latency() time.Duration  { return w.between(50*time.Microsecond, 20*time.Millisecond) }
func (w *world) lateness() time.Duration { return w.between(time.Millisecond, 2*time.Second) }
func (w *world) aWhile() time.Duration   { return w.between(2*time.Second, 6*time.Second) }
func (w *world) syncTime() time.Duration {
	if w.mistakes.early { // what is not synced is there for long
		return w.between(time.Millisecond, 400*time.Millisecond)
	}
	return w.between(100*time.Microsecond, 15*time.Millisecond)
}

// queueing is how long a request waits at the endpoint while all goes wrong.
func (w *world) queueing() time.Duration {
	if w.calmed {
		return w.thinking()
	}
	return w.between(0, 20*time.Second)
}

func (w *world) thinking() time.Duration { return w.between(100*time.Microsecond, 50*time.Millisecond) }

// play runs one history in a bubble and returns what does not hold.
func play(t *testing.T, seed uint64, s setup, f faults, m mistakes, show func(*world)) (w *world, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{
			seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), setup: s, faults: f, keep: keepingOf(seed), mistakes: m, processes: map[string]*process{},
			fake: metatest.NewFake(),
		}
		if m.keep != nil {
			w.keep = *m.keep
		}
		if show != nil {
			show(w)
		}
		w.history = history{asked: map[string]int{}, answers: map[string]map[int]string{}, highest: map[string]int{}}
		w.ctx, w.cancel = context.WithCancel(context.Background())
		w.group = lifecycle.NewGroup(context.Background())
		w.net = newNetwork(w)
		w.check = newChecks(w)
		w.bucket = newBucket(w)
		w.build(t)
		w.drive()
		w.trace = w.net.trace
		w.stop()
		err = w.violation()
	})
	return w, err
}

// build makes the cluster and starts it.
func (w *world) build(t *testing.T) {
	t.Helper()
	h := hosttest.Real(w.rnd.Uint64())
	w.meta = metastore.New(w.fake, "sim", h)
	w.endpoint = newEndpoint(w)
	w.group.Go("endpoint", func(context.Context) error {
		if err := w.endpoint.server.Serve(w.endpoint); err != nil && !errors.Is(err, http.ErrServerClosed) {
			w.violate("harness", "endpoint: %v", err)
		}
		return nil
	})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.meta.Provision(w.ctx, &storedv1.Cluster{
		Partitions: w.setup.partitions, Replication: w.setup.replication, PartitionReplication: fmt.Sprintf("{node: %d}", w.setup.copies), Fingerprint: fingerprint,
	})
	must(err)
	_, err = w.meta.UpdateSchema(w.ctx, func(s *storedv1.Schema) (*storedv1.Schema, error) {
		return &storedv1.Schema{Version: s.Version + 1, Deployments: []*storedv1.Deployment{w.endpoint.deployment()}}, nil
	})
	must(err)
	w.processes[etcd] = w.bare(etcd)
	w.processes[objectStore] = w.bare(objectStore)
	node := id.Node(0)
	next := func() id.Node { node++; return node }
	for i := range w.setup.daemons {
		w.machine(fmt.Sprintf("m%d", i+1), next(), metastore.RoleMetadata, "")
	}
	for i, z := range w.setup.zones {
		m := w.machine(fmt.Sprintf("l%d", i+1), next(), metastore.RoleLogServer, z)
		m.disk.lies = w.mistakes.lies
	}
	for i := range w.setup.workers {
		w.workers = append(w.workers, w.machine(fmt.Sprintf("w%d", i+1), next(), metastore.RoleWorker, ""))
	}
	for _, m := range w.machines {
		m.start()
	}
}

// bare is a process without a machine: etcd, a client.
func (w *world) bare(name string) *process {
	p := &process{w: w, name: name, ctx: w.ctx, cancel: func() {}, group: w.group, host: hosttest.Real(w.rnd.Uint64())}
	p.host.Metrics = prometheus.NewRegistry()
	return p
}

// round is how often the driver thinks of something that goes wrong.
const round = 20 * time.Millisecond

// drive lets clients work while things go wrong, then has all come back and waits until the work is done.
func (w *world) drive() {
	keys := []string{}
	for p := range id.Partition(w.setup.partitions) {
		keys = append(keys, w.keyIn(p, 0), w.keyIn(p, 1))
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	working := make(chan struct{})
	clients := lifecycle.NewGroup(ctx)
	for i := range w.setup.clients {
		name := fmt.Sprintf("c%d", i+1)
		c := &client{w: w, p: w.bare(name), name: name, rnd: rand.New(rand.NewPCG(w.seed, uint64(i)+1))}
		w.processes[name] = c.p
		clients.Go(name, func(ctx context.Context) error { c.run(ctx, w.setup.requests, keys); return nil })
	}
	w.group.Go("clients", func(context.Context) error {
		defer close(working)
		return clients.Wait()
	})
	start := time.Now()
	for time.Since(start) < w.setup.run && w.violation() == nil && !closed(working) {
		w.rounds(round)
		w.disturb()
	}
	w.calm()
	start = time.Now()
	for time.Since(start) < w.setup.heal && w.violation() == nil && !closed(working) {
		w.rounds(round)
		w.restart()
	}
	switch {
	case w.violation() != nil:
	case !closed(working):
		w.violate("P9", "clients wait although all is well again since %s", w.setup.heal)
	default:
		w.finish(ctx, keys)
	}
	cancel()
	w.rounds(time.Second)
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// rounds lets time pass.
func (w *world) rounds(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && w.violation() == nil; {
		w.net.next(end)
	}
	w.check.look()
}

// stop ends all.
func (w *world) stop() {
	w.faults = faults{}
	for _, m := range w.machines {
		if m.now != nil {
			m.now.dead.Store(true)
			m.now.resume()
			m.disk.over.Store(true)
		}
	}
	w.cancel()
	ended := make(chan struct{})
	waiting := lifecycle.NewGroup(context.Background())
	waiting.Go("end", func(context.Context) error {
		defer close(ended)
		_ = w.endpoint.server.Close() // its connections are pipes
		return w.group.Wait()
	})
	for start := time.Now(); !closed(ended); {
		if time.Since(start) > stopMax {
			panic("simulation: goroutines do not end") // with where they are
		}
		w.net.next(time.Now().Add(10 * time.Millisecond))
	}
	_ = waiting.Wait() // nothing in it fails
}

// stopMax is how long all may take to end.
const stopMax = 5 * time.Minute
