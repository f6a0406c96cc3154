package loglet

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func flat(n int) []string { return make([]string, n) }

var zones = []string{"r.a", "r.a", "r.b", "r.b", "r.c", "r.c"}

// TestSimulation plays histories with the rules as they are: seeds that never change, and new ones.
func TestSimulation(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 50
	}
	for _, s := range []setup{
		{"2 of 3", "{node: 2}", flat(3), 900},
		{"3 of 5", "{node: 3}", flat(5), 900},
		{"4 of 5", "{node: 4}", flat(5), 900},
		{"2 of 4", "{node: 2}", flat(4), 900},
		{"1 of 1", "{node: 1}", flat(1), 500},
		{"zones", "{zone: 2, node: 3}", zones, 1200},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			base := rand.Uint64()
			segments, acks, repairs := 0, 0, 0
			for i := range uint64(runs) {
				for _, seed := range []uint64{i, base + i} {
					w := newWorld(seed, s, correct)
					if err := w.run(); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					segments, acks, repairs = segments+len(w.chain), acks+len(w.acked), repairs+w.repairs
				}
			}
			t.Logf("%d segments, %d acknowledged, %d repairs", segments, acks, repairs)
			if segments < 3*runs || acks < 2*runs || repairs == 0 && len(s.locations) > 1 {
				t.Errorf("too little happens: %d segments, %d acknowledged, %d repairs", segments, acks, repairs)
			}
		})
	}
}

// TestSimulationSeeds plays what failed once.
func TestSimulationSeeds(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		s    setup
	}{} {
		if err := newWorld(c.seed, c.s, correct).run(); err != nil {
			t.Errorf("%s seed %d: %v", c.s.name, c.seed, err)
		}
	}
}

// TestMutations: each mistake is found, so that the checks are known to check.
func TestMutations(t *testing.T) {
	setups := []setup{
		{"2 of 3", "{node: 2}", flat(3), 900},
		{"3 of 5", "{node: 3}", flat(5), 1200},
		{"4 of 5", "{node: 4}", flat(5), 1200},
	}
	for _, m := range []mutation{
		storeAfterSeal, ackBeforeSync, lostSeal, majorityMinusOne, lowestTail, skipRepair, noCompareAndSet,
		resumeOldLoglet, holesAllowed, wipedAnswers, repairUnordered, knownOverstated, trimBeyondCommits,
	} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3000) {
				found := slices.ContainsFunc(setups, func(s setup) bool {
					err := newWorld(seed, s, m).run()
					if err != nil {
						t.Logf("%s: %s, seed %d: %v", m, s.name, seed, err)
					}
					return err != nil
				})
				if found {
					return
				}
			}
			t.Error("not found")
		})
	}
}
