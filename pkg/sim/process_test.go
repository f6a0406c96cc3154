package sim_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logserver"
	"reprise/pkg/metastore"
	"reprise/pkg/processor"
	"reprise/pkg/schema"
)

// machine is a place where one process after the other runs, with a disk.
type machine struct {
	w       *world
	name    string
	node    id.Node
	role    string
	zone    string
	disk    *disk
	now     *process // nil while none runs
	starts  int
	skew    time.Duration
	back    time.Time // when it starts again
	retired bool      // a person must act: it never comes back
	wiped   bool      // its disk was lost, and it is a log-server
	lost    bool      // its disk was lost
}

// process is one process of a machine, of its start to its end.
type process struct {
	w      *world
	m      *machine
	name   string
	number int
	ctx    context.Context // of its life
	cancel context.CancelFunc
	dead   atomic.Bool // it was killed: nobody hears of it
	group  *lifecycle.Group
	host   host.Host
	clock  *skewed
	halted halt // while it is stopped
	store  *metastore.Store
	view   *metastore.View

	mu       sync.Mutex
	self     id.GenerationalNode
	server   *logserver.Server
	worker   *processor.Node
	roster   *controller.Roster
	meetings []*meeting
	leases   []lease
}

func (p *process) alive() bool { return !p.dead.Load() }

func (p *process) get(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *process) logServer() (s *logserver.Server) { p.get(func() { s = p.server }); return s }
func (p *process) node() (n *processor.Node)        { p.get(func() { n = p.worker }); return n }

// skewed is a clock that is off.
type skewed struct {
	host.Clock
	by     atomic.Int64
	halted *halt
}

func (c *skewed) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.by.Load())) }

func (w *world) machine(name string, node id.Node, role, zone string) *machine {
	m := &machine{w: w, name: name, node: node, role: role, zone: zone}
	m.disk = newDisk(w, name, vfs.NewCrashableMem())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.machines = append(w.machines, m)
	return m
}

// start starts a process on the machine.
func (m *machine) start() {
	w := m.w
	m.starts++
	ctx, cancel := context.WithCancel(w.ctx)
	p := &process{w: w, m: m, name: m.name, number: m.starts, ctx: ctx, cancel: cancel, group: w.group}
	h := hosttest.Real(w.rnd.Uint64())
	h.Metrics, h.FS = prometheus.NewRegistry(), m.disk
	if w.log != nil {
		h.Log = slog.New(w.log).With(slog.String("at", m.name))
	}
	clock := &skewed{Clock: h.Clock, halted: &p.halted}
	clock.by.Store(int64(m.offset()))
	h.Clock, p.clock = clock, clock
	p.host = h
	p.store = metastore.New(kv{w, p}, "sim", h)
	p.view = metastore.NewView(p.store, defaults(), h)
	m.now = p
	w.processes[m.name] = p
	w.group.Go(m.name, func(context.Context) error {
		err := p.run()
		if err != nil && p.alive() {
			w.ended(p, err)
		}
		p.cancel()
		return nil
	})
}

func defaults() schema.Defaults {
	d := schema.Default()
	d.Retry.Initial, d.Retry.Max = 20*time.Millisecond, 2*time.Second
	d.Retry.MaxAttempts = 0
	return d
}

// run is the life of a process.
func (p *process) run() error {
	var reg *storedv1.Node
	for reg == nil {
		if p.ctx.Err() != nil {
			return nil
		}
		reg, _ = p.store.RegisterNode(p.ctx, &storedv1.Node{Name: p.name, Roles: []string{p.m.role}, Location: p.m.zone}, uint32(p.m.node), 0) // it is tried again
	}
	p.get(func() { p.self = id.GenerationalNode{Node: id.Node(reg.Id), Generation: reg.Generation} })
	switch p.m.role {
	case metastore.RoleLogServer:
		return p.runLogServer(reg)
	case metastore.RoleWorker:
		return p.runWorker()
	default:
		return p.runMetadata()
	}
}

// offset is how much the clock of the machine is off.
func (m *machine) offset() time.Duration {
	if m.w.mistakes.hasty && m.role == metastore.RoleWorker {
		return m.skew + 3*time.Second
	}
	return m.skew
}

// kill ends the process as a crash does. With power, what was not synced is lost as well.
func (m *machine) kill(power bool) {
	p := m.now
	if p == nil {
		return
	}
	m.w.check.crashed(m.node)
	p.dead.Store(true)
	p.resume() // what it waits for must not wait
	m.disk = m.disk.crash(power)
	m.now = nil
	m.w.processes[m.name] = nil
	p.cancel()
	if !power { // its kernel tells who is connected
		var meetings []*meeting
		p.get(func() { meetings = slices.Clone(p.meetings) })
		for _, x := range meetings {
			m.w.net.post(&message{from: m.name, to: x.to, what: "closed", certain: true, delay: m.w.latency, arrive: x.left})
		}
	}
}

// ended is told when a process ended by itself. Whoever runs it starts it again.
func (w *world) ended(p *process, err error) {
	if p.ctx.Err() != nil {
		return
	}
	w.net.post(&message{from: p.name, to: p.name, what: "ended", certain: true, delay: w.latency, arrive: func() {
		if p.m.now != p {
			return
		}
		w.say("%s ended: %v", p.name, err)
		w.check.end(p, err)
		p.m.kill(false)
		if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Invalid) { // a person must act
			p.m.retired = true
		}
	}})
}

// machineOf is the machine of a node, or nil. Any goroutine may ask.
func (w *world) machineOf(n id.Node) *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.machines, func(m *machine) bool { return m.node == n })
	if i < 0 {
		return nil
	}
	return w.machines[i]
}

// nameOf is the name of the machine of a node.
func (w *world) nameOf(n id.Node) string {
	if m := w.machineOf(n); m != nil {
		return m.name
	}
	return "nobody"
}
