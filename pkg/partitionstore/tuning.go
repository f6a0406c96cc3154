package partitionstore

import "github.com/cockroachdb/pebble/v2"

// Tuning is what operators may set of Pebble, by the keys of the database that the contract names. 0 is what a partition store was
// measured with.
type Tuning struct {
	BlockBytes     int   // of a block (rocksdb-block-size)
	FileBytes      int64 // of a file of the lowest level (rocksdb-max-file-size)
	L0Layers       int   // files that overlap before they are merged (rocksdb-l0-num-compaction-trigger)
	CompactionsMax int   // merges at a time (rocksdb-max-background-compactions)
}

func (t Tuning) apply(o *pebble.Options) {
	if t.BlockBytes > 0 {
		o.Levels[0].BlockSize = t.BlockBytes // the others follow
	}
	if t.FileBytes > 0 {
		o.TargetFileSizes[0] = t.FileBytes // likewise
	}
	if t.L0Layers > 0 {
		o.L0CompactionThreshold = t.L0Layers
	}
	if n := t.CompactionsMax; n > 0 {
		o.CompactionConcurrencyRange = func() (int, int) { return 1, n }
	}
}
