// Package hosttest makes a host of fakes: a clock that stands until it is advanced, seeded random numbers, files in memory.
//
//	clock := hosttest.NewClock()
//	h := hosttest.New(clock, 1)
//	clock.Await(1)               // the part under test waits on one timer
//	clock.Advance(time.Second)   // fires it
package hosttest
