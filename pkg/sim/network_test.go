package sim_test

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"reprise/pkg/errs"
)

var (
	errRefused = errs.Newf(errs.Unavailable, "connection refused")
	errReset   = errs.Newf(errs.Uncertain, "connection reset")
)

// message is something that will happen: it arrives at due, unless it is lost.
type message struct {
	by       *process // who sends; nil: nobody who can die. The dead send nothing.
	from, to string   // names of processes
	what     string   // tells it apart from others that are sent at one moment
	sent     time.Time
	due      time.Time
	order    *order               // what is sent before arrives before; nil: in any order
	certain  bool                 // it is not lost nor doubled: a disk, a timer
	delay    func() time.Duration // of what is certain, drawn when it is judged
	arrive   func()
	lose     func() // nil: nobody hears of it
	number   uint64 // of all, in the order of their judgement
}

// order keeps what is sent over one connection in order.
type order struct{ last time.Time }

// network carries messages. What is sent in one step of the world waits until all goroutines have come to rest; then it is
// sorted, and the seeded scheduler decides its fate. So it does not matter which goroutine came first.
type network struct {
	w *world

	mu     sync.Mutex
	outbox []*message

	// The driver's.
	queue  queue
	number uint64
	cut    map[[2]string]time.Time // from, to: nothing gets through until then; to all or from all where one of them is empty
	trace  uint64                  // hash of all that happened
	steps  int
	lost   int
	twice  int
}

func newNetwork(w *world) *network {
	return &network{w: w, cut: map[[2]string]time.Time{}, trace: fnv.New64a().Sum64()}
}

func (n *network) post(m *message) {
	if m.by != nil && !m.by.alive() {
		return
	}
	m.sent = time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outbox = append(n.outbox, m)
}

// collect judges what was sent since.
func (n *network) collect() {
	n.mu.Lock()
	sent := n.outbox
	n.outbox = nil
	n.mu.Unlock()
	slices.SortStableFunc(sent, func(a, b *message) int {
		return cmp.Or(a.sent.Compare(b.sent), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.what, b.what))
	})
	for _, m := range sent {
		if h := n.haltedAt(m.from); h != nil {
			h.out = append(h.out, m)
			continue
		}
		n.judge(m)
	}
}

// judge decides when a message arrives, and whether, and how often.
func (n *network) judge(m *message) {
	w := n.w
	if m.certain {
		n.push(m, m.delay())
		return
	}
	delay := w.latency()
	f := &w.faults
	switch {
	case n.isCut(m.from, m.to), w.chance(f.loss):
		n.lost++
		n.note("lost", m)
		if m.lose != nil && (m.order != nil || w.chance(0.5)) { // else nobody ever hears of it
			again := *m
			again.from, again.to, again.arrive, again.order = m.to, m.from, m.lose, nil // the sender hears of it
			n.push(&again, delay)
		}
		return
	case w.chance(f.twice) && m.order == nil:
		n.twice++
		again := *m
		n.push(&again, delay+w.latency())
	}
	n.push(m, delay)
}

// isCut tells whether nothing gets through.
func (n *network) isCut(from, to string) bool {
	now := time.Now()
	for _, pair := range [][2]string{{from, to}, {from, ""}, {"", to}} {
		if now.Before(n.cut[pair]) {
			return true
		}
	}
	return false
}

func (n *network) push(m *message, delay time.Duration) {
	m.due = m.sent.Add(delay)
	if now := time.Now(); m.due.Before(now) {
		m.due = now
	}
	if m.order != nil {
		if m.due.Before(m.order.last) {
			m.due = m.order.last
		}
		m.order.last = m.due
	}
	n.number++
	m.number = n.number
	heap.Push(&n.queue, m)
}

func (n *network) note(how string, m *message) {
	h := fnv.New64a()
	line := fmt.Sprintf("%d %s %s>%s %s", time.Now().UnixMicro(), how, m.from, m.to, m.what)
	fmt.Fprintf(h, "%d %s", n.trace, line)
	n.trace = h.Sum64()
	if n.w.verbose != nil {
		n.w.verbose(line)
	}
}

// next lets time pass up to the next message, but not beyond limit, and has it arrive.
func (n *network) next(limit time.Time) {
	synctest.Wait()
	n.collect()
	now := time.Now()
	until := limit
	if len(n.queue) > 0 && n.queue[0].due.Before(until) {
		until = n.queue[0].due
	}
	if until.After(now) {
		time.Sleep(until.Sub(now))
		synctest.Wait()
		n.collect()
	}
	if len(n.queue) == 0 || n.queue[0].due.After(time.Now()) {
		return
	}
	m := heap.Pop(&n.queue).(*message)
	n.steps++
	if h := n.haltedAt(m.to); h != nil {
		n.note("held", m)
		h.in = append(h.in, m)
		return
	}
	n.note("", m)
	m.arrive()
}

// queue is a heap of messages by when they arrive.
type queue []*message

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].due.Compare(q[j].due); c != 0 {
		return c < 0
	}
	return q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*message)) }
func (q *queue) Pop() any {
	old := *q
	m := old[len(old)-1]
	*q = old[:len(old)-1]
	return m
}

// result is what a call came to.
type result[A any] struct {
	a   A
	err error
}

// lateMax is how long a request may work at a server after its caller gave up.
const lateMax = 5 * time.Second

// call asks the process to for something. The request or its answer may be lost, or the request arrive twice, or after the
// caller gave up. f runs at the process, and ends with it.
func call[A any](ctx context.Context, w *world, from *process, to, what string, f func(ctx context.Context, p *process) (A, error)) (A, error) {
	done := make(chan result[A], 4) // of a request and its double, and their losses
	answer := func(r result[A]) {
		if from.alive() {
			done <- r
		}
	}
	back := func(p string, r result[A]) {
		sent := false
		once := func(r result[A]) func() {
			return func() {
				if !sent { // by the driver alone
					sent = true
					answer(r)
				}
			}
		}
		w.net.post(&message{from: p, to: from.name, what: what + "!", arrive: once(r), lose: once(result[A]{err: errReset})})
	}
	arrived := false
	w.net.post(&message{by: from, from: from.name, to: to, what: what, arrive: func() {
		p := w.processes[to]
		if p == nil || !p.alive() {
			if !arrived {
				back(to, result[A]{err: errRefused})
			}
			return
		}
		arrived = true
		p.group.Go("call", func(context.Context) error {
			pctx, cancel := context.WithTimeout(p.ctx, lateMax)
			defer cancel()
			a, err := f(pctx, p)
			if !p.alive() {
				err = errReset
			}
			back(to, result[A]{a, err})
			return nil
		})
	}, lose: func() { answer(result[A]{err: errReset}) }})
	select {
	case r := <-done:
		return r.a, r.err
	case <-ctx.Done():
		var none A
		return none, errs.With(errs.Uncertain, context.Cause(ctx))
	}
}
