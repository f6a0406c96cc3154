package hosttest

import (
	"sort"
	"sync"
	"time"

	"reprise/pkg/host"
)

// Clock stands still until Advance moves it. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	changed *sync.Cond // a timer was armed or disarmed
	now     time.Time
	armed   map[*timer]struct{}
	seq     uint64 // orders timers that are due at one time by when they were armed
}

var _ host.Clock = (*Clock)(nil)

// NewClock returns a clock that shows 2026-01-01 00:00:00 UTC.
func NewClock() *Clock {
	c := &Clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), armed: map[*timer]struct{}{}}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Now returns the time that Advance reached.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// NewTimer returns a timer that fires when Advance has passed d.
func (c *Clock) NewTimer(d time.Duration) host.Timer {
	t := &timer{clock: c, ch: make(chan time.Time, 1)} // 1: like time.Timer, a fire never blocks
	t.Reset(d)
	return t
}

// Advance moves the clock by d and fires what falls due, in the order of due times. A timer that a
// woken goroutine arms afterwards starts from the new time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	due := make([]*timer, 0, len(c.armed))
	for t := range c.armed {
		if !t.due.After(c.now) {
			due = append(due, t)
		}
	}
	sort.Slice(due, func(i, j int) bool {
		if !due[i].due.Equal(due[j].due) {
			return due[i].due.Before(due[j].due)
		}
		return due[i].seq < due[j].seq
	})
	for _, t := range due {
		t.fireLocked()
	}
}

// Await blocks until at least n timers are armed: the parts under test have come to rest.
func (c *Clock) Await(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.armed) < n {
		c.changed.Wait()
	}
}

// Armed returns how many timers wait.
func (c *Clock) Armed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.armed)
}

type timer struct {
	clock *Clock
	ch    chan time.Time
	due   time.Time
	seq   uint64
}

func (t *timer) C() <-chan time.Time { return t.ch }

func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stopLocked()
}

func (t *timer) Reset(d time.Duration) bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	was := t.stopLocked()
	c.seq++
	t.seq, t.due = c.seq, c.now.Add(d)
	c.armed[t] = struct{}{}
	c.changed.Broadcast()
	if d <= 0 {
		t.fireLocked()
	}
	return was
}

// stopLocked disarms the timer and, like time.Timer since Go 1.23, takes back a fire nobody saw.
func (t *timer) stopLocked() bool {
	_, was := t.clock.armed[t]
	delete(t.clock.armed, t)
	select {
	case <-t.ch:
		was = true
	default:
	}
	t.clock.changed.Broadcast()
	return was
}

func (t *timer) fireLocked() {
	delete(t.clock.armed, t)
	t.ch <- t.clock.now
	t.clock.changed.Broadcast()
}
