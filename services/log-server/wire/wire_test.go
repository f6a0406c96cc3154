package wire

import (
	"testing"

	"reprise/pkg/config"
	"reprise/pkg/logstore"
)

// Keys of the log-server's database reach its store, those of the root where it has none of its own.
func TestKeysOfTheDatabaseAct(t *testing.T) {
	cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: []string{
		"RESTATE_ROCKSDB_BLOCK_SIZE=9 KiB", "RESTATE_LOG_SERVER__ROCKSDB_MAX_FILE_SIZE=7 MiB", "RESTATE_LOG_SERVER__ROCKSDB_L0_NUM_COMPACTION_TRIGGER=9",
		"RESTATE_LOG_SERVER__ROCKSDB_MAX_BACKGROUND_COMPACTIONS=3", "RESTATE_LOG_SERVER__ROCKSDB_WAL_DIR=/wal",
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := storeConfig(&cfg)
	if want := (logstore.Tuning{BlockBytes: 9 << 10, FileBytes: 7 << 20, L0Layers: 9, CompactionsMax: 3}); got.Tuning != want || got.WALDir != "/wal/n" {
		t.Errorf("%+v, want %+v", got, want)
	}
}
