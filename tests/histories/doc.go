// Package histories checks what many clients saw at one time: registers, counters, queues and sets, each key of which must
// behave like one that is used by one client after the other; workflows that run once; timers that are never early and never
// lost. Processes are killed, stopped and hung meanwhile: of three nodes with all roles, and of a cluster of daemons.
//
//	go test ./tests/histories                        # each fault once on each form
//	go test ./tests/histories -time 10m -seed 7      # the long mode, with the order of faults of a seed
package histories
