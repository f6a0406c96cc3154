package wire

import (
	"testing"

	"reprise/pkg/config"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lambda"
	"reprise/pkg/memory"
)

// The statements of the contract's page on memory are listed in pkg/memory/page_test.go.

func loaded(t *testing.T, env ...string) *config.Config {
	t.Helper()
	cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	return &cfg
}

// The cache holds the blocks of workers, half of what is for blocks, and beside them their memtables.
func TestMemoryPageCacheIsTheTotalWithoutTheMemtables(t *testing.T) {
	for _, env := range [][]string{nil, {"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=16 MiB"}, {"RESTATE_ROCKSDB_TOTAL_MEMTABLES_RATIO=0.1"}} {
		m := loaded(t, env...).Memory()
		if all, blocks := cacheBytes(m); blocks != m.BlockCache/2 || all != blocks+m.WorkerMemtables {
			t.Errorf("%q: %d, of blocks %d", env, all, blocks)
		}
	}
}

// However large the budget is, a restart has little to replay, and however small, memtables are of use.
func TestMemoryPageMemtablesAreSmallEnoughToReplay(t *testing.T) {
	largest := int64(processorConfig(loaded(t)).Store.MemTableBytes)
	for _, row := range []struct {
		env        string
		partitions int
		want       int64
	}{
		{"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=2 GiB", 24, 8 << 20},    // 17.8 MiB are half a share
		{"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=2 GiB", 64, 6987298},    // 853 MiB / 64 / 2
		{"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=16 MiB", 64, 256 << 10}, // no store works with less
	} {
		m := loaded(t, row.env).Memory()
		if got := min(memory.TableBytes(m.WorkerMemtables, row.partitions), largest); got < row.want-1000 || got > row.want+1000 {
			t.Errorf("%s, %d partitions: %d, want %d", row.env, row.partitions, got, row.want)
		}
	}
}

func TestMemoryPagePoolsOfTheWorker(t *testing.T) {
	p := processorConfig(loaded(t))
	if p.RequestBytesMax != 256<<20 || p.CallBytesMax != 64<<20 || p.LaneBytesMax != 8<<20 {
		t.Errorf("%d %d %d", p.RequestBytesMax, p.CallBytesMax, p.LaneBytesMax)
	}
	cfg := loaded(t, "RESTATE_WORKER__DATA_SERVICE_MEMORY_LIMIT=3 MiB", "RESTATE_WORKER__SELF_PROPOSAL_QUEUE_MEMORY_LIMIT=2 MiB", "RESTATE_WORKER__SHUFFLE__INFLIGHT_MEMORY_BUDGET=1 MiB")
	p = processorConfig(cfg)
	if p.RequestBytesMax != 3<<20 || p.CallBytesMax != 2<<20 || p.LaneBytesMax != 1<<20 || policy(cfg).RequestBytesMax != 3<<20 {
		t.Errorf("%d %d %d, live %d", p.RequestBytesMax, p.CallBytesMax, p.LaneBytesMax, policy(cfg).RequestBytesMax)
	}
}

func TestMemoryPageAttemptsHaveABudgetOfTheNodeAndOneEach(t *testing.T) {
	c, err := invokerConfig(loaded(t), (*lambda.Client)(nil), hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	if c.MemoryBytesMax != 1536<<20 || c.InvocationBytesMax != 32<<20 || c.InvocationBytesFirst != 32<<10 {
		t.Errorf("%d %d %d", c.MemoryBytesMax, c.InvocationBytesMax, c.InvocationBytesFirst)
	}
	cfg := loaded(t, "RESTATE_WORKER__INVOKER__MEMORY_LIMIT=64 MiB", "RESTATE_WORKER__INVOKER__PER_INVOCATION_MEMORY_LIMIT=2 MiB", "RESTATE_WORKER__INVOKER__PER_INVOCATION_INITIAL_MEMORY=8 KiB")
	if c, err = invokerConfig(cfg, (*lambda.Client)(nil), hosttest.New(hosttest.NewClock(), 1)); err != nil {
		t.Fatal(err)
	}
	if c.MemoryBytesMax != 64<<20 || c.InvocationBytesMax != 2<<20 || c.InvocationBytesFirst != 8<<10 {
		t.Errorf("%d %d %d", c.MemoryBytesMax, c.InvocationBytesMax, c.InvocationBytesFirst)
	}
}
