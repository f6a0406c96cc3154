package partitionstore_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/partitionstore"
)

// An echo is two records, three steps are five; what they may allocate, store included, is a budget.
func TestAllocationBudget(t *testing.T) {
	shared := newShared(t)
	s := open(t, partitionstore.Default(), vfs.NewMem(), shared)
	defer func() { _ = s.Close() }()
	x := startBench(t, s)
	run := append([]byte{}, benchRuns[0]...)
	for _, test := range []struct {
		name    string
		records int
		budget  float64 // a record
		life    func()
	}{
		{"echo", 2, 9, func() { x.invoke(); x.step(benchPin, benchEnd) }},
		{"one step", 3, 8, func() { x.invoke(); x.step(benchPin, run); x.step(nil, benchEnd) }},
	} {
		test.life() // grows what is used again
		got := testing.AllocsPerRun(50, test.life) / float64(clients*test.records)
		if got > test.budget {
			t.Errorf("%s allocates %.1f times a record, the budget is %.0f", test.name, got, test.budget)
		}
	}
}
