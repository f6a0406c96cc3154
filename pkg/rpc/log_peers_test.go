package rpc

import (
	"testing"
	"time"

	"reprise/pkg/retry"
)

// networking.connect-retry-policy is what gRPC waits before it connects again.
func TestBackoffOfPolicy(t *testing.T) {
	got := backoffOf(retry.Policy{Initial: time.Second, Factor: 3, Max: time.Minute})
	if got.BaseDelay != time.Second || got.Multiplier != 3 || got.MaxDelay != time.Minute || got.Jitter <= 0 {
		t.Errorf("%+v", got)
	}
	// A policy that says none goes on, too, and does not spin.
	if got := backoffOf(retry.Policy{MaxAttempts: 1}); got.BaseDelay != retryMin || got.MaxDelay != retryMin || got.Multiplier != 1 {
		t.Errorf("%+v", got)
	}
}
