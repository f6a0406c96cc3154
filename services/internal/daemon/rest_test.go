package daemon

import (
	"context"
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
)

func TestRests(t *testing.T) {
	for name, row := range map[string]struct {
		allocated, free uint64 // since the look before; now
		want            bool
	}{
		"busy":                {restBusyBytes, 1 << 30, false},
		"rests":               {restBusyBytes - 1, restWorthBytes, true},
		"rests, nothing free": {0, restWorthBytes - 1, false},
	} {
		before := usage{allocated: 1 << 40}
		if got := rests(usage{allocated: before.allocated + row.allocated, free: row.free}, before); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Every interval is looked at by itself.
func TestGiveBack(t *testing.T) {
	clock := hosttest.NewClock()
	looks := []usage{{}, {allocated: 1 << 30, free: 1 << 30}, {allocated: 1 << 30, free: 1 << 30}, {allocated: 1 << 30, free: 0}}
	looked, given := make(chan int), 0
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("give back", func(ctx context.Context) error {
		return giveBack(ctx, clock, func() usage {
			u := looks[n]
			n++
			looked <- n
			return u
		}, func() { given++ })
	})
	<-looked
	for range len(looks) - 1 {
		clock.Await(1)
		clock.Advance(restInterval)
		<-looked
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if given != 1 {
		t.Errorf("memory was given back %d times, want once", given)
	}
}

// The runtime has the figures by these names.
func TestUsage(t *testing.T) {
	if u := readUsage(); u.allocated == 0 {
		t.Errorf("%+v", u)
	}
}
