// Package faults has everything fail below and between the daemons of a cluster: each in a network namespace of its own, joined
// by a bridge. Links are cut in both directions or in one, lose packets, are slow or of a low rate; a disk is full, or does
// not sync; a clock jumps; processes are killed and hang. What clients see is checked as in tests/histories; how long they
// waited is logged.
//
//	go test ./tests/faults                        # each fault once; skipped where namespaces are not permitted
//	go test ./tests/faults -time 30m -seed 7      # the long mode, with the order of faults of a seed
package faults
