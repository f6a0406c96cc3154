package processor

import (
	"context"
	"sync"
)

// gate lets so many in at a time, which may change.
type gate struct {
	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	max     int
	inside  int
	changed chan struct{} // closed when there may be room; nil: nobody waits
}

// set replaces how many are let in, at least 1. Who is inside stays.
func (g *gate) set(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = max(n, 1)
	g.tellLocked()
}

// enter waits for room. Without an error, leave follows.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.inside < g.max {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.tellLocked()
}

func (g *gate) tellLocked() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}
