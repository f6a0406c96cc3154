// Package logserver is the engine of a log-server: it stores, seals, trims and reads loglets.
//
// Every write of all loglets and connections goes through one committer goroutine. It takes all that
// waits, decides each with the rules of logproto.Replica, writes one batch, syncs once and answers.
// What is not synced is shown to nobody: readers see a second copy of each Replica, which follows
// after the sync.
//
//	store, err := logstore.Open(cfg.Store, h, dir)
//	err = logserver.Admit(ctx, store, me, metastore.SetStorageState, h) // marker and storage state
//	s := logserver.New(cfg.Server, store, self, h)                      // a lifecycle.Part
//	conn := s.Connect(sequencer, receiver)                              // in the same process; rpc serves the others
//
// Below the reserve of free space, stores are answered Disabled and reads, seals and trims go on.
//
// Locks: queueMu and mu are never held together, nor across I/O or a callback.
package logserver
