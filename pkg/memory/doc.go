// Package memory divides the memory for new rows over the partition stores that are open.
//
// A store keeps new rows in memtables until they are flushed. Their size is fixed when a store is opened, while stores come and go
// and the budget may change. So a [Controller] works by flushing: whoever holds more than its share is asked to write its rows out,
// and so is a store that nobody wrote to for a while, because logs are trimmed only up to what is on the disk.
//
// What is to be flushed is decided by rules ([Share], [TableBytes], Ledger) without a clock or a lock. The Controller looks every
// few seconds, and at once when a store opens or closes, the budget changes or a flush ended. It asks for flushes and waits for them
// on goroutines of its own: nobody who appends, applies or says that this process lives waits for any of this.
//
//	c := memory.New(memory.Default(), stores, h)
//	c.Set(memory.Budget{Bytes: 853 << 20})
//	err := c.Run(ctx)
//
// Locks: Controller.mu is a leaf.
package memory
