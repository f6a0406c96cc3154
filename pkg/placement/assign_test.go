package placement_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/id"
	"reprise/pkg/placement"
)

func alive(ids ...id.Node) (out []placement.Worker) {
	for _, n := range ids {
		out = append(out, placement.Worker{ID: n, Takes: true, Keeps: true})
	}
	return out
}

func count(assigned [][]id.Node) map[id.Node]int {
	n := map[id.Node]int{}
	for _, replicas := range assigned {
		for _, r := range replicas {
			n[r]++
		}
	}
	return n
}

func TestFirstPlacementIsEven(t *testing.T) {
	for workers := 1; workers <= 5; workers++ {
		var ids []id.Node
		for n := range workers {
			ids = append(ids, id.Node(n+3))
		}
		for n, c := range count(placement.Assign(make([][]id.Node, 24), alive(ids...), 1)) {
			if c > (24+workers-1)/workers {
				t.Errorf("%d workers: N%d has %d of 24", workers, n, c)
			}
		}
	}
}

func TestStickiness(t *testing.T) {
	first := placement.Assign(make([][]id.Node, 24), alive(1, 2), 1)
	if again := placement.Assign(first, alive(1, 2, 3), 1); !slices.EqualFunc(first, again, slices.Equal) {
		t.Error("a new worker moved partitions")
	}
	away := []placement.Worker{{ID: 1, Keeps: true}, {ID: 2, Takes: true, Keeps: true}}
	if again := placement.Assign(first, away, 1); !slices.EqualFunc(first, again, slices.Equal) {
		t.Error("a worker that is away for a while lost partitions")
	}
	gone := []placement.Worker{{ID: 2, Takes: true, Keeps: true}}
	if c := count(placement.Assign(first, gone, 1)); c[1] != 0 || c[2] != 24 {
		t.Errorf("after a worker was lost: %v", c)
	}
	if again := placement.Assign(first, nil, 1); !slices.EqualFunc(first, again, slices.Equal) {
		t.Error("without workers nothing must move")
	}
}

func TestAssignProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions, copies := rapid.IntRange(1, 40).Draw(t, "partitions"), rapid.IntRange(1, 3).Draw(t, "copies")
		var workers []placement.Worker
		takes, keeps := map[id.Node]bool{}, map[id.Node]bool{}
		for n := id.Node(1); n <= id.Node(rapid.IntRange(0, 6).Draw(t, "workers")); n++ {
			w := placement.Worker{ID: n, Takes: rapid.Bool().Draw(t, "takes"), Keeps: rapid.Bool().Draw(t, "keeps")}
			workers = append(workers, w)
			if takes[n], keeps[n] = w.Takes, w.Keeps; !w.Takes {
				delete(takes, n)
			}
		}
		current := make([][]id.Node, partitions)
		for p := range current {
			current[p] = rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(1, 8), func(n int) id.Node { return id.Node(n) }), 0, copies, rapid.ID).Draw(t, "replicas")
		}
		next := placement.Assign(current, workers, copies)
		if again := placement.Assign(next, workers, copies); len(takes) > 0 && !slices.EqualFunc(next, again, slices.Equal) && allKeep(workers) {
			t.Fatalf("not stable: %v then %v", next, again)
		}
		for p := range next {
			seen := map[id.Node]bool{}
			for _, n := range next[p] {
				if seen[n] {
					t.Fatalf("partition %d twice on N%d", p, n)
				}
				seen[n] = true
				if !slices.Contains(current[p], n) && !takes[n] {
					t.Fatalf("partition %d went to N%d, which takes none", p, n)
				}
			}
			if len(current[p]) > 0 && len(next[p]) == 0 {
				t.Fatalf("partition %d lost its last replica", p)
			}
			for _, n := range current[p] {
				if keeps[n] && !seen[n] {
					t.Fatalf("partition %d left N%d without need", p, n)
				}
			}
			if want := min(copies, len(takes)); len(next[p]) < want {
				t.Fatalf("partition %d has %d replicas of %d possible", p, len(next[p]), want)
			}
		}
	})
}

func allKeep(workers []placement.Worker) bool {
	for _, w := range workers {
		if w.Takes && !w.Keeps {
			return false
		}
	}
	return true
}

// Scores decide where stored partitions lie: they must never change.
func TestScoreIsFixed(t *testing.T) {
	if got := placement.Score(7, 3); got != 0xe8475a1de504505a {
		t.Errorf("Score(7, 3) = %#x", got)
	}
}
