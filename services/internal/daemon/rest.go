package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"reprise/pkg/host"
)

// A collector keeps as much memory free as was in use when it last ran, and without load it hardly ever runs. A
// process that had much to do and now rests gives that back to the system.
const (
	restInterval = 5 * time.Second
	// restBusyBytes is how much is allocated within an interval by a process that does not rest.
	restBusyBytes = 5 << 20
	// restWorthBytes is how much must be free to be worth a collection.
	restWorthBytes = 16 << 20
)

// usage is what the runtime says of the heap.
type usage struct {
	allocated uint64 // bytes, ever
	free      uint64 // bytes that the process has and does not need: free, or garbage
}

func readUsage() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	free, objects, live := samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()
	return usage{allocated: samples[0].Value.Uint64(), free: free + objects - min(live, objects)}
}

// rests tells whether memory is to be given back, of what is and what was an interval ago.
func rests(now, before usage) bool {
	return now.allocated-before.allocated < restBusyBytes && now.free >= restWorthBytes
}

// giveBack looks after that until ctx ends.
func giveBack(ctx context.Context, clock host.Clock, read func() usage, give func()) error {
	timer := clock.NewTimer(restInterval)
	defer timer.Stop()
	before := read()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		now := read()
		if rests(now, before) {
			give()
		}
		before = now
		timer.Reset(restInterval)
	}
}

func giveMemoryBack(ctx context.Context, clock host.Clock) error {
	return giveBack(ctx, clock, readUsage, debug.FreeOSMemory)
}
