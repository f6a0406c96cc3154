// Package invoker drives handlers: it runs attempts at invocations over the service protocol.
//
// An Invoker belongs to one processor loop, its Owner. The loop says which invocations are to run
// (Start), what was stored for them (Forward, Stepped) and when they are over (Stop). The Invoker
// proposes what handlers send as finished records, so nothing that a handler did counts before it is
// applied, and nothing is sent to a handler before it is stored.
//
// # An activation
//
//	queued ── token ──> running ── End, Suspension ──> (Stop) ──> draining ──> gone
//	  ^                    │ failure
//	  │                    v
//	  │                 failing: the request body is ended, the response read for at most 5 s
//	  │                    v
//	  │                 settling: until all records of the attempt are applied
//	  │                    v
//	  └──── backoff <── retry, or Pause or Fail is proposed ──> parked ──> (Stop)
//
// An operator's Hold has any of these states end in a proposed Pause: at once where nothing runs, else when the
// attempt, which is half-closed, fails or suspends.
//
// # Goroutines and locks
//
// A run (the loop's view of an activation) and the timer wheel belong to the loop's goroutine. An
// attempt is shared by the loop, the reader of its connection and, for a long journal, a replay
// goroutine: attempt.mu guards it. Order: attempt.mu, then the connection's lock or the Owner's
// mailbox; Owner.Propose and Owner.Post are called with attempt.mu held. Memory of an attempt is used
// again when the last of those that know it let go (attempt.refs).
//
// Limits counts tokens and memory of all invokers of a process; its lock is a leaf.
//
// There is no goroutine, context or timer per attempt on an HTTP/2 connection; other transports and
// the replay of a long journal have one goroutine each.
package invoker
