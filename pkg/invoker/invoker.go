package invoker

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/schema"
)

// Invoker runs attempts for one loop. All methods but Run and Ready are for the loop's goroutine.
type Invoker struct {
	cfg       Config
	owner     Owner
	schema    func() *schema.Registry
	host      host.Host
	client    *h2.Client
	plain     *http.Client // HTTP/1.1, request and response
	plainBidi *http.Client // HTTP/1.1, both at once
	metrics   *metrics
	buckets   buckets
	limits    *Limits
	now       atomic.Int64 // Unix ms of the last Tick
	free      sync.Pool    // of *attempt

	// The loop's own.
	runs      map[id.Invocation]*run
	routes    routes
	wheel     wheel
	soon      soon
	queue     list // of runs that wait for a token
	queued    int
	running   int  // tokens in use
	waits     bool // for a token that others have
	filling   bool
	ticks     int
	spareRuns []*run
	scratch   []byte
	extra     []h2.Field

	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	group   *lifecycle.Group // nil until Run
	stopped bool
	ready   chan struct{}
}

// New returns an Invoker. schema gives the newest registry and may be called by any goroutine.
func New(cfg Config, owner Owner, registry func() *schema.Registry, h host.Host) *Invoker {
	v := &Invoker{
		cfg: cfg, owner: owner, schema: registry, host: h,
		plain: newPlainClient(cfg, true), plainBidi: newPlainClient(cfg, false),
		metrics: newMetrics(h.Metrics, cfg.ConcurrentMax),
		buckets: buckets{known: map[bucketKey][]id.PartitionKey{}},
		runs:    map[id.Invocation]*run{},
		routes:  routes{known: map[routeKey]*route{}},
		ready:   make(chan struct{}),
	}
	if cfg.Dial == nil {
		cfg.Dial = h2.NetDial(cfg.Connect, cfg.TLS)
	}
	v.client = h2.NewClient(cfg.HTTP2, cfg.Dial, h)
	if v.limits = cfg.Limits; v.limits == nil {
		v.limits = NewLimits(cfg, h)
	}
	now := host.Millis(h.Clock)
	v.now.Store(now)
	v.wheel.at = now / tickMillis
	return v
}

// Ready is closed when attempts can be made. What is started before is tried again a little later.
func (v *Invoker) Ready() <-chan struct{} { return v.ready }

// Run owns the goroutines: connections, replays of long journals, HTTP/1.1 requests. It returns when
// all have ended; attempts are dropped then, and nothing is proposed for them.
func (v *Invoker) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	g.Go("h2 client", v.client.Run)
	// The keeper holds the group open, so that goroutines may be added until it ends.
	g.Go("invoker keeper", func(ctx context.Context) error {
		<-ctx.Done()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.stopped = true
		return nil
	})
	<-v.client.Ready()
	v.mu.Lock()
	v.group = g
	v.mu.Unlock()
	close(v.ready)
	err := g.Wait()
	v.plain.CloseIdleConnections()
	return err
}

// spawn starts a goroutine whose end is its own matter; false if the invoker does not run.
func (v *Invoker) spawn(name string, f func(ctx context.Context)) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.group == nil || v.stopped {
		return false
	}
	v.group.Go(name, func(ctx context.Context) error {
		f(ctx)
		return nil
	})
	return true
}

// Start begins an activation. A repeat, or an older activation than the one that runs, changes nothing.
func (v *Invoker) Start(a Activation) {
	var number uint32
	if old := v.runs[a.ID]; old != nil {
		if old.Activation.Activation >= a.Activation {
			return
		}
		number = old.number
		v.end(old)
	}
	r := v.newRun()
	r.Activation, r.number = a, number
	if p := a.Pin; p != nil {
		r.pinned, r.version = true, p.GetProtocolVersion()
		copy(r.deployment[:], p.GetDeployment())
	}
	v.runs[a.ID] = r
	v.metrics.of(a.Partition).enqueued.Inc()
	if a.Holding {
		r.holding = true
		v.park(r, command.Pause)
		return
	}
	v.enqueue(r)
}

// Hold has an activation come to a pause: no new attempt is made, and the one that runs gets nothing more, so
// that a handler that waits suspends. One that neither ends nor waits fails after its abort timeout. A Pause is
// proposed for what does not suspend.
func (v *Invoker) Hold(i id.Invocation, activation lsn.LSN) {
	r := v.runs[i]
	if r == nil || r.Activation.Activation != activation || r.holding {
		return
	}
	r.holding = true
	switch r.state {
	case stateQueued:
		v.queued--
		r.unlink()
		v.park(r, command.Pause)
	case stateBackoff:
		r.unlink()
		v.park(r, command.Pause)
	case stateRunning:
		a, now := r.attempt, host.Millis(v.host.Clock)
		a.mu.Lock()
		if !a.overLocked() && a.final == notFinal && a.failure == nil && !a.half {
			a.halfCloseLocked()
			a.active.Store(now)
		}
		a.mu.Unlock()
		a.touch()
		v.wheel.arm(r, now+r.abort)
	default: // what follows looks at holding
	}
}

// Retry ends the wait of an activation for its next attempt.
func (v *Invoker) Retry(i id.Invocation, activation lsn.LSN) {
	r := v.runs[i]
	if r == nil || r.Activation.Activation != activation || r.state != stateBackoff || r.holding {
		return
	}
	r.unlink()
	v.enqueue(r)
}

// Forward sends notifications that were stored at entries [first, first+entries) of the journal to the
// attempt that runs, unless its replay has them. frames are borrowed.
func (v *Invoker) Forward(i id.Invocation, first, entries uint32, frames []byte) {
	r := v.runs[i]
	if r == nil || r.attempt == nil || entries == 0 || first < r.covered {
		return
	}
	a := r.attempt
	a.mu.Lock()
	a.sendLocked(a.ackedLocked(frames))
	a.mu.Unlock()
	a.touch()
}

// Stepped says that a Step record of an attempt was applied, or dropped as stale. It comes once for each
// record, in order, and before the Forwards that the record caused.
func (v *Invoker) Stepped(i id.Invocation, number uint32, dropped bool, _ uint32) {
	r := v.runs[i]
	if r == nil || r.attempt == nil || r.attempt.number != number {
		return
	}
	a := r.attempt
	a.mu.Lock()
	s, ok := a.steppedLocked(dropped)
	a.remeasureLocked()
	left := a.stepsLocked()
	a.mu.Unlock()
	if !ok {
		return
	}
	a.touch()
	if !dropped {
		if s.commands > 0 {
			r.sinceStored = 0
		}
		r.pinned, r.deployment, r.version = true, a.route.deployment, a.version
	}
	switch {
	case dropped && r.state == stateRunning:
		v.fail(r, ours(docInternal, "a record of the attempt was not accepted"))
	case r.state == stateSettling && left == 0:
		v.decide(r)
	}
}

// Stop ends an activation: the invocation completed, was suspended or paused. An attempt that has not
// said so itself is reset.
func (v *Invoker) Stop(i id.Invocation, activation lsn.LSN) {
	if r := v.runs[i]; r != nil && r.Activation.Activation == activation {
		v.end(r)
	}
}

// StopPartition ends all activations of a partition that is not led here any more.
func (v *Invoker) StopPartition(p id.Partition) {
	v.filling = true // not with what is about to end
	for _, r := range v.runs {
		if r.Partition == p {
			v.end(r)
		}
	}
	v.filling = false
	v.fill()
}

// Handle takes an event that was posted.
func (v *Invoker) Handle(ev Event) {
	a := ev.attempt
	if ev.kind == eventRoom {
		v.fill()
		return
	}
	if r := a.run; r != nil {
		switch ev.kind {
		case eventFailed:
			if r.state == stateRunning {
				a.mu.Lock()
				f := a.failure
				a.mu.Unlock()
				v.fail(r, f)
			}
		case eventOver:
			v.over(r)
		}
	}
	a.unref()
}

// Due returns when Fire has something to do, Unix milliseconds.
func (v *Invoker) Due() (millis int64, ok bool) { return v.soon.next() }

// Fire begins the attempts whose short pause is over. Call it at the time that Due tells; Tick does it, too.
func (v *Invoker) Fire(nowMillis int64) {
	if v.soon.advance(nowMillis, v.fire) {
		v.fill()
	}
}

// Tick does all that depends on time. Call it every 100 ms.
func (v *Invoker) Tick(nowMillis int64) {
	v.now.Store(nowMillis)
	v.soon.advance(nowMillis, v.fire)
	v.wheel.advance(nowMillis, v.fire)
	v.fill()
	if v.ticks++; v.ticks%ticksPerClientTick == 0 {
		v.client.Tick(nowMillis)
		v.remeasure()
		v.metrics.connections(v.client.Counts())
	}
}

const ticksPerClientTick = 10

// Flush wakes the connections that were written to. Call it at the end of a turn.
func (v *Invoker) Flush() { v.client.Flush() }

// Running returns how many attempts hold a token, and how many activations wait for one.
func (v *Invoker) Running() (running, queued int) { return v.running, v.queued }
