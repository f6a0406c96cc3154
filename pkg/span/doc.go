// Package span records the spans of requests, invocations and attempts.
//
// An invocation outlives processes, so its span has no object that is passed on: its ids follow from the invocation's id and from
// what its row holds, and it is written when the invocation has ended, by who leads its partition then. A nil Recorder records
// nothing and costs nothing.
//
//	request: what a client waits for; child of the client's traceparent
//	invocation: from its creation to its end; child of the request, or of the attempt that called it
//	attempt: one exchange with the service; child of the invocation, and the parent of what the service records
//
// What the engine does beside them are operations: a trace of its own each, with its parts.
//
// What the engine does beside them are operations, which have traces of their own.
package span
