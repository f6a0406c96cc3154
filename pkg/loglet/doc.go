// Package loglet seals, repairs and reads replicated loglets.
//
// Recovery is the rule: a pure step function that is told answers and says what it wants to ask next.
// Client is the thin engine that asks. Many processes may recover one loglet at once; each may find
// another tail. Which one counts is decided by whoever first extends the chain in the metadata, so
// nobody acts on the tail that Seal returns before the chain holds it.
//
//	c := loglet.NewClient(loglet.Default(), servers, h)
//	tail, err := c.Seal(ctx, last.Loglet)                    // then: extend the chain at tail, by one transaction
//	err = c.Read(ctx, chain, from, to, func(first lsn.LSN, count int, records []byte) error { ... })
package loglet
