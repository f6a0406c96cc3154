package rpc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// A worker that could not be reached is tried again after 20 ms, doubling to 500 ms; until then
// requests for it are refused at once.
const (
	redialPauseMin = 20 * time.Millisecond
	redialPauseMax = 500 * time.Millisecond
)

// spareFramesMax is how many sent frames a peer keeps for the next ones.
const spareFramesMax = 2

// peer exchanges with one leader.
type peer struct {
	c      *WorkerClient
	leader id.GenerationalNode
	wake   chan struct{} // capacity 1: somebody left a request

	// mu guards what follows, and the numbers of waiters. Never held across I/O or a callback.
	mu          sync.Mutex
	queue       []*frame // to be sent, oldest first
	queued      int      // requests in it
	bytes       int
	spare       []*frame
	sent        map[uint64]*waiter      // by number
	left        []leaver                // callers of sent requests that left; the worker does not know yet
	next        uint64                  // number of the next request, from 1
	refuseUntil time.Time               // no connection, and too early to try again
	ended       bool                    // for good
	cancel      context.CancelCauseFunc // ends run; nil before it began
	sleeping    bool
}

// frame is a message in the making.
type frame struct {
	msg     workerv1.ExchangeRequest
	waiters []*waiter
}

func newPeer(c *WorkerClient, l id.GenerationalNode) *peer {
	return &peer{c: c, leader: l, wake: make(chan struct{}, 1), sent: map[uint64]*waiter{}, next: 1}
}

// submit queues a copy of the record. On an error nothing happened and w is not answered.
func (p *peer) submit(w *waiter, record []byte) error {
	cfg := &p.c.cfg
	p.mu.Lock()
	switch {
	case p.ended, !p.refuseUntil.IsZero() && p.c.host.Clock.Now().Before(p.refuseUntil):
		p.mu.Unlock()
		return errs.Newf(errs.Unavailable, "worker %s cannot be reached", p.leader)
	case p.queued >= cfg.QueueRequestsMax, p.bytes+len(record) > cfg.QueueBytesMax && p.bytes > 0:
		p.mu.Unlock()
		p.c.refused.Inc()
		return errs.Newf(errs.Unavailable, "too many requests wait to be sent to worker %s", p.leader)
	}
	f := p.frameLocked()
	w.number = p.next
	p.next++
	p.queued++
	p.bytes += len(record)
	f.msg.Wants = append(f.msg.Wants, byte(w.want))
	if w.want == 0 {
		f.msg.Targets = append(f.msg.Targets, uint32(w.partition))
	}
	f.msg.Records = append(f.msg.Records, record...)
	f.waiters = append(f.waiters, w)
	wake := p.sleeping
	p.sleeping = false
	p.mu.Unlock()
	if wake {
		nudge(p.wake)
	}
	return nil
}

// frameLocked returns the frame that takes the next request.
func (p *peer) frameLocked() *frame {
	if n := len(p.queue); n > 0 && len(p.queue[n-1].msg.Records) < p.c.cfg.FrameBytesMax {
		return p.queue[n-1]
	}
	f := p.freshLocked()
	f.msg.First = p.next
	p.queue = append(p.queue, f)
	return f
}

// freshLocked returns an empty frame.
func (p *peer) freshLocked() *frame {
	if n := len(p.spare); n > 0 {
		f := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return f
	}
	return &frame{}
}

// leaver is a caller that has left: the number of its request and the invocation.
type leaver struct {
	number uint64
	id     id.Invocation
}

// forget drops a waiter whose caller has left; its request goes on. The worker gives the place of the caller
// away when it hears of it.
func (p *peer) forget(w *waiter) {
	p.mu.Lock()
	wake := false
	if _, sent := p.sent[w.number]; sent {
		delete(p.sent, w.number)
		p.left = append(p.left, leaver{w.number, w.id})
		wake, p.sleeping = p.sleeping, false
	}
	w.number = 0
	p.mu.Unlock()
	if wake {
		nudge(p.wake)
	}
}

// leftMax is how many callers that left one message names.
const leftMax = 10_000

// take moves the oldest frame from the queue to what is sent, with the callers that left before; nil if there
// is nothing to say.
func (p *peer) take() *frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	var f *frame
	switch {
	case len(p.queue) > 0:
		f = p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.queued -= len(f.waiters)
		p.bytes -= len(f.msg.Records)
	case len(p.left) > 0:
		f = p.freshLocked()
	default:
		p.sleeping = true
		return nil
	}
	n := min(len(p.left), leftMax)
	for _, l := range p.left[:n] {
		f.leave(l)
	}
	p.left = p.left[:copy(p.left, p.left[n:])]
	for i, w := range f.waiters {
		if w.number != 0 { // its caller still waits
			p.sent[w.number] = w
		} else if w.want != 0 {
			f.leave(leaver{f.msg.First + uint64(i), w.id})
		}
	}
	return f
}

func (f *frame) leave(l leaver) {
	f.msg.Left = append(f.msg.Left, l.number)
	f.msg.LeftIds = append(f.msg.LeftIds, l.id[:]...)
}

// recycle keeps a frame that is on the wire for a later one.
func (p *peer) recycle(f *frame) {
	clear(f.waiters)
	if cap(f.msg.Records) > 2*p.c.cfg.FrameBytesMax {
		return
	}
	f.waiters = f.waiters[:0]
	f.msg.First, f.msg.Wants, f.msg.Targets, f.msg.Records = 0, f.msg.Wants[:0], f.msg.Targets[:0], f.msg.Records[:0]
	f.msg.Left, f.msg.LeftIds = f.msg.Left[:0], f.msg.LeftIds[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spare) < spareFramesMax {
		p.spare = append(p.spare, f)
	}
}

// errRetired is why a peer ends whose leader leads no more.
var errRetired = errs.Newf(errs.Unavailable, "it leads no partition any more")

// retire ends the peer.
func (p *peer) retire() {
	p.mu.Lock()
	p.ended = true
	cancel := p.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel(errRetired)
	}
}

// failMoved answers those who wait for partitions that have another leader now.
func (p *peer) failMoved(moved func(id.Partition) bool) {
	p.mu.Lock()
	var lost []*waiter
	for _, f := range p.queue {
		for _, w := range f.waiters {
			if w.number != 0 && moved(w.partition) {
				w.number = 0 // it is sent all the same, and so uncertain
				lost = append(lost, w)
			}
		}
	}
	for n, w := range p.sent {
		if moved(w.partition) {
			delete(p.sent, n)
			lost = append(lost, w)
		}
	}
	p.mu.Unlock()
	for _, w := range lost {
		w.answer(nil, errMoved(w.partition))
	}
}

// fail answers all: those whose request may have left this process are uncertain. New requests are
// refused for a while, or for good.
func (p *peer) fail(cause error, pause time.Duration) {
	p.mu.Lock()
	if p.refuseUntil = p.c.host.Clock.Now().Add(pause); pause == 0 {
		p.ended = true
	}
	var unsent []*waiter
	for _, f := range p.queue {
		for _, w := range f.waiters {
			if w.number != 0 {
				unsent = append(unsent, w)
			}
		}
	}
	sent := p.sent
	p.queue, p.sent, p.queued, p.bytes = nil, map[uint64]*waiter{}, 0, 0
	p.left = nil // the worker forgets all callers of an exchange that ends
	p.mu.Unlock()
	for _, w := range sent {
		w.answer(nil, errs.Newf(errs.Uncertain, "the exchange with worker %s ended: %w", p.leader, cause))
	}
	for _, w := range unsent {
		w.answer(nil, errs.Newf(errs.Unavailable, "the exchange with worker %s ended: %w", p.leader, cause))
	}
}

// answered takes answers off the wire.
func (p *peer) answered(answers []*workerv1.Answer) {
	for _, a := range answers {
		p.mu.Lock()
		w, ok := p.sent[a.Number]
		delete(p.sent, a.Number)
		p.mu.Unlock()
		if !ok {
			continue // its caller has left
		}
		if a.Code != 0 {
			w.answer(nil, errs.Newf(errs.Code(a.Code), "%s", a.Message))
			continue
		}
		if w.want == 0 {
			w.answer(nil, nil)
			continue
		}
		w.answer(&command.Outcome{
			Status: command.OutcomeStatus(a.Status), ExecuteAt: a.ExecuteAtMs, Target: a.Target, Result: a.Result,
			Stored: a.Stored, ExpiresAt: a.ExpiresAtMs, Workflow: a.Workflow,
		}, nil)
	}
}

// run connects whenever something waits, until ctx ends or the peer is retired.
func (p *peer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	if p.cancel = cancel; p.ended {
		cancel(errRetired)
	}
	p.mu.Unlock()
	pause := redialPauseMin
	for p.await(ctx) {
		greeted, err := p.session(ctx)
		if greeted {
			pause = redialPauseMin
		}
		p.fail(err, pause)
		p.complain(ctx, err)
		pause = min(2*pause, redialPauseMax)
	}
	p.fail(context.Cause(ctx), 0)
	return nil
}

// complain logs why an exchange ended; that the caller is not wanted does not heal alone.
func (p *peer) complain(ctx context.Context, err error) {
	level := slog.LevelDebug
	if errs.Is(err, errs.Invalid) {
		level = slog.LevelWarn
	}
	p.c.host.Log.LogAttrs(ctx, level, "exchange with worker ended", slog.String(logkey.Peer, p.leader.String()), slog.Any(logkey.Err, err))
}

// await blocks until something is to be sent; false when the peer has ended.
func (p *peer) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		p.sleeping = len(p.queue) == 0
		asleep := p.sleeping
		p.mu.Unlock()
		if !asleep {
			return true
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// session opens the stream and exchanges on it until it breaks. greeted tells whether the worker
// was the right one.
func (p *peer) session(ctx context.Context) (greeted bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := p.c.conns.Conn(p.leader.Node)
	if err != nil {
		return false, err
	}
	stream, err := workerv1.NewWorkerClient(conn).Exchange(ctx)
	if err != nil {
		return false, err
	}
	if err := stream.Send(&workerv1.ExchangeRequest{Hello: hello(p.c.routes, p.c.self)}); err != nil {
		return false, brokenBy(stream, err)
	}
	greeting := make(chan struct{})
	group := lifecycle.NewGroup(ctx)
	group.Go("read answers", func(context.Context) error {
		err := p.read(stream, greeting)
		cancel(err)
		return err
	})
	greeted = p.greet(ctx, cancel, greeting)
	if greeted {
		p.mu.Lock()
		p.refuseUntil = time.Time{}
		p.mu.Unlock()
		p.write(ctx, stream)
	}
	cancel(nil)      // the first cause stays
	_ = group.Wait() // its error is the cause, or follows from it
	return greeted, context.Cause(ctx)
}

// brokenBy returns why a stream took no message: Send itself only says that it is over.
func brokenBy(stream workerv1.Worker_ExchangeClient, err error) error {
	if _, cause := stream.Recv(); cause != nil {
		return cause
	}
	return err
}

func (p *peer) greet(ctx context.Context, cancel context.CancelCauseFunc, greeting <-chan struct{}) bool {
	t := p.c.host.Clock.NewTimer(p.c.cfg.HelloTimeout)
	defer t.Stop()
	select {
	case <-greeting:
		return true
	case <-t.C():
		cancel(errs.Newf(errs.Unavailable, "worker %s did not say hello within %s", p.leader, p.c.cfg.HelloTimeout))
	case <-ctx.Done():
	}
	return false
}

func (p *peer) read(stream workerv1.Worker_ExchangeClient, greeting chan<- struct{}) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	h := first.GetHello()
	if got := (id.GenerationalNode{Node: id.Node(h.GetNode()), Generation: h.GetGeneration()}); got != p.leader {
		return errs.Newf(errs.Unavailable, "its address belongs to %s", got)
	}
	close(greeting)
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		p.answered(m.Answers)
	}
}

// write sends frames until the stream breaks.
func (p *peer) write(ctx context.Context, stream workerv1.Worker_ExchangeClient) {
	for {
		f := p.take()
		if f == nil {
			select {
			case <-p.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := stream.Send(&f.msg); err != nil {
			return // the reader learns why
		}
		p.recycle(f)
	}
}
