// Package sequencer is the one log writer of a process: it sends the records of all loglets that the process sequences.
//
// Loops append groups of records to their loglets and flush once a turn. Whatever waits then goes out
// as one frame to each log-server; what comes while a frame is under way is the next frame. A group is
// committed when a write quorum has stored it, in the order of its loglet; the global tail rides on
// later frames, or goes out on its own when nothing was stored for 2 ms.
//
//	w := sequencer.NewWriter(sequencer.Default(), self, dialer, h) // a lifecycle.Part
//	l, err := w.Open(loglet, notify)
//	l.Append(first, count, records)
//	w.Flush()
//	// notify.Committed(id, tail): everything below tail is committed
//
// At the first Sealed answer, or when nothing commits for 1 s although records wait (longer, if that happens again and again:
// then all disks are slow), the loglet is given up: Failed is called once and nothing is committed any more. An append is never tried again in
// another way; the owner seals the loglet, finds its tail and goes on in a new one.
//
// Lock: Writer.mu guards all. It is never held while a connection or a Notify is called.
package sequencer
