package wire

import (
	"testing"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/partitionstore"
)

// Keys of the worker act: each of these is read where it counts.
func TestKeysOfTheWorkerAct(t *testing.T) {
	cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: []string{
		"RESTATE_BASE_DIR=/data", "RESTATE_WORKER__MAX_COMMAND_BATCH_SIZE=99", "RESTATE_WORKER__SELF_PROPOSAL_QUEUE_MEMORY_LIMIT=9 MiB",
		"RESTATE_WORKER__SHUFFLE__INFLIGHT_MEMORY_BUDGET=7 MiB", "RESTATE_WORKER__CLEANUP_INTERVAL=9m", "RESTATE_WORKER__TRIM_DELAY_INTERVAL=9s",
		"RESTATE_WORKER__SNAPSHOTS__EXPORT_CONCURRENCY_LIMIT=9", "RESTATE_BIFROST__APPEND_RETRY_MIN_INTERVAL=9ms", "RESTATE_BIFROST__APPEND_RETRY_MAX_INTERVAL=90ms",
		"RESTATE_BIFROST__REPLICATED_LOGLET__STORE_TIMEOUT=3s..30s",
		"RESTATE_ROCKSDB_BLOCK_SIZE=9 KiB", "RESTATE_ROCKSDB_MAX_FILE_SIZE=9 MiB", "RESTATE_WORKER__STORAGE__ROCKSDB_MAX_FILE_SIZE=7 MiB",
		"RESTATE_WORKER__STORAGE__ROCKSDB_L0_NUM_COMPACTION_TRIGGER=9", "RESTATE_LOG_SERVER__ROCKSDB_MAX_BACKGROUND_COMPACTIONS=9",
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := processorConfig(&cfg)
	if p.Dir != "/data/n/partitions" || p.BatchCommandsMax != 99 || p.CallBytesMax != 9<<20 || p.LaneBytesMax != 7<<20 || p.CleanupInterval != 9*time.Minute ||
		p.TrimDelay != 9*time.Second || p.SnapshotsMax != 9 {
		t.Errorf("%+v", p)
	}
	if want := (partitionstore.Tuning{BlockBytes: 9 << 10, FileBytes: 7 << 20, L0Layers: 9}); p.Store.Tuning != want {
		t.Errorf("%+v, want %+v", p.Store.Tuning, want)
	}
	w := writerConfig(&cfg, false)
	if w.RetryMin != 9*time.Millisecond || w.RetryMax != 90*time.Millisecond || w.StoreTimeout != 3*time.Second || w.StoreTimeoutMax != 30*time.Second {
		t.Errorf("%+v", w)
	}
}

// Without settings, parts have the defaults that they were measured with.
func TestDefaultsOfTheWorker(t *testing.T) {
	cfg, _, err := config.Load(config.Options{Hostname: "n"})
	if err != nil {
		t.Fatal(err)
	}
	p := processorConfig(&cfg)
	if p.BatchCommandsMax != 256 || p.CallBytesMax != 64<<20 || p.LaneBytesMax != 8<<20 || p.Store.Tuning != (partitionstore.Tuning{}) {
		t.Errorf("%+v", p)
	}
	if w := writerConfig(&cfg, false); w.RetryMin != 20*time.Millisecond || w.RetryMax != 200*time.Millisecond {
		t.Errorf("%+v", w)
	}
}
