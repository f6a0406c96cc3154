package retry

import (
	"math"
	"time"
)

// Policy is what follows a failed attempt.
type Policy struct {
	Initial     time.Duration // the first delay
	Max         time.Duration // the longest, before jitter
	Factor      float64       // growth from one delay to the next
	MaxAttempts uint32        // with the first; 0 = unlimited
	Kill        bool          // when they are used up; else the invocation is paused
}

const (
	minDelay = 3 * time.Millisecond // a policy of zeros must not spin
	jitter   = 0.3                  // at most, of the delay; only ever added
	maxDelay = 10 * 365 * 24 * time.Hour
)

// Delay returns how long to wait after the failures-th failure in a row, from 1. random is any number;
// equal arguments give equal delays.
func (p Policy) Delay(failures uint32, random uint64) time.Duration {
	n := max(failures, 1) - 1
	d := float64(p.Initial) * math.Pow(p.Factor, float64(n))
	if math.IsNaN(d) { // 0 * infinity: nothing grows to nothing
		d = 0
	}
	d = min(d, float64(min(p.Max, maxDelay)))
	d += d * jitter * (float64(random>>11) / (1 << 53))
	return max(time.Duration(d), minDelay)
}

// Exhausted tells whether no attempt may follow the attempts that were made.
func (p Policy) Exhausted(attempts uint32) bool {
	return p.MaxAttempts != 0 && attempts >= p.MaxAttempts
}
