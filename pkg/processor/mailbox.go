package processor

import (
	"sync"
	"sync/atomic"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/lsn"
)

// mailbox is where other goroutines leave what a loop must do. Producers never block: a record is
// copied into the buffer of its partition, and the loop is woken only if it sleeps.
type mailbox struct {
	wake chan struct{} // capacity 1; the loop sleeps on it

	// mu guards what follows, and the inbox of each partition of the loop.
	mu      sync.Mutex
	asleep  bool
	dirty   []*part // whose inbox has something
	events  []invoker.Event
	control []func() // run by the loop
	calls   int      // requests that are not yet applied
}

// inbox is what waits for one partition. Guarded by mailbox.mu.
type inbox struct {
	open      bool // the partition is led here: records are taken
	dirty     bool
	buf       []byte // finished records, back to back
	count     uint32
	notes     []note
	load      load       // what is not yet applied, taken by the loop or not
	loglet    id.Loglet  // whose commits count
	committed lsn.Offset // tail reported by the log writer
}

// load is what came from outside and is held in memory until it is applied.
type load struct {
	calls         int
	callBytes     int
	deliveryBytes int // of other partitions
}

func (l *load) add(c *call) {
	if c.internal {
		l.deliveryBytes += c.bytes
		return
	}
	l.calls++
	l.callBytes += c.bytes
}

func (l *load) sum(o load) {
	l.calls += o.calls
	l.callBytes += o.callBytes
	l.deliveryBytes += o.deliveryBytes
}

// note ties a record of a buffer to the call that waits for it.
type note struct {
	ordinal uint32
	call    *call
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// errNotLed is what a caller gets from a partition that is not led here: nothing happened.
var errNotLed = errs.Newf(errs.NotLeader, "the partition is not led by this node")

var errFull = errs.Newf(errs.Unavailable, "too many requests wait for this partition, or for all of this node")

// waiting is how many bytes of all partitions of a node are held until they are applied.
type waiting struct{ calls, deliveries atomic.Int64 }

func (w *waiting) add(l load) {
	w.calls.Add(int64(l.callBytes))
	w.deliveries.Add(int64(l.deliveryBytes))
}

func (w *waiting) take(l load) { w.add(load{callBytes: -l.callBytes, deliveryBytes: -l.deliveryBytes}) }

func (m *mailbox) markLocked(p *part) {
	if !p.inbox.dirty {
		p.inbox.dirty = true
		m.dirty = append(m.dirty, p)
	}
}

// wakeLocked returns whether the loop has to be woken by the caller, after unlocking.
func (m *mailbox) wakeLocked() bool {
	was := m.asleep
	m.asleep = false
	return was
}

func (m *mailbox) signal(wake bool) {
	if wake {
		select {
		case m.wake <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// record takes a copy of a finished record for p, with the call that waits for it, if any.
func (m *mailbox) record(p *part, rec []byte, c *call) error {
	m.mu.Lock()
	in := &p.inbox
	if !in.open {
		m.mu.Unlock()
		return errNotLed
	}
	if c != nil {
		c.bytes = len(rec)
		if m.fullLocked(in, c, p.loop.node) {
			m.mu.Unlock()
			p.loop.node.metrics.refused.Inc()
			p.loop.node.metrics.rejected.Add(float64(len(rec)))
			return errFull
		}
		in.load.add(c)
		var one load
		one.add(c)
		p.loop.node.waiting.add(one)
		p.loop.node.metrics.accepted.Add(float64(len(rec)))
		if !c.internal {
			m.calls++
		}
		in.notes = append(in.notes, note{ordinal: in.count, call: c})
	}
	if in.buf == nil {
		in.buf = make([]byte, 0, max(4096, len(rec)))
	}
	in.buf = append(in.buf, rec...)
	in.count++
	m.markLocked(p)
	wake := m.wakeLocked()
	m.mu.Unlock()
	m.signal(wake)
	return nil
}

// fullLocked tells whether the class of c has no room, in its partition or in the node, where loops may be one record each above the
// limit. One record has always room, however long it is.
func (m *mailbox) fullLocked(in *inbox, c *call, n *Node) bool {
	over := func(held, limit int64) bool { return held > 0 && held+int64(c.bytes) > limit }
	all := int64(n.policy().RequestBytesMax)
	if c.internal {
		return over(int64(in.load.deliveryBytes), int64(n.cfg.DeliveryBytesMax)) || over(n.waiting.deliveries.Load(), all)
	}
	return m.calls >= n.cfg.CallsMax || over(int64(in.load.callBytes), int64(n.cfg.CallBytesMax)) || over(n.waiting.calls.Load(), all)
}

// release gives back the room of what was applied or refused.
func (m *mailbox) release(p *part, freed load) {
	if freed == (load{}) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	in := &p.inbox.load
	in.calls -= freed.calls
	in.callBytes -= freed.callBytes
	in.deliveryBytes -= freed.deliveryBytes
	m.calls -= freed.calls
	p.loop.node.waiting.take(freed)
}

// post has the loop handle an event of its invoker.
func (m *mailbox) post(ev invoker.Event) {
	m.mu.Lock()
	m.events = append(m.events, ev)
	wake := m.wakeLocked()
	m.mu.Unlock()
	m.signal(wake)
}

// do has the loop call f in its own goroutine.
func (m *mailbox) do(f func()) {
	m.mu.Lock()
	m.control = append(m.control, f)
	wake := m.wakeLocked()
	m.mu.Unlock()
	m.signal(wake)
}

// commit notes that all offsets of p's loglet below tail are committed.
func (m *mailbox) commit(p *part, l id.Loglet, tail lsn.Offset) {
	m.mu.Lock()
	in := &p.inbox
	if in.loglet != l || tail <= in.committed {
		m.mu.Unlock()
		return
	}
	in.committed = tail
	m.markLocked(p)
	wake := m.wakeLocked()
	m.mu.Unlock()
	m.signal(wake)
}

// taken is what one turn works on. Its slices are reused from turn to turn.
type taken struct {
	parts   []takenPart
	events  []invoker.Event
	control []func()
}

type takenPart struct {
	p         *part
	buf       []byte
	count     uint32
	notes     []note
	loglet    id.Loglet
	committed lsn.Offset
}

// take moves all that waits into t. If nothing waits it marks the loop as asleep and returns false.
func (m *mailbox) take(t *taken) bool {
	clear(t.parts)
	clear(t.events)
	clear(t.control)
	t.parts, t.events, t.control = t.parts[:0], t.events[:0], t.control[:0]
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.dirty) == 0 && len(m.events) == 0 && len(m.control) == 0 {
		m.asleep = true
		return false
	}
	m.asleep = false
	for i, p := range m.dirty {
		in := &p.inbox
		t.parts = append(t.parts, takenPart{p: p, buf: in.buf, count: in.count, notes: in.notes, loglet: in.loglet, committed: in.committed})
		in.buf, in.count, in.notes, in.dirty = nil, 0, nil, false
		m.dirty[i] = nil
	}
	m.dirty = m.dirty[:0]
	t.events, m.events = m.events, t.events
	t.control, m.control = m.control, t.control
	return true
}

// openInbox lets records of p in, and says whose commits count.
func (m *mailbox) openInbox(p *part) {
	m.mu.Lock()
	p.inbox.open = true
	m.mu.Unlock()
}

// expect says which loglet's commits count from now on.
func (m *mailbox) expect(p *part, l id.Loglet) {
	m.mu.Lock()
	p.inbox.loglet, p.inbox.committed = l, 0
	m.mu.Unlock()
}

// closeInbox refuses records of p from now on and returns the calls that wait in it unproposed.
func (m *mailbox) closeInbox(p *part) []note {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := &p.inbox
	notes := in.notes
	m.calls -= in.load.calls
	p.loop.node.waiting.take(in.load)
	in.open, in.buf, in.count, in.notes, in.load = false, nil, 0, nil, load{}
	in.loglet, in.committed = 0, 0
	return notes
}
