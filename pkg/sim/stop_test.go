package sim_test

import (
	"container/heap"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
)

// stopMost is how long a process may be stopped: longer than all take to notice it.
const stopMost = 12 * time.Second

// halt is what piles up at a process that gets no steps, as after SIGSTOP. What was asked of the kernel goes on: contexts end at
// their time, as if that were the first to be seen afterwards.
type halt struct {
	in  []*message // that came
	out []*message // that it has sent since; it leaves afterwards

	mu     sync.Mutex
	halted bool
	timers []func() // that are due
	ended  time.Time
}

func (h *halt) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halted = true
}

func (h *halt) on() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.halted
}

// last is when the last stop ended.
func (h *halt) last() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

// halt stops the process of a machine for a while.
func (m *machine) halt(d time.Duration) {
	p := m.now
	h := &p.halted
	h.begin()
	m.w.net.post(&message{from: "", to: "", what: "go on " + m.name, certain: true, delay: func() time.Duration { return d }, arrive: p.resume})
	var leases []lease
	p.get(func() { leases = slices.Clone(p.leases) })
	for _, l := range leases {
		m.w.net.post(&message{from: etcd, to: etcd, what: "lease of " + m.name, certain: true, delay: func() time.Duration { return l.ttl }, arrive: func() {
			if p.halted.on() {
				l.end()
			}
		}})
	}
}

// resume has a process go on.
func (p *process) resume() {
	h, n := &p.halted, p.w.net
	h.mu.Lock()
	was := h.halted
	due := h.timers
	h.halted, h.timers, h.ended = false, nil, time.Now()
	h.mu.Unlock()
	if !was {
		return
	}
	p.w.say("%s goes on", p.name)
	in, out := h.in, h.out
	h.in, h.out = nil, nil
	for _, t := range due {
		t()
	}
	for _, m := range in {
		m.due = time.Now()
		n.number++
		m.number = n.number
		heap.Push(&n.queue, m)
	}
	for _, m := range out {
		if p.alive() || m.certain {
			m.sent = time.Now()
			n.judge(m)
		}
	}
}

// haltedAt is the process of a name if it gets no steps.
func (n *network) haltedAt(name string) *halt {
	if p := n.w.processes[name]; p != nil && p.halted.on() {
		return &p.halted
	}
	return nil
}

// lease is a key of a process in the metadata store.
type lease struct {
	ttl time.Duration
	end func()
}

// timer is a timer of a process: it does not fire while that is stopped.
type timer struct {
	h *halt
	c chan time.Time

	// mu guards what follows. It is a leaf.
	mu  sync.Mutex
	t   *time.Timer
	set int  // how often it was set or stopped: what was due before is not any more
	due bool // it will fire when the process goes on
}

var _ host.Timer = (*timer)(nil)

// NewTimer implements host.Clock.
func (c *skewed) NewTimer(d time.Duration) host.Timer {
	t := &timer{h: c.halted, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// come is when the time has come.
func (t *timer) come(set int) {
	t.h.mu.Lock()
	halted := t.h.halted
	if halted {
		t.h.timers = append(t.h.timers, func() { t.fire(set) })
	}
	t.h.mu.Unlock()
	if !halted {
		t.fire(set)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.due = t.set == set
}

// fire wakes whoever waits, unless the timer was stopped or reset meanwhile.
func (t *timer) fire(set int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set == set {
		t.due = false
		t.c <- time.Now() // empty: it was drained when it was set
	}
}

// C implements host.Timer.
func (t *timer) C() <-chan time.Time { return t.c }

// Stop implements host.Timer.
func (t *timer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopLocked()
}

func (t *timer) stopLocked() (was bool) {
	was = t.due
	if t.t != nil {
		was = t.t.Stop() || was
	}
	t.due = false
	t.set++
	select {
	case <-t.c:
		return true
	default:
		return was
	}
}

// Reset implements host.Timer.
func (t *timer) Reset(d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.stopLocked()
	set := t.set
	t.t = time.AfterFunc(d, func() { t.come(set) })
	return was
}

// A timer that is due while its process is stopped fires when that goes on, unless it was set anew.
func TestTimersOfStoppedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{w: &world{}}
		p.w.net = newNetwork(p.w)
		clock := &skewed{Clock: hosttest.Real(1).Clock, halted: &p.halted}
		fired := func(x host.Timer) bool {
			select {
			case <-x.C():
				return true
			default:
				return false
			}
		}
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		a, b, c := clock.NewTimer(time.Second), clock.NewTimer(time.Second), clock.NewTimer(time.Second)
		pass(time.Second)
		if !fired(a) || fired(a) || b.Reset(time.Second) != true || fired(b) {
			t.Error("a timer fires once, and what it has not told is taken back when it is set")
		}
		p.halted.begin()
		a.Reset(time.Second)
		pass(time.Minute)
		if fired(a) || fired(b) || b.Reset(time.Hour) != true {
			t.Error("a timer fires although its process is stopped")
		}
		p.resume()
		pass(0)
		if !fired(a) || fired(b) || !fired(c) {
			t.Error("not the timers fire that are due when the process goes on")
		}
		if a.Stop() || !b.Stop() {
			t.Error("what was armed is not known")
		}
		pass(2 * time.Hour)
		if fired(a) || fired(b) {
			t.Error("a stopped timer fires")
		}
	})
}
