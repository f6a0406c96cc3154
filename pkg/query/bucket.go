package query

import (
	"math"
	"sync"
	"time"

	"reprise/pkg/host"
)

// bucket holds a token for each statement that may begin now.
type bucket struct {
	clock host.Clock

	// mu guards what follows. It is a leaf.
	mu     sync.Mutex
	rate   float64 // tokens a second; 0: there is no limit
	holds  float64
	tokens float64
	at     time.Time // when tokens was right
}

func newBucket(rate float64, holds uint32, clock host.Clock) *bucket {
	return &bucket{rate: rate, holds: float64(holds), clock: clock, tokens: float64(holds), at: clock.Now()}
}

// set replaces the rate, and how many tokens there may be. A bucket that had no limit is full.
func (b *bucket) set(rate float64, holds uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		b.tokens = float64(holds)
	}
	b.rate, b.holds, b.at = rate, float64(holds), b.clock.Now()
	b.tokens = min(b.tokens, b.holds)
}

// take takes a token, or says in how many whole seconds there is one.
func (b *bucket) take() (ok bool, seconds int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return true, 0
	}
	now := b.clock.Now()
	b.tokens = min(b.holds, b.tokens+b.rate*max(now.Sub(b.at).Seconds(), 0))
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	return false, int(min(max(math.Ceil((1-b.tokens)/b.rate), 1), math.MaxInt32))
}
