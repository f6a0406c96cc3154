package partitionstore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// Each key of the database that the contract maps reaches Pebble; without them, options stay as they are.
func TestTuning(t *testing.T) {
	o := &pebble.Options{L0CompactionThreshold: 5}
	Tuning{}.apply(o)
	if o.L0CompactionThreshold != 5 || o.CompactionConcurrencyRange != nil {
		t.Errorf("%+v", o)
	}
	Tuning{BlockBytes: 8 << 10, FileBytes: 9 << 20, L0Layers: 3, CompactionsMax: 7}.apply(o)
	o.EnsureDefaults()
	least, most := o.CompactionConcurrencyRange()
	if o.Levels[0].BlockSize != 8<<10 || o.Levels[6].BlockSize != 8<<10 || o.TargetFileSizes[0] != 9<<20 || o.TargetFileSizes[6] < 9<<20 || o.L0CompactionThreshold != 3 || least != 1 || most != 7 {
		t.Errorf("%+v", o)
	}
}
