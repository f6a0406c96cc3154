// Package faults has networks fail between the daemons of a cluster: each in a network namespace of its own, joined by a
// bridge. Links are cut in both directions or in one; one is slow, by a TCP proxy. What clients see is checked as in
// tests/histories; how long they waited is logged.
//
//	go test ./tests/faults                        # each fault once; skipped where namespaces are not permitted
//	go test ./tests/faults -time 30m -seed 7      # the long mode, with the order of faults of a seed
package faults
