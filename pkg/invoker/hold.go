package invoker

import (
	"time"

	"reprise/pkg/serviceproto"
)

const (
	// holdStepBytes: memory is taken and given back in multiples of it, to do so seldom.
	holdStepBytes = 64 << 10
	// holdSlackBytes is what an attempt may hold besides one message of the largest size.
	holdSlackBytes = 2 << 20
	// yieldDelay is the pause of an attempt that found no memory.
	yieldDelay = 500 * time.Millisecond
)

// holdLocked has the memory that is taken follow what the attempt holds, of which pending waits in the exchange.
// A failure: there is none left, or an attempt may not have so much.
func (a *attempt) holdLocked(pending int) *failure {
	a.pending = pending
	v := a.v
	need := a.needLocked(pending)
	first := v.cfg.InvocationBytesFirst
	if need <= first && a.held == 0 {
		return nil
	}
	limit := a.sizes.InvocationBytesMax + holdSlackBytes
	if need > limit && a.sizes.InvocationBytesMax > 0 {
		f := failuref(serviceproto.DocAbortTimeout, "messages of %d bytes are held at once, more than per-invocation-memory-limit allows", need)
		f.Behavior = serviceproto.BehaviorPause
		return f
	}
	want := 0
	if need > first {
		want = (need - first + holdStepBytes - 1) / holdStepBytes * holdStepBytes
	}
	if want == a.held || want < a.held && want > a.held/2 {
		return nil
	}
	if !v.limits.take(int64(want - a.held)) {
		v.metrics.yielded.Inc()
		f := ours(serviceproto.DocAbortTimeout, "the memory of all invocations is in use (memory-limit): %d bytes more are needed", want-a.held)
		delay := yieldDelay
		f.NextRetryDelay = &delay
		return f
	}
	a.held = want
	return nil
}

// needLocked is how much the attempt holds if pending waits in the exchange.
func (a *attempt) needLocked(pending int) int {
	return pending + len(a.queue) + len(a.partial) + len(a.body) + a.proposed
}

// mostBytes is how much an attempt may hold.
func (v *Invoker) mostBytes() int { return v.cfg.InvocationBytesMax + holdSlackBytes }

// heldAgainLocked is heldLocked where nothing was written since what waits in the exchange was measured. That shrinks without a word:
// it is measured again where the attempt would hold too much.
func (a *attempt) heldAgainLocked() {
	pending := a.pending
	if a.needLocked(pending) > a.v.mostBytes() {
		pending = a.out.Pending()
	}
	a.heldLocked(pending)
}

// heldLocked is holdLocked where a failure ends the attempt.
func (a *attempt) heldLocked(pending int) {
	if f := a.holdLocked(pending); f != nil {
		a.failLocked(f)
	}
}

// remeasureLocked measures what waits in the exchange, which shrinks without a word.
func (a *attempt) remeasureLocked() {
	if a.held > 0 && !a.deaf {
		_ = a.holdLocked(a.out.Pending()) // less than before: nothing more is taken
	}
}

// freeLocked gives all of it back: what the buffers hold is of no use.
func (a *attempt) freeLocked() {
	if a.held == 0 {
		return
	}
	a.queue, a.partial, a.body = keepSmall(a.queue), keepSmall(a.partial), keepSmall(a.body)
	a.v.limits.take(-int64(a.held))
	a.held, a.pending = 0, 0
}

// remeasure does so for all attempts, when memory gets scarce.
func (v *Invoker) remeasure() {
	if !v.limits.scarce() {
		return
	}
	for _, r := range v.runs {
		if a := r.attempt; a != nil {
			a.mu.Lock()
			a.remeasureLocked()
			a.mu.Unlock()
		}
	}
}
