// Package logproto has the protocol of one replicated loglet: what sequencer, log-servers and readers say to each other.
//
// The messages are plain structs; rpc translates them. Two sets of rules are pure step functions that
// thin engines drive: a Replica is what one log-server decides about one loglet, a Sequence is what the
// sequencer decides. (How a loglet is sealed and its tail found is in package loglet.)
//
//	r := logproto.Replica{Tail: 1}
//	status, cut := r.Store(group, from) // in memory; the engine writes group[cut:], syncs, then answers
//
// Offsets: Tail is the first offset after all that is stored; Known, the known global tail, is a proof
// that all offsets below it are committed. Known only grows, and nobody makes one up.
package logproto
