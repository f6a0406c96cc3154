// Package queue decides who may run where not all may run at once.
//
// A queue has a name, an order and a limit. Who enters runs if the limit allows, else waits at a
// position; who leaves makes room for the first that waits; who waits may be removed. The lock of a
// virtual object is the queue of its key with limit 1: its exclusive invocations go through it, and
// changes of its state from outside. Limits of other kinds will be other queues with the same rules:
//
//	stage, err := queue.Enter(rows, queue.Name{Service: "Counter", Key: "a"}, queue.Entry{Position: p, ID: i})
//	...
//	next, found, err := queue.Leave(rows, queue.Name{Service: "Counter", Key: "a"}, i)
package queue
