package retry_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reprise/pkg/retry"
)

const ms = time.Millisecond

func TestDelay(t *testing.T) {
	usual := retry.Policy{Initial: 500 * ms, Factor: 2, Max: time.Minute}
	for _, c := range []struct {
		name     string
		p        retry.Policy
		failures uint32
		random   uint64
		want     time.Duration
	}{
		{"first", usual, 1, 0, 500 * ms},
		{"none counts as one", usual, 0, 0, 500 * ms},
		{"third", usual, 3, 0, 2 * time.Second},
		{"capped", usual, 8, 0, time.Minute},
		{"far beyond the cap", usual, math.MaxUint32, 0, time.Minute},
		{"half the jitter", usual, 1, 1 << 63, 575 * ms},
		{"jitter goes above the cap", usual, 100, 1 << 63, 69 * time.Second},
		{"constant", retry.Policy{Initial: 50 * ms, Factor: 1, Max: time.Minute}, 1000, 0, 50 * ms},
		{"zeros", retry.Policy{}, 5, 1 << 63, 3 * ms},
		{"zero growing for ever", retry.Policy{Factor: 1e300, Max: time.Minute}, 1000, 0, 3 * ms},
		{"shrinking", retry.Policy{Initial: time.Second, Factor: 0.1, Max: time.Minute}, 10, 0, 3 * ms},
		{"negative factor", retry.Policy{Initial: time.Second, Factor: -2, Max: time.Minute}, 2, 1 << 63, 3 * ms},
		{"no factor", retry.Policy{Initial: time.Second, Factor: math.NaN(), Max: time.Minute}, 2, 0, 3 * ms},
	} {
		if got := c.p.Delay(c.failures, c.random); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
}

func TestDelayBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := retry.Policy{
			Initial: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "initial")),
			Max:     time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "max")),
			Factor:  rapid.Float64().Draw(t, "factor"),
		}
		failures, random := rapid.Uint32().Draw(t, "failures"), rapid.Uint64().Draw(t, "random")
		got, bare := p.Delay(failures, random), p.Delay(failures, 0)
		if got < 3*ms || got < bare || float64(got) > float64(bare)*1.3+1 {
			t.Fatalf("%s of at least %s", got, bare)
		}
		if limit := float64(p.Max)*1.3 + 1; got > 3*ms && float64(got) > limit {
			t.Fatalf("%s is above %s", got, p.Max)
		}
	})
}

func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		max, attempts uint32
		want          bool
	}{{6, 5, false}, {6, 6, true}, {6, 7, true}, {1, 1, true}, {0, math.MaxUint32, false}} {
		if got := (retry.Policy{MaxAttempts: c.max}).Exhausted(c.attempts); got != c.want {
			t.Errorf("%d of %d: %v", c.attempts, c.max, got)
		}
	}
}
