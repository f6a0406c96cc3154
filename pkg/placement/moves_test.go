package placement_test

import (
	"slices"
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

// One partition, held by N1 to N3 and led by N1; N2 leads another one.
func TestMoves(t *testing.T) {
	const k = placement.FewRecords
	type change func(h *placement.Holding, alive []placement.Attendant)
	for _, row := range []struct {
		name string
		do   change
		want id.Node // 0: nobody is called
	}{
		{"all is well", func(*placement.Holding, []placement.Attendant) {}, 0},
		{"the leader drains", func(_ *placement.Holding, a []placement.Attendant) { a[0].Drained = true }, 3},
		{"the leader drains, and who leads least is far behind", func(_ *placement.Holding, a []placement.Attendant) {
			a[0].Drained, a[0].Statuses[0].Applied, a[1].Statuses[0].Applied = true, 5*k, 5*k
		}, 2},
		{"the leader drains, and all are far behind", func(_ *placement.Holding, a []placement.Attendant) {
			a[0].Drained, a[0].Statuses[0].Applied = true, 5*k
		}, 0},
		{"the leader is to hold it no more", func(h *placement.Holding, _ []placement.Attendant) { h.Next = []id.Node{2, 4} }, 2},
		{"the leader is stuck", func(h *placement.Holding, _ []placement.Attendant) { h.Stuck = true }, 3},
		{"the leader is stuck and was moved lately", func(h *placement.Holding, _ []placement.Attendant) { h.Stuck, h.Rests = true, true }, 0},
		{"the leader is stuck and frozen", func(h *placement.Holding, _ []placement.Attendant) { h.Stuck, h.LeaderFrozen = true, true }, 0},
		{"the leader does not lead", func(h *placement.Holding, a []placement.Attendant) {
			h.Stuck, a[0].Statuses[0].Role = true, placement.Idle
		}, 3},
		{"the leader is parked, and so is who leads least", func(h *placement.Holding, a []placement.Attendant) {
			h.Stuck, a[0].Statuses[0].Role, a[2].Statuses[0].Role = true, placement.Parked, placement.Parked
		}, 2},
		{"the leader does not lead, nor does anybody follow", func(h *placement.Holding, a []placement.Attendant) {
			h.Stuck, a[0].Statuses[0].Role, a[1].Statuses[0].Role, a[2].Statuses[0].Role = true, placement.Idle, placement.Idle, placement.Idle
		}, 0},
		{"who was called without effect is not called again", func(h *placement.Holding, _ []placement.Attendant) { h.Stuck, h.Tried = true, 3 }, 2},
		{"who drains is not called", func(h *placement.Holding, a []placement.Attendant) { h.Stuck, a[2].Drained = true, true }, 2},
		{"who leaves is not called", func(h *placement.Holding, a []placement.Attendant) { h.Stuck, a[2].Leaving = true, true }, 2},
		{"whose clock is off is not called", func(h *placement.Holding, a []placement.Attendant) { h.Stuck, a[2].ClockOff = true, true }, 2},
		{"who is parked is not called", func(h *placement.Holding, a []placement.Attendant) {
			h.Stuck, a[2].Statuses[0].Role = true, placement.Parked
		}, 2},
		{"a leader that is dead is none of ours", func(h *placement.Holding, a []placement.Attendant) { h.Stuck, a[0].ID.Generation = true, 2 }, 0},
		{"a leader that leaves is none of ours", func(h *placement.Holding, a []placement.Attendant) { h.Stuck, a[0].Leaving = true, true }, 0},
		{"another is pinned", func(h *placement.Holding, _ []placement.Attendant) { h.Pin = 2 }, 2},
		{"another is pinned that holds it no more", func(h *placement.Holding, _ []placement.Attendant) { h.Pin, h.Next = 2, []id.Node{1, 3} }, 0},
		{"another is pinned that is behind", func(h *placement.Holding, a []placement.Attendant) { h.Pin, a[0].Statuses[0].Applied = 2, 5*k }, 0},
		{"the leader is pinned", func(h *placement.Holding, _ []placement.Attendant) { h.Pin = 1 }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := []placement.Holding{
				{Epoch: 4, Leader: generation(1, 1), Replicas: placement.Replicas{Current: []id.Node{1, 2, 3}}},
				{Epoch: 2, Leader: generation(2, 1), Replicas: placement.Replicas{Current: []id.Node{2}}},
			}
			var alive []placement.Attendant
			for n := id.Node(1); n <= 3; n++ {
				alive = append(alive, standings(all, map[id.Node]lsn.LSN{n: 100})...)
			}
			row.do(&all[0], alive)
			var want []placement.Call
			if row.want != 0 {
				want = []placement.Call{{Partition: 0, Node: row.want, Over: 4}}
			}
			if calls := placement.Moves(all, alive, 1); !slices.Equal(calls, want) {
				t.Errorf("calls %v, want %v", calls, want)
			}
		})
	}
}

// Leaders are evened out one by one, until the difference is small.
func TestMovesEven(t *testing.T) {
	var all []placement.Holding
	for i := range 24 {
		all = append(all, placement.Holding{Epoch: 1, Leader: generation(id.Node(1+i%2), 1), Replicas: placement.Replicas{Current: []id.Node{1, 2, 3}}})
	}
	all[0].Pin, all[1].LeaderFrozen = 1, true
	look := func() []placement.Attendant { return standings(all, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 100}) }
	if calls := placement.Moves(all, look(), 0); len(calls) != 0 {
		t.Errorf("without a budget: %v", calls)
	}
	moved := 0
	for ; ; moved++ {
		calls := placement.Moves(all, look(), 1)
		if len(calls) == 0 {
			break
		}
		if len(calls) != 1 || calls[0].Node != 3 || calls[0].Partition < 2 || moved > 24 {
			t.Fatalf("move %d: %v", moved, calls)
		}
		h := &all[calls[0].Partition]
		h.Epoch, h.Leader = h.Epoch+1, generation(3, 1)
	}
	if moved != 6 {
		t.Errorf("%d moves", moved)
	}
}

// A pinned worker that is back leads again what is pinned to it, one with each look; who is frozen stays.
func TestPinsAndFreezes(t *testing.T) {
	var all []placement.Holding
	for range 4 {
		all = append(all, placement.Holding{Epoch: 1, Leader: generation(1, 1), Replicas: placement.Replicas{Current: []id.Node{1, 2}}, Pin: 2})
	}
	all[3].LeaderFrozen = true
	alive := standings(all, map[id.Node]lsn.LSN{1: 100, 2: 100})
	if calls := placement.Moves(all, alive, 2); len(calls) != 2 || calls[0].Node != 2 || calls[1].Node != 2 {
		t.Errorf("calls %v", calls)
	}
	dead := standings(all, map[id.Node]lsn.LSN{2: 100})
	if calls := placement.Leaders(all, dead); len(calls) != 3 {
		t.Errorf("after the death of the leader: %v", calls)
	}
}

// After a death: who is pinned, if it is as far as the others; not who drains; not whose clock is off, while another can.
func TestLeadersPrefer(t *testing.T) {
	h := placement.Holding{Epoch: 4, Leader: generation(1, 1), Replicas: placement.Replicas{Current: []id.Node{1, 2, 3}}}
	pinned := h
	pinned.Pin = 3
	off := func(a placement.Attendant) placement.Attendant { a.ClockOff = true; return a }
	drained := func(a placement.Attendant) placement.Attendant { a.Drained = true; return a }
	tried := h
	tried.Tried = 2
	joins := h
	joins.Next = []id.Node{1, 4}
	for _, row := range []struct {
		name  string
		holds placement.Holding
		alive []placement.Attendant
		want  id.Node
	}{
		{"pinned", pinned, []placement.Attendant{follower(2, 9), follower(3, 9)}, 3},
		{"pinned and far behind", pinned, []placement.Attendant{follower(2, 5000), follower(3, 9)}, 2},
		{"tried", tried, []placement.Attendant{follower(2, 9), follower(3, 9)}, 3},
		{"tried, there is no other", tried, []placement.Attendant{follower(2, 9)}, 2},
		{"off", h, []placement.Attendant{off(follower(2, 9)), follower(3, 9)}, 3},
		{"off, the other is far behind", h, []placement.Attendant{off(follower(2, 5000)), follower(3, 9)}, 3},
		{"all off", h, []placement.Attendant{off(follower(2, 9)), off(follower(3, 9))}, 2},
		{"drained", h, []placement.Attendant{drained(follower(2, 9)), follower(3, 9)}, 3},
		{"drained, the other is far behind", h, []placement.Attendant{drained(follower(2, 5000)), follower(3, 9)}, 2},
		{"only one is left that joins", joins, []placement.Attendant{follower(4, 9)}, 4},
		{"who joins is behind", joins, []placement.Attendant{follower(2, 5000), follower(4, 9)}, 2},
	} {
		calls := placement.Leaders([]placement.Holding{row.holds}, row.alive)
		if len(calls) != 1 || calls[0].Node != row.want {
			t.Errorf("%s: %v, want %v", row.name, calls, row.want)
		}
	}
}
