package query

import (
	"math"
	"sync"
	"time"

	"reprise/pkg/host"
)

// bucket holds a token for each statement that may begin now.
type bucket struct {
	rate  float64 // tokens a second; 0: there is no limit
	holds float64
	clock host.Clock

	// mu guards what follows. It is a leaf.
	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was right
}

func newBucket(rate float64, holds uint32, clock host.Clock) *bucket {
	return &bucket{rate: rate, holds: float64(holds), clock: clock, tokens: float64(holds), at: clock.Now()}
}

// take takes a token, or says in how many whole seconds there is one.
func (b *bucket) take() (ok bool, seconds int) {
	if b.rate == 0 {
		return true, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	b.tokens = min(b.holds, b.tokens+b.rate*max(now.Sub(b.at).Seconds(), 0))
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	return false, int(min(max(math.Ceil((1-b.tokens)/b.rate), 1), math.MaxInt32))
}
