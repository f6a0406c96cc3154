package placement_test

import (
	"slices"
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

func generation(n id.Node, g uint32) id.GenerationalNode {
	return id.GenerationalNode{Node: n, Generation: g}
}

// follower is a worker that follows all partitions up to the given positions.
func follower(n id.Node, applied ...lsn.LSN) placement.Attendant {
	a := placement.Attendant{ID: generation(n, 1)}
	for _, at := range applied {
		a.Statuses = append(a.Statuses, placement.Status{Role: placement.Follows, Applied: at})
	}
	return a
}

func TestLeaders(t *testing.T) {
	led := func(leader id.GenerationalNode, holders ...id.Node) placement.Holding {
		return placement.Holding{Epoch: 4, Leader: leader, Replicas: placement.Replicas{Current: holders}}
	}
	late := func(h placement.Holding) placement.Holding { h.Late = true; return h }
	leaving := func(a placement.Attendant) placement.Attendant { a.Leaving = true; return a }
	parked := func(a placement.Attendant) placement.Attendant {
		a.Statuses = []placement.Status{{Role: placement.Parked, Applied: 1_000_000}}
		return a
	}
	newer := func(a placement.Attendant) placement.Attendant { a.ID.Generation++; return a }
	for _, row := range []struct {
		name  string
		holds placement.Holding
		alive []placement.Attendant
		want  id.Node // 0: nobody is called
	}{
		{"the leader lives", led(generation(1, 1), 1, 2), []placement.Attendant{follower(1, 9), follower(2, 9)}, 0},
		{"the leader lives and is not preferred", led(generation(2, 1), 1, 2), []placement.Attendant{follower(1, 9), follower(2, 9)}, 0},
		{"the leader is dead", led(generation(1, 1), 1, 2, 3), []placement.Attendant{follower(2, 9), follower(3, 9)}, 2},
		{"who is far behind is not called", led(generation(1, 1), 1, 2, 3), []placement.Attendant{follower(2, 9), follower(3, 5000)}, 3},
		{"all are dead", led(generation(1, 1), 1, 2), nil, 0},
		{"only one lives that does not hold it", led(generation(1, 1), 1, 2), []placement.Attendant{follower(3, 9)}, 0},
		{"the leader leaves", led(generation(1, 1), 1, 2), []placement.Attendant{leaving(follower(1, 9)), follower(2, 9)}, 2},
		{"the leader leaves and nobody else is there", led(generation(1, 1), 1, 2), []placement.Attendant{leaving(follower(1, 9))}, 0},
		{"who leaves is not called", led(generation(1, 1), 1, 2, 3), []placement.Attendant{leaving(follower(2, 9)), follower(3, 9)}, 3},
		{"who is parked is not called", led(generation(1, 1), 1, 2, 3), []placement.Attendant{parked(follower(2)), follower(3, 9)}, 3},
		{"the leader has restarted", led(generation(1, 1), 1, 2), []placement.Attendant{newer(follower(1, 3)), follower(2, 9)}, 0},
		{"the leader has restarted and does not get on", late(led(generation(1, 1), 1, 2)), []placement.Attendant{newer(follower(1, 3)), follower(2, 9)}, 2},
		{"nobody has led, the first begins", placement.Holding{Replicas: placement.Replicas{Current: []id.Node{2, 1}}}, []placement.Attendant{follower(1), follower(2)}, 0},
		{"nobody has led, the first is dead", placement.Holding{Replicas: placement.Replicas{Current: []id.Node{2, 1}}}, []placement.Attendant{follower(1)}, 1},
		{"nobody holds it", placement.Holding{}, []placement.Attendant{follower(1)}, 0},
		{"it moved away from the leader", led(generation(3, 1), 1, 2), []placement.Attendant{follower(1, 9), follower(2, 9), follower(3, 9)}, 0},
		{"it moved away from the leader to a dead one", led(generation(3, 1), 1, 2), []placement.Attendant{follower(2, 9), follower(3, 9)}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			calls := placement.Leaders([]placement.Holding{row.holds}, row.alive)
			var want []placement.Call
			if row.want != 0 {
				want = []placement.Call{{Partition: 0, Node: row.want, Over: row.holds.Epoch}}
			}
			if !slices.Equal(calls, want) {
				t.Errorf("calls %v, want %v", calls, want)
			}
		})
	}
}

// Those who live share what a dead one led.
func TestLeadersShare(t *testing.T) {
	var all []placement.Holding
	for range 9 {
		all = append(all, placement.Holding{Epoch: 1, Leader: generation(1, 1), Replicas: placement.Replicas{Current: []id.Node{1, 2, 3}}})
	}
	n := map[id.Node]int{}
	for _, c := range placement.Leaders(all, []placement.Attendant{follower(2), follower(3)}) {
		n[c.Node]++
	}
	if n[2]+n[3] != 9 || n[2] < 4 || n[3] < 4 {
		t.Errorf("shares %v", n)
	}
}
