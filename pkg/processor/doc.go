// Package processor runs the partitions of a worker: it orders their commands, applies what is committed, and acts when it leads.
//
// A Node has a few Loops. A Loop is one goroutine that owns several partitions: their stores, their
// place in the log, their timers, their outbox lanes and the invoker that runs their handlers. Other
// goroutines reach it through its mailbox only, which takes finished records as bytes, one buffer for
// each partition. A turn of the loop takes what waits, numbers it in place and appends it to the log
// writer, applies what committed meanwhile (one storage batch for each partition), and then acts on
// the effects: it answers callers, starts attempts, arms timers, hands messages to other partitions.
//
// # Locks
//
// mailbox.mu guards the mailbox and what inbox says it guards. It is a leaf: never held across
// I/O, a channel send or a callback. All else of a partition belongs to the goroutine of its loop.
//
// part.copying lets one snapshot of a partition be made at a time; part.using keeps its store open while another
// goroutine than its owner's flushes or copies it. They are taken in this order, held across I/O, and never by a loop.
package processor
