package invoker

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// Limits is the one place that counts what attempts of a process hold: tokens to run, and bytes of messages
// on their way to and from endpoints; it knows the sizes that attempts begin with. All invokers of a process share it.
type Limits struct {
	bytesFirst  int64 // that come with a token
	concurrency prometheus.Gauge
	sizes       atomic.Pointer[Sizes] // never changed, but replaced

	// mu guards what follows. It is a leaf.
	mu          sync.Mutex
	attemptsMax int   // 0: no limit
	bytesMax    int64 // 0: no limit
	attempts    int
	bytes       int64
	waiting     []*Invoker // found nothing left; each once, first come first served
}

// NewLimits takes ConcurrentMax, MemoryBytesMax, InvocationBytesFirst and Sizes of cfg.
func NewLimits(cfg Config, h host.Host) *Limits {
	l := &Limits{bytesFirst: int64(cfg.InvocationBytesFirst), concurrency: newMetrics(h.Metrics, cfg.ConcurrentMax).limit.WithLabelValues("0")}
	l.Set(cfg.ConcurrentMax, cfg.MemoryBytesMax)
	l.SetSizes(cfg.Sizes)
	capacity := func() int64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.bytesMax
	}
	host.AddPool(h.Metrics, "invoker", capacity, func() int64 {
		_, bytes := l.Held()
		return bytes
	})
	return l
}

// Set replaces ConcurrentMax and MemoryBytesMax. What is held stays; with less than that, nobody gets more until enough was
// given back.
func (l *Limits) Set(attemptsMax int, bytesMax int64) {
	l.mu.Lock()
	l.attemptsMax, l.bytesMax = attemptsMax, bytesMax
	l.concurrency.Set(float64(attemptsMax))
	next := l.nextLocked()
	l.mu.Unlock()
	next.lookAgain(nil)
}

// SetSizes replaces the sizes: attempts that run keep those with which they began.
func (l *Limits) SetSizes(s Sizes) { l.sizes.Store(&s) }

// Held returns how many tokens and bytes are taken.
func (l *Limits) Held() (attempts int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempts, l.bytes
}

// acquire takes a token for v. If there is none, or others wait for one, v is told by an event when it may
// ask again, unless it leaves.
func (l *Limits) acquire(v *Invoker) bool {
	l.mu.Lock()
	first := len(l.waiting) > 0 && l.waiting[0] == v
	if !l.roomLocked() || len(l.waiting) > 0 && !first {
		l.waitLocked(v)
		l.mu.Unlock()
		return false
	}
	l.attempts++
	l.bytes += l.bytesFirst
	if first {
		l.waiting = l.waiting[:copy(l.waiting, l.waiting[1:])]
	}
	next := l.nextLocked()
	l.mu.Unlock()
	next.lookAgain(v)
	return true
}

// release gives a token of v back.
func (l *Limits) release(v *Invoker) {
	l.mu.Lock()
	l.attempts--
	l.bytes -= l.bytesFirst
	next := l.nextLocked()
	l.mu.Unlock()
	next.lookAgain(v)
}

// leave is for an invoker that does not want a token any more.
func (l *Limits) leave(v *Invoker) {
	l.mu.Lock()
	for i, w := range l.waiting {
		if w == v {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			break
		}
	}
	next := l.nextLocked()
	l.mu.Unlock()
	next.lookAgain(v)
}

// take takes n bytes more, which may be negative to give some back; false if there are not so many.
func (l *Limits) take(n int64) bool {
	l.mu.Lock()
	if n > 0 && l.bytesMax > 0 && l.bytes+n > l.bytesMax {
		l.mu.Unlock()
		return false
	}
	l.bytes += n
	var next *Invoker
	if n < 0 {
		next = l.nextLocked()
	}
	l.mu.Unlock()
	next.lookAgain(nil) // by whatever goroutine
	return true
}

// scarce tells whether over half of the memory is taken.
func (l *Limits) scarce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytesMax > 0 && l.bytes > l.bytesMax/2
}

func (l *Limits) roomLocked() bool {
	return (l.attemptsMax == 0 || l.attempts < l.attemptsMax) && (l.bytesMax == 0 || l.bytes+l.bytesFirst <= l.bytesMax)
}

func (l *Limits) waitLocked(v *Invoker) {
	for _, w := range l.waiting {
		if w == v {
			return
		}
	}
	l.waiting = append(l.waiting, v)
}

// nextLocked is who may ask now.
func (l *Limits) nextLocked() *Invoker {
	if len(l.waiting) == 0 || !l.roomLocked() {
		return nil
	}
	return l.waiting[0]
}

// lookAgain has v look again for tokens. Who gave something back looks by itself.
func (v *Invoker) lookAgain(giver *Invoker) {
	if v != nil && v != giver {
		v.owner.Post(Event{kind: eventRoom})
	}
}
