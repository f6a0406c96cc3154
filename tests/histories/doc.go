// Package histories checks what many clients saw at one time: registers, counters, queues and sets, each key of which must
// behave like one that is used by one client after the other; workflows that run once; timers that are never early and never
// lost. Workers, log-servers and the metadata daemon of the daemons form are killed, stopped and hung meanwhile.
//
//	go test ./tests/histories                        # about half a minute
//	go test ./tests/histories -time 10m -seed 7      # the long mode, with the order of faults of a seed
package histories
