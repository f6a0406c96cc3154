package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"
)

func flat(n int) []string { return make([]string, n) }

var small = setup{
	name: "2 of 3", replication: "{node: 2}", zones: flat(3), workers: 2, daemons: 1, partitions: 1, copies: 2, replayBudget: 200,
	clients: 3, requests: 10, run: 15 * time.Second, heal: 60 * time.Second,
}

var usual = faults{loss: 0.01, twice: 0.01, late: 0.5, kill: 0.004, cut: 0.002, skew: 0}

func TestSlice(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(3) {
		seed := base + i
		start := time.Now()
		w, err := play(t, seed, small, usual, mistakes{}, nil)
		t.Logf("seed %d: %d steps, %d lost, %d kills, %d acks, %d answers, %d retries; trace %x; %s", seed, w.net.steps, w.net.lost, w.kills, w.check.acks, w.history.done, w.history.retries, w.net.trace, time.Since(start))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
