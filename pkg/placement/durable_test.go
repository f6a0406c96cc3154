package placement_test

import (
	"slices"
	"testing"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

func TestDurability(t *testing.T) {
	for _, row := range []struct {
		mode     placement.Durability
		durable  []lsn.LSN
		archived lsn.LSN
		want     lsn.LSN
	}{
		{placement.DurableNowhere, []lsn.LSN{10}, 20, 0},
		{placement.DurableHolders, []lsn.LSN{10}, 0, 10},
		{placement.DurableHolders, []lsn.LSN{10, 7, 9}, 20, 7},
		{placement.DurableHolders, []lsn.LSN{10, 0, 9}, 20, 0}, // one is away
		{placement.DurableHolders, nil, 20, 0},                 // nobody holds it
		{placement.DurableBalanced, []lsn.LSN{10, 0}, 20, 10},
		{placement.DurableBalanced, []lsn.LSN{10, 7}, 8, 8},
		{placement.DurableBalanced, []lsn.LSN{10, 7}, 0, 0}, // no snapshot
		{placement.DurableBalanced, nil, 8, 0},
		{placement.DurableSnapshot, []lsn.LSN{0, 7}, 20, 20},
		{placement.DurableAll, []lsn.LSN{10, 7}, 20, 7},
		{placement.DurableAll, []lsn.LSN{10, 7}, 5, 5},
		{placement.Durability("other"), []lsn.LSN{10}, 20, 0},
	} {
		if got := row.mode.Point(row.durable, row.archived); got != row.want {
			t.Errorf("%s of %v and %d: %d, want %d", row.mode, row.durable, row.archived, got, row.want)
		}
	}
	for workers, want := range map[int]placement.Durability{1: placement.DurableHolders, 2: placement.DurableBalanced} {
		if got := placement.Durability("").Or(workers); got != want {
			t.Errorf("of %d workers: %s", workers, got)
		}
		if got := placement.DurableNowhere.Or(workers); got != placement.DurableNowhere {
			t.Errorf("one that is set becomes %s", got)
		}
	}
}

func TestDurableAt(t *testing.T) {
	at := func(n id.Node, durable lsn.LSN) placement.Attendant {
		return placement.Attendant{ID: id.GenerationalNode{Node: n}, Statuses: []placement.Status{{}, {Durable: durable}}}
	}
	got := placement.DurableAt(1, []id.Node{4, 2, 3}, []placement.Attendant{at(2, 20), at(3, 30), at(5, 50)})
	if want := []lsn.LSN{0, 20, 30}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
