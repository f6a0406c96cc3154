package invoker

import (
	"context"
	"log/slog"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/retry"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

const docInternal = serviceproto.DocInternal

type runState uint8

const (
	stateQueued   runState = iota + 1 // waits for a token
	stateRunning                      // an attempt is open
	stateFailing                      // the attempt failed; its response is read to the end
	stateSettling                     // that is over; its records are not all applied
	stateBackoff                      // waits for the next attempt
	stateParked                       // Pause or Fail was proposed
	stateDraining                     // the activation is over; the response is read to the end
)

// run is the loop's view of an activation.
type run struct {
	Activation
	prev, next *run
	in         *list // the wheel's slot or the queue that it is in
	due        int64 // in the wheel, Unix ms

	state   runState
	token   bool
	attempt *attempt // while one is open, failing or settling
	covered uint32   // journal entries that its replay has
	started int64    // Unix ms
	failure *failure // of the last attempt
	told    *failure // the last one that was proposed as an event
	holding bool     // to be paused: no attempt follows

	number      uint32        // of the last attempt
	begun       uint32        // attempts of this activation
	tried       id.Deployment // of the last attempt
	server      string        // likewise: what it called itself
	awaiting    []byte        // likewise: what it said last that it waits for
	failed      *failure      // of the last attempt that did, also while the next one runs
	failures    uint32        // of this activation, as far as the policy counts them
	refusals    uint32        // in a row
	sinceStored uint32        // failed attempts since a command was stored
	pinned      bool
	deployment  id.Deployment // if pinned, as the version
	version     uint32

	policy            retry.Policy
	inactivity, abort int64 // ms
	eager             int   // bytes of state that go with Start
}

func (v *Invoker) newRun() *run {
	n := len(v.spareRuns)
	if n == 0 {
		return &run{}
	}
	r := v.spareRuns[n-1]
	v.spareRuns[n-1] = nil
	v.spareRuns = v.spareRuns[:n-1]
	return r
}

func (v *Invoker) dropRun(r *run) {
	*r = run{awaiting: keepSmall(r.awaiting)}
	if len(v.spareRuns) < runsKept {
		v.spareRuns = append(v.spareRuns, r)
	}
}

// enqueue lets r wait for a token, first come first served.
func (v *Invoker) enqueue(r *run) {
	r.state = stateQueued
	v.queue.push(r)
	v.queued++
	v.fill()
}

// fill starts attempts while there are tokens.
func (v *Invoker) fill() {
	if v.filling {
		return // what is started below may fail at once and come here
	}
	v.filling = true
	for v.queue.first != nil && v.acquire() {
		v.queued--
		v.begin(v.queue.pop())
	}
	if v.waits && v.queue.first == nil {
		v.waits = false
		v.limits.leave(v)
	}
	v.filling = false
}

// acquire takes a token.
func (v *Invoker) acquire() bool {
	v.waits = !v.limits.acquire(v)
	if v.waits {
		return false
	}
	v.running++
	v.metrics.acquired.Inc()
	return true
}

// begin makes an attempt with a token.
func (v *Invoker) begin(r *run) {
	r.token = true
	r.begun++
	r.state, r.failure = stateRunning, nil
	h, d, version, f := v.handler(r)
	if h == nil {
		r.policy = schema.Default().Retry
	} else {
		r.policy, r.inactivity, r.abort = h.Retry, h.Inactivity.Milliseconds(), h.Abort.Milliseconds()
	}
	if f == nil {
		f = v.open(r, h, d, version)
	}
	if f != nil { // before anything was sent
		r.failure = f
		v.release(r)
		v.decide(r)
	}
}

// release gives the token back.
func (v *Invoker) release(r *run) {
	if r.token {
		r.token = false
		v.running--
		v.limits.release(v)
		v.metrics.released.Inc()
	}
}

// fail ends the attempt that runs: nothing more is taken from it, and its response is drained.
func (v *Invoker) fail(r *run, f *failure) {
	a := r.attempt
	a.mu.Lock()
	if a.failure == nil {
		a.failure = f
	}
	a.finishLocked()
	a.freeLocked()
	over := a.overLocked()
	a.tell = !over
	a.mu.Unlock()
	a.touch()
	r.failure = f
	r.state = stateFailing
	if over {
		v.drained(r)
		return
	}
	v.wheel.arm(r, host.Millis(v.host.Clock)+drainMax.Milliseconds())
}

// over takes the news that the response of a draining attempt ended.
func (v *Invoker) over(r *run) {
	switch r.state {
	case stateFailing:
		v.drained(r)
	case stateDraining:
		v.finish(r)
	default:
	}
}

// drained goes on after a failed attempt, once its records are applied.
func (v *Invoker) drained(r *run) {
	r.unlink()
	v.release(r)
	r.attempt.mu.Lock()
	left := r.attempt.stepsLocked()
	r.attempt.mu.Unlock()
	if left > 0 {
		r.state = stateSettling
	} else {
		v.decide(r)
	}
	v.fill()
}

// decide says what follows a failed attempt.
func (v *Invoker) decide(r *run) {
	ended := v.ending(r, r.failure)
	v.detach(r)
	v.follow(r)
	v.record(r, ended)
}

func (v *Invoker) follow(r *run) {
	f := r.failure
	r.failed = f
	if !f.uncounted && !f.refused {
		r.sinceStored++
	}
	switch {
	case f.Behavior == serviceproto.BehaviorFail:
		v.park(r, command.Fail)
	case f.Behavior == serviceproto.BehaviorPause || r.holding:
		v.park(r, command.Pause)
	case f.refused && r.refusals < refusalsMax:
		r.refusals++
		v.retry(r, refusalDelay)
	case f.NextRetryDelay != nil: // asked for: no jitter, and it uses up no attempt
		v.tell(r)
		v.retry(r, *f.NextRetryDelay)
	default:
		r.failures++
		if !r.policy.Exhausted(r.failures) {
			v.tell(r)
			v.retry(r, r.policy.Delay(r.failures, v.host.Rand.Uint64()))
			return
		}
		kind := command.Pause
		if r.policy.Kill {
			kind = command.Fail
		}
		v.park(r, kind)
	}
}

// about are the attributes of a log line about the last attempt.
func (r *run) about() []slog.Attr {
	return []slog.Attr{
		slog.String(logkey.Invocation, r.ID.String()), slog.String(logkey.Target, r.Target.GetService()+"/"+r.Target.GetHandler()),
		slog.Uint64(logkey.Attempt, uint64(r.number)), slog.String(logkey.Code, r.failure.doc), slog.String(logkey.Err, r.failure.Message),
	}
}

func (v *Invoker) retry(r *run, delay time.Duration) {
	if ctx := context.Background(); v.host.Log.Enabled(ctx, slog.LevelDebug) {
		v.host.Log.LogAttrs(ctx, slog.LevelDebug, "attempt failed and is tried again", r.about()...)
	}
	v.metrics.of(r.Partition).transient.Inc()
	if !r.failure.refused {
		r.refusals = 0
	}
	r.state = stateBackoff
	millis := (delay + time.Millisecond - 1).Milliseconds()
	due := host.Millis(v.host.Clock) + millis
	if millis <= soonMillis {
		v.soon.arm(r, due)
		return
	}
	v.wheel.arm(r, due)
}

// tell proposes to keep why an attempt failed, unless the one before failed for the same reason.
func (v *Invoker) tell(r *run) {
	if r.told != nil && r.told.same(r.failure) {
		return
	}
	rec, err := command.Append(v.scratch[:0], v.header(r, command.Event), &storedv1.EventFacts{Failure: r.failure.event()})
	if err != nil {
		return // it is for people only
	}
	if v.owner.Propose(r.Partition, rec) {
		r.told = r.failure
	}
	v.scratch = keep(rec)
}

// header begins a record about the activation. If no attempt was begun for it, the record comes after those of
// earlier activations and leaders, or it would be dropped as older than these.
func (v *Invoker) header(r *run, kind command.Kind) command.Header {
	if r.number == 0 {
		if replay, err := v.owner.Replay(r.Partition, r.ID, 0); err == nil { // else the next record may tell
			r.number = replay.LastAttempt
			replay.close()
		}
	}
	return command.Header{Kind: kind, ID: r.ID, Incarnation: r.Incarnation, Activation: r.Activation.Activation, Attempt: r.number}
}

// park proposes that the activation ends; Stop follows when that is applied.
func (v *Invoker) park(r *run, kind command.Kind) {
	var facts command.Facts
	switch {
	case kind == command.Fail:
		facts = &storedv1.FailFacts{Failure: r.failure.result()}
	case r.failure != nil:
		facts = &storedv1.PauseFacts{Failure: r.failure.stored()}
	default: // held before anything failed
		facts = &storedv1.PauseFacts{}
	}
	r.state = stateParked
	if !r.holding {
		v.metrics.of(r.Partition).failed.Inc()
		v.host.Log.LogAttrs(context.Background(), slog.LevelWarn, "attempt failed and is not tried again", r.about()...)
	}
	rec, err := command.Append(v.scratch[:0], v.header(r, kind), facts)
	if err != nil || !v.owner.Propose(r.Partition, rec) { // or the partition is given up, which stops all
		r.state = stateBackoff
		v.wheel.arm(r, host.Millis(v.host.Clock)+refusalDelay.Milliseconds())
		return
	}
	v.scratch = keep(rec)
}

// end forgets an activation: its invocation completed, suspended or paused, or is led elsewhere.
func (v *Invoker) end(r *run) {
	delete(v.runs, r.ID)
	r.unlink()
	if r.state == stateQueued {
		v.queued--
	}
	a := r.attempt
	if a == nil {
		v.finish(r)
		return
	}
	a.mu.Lock()
	final, over := a.final, a.overLocked()
	graceful := final != notFinal && a.failure == nil
	a.deaf = true
	a.tell = graceful && !over
	if !graceful && !over {
		a.out.Reset()
	}
	a.mu.Unlock()
	a.touch()
	v.metrics.ended(r, final, host.Millis(v.host.Clock))
	if graceful && !over {
		r.state = stateDraining
		v.wheel.arm(r, host.Millis(v.host.Clock)+drainMax.Milliseconds())
		return
	}
	v.finish(r)
}

// finish gives back all that the run holds.
func (v *Invoker) finish(r *run) {
	r.unlink()
	v.release(r)
	v.record(r, v.ending(r, nil))
	v.detach(r)
	v.dropRun(r)
	v.fill()
}

// detach lets go of the attempt.
func (v *Invoker) detach(r *run) {
	a := r.attempt
	if a == nil {
		return
	}
	r.attempt = nil
	a.mu.Lock()
	a.deaf = true
	a.freeLocked()
	r.tried, r.server = a.route.deployment, a.server
	r.awaiting = append(r.awaiting[:0], a.awaiting...)
	a.mu.Unlock()
	a.run = nil
	a.unref()
}

// fire is called by the wheel when r is due.
func (v *Invoker) fire(r *run) {
	switch r.state {
	case stateRunning:
		v.timeouts(r)
	case stateFailing:
		r.attempt.reset()
		v.drained(r)
	case stateDraining:
		r.attempt.reset()
		v.finish(r)
	case stateBackoff:
		if r.holding {
			v.park(r, command.Pause)
			return
		}
		v.enqueue(r)
	default:
	}
}

// timeouts looks after inactivity, then abortion, of an attempt that runs.
func (v *Invoker) timeouts(r *run) {
	a, now := r.attempt, v.now.Load()
	last := a.active.Load() + tickMillis // it was up to a tick later than noted
	var due int64
	a.mu.Lock()
	switch {
	case a.overLocked() || a.final != notFinal || a.failure != nil: // an event or Stop follows
		due = now + max(r.inactivity, r.abort)
	case a.half:
		due = last + r.abort
	case now >= last+r.inactivity:
		a.halfCloseLocked()
		a.active.Store(now)
		due = now + r.abort
	default:
		due = last + r.inactivity
	}
	a.mu.Unlock()
	a.touch()
	if due > now {
		v.wheel.arm(r, due)
		return
	}
	v.fail(r, failuref(serviceproto.DocAbortTimeout, "the handler did not answer within the abort timeout of %s", time.Duration(r.abort)*time.Millisecond))
}

// keep bounds a buffer that is kept for reuse.
func keep(b []byte) []byte {
	if cap(b) > keptScratchBytes {
		return nil
	}
	return b[:0]
}

const keptScratchBytes = 1 << 20
