package invoker

import (
	"sync"
	"sync/atomic"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/identity"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/lsn"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
	"reprise/pkg/span"
)

// exchange is the request of an attempt. *h2.Stream says what the methods do; it has the interface
// because a request over net/http does too.
type exchange interface {
	Write(b []byte, end bool)
	Pending() int
	NotifySpare(ch chan<- struct{})
	Finish()
	Reset()
	Credit(n int)
	Flush()
}

// attempt is one request to an endpoint for an invocation.
type attempt struct {
	v    *Invoker
	run  *run // loop only; nil once the loop let go
	refs atomic.Int32

	// Fixed while the attempt lives.
	id                      id.Invocation
	partition               id.Partition
	partitions              uint32
	incarnation, activation lsn.LSN
	number                  uint32
	version                 uint32
	scope                   serviceproto.Scope
	route                   *route
	sizes                   *Sizes
	traceParent, traceState string
	span, parentSpan        span.Context
	stream                  h2.Stream
	out                     exchange
	loopTouches             bool // out is stream

	active atomic.Int64 // Unix ms of the last frame, either way; as exact as Tick

	// mu guards what follows.
	mu         sync.Mutex
	unpinned   bool // the next record says which deployment and version
	bodyClosed bool // the request body has ended, or is about to
	half       bool // nothing more is sent, the body ends after what was: the abort timeout counts
	replaying  bool // a goroutine sends the journal; what comes meanwhile waits in queue
	headed     bool // good response headers came
	ended      bool // the response is complete
	closed     bool // the exchange is over
	deaf       bool // the loop takes nothing any more
	tell       bool // post eventOver when the response is over
	final      finalMessage
	failure    *failure
	server     string // what the SDK calls itself
	awaiting   []byte // payload of the AwaitingOn after which nothing was sent, if it is short

	seen      uint32 // notifications in its replay
	hasOutput bool   // the journal has, or will have
	commands  uint32
	acks      idSet // runs whose stored result is to be acked, not sent
	asked     idSet // runs of which an ack was asked for, ever: what comes again is not acked

	partial []byte // of a message that is not complete
	body    []byte // frames of the record in the making
	answers []byte // acks of commands that are sent when their record is applied, of all steps
	acked   []byte // scratch
	queue   []byte // what is sent after the replay
	rec     []byte // scratch
	next    step   // what the record in the making is
	callees []*storedv1.Callee
	steps   []step // proposed and not applied; the first at stepsAt
	stepsAt int
	// What the messages in all these buffers take of the memory; see holdLocked.
	pending  int // in the exchange, when it was looked at last
	proposed int // in steps
	held     int // taken, beyond what came with the token

	facts storedv1.StepFacts
	pin   storedv1.Pin
}

// step is a record that was proposed.
type step struct {
	frames   uint32
	commands uint32
	lookups  uint32 // commands that may be answered at once with something that is stored
	answers  int    // bytes of attempt.answers
	bytes    int    // of window to give back
	size     int    // of the frames
}

type finalMessage uint8

const (
	notFinal finalMessage = iota
	finalEnd
	finalSuspension
)

// open makes the attempt's request and sends what is known.
func (v *Invoker) open(r *run, h *schema.Handler, d *storedv1.Deployment, version uint32) *failure {
	rt, f := v.routeTo(h, d, version)
	if f != nil {
		return f
	}
	sizes := v.limits.sizes.Load()
	r.eager = min(sizes.EagerStateBytesMax, sizes.InvocationBytesMax)
	if h.LazyState {
		r.eager = 0
	}
	replay, err := v.owner.Replay(r.Partition, r.ID, r.eager)
	if err != nil {
		return ours(docInternal, "journal: %v", err)
	}
	if replay.Entries == 0 {
		replay.close()
		return ours(docInternal, "the journal has no input")
	}
	r.number = max(r.number, replay.LastAttempt) + 1
	r.covered, r.started = replay.Entries, host.Millis(v.host.Clock)
	a := v.newAttempt(r, rt, sizes)
	a.mu.Lock() // the transport may call back at once
	err = v.connect(a, r)
	if err == nil {
		r.attempt = a
		v.metrics.of(r.Partition).started.Inc()
		v.sendStartLocked(a, r, &replay)
	}
	a.mu.Unlock()
	if err != nil {
		a.unref()
		replay.close()
		return unreachable(err)
	}
	a.touch()
	return nil
}

// sendStartLocked sends Start and the journal, or has that done.
func (v *Invoker) sendStartLocked(a *attempt, r *run, replay *Replay) {
	keyed := r.Target.GetServiceType() != storedv1.ServiceType_SERVICE_TYPE_SERVICE
	start := serviceproto.Start{
		Version: a.version, ID: r.ID, KnownEntries: replay.Entries, State: replay.State, PartialState: replay.Partial || !keyed,
		Key: r.Target.GetKey(), RetryCount: r.sinceStored, SinceLastEntry: uint64(max(r.started-replay.LastTime, 0)),
		RandomSeed: id.RandomSeed(r.ID), IdempotencyKey: r.IdempotencyKey,
	}
	a.commands, a.seen = replay.Commands, replay.Entries-replay.Commands
	a.half = !a.route.bidi || r.inactivity == 0
	a.replaying = !replay.Inline
	timeout := r.inactivity
	if a.half {
		timeout = r.abort
	}
	v.wheel.arm(r, r.started+timeout+tickMillis)
	if !replay.Inline {
		a.replayLocked(replay.Reader, start, r.eager)
		return
	}
	if replay.Partial && keyed && r.eager > 0 {
		v.metrics.truncated.Inc()
	}
	a.scanLocked(replay.Frames)
	v.scratch = append(serviceproto.AppendStart(v.scratch[:0], &start), replay.Frames...)
	a.bodyClosed = a.half
	a.out.Write(v.scratch, a.half)
	v.metrics.via(a.route).sent.Add(float64(len(v.scratch)))
	if len(v.scratch) > v.cfg.InvocationBytesFirst {
		a.heldLocked(a.out.Pending())
	}
	v.scratch = keep(v.scratch)
}

func (v *Invoker) newAttempt(r *run, rt *route, sizes *Sizes) *attempt {
	a, ok := v.free.Get().(*attempt)
	if !ok {
		a = &attempt{v: v}
	}
	a.run, a.sizes = r, sizes
	a.refs.Store(1)
	a.id, a.partition, a.partitions = r.ID, r.Partition, r.Partitions
	a.incarnation, a.activation, a.number = r.Incarnation, r.Activation.Activation, r.number
	a.version, a.route = rt.version, rt
	a.scope = serviceproto.Scope{ServiceType: r.Target.GetServiceType(), HandlerType: r.Target.GetHandlerType()}
	v.placed(a, r)
	a.unpinned = !r.pinned
	a.awaiting = append(a.awaiting[:0], r.awaiting...)
	a.active.Store(v.now.Load())
	return a
}

// connect opens the exchange. The transport holds a reference until Closed.
func (v *Invoker) connect(a *attempt, r *run) error {
	fields := append(v.extra[:0], h2.Field{Name: headerInvocation, Value: r.ID.String(), Secret: true})
	subject := ""
	if r.Target.GetServiceType() != storedv1.ServiceType_SERVICE_TYPE_SERVICE {
		subject = r.Target.GetKey()
		fields = append(fields, h2.Field{Name: headerKey, Value: escapeKey(subject)})
	}
	if s := v.cfg.Identity; s != nil {
		fields = append(fields, h2.Field{Name: identity.HeaderScheme, Value: identity.Scheme},
			h2.Field{Name: identity.HeaderToken, Value: s.Token(a.route.audience, subject), Secret: true})
	}
	if v.host.Spans.Services() {
		fields = append(fields, h2.Field{Name: headerTraceParent, Value: a.traceParent, Secret: true})
		if a.traceState != "" {
			fields = append(fields, h2.Field{Name: headerTraceState, Value: a.traceState})
		}
	}
	fields = a.route.overridden(fields)
	v.extra = fields
	a.refs.Add(1)
	var err error
	switch {
	case a.route.target != nil:
		a.out, a.loopTouches = &a.stream, true
		err = a.route.target.Open(&a.stream, a, a.route.head, fields)
	case a.route.function != nil:
		err = v.openFunction(a, fields)
	default:
		err = v.openPlain(a, fields)
	}
	if err != nil {
		a.refs.Add(-1)
	}
	return err
}

// unref lets go; the last one makes the memory free for another attempt.
func (a *attempt) unref() {
	if a.refs.Add(-1) != 0 {
		return
	}
	a.clear()
	a.v.free.Put(a)
}

// clear forgets all but buffers of a usual size. Nobody else knows a.
func (a *attempt) clear() {
	a.run, a.route, a.out, a.loopTouches = nil, nil, nil, false
	a.traceParent, a.traceState = "", ""
	a.span, a.parentSpan = span.Context{}, span.Context{}
	a.unpinned, a.bodyClosed, a.half, a.replaying = false, false, false, false
	a.headed, a.ended, a.closed, a.deaf, a.tell = false, false, false, false, false
	a.final, a.failure, a.server = notFinal, nil, ""
	a.hasOutput, a.commands = false, 0
	a.pending, a.proposed = 0, 0
	a.acks.clear()
	a.asked.clear()
	for _, b := range []*[]byte{&a.partial, &a.body, &a.answers, &a.acked, &a.queue, &a.rec, &a.awaiting} {
		*b = keepSmall(*b)
	}
	a.next = step{}
	clear(a.callees)
	a.callees, a.steps, a.stepsAt = a.callees[:0], a.steps[:0], 0
	a.facts.Pin, a.facts.Callees, a.facts.Seen = nil, nil, 0
}

func keepSmall(b []byte) []byte {
	if cap(b) > keptBytes {
		return nil
	}
	return b[:0]
}

// touch has the loop's Flush wake the connection. Loop only.
func (a *attempt) touch() {
	if a.loopTouches {
		a.v.client.Touch(&a.stream)
	}
}

func (a *attempt) reset() {
	a.mu.Lock()
	a.out.Reset()
	a.mu.Unlock()
	a.touch()
}

// overLocked tells whether nothing more comes from the endpoint.
func (a *attempt) overLocked() bool { return a.ended || a.closed }

// stepsLocked returns how many records are proposed and not applied.
func (a *attempt) stepsLocked() int { return len(a.steps) - a.stepsAt }

// sendLocked sends stored notifications or acks, unless the handler can't get them in this attempt.
func (a *attempt) sendLocked(frames []byte) {
	if len(frames) == 0 || a.half || a.bodyClosed || a.deafLocked() {
		return
	}
	a.active.Store(a.v.now.Load())
	if a.replaying {
		a.queue = append(a.queue, frames...)
		a.half = len(a.queue) > forwardBytesMax
		a.heldAgainLocked()
		return
	}
	a.out.Write(frames, false)
	a.v.metrics.via(a.route).sent.Add(float64(len(frames)))
	pending := a.out.Pending()
	if pending > forwardBytesMax { // it does not read: the next replay brings the rest
		a.halfCloseLocked()
	}
	a.heldLocked(pending)
}

// halfCloseLocked ends the request body after what was sent, so that a handler that waits suspends.
func (a *attempt) halfCloseLocked() {
	a.half = true
	if !a.replaying && !a.bodyClosed {
		a.bodyClosed = true
		a.out.Write(nil, true)
	}
}

// finishLocked ends the request body at once: the handler needs nothing more.
func (a *attempt) finishLocked() {
	a.bodyClosed = true
	a.out.Finish()
}

// steppedLocked takes the oldest record off and sends what answers it.
func (a *attempt) steppedLocked(dropped bool) (s step, ok bool) {
	if a.stepsLocked() == 0 {
		return step{}, false
	}
	s = a.steps[a.stepsAt]
	a.stepsAt++
	if a.stepsAt == len(a.steps) {
		a.steps, a.stepsAt = a.steps[:0], 0
	}
	answer := a.answers[:s.answers]
	if !dropped {
		a.sendLocked(answer)
	}
	a.answers = append(a.answers[:0], a.answers[s.answers:]...)
	a.proposed -= s.size
	a.out.Credit(s.bytes)
	return s, true
}

// proposeLocked makes a record of what came together.
func (a *attempt) proposeLocked() {
	if a.next.frames == 0 || a.deaf {
		return
	}
	var facts command.Facts
	if a.unpinned || len(a.callees) > 0 || a.facts.Seen > 0 {
		a.facts.Pin, a.facts.Callees = nil, a.callees
		if a.unpinned {
			a.pin.Deployment, a.pin.ProtocolVersion = a.route.deployment[:], a.version
			a.facts.Pin = &a.pin
		}
		facts = &a.facts
	}
	rec, err := command.Append(a.rec[:0], command.Header{
		Kind: command.Step, Frames: a.next.frames, ID: a.id,
		Incarnation: a.incarnation, Activation: a.activation, Attempt: a.number,
	}, facts, a.body)
	switch {
	case err != nil:
		a.failLocked(ours(docInternal, "record: %v", err))
		return
	case !a.v.owner.Propose(a.partition, rec):
		a.failLocked(ours(docInternal, "the partition takes no records"))
		return
	}
	a.unpinned = false
	a.next.size = len(a.body)
	a.proposed += a.next.size
	a.rec, a.body = keepSmall(rec), keepSmall(a.body)
	clear(a.callees)
	a.callees = a.callees[:0]
	a.steps = append(a.steps, a.next)
	a.next = step{}
}
