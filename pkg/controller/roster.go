package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/placement"
)

// Beat is what a process tells the metadata daemons again and again.
type Beat struct {
	Leaving      bool               // it stops
	SentAtMillis int64              // by the clock of the process, Unix milliseconds; 0: it does not say
	Statuses     []placement.Status // of a worker, by partition
}

const (
	// deadAfterDefault is how long a process may be silent.
	deadAfterDefault = time.Second
	// lateTick is how late a look at the roster may be before all are given that time: we were slow ourselves.
	lateTick = 100 * time.Millisecond
)

// Probe tries to reach a process whose connection ended; false says that nobody listens there.
type Probe func(ctx context.Context, n id.Node) bool

// Roster knows which processes live: those that were heard of in the last second, or what SetDeadAfter says. A connection that ends is a suspicion,
// which is confirmed at once where nobody listens any more.
type Roster struct {
	host      host.Host
	probe     Probe
	deadAfter time.Duration
	beats     atomic.Uint64
	deaths    prometheus.Counter

	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	visits  map[id.Node]*Visit // the newest of each node
	changed chan struct{}      // closed and replaced when somebody came, left or died
	group   *lifecycle.Group   // nil unless Run runs
}

// Visit is one connection of a process.
type Visit struct {
	r     *Roster
	id    id.GenerationalNode
	calls func(placement.Call)
	heard time.Time
	dead  bool
	gone  bool // its connection ended
	beat  Beat
	skew  skew
}

// NewRoster returns a roster; Run looks after it.
func NewRoster(probe Probe, h host.Host) *Roster {
	return &Roster{
		host: h, probe: probe, deadAfter: deadAfterDefault, visits: map[id.Node]*Visit{}, changed: make(chan struct{}),
		deaths: host.Register(h.Metrics, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_controller_deaths_total", Help: "Processes that this metadata daemon declared dead: they were silent for too long, or nobody listened at their port any more.",
		})),
	}
}

// SetDeadAfter says how long a process may be silent (gossip-tick-interval times gossip-failure-threshold, 1 s). Call it before
// Run.
func (r *Roster) SetDeadAfter(d time.Duration) { r.deadAfter = d }

// Enter says that a process is connected. calls takes what it is asked to do, by any goroutine; it does not block.
// Of two connections the newer one counts, unless its process is older.
func (r *Roster) Enter(n id.GenerationalNode, calls func(placement.Call)) *Visit {
	v := &Visit{r: r, id: n, calls: calls, heard: r.host.Clock.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.visits[n.Node]; old == nil || old.id.Generation <= n.Generation {
		if old != nil { // what it said last holds until it says something else
			v.beat.Statuses = old.beat.Statuses
		}
		r.visits[n.Node] = v
		r.changeLocked()
	}
	return v
}

// Beat takes a beat.
func (v *Visit) Beat(b Beat) {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	v.heard = r.host.Clock.Now()
	r.beats.Add(1)
	v.gone = false
	news := v.dead || v.beat.Leaving != b.Leaving
	v.dead, v.beat = false, b
	v.skew.beat(b.SentAtMillis, v.heard)
	if news {
		r.changeLocked()
	}
}

// Leave says that the connection ended.
func (v *Visit) Leave() {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	v.gone = true
	if r.group == nil || r.visits[v.id.Node] != v || v.dead {
		return
	}
	r.group.Go("probe", func(ctx context.Context) error {
		r.confirm(ctx, v)
		return nil
	})
}

// confirm probes a process whose connection ended until it is back, or dead: one that is being torn down may listen for a
// moment longer.
func (r *Roster) confirm(ctx context.Context, v *Visit) {
	timer := r.host.Clock.NewTimer(0)
	defer timer.Stop()
	for r.suspected(v) {
		if !r.probe(ctx, v.id.Node) && ctx.Err() == nil {
			r.declare(v, "nobody listens there any more")
			return
		}
		timer.Reset(lookInterval)
		select {
		case <-timer.C():
		case <-ctx.Done():
			return
		}
	}
}

// suspected tells whether a process whose connection ended has neither come back nor been declared dead.
func (r *Roster) suspected(v *Visit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.visits[v.id.Node] == v && !v.dead
}

// declare says that a process is dead, unless it came back.
func (r *Roster) declare(v *Visit, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.visits[v.id.Node] != v || v.dead {
		return
	}
	v.dead = true
	r.deaths.Inc()
	r.changeLocked()
	r.host.Log.Warn("a process is dead", slog.String(logkey.Peer, v.id.String()), slog.String(logkey.Err, why))
}

func (r *Roster) changeLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Changed is closed when somebody came, left or died.
func (r *Roster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Alive returns who lives, by node.
func (r *Roster) Alive() []placement.Attendant {
	r.mu.Lock()
	defer r.mu.Unlock()
	var alive []placement.Attendant
	for _, v := range r.visits {
		if !v.dead {
			alive = append(alive, placement.Attendant{ID: v.id, Leaving: v.beat.Leaving, Statuses: v.beat.Statuses})
		}
	}
	slices.SortFunc(alive, func(a, b placement.Attendant) int { return int(a.ID.Node) - int(b.ID.Node) })
	r.judgeClocksLocked(alive)
	return alive
}

// Standing is how a process stands.
type Standing struct {
	Node                 id.Node
	Dead, Suspect, Leave bool // none: it lives
}

// Standings are those of all nodes that were ever heard of, in no order.
func (r *Roster) Standings() []Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Standing, 0, len(r.visits))
	for n, v := range r.visits {
		all = append(all, Standing{Node: n, Dead: v.dead, Suspect: v.gone, Leave: v.beat.Leaving})
	}
	return all
}

// Beats is how many beats came since the start.
func (r *Roster) Beats() uint64 { return r.beats.Load() }

// Known tells whether a node was ever heard of.
func (r *Roster) Known(n id.Node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.visits[n] != nil
}

// Call asks a process to do something; false if it is not there.
func (r *Roster) Call(c placement.Call) bool {
	r.mu.Lock()
	v := r.visits[c.Node]
	if v == nil || v.dead {
		r.mu.Unlock()
		return false
	}
	calls := v.calls
	r.mu.Unlock()
	calls(c)
	return true
}

// look declares dead who was silent for too long. late is how late it comes itself: nobody is blamed for that.
func (r *Roster) look(late time.Duration) {
	now := r.host.Clock.Now()
	var silent []*Visit
	r.mu.Lock()
	for _, v := range r.visits {
		if late > lateTick {
			v.heard = v.heard.Add(late)
			if v.heard.After(now) { // it was heard of meanwhile
				v.heard = now
			}
		}
		if !v.dead && now.Sub(v.heard) > r.deadAfter {
			silent = append(silent, v)
		}
	}
	r.mu.Unlock()
	for _, v := range silent {
		r.declare(v, fmt.Sprintf("it was silent for %s", r.deadAfter))
	}
}

// lookInterval is how often the roster is looked at.
const lookInterval = 50 * time.Millisecond

// Run looks at the roster until ctx ends.
func (r *Roster) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	g.Go("look at the roster", func(ctx context.Context) error {
		r.setGroup(g) // probes may be added while this goroutine lives
		defer r.setGroup(nil)
		timer := r.host.Clock.NewTimer(lookInterval)
		defer timer.Stop()
		for {
			due := r.host.Clock.Now().Add(lookInterval)
			timer.Reset(lookInterval)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C():
			}
			r.look(r.host.Clock.Now().Sub(due))
		}
	})
	return g.Wait()
}

func (r *Roster) setGroup(g *lifecycle.Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group = g
}
