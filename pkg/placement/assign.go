package placement

import (
	"slices"

	"reprise/pkg/id"
)

// Worker is a worker as placement sees it.
type Worker struct {
	ID id.Node
	// Takes: it may get partitions, for it is there and active.
	Takes bool
	// Keeps: what it has stays with it, though it may be away for a while.
	Keeps bool
}

// Assign returns the replicas of each partition, preferred leader first, with up to copies workers. A
// replica leaves only a worker that may not keep it, and only if another can take its place.
func Assign(current [][]id.Node, workers []Worker, copies int) [][]id.Node {
	takers := 0
	state := make(map[id.Node]Worker, len(workers))
	for _, w := range workers {
		state[w.ID] = w
		if w.Takes {
			takers++
		}
	}
	load := make(map[id.Node]int, len(workers))
	next := make([][]id.Node, len(current))
	for p, replicas := range current {
		for _, n := range replicas {
			if state[n].Keeps {
				next[p] = append(next[p], n)
				load[n]++
			}
		}
	}
	if takers == 0 {
		return clone(current)
	}
	room := (len(current)*copies + takers - 1) / takers
	for p := range next {
		for len(next[p]) < copies {
			best, ok := choose(id.Partition(p), workers, next[p], load, room)
			if !ok {
				break
			}
			next[p] = append(next[p], best)
			load[best]++
		}
		if len(next[p]) == 0 {
			next[p] = slices.Clone(current[p])
		}
	}
	return next
}

// choose returns the taker with the highest score among those that have room; if none has, among those
// with the least load.
func choose(p id.Partition, workers []Worker, has []id.Node, load map[id.Node]int, room int) (best id.Node, ok bool) {
	var bestScore uint64
	bestOver := 0
	for _, w := range workers {
		if !w.Takes || slices.Contains(has, w.ID) {
			continue
		}
		over, score := max(0, load[w.ID]+1-room), Score(p, w.ID)
		if !ok || over < bestOver || over == bestOver && (score > bestScore || score == bestScore && w.ID < best) {
			best, bestScore, bestOver, ok = w.ID, score, over, true
		}
	}
	return best, ok
}

// Score is what a worker bids for a partition: fixed for ever, and as good as random.
func Score(p id.Partition, n id.Node) uint64 {
	x := uint64(p)<<32 | uint64(n)
	for range 2 { // two rounds of splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}

func clone(current [][]id.Node) [][]id.Node {
	next := make([][]id.Node, len(current))
	for p := range current {
		next[p] = slices.Clone(current[p])
	}
	return next
}
