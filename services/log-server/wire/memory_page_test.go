package wire

import (
	"testing"

	"reprise/pkg/config"
)

// The statements of the contract's page on memory are listed in pkg/memory/page_test.go.

// A memtable is a quarter of the budget, at most 16 MiB, and there are as many as fit into it: at least four.
func TestMemoryPageMemtablesOfTheLogFitIntoTheirBudget(t *testing.T) {
	for _, row := range []struct {
		budget string
		table  uint64
		tables int
	}{
		{"2 GiB", 16 << 20, 64}, {"870 MiB", 16 << 20, 54}, {"64 MiB", 16 << 20, 4}, {"40 MiB", 10 << 20, 4}, {"4 MiB", 1 << 20, 4},
		{"1 MiB", 1 << 20, 4}, // no store works with less
	} {
		cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: []string{"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=" + row.budget}})
		if err != nil {
			t.Fatal(err)
		}
		c := storeConfig(&cfg)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		if c.MemtableBytes != row.table || c.MemtablesMax != row.tables {
			t.Errorf("%s: %d memtables of %d bytes, want %d of %d", row.budget, c.MemtablesMax, c.MemtableBytes, row.tables, row.table)
		}
		if m := cfg.Memory(); c.CacheBytes > m.BlockCache/8 {
			t.Errorf("%s: a cache of %d bytes of %d", row.budget, c.CacheBytes, m.BlockCache)
		}
	}
}

func TestMemoryPageRecordsThatWaitAtALogServer(t *testing.T) {
	for _, row := range []struct {
		env  []string
		want int
	}{
		{nil, 228170137}, // a quarter of the memtables
		{[]string{"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=4 MiB"}, 32 << 20},
		{[]string{"RESTATE_LOG_SERVER__DATA_SERVICE_MEMORY_LIMIT=64 MiB"}, 64 << 20},
		{[]string{"RESTATE_LOG_SERVER__DATA_SERVICE_MEMORY_LIMIT=1 MiB"}, 32 << 20}, // never below the largest message
		{[]string{"RESTATE_LOG_SERVER__DATA_SERVICE_MEMORY_LIMIT=1 MiB", "RESTATE_NETWORKING__MESSAGE_SIZE_LIMIT=2 MiB"}, 2 << 20},
	} {
		cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: row.env})
		if err != nil {
			t.Fatal(err)
		}
		if got := serverConfig(&cfg).QueueBytesMax; got != row.want {
			t.Errorf("%q: %d, want %d", row.env, got, row.want)
		}
	}
}
