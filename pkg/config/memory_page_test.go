package config

import (
	"strings"
	"testing"
)

// The statements of the contract's page on memory are listed in pkg/memory/page_test.go.

// about tells whether bytes are that many MiB, as the page prints them with one decimal.
func about(bytes int64, mebibytes float64) bool {
	d := float64(bytes)/float64(mib) - mebibytes
	return d > -0.1 && d < 0.1
}

func TestMemoryPageTotalIsForCachesAndMemtables(t *testing.T) {
	cfg, _ := load(t, Options{})
	m := cfg.Memory()
	if sum := m.BlockCache + m.WorkerMemtables + m.LogServerMemtables; cfg.MemoryTotal != 2048*mib || sum > int64(cfg.MemoryTotal) || !about(int64(cfg.MemoryTotal)-sum, 17.4) {
		t.Errorf("%+v of %s", m, cfg.MemoryTotal)
	}
	half, _ := load(t, Options{Environ: []string{"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=1 GiB"}})
	if h := half.Memory(); !about(h.BlockCache, 307.2/2) || !about(h.WorkerMemtables, 853.0/2) || !about(h.LogServerMemtables, 870.4/2) {
		t.Errorf("half of it: %+v", h)
	}
}

func TestMemoryPageMemtablesAre85PercentAndTheCacheIsTheRest(t *testing.T) {
	cfg, _ := load(t, Options{})
	if m := cfg.Memory(); !about(m.BlockCache, 2048-1740.8) {
		t.Errorf("%+v", m)
	}
	other, _ := load(t, Options{Environ: []string{"RESTATE_ROCKSDB_TOTAL_MEMTABLES_RATIO=0.5"}})
	if m := other.Memory(); !about(m.BlockCache, 1024) || !about(m.WorkerMemtables, 1024*0.49) {
		t.Errorf("half: %+v", m)
	}
}

func TestMemoryPageWorkersHave49AndLogServersHalfOfTheMemtables(t *testing.T) {
	cfg, _ := load(t, Options{})
	if m := cfg.Memory(); !about(m.WorkerMemtables, 853.0) || !about(m.LogServerMemtables, 870.4) {
		t.Errorf("%+v", m)
	}
	other, _ := load(t, Options{Environ: []string{"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_RATIO=0.25", "RESTATE_LOG_SERVER__ROCKSDB_MEMORY_RATIO=0.75"}})
	if m := other.Memory(); !about(m.WorkerMemtables, 435.2) || !about(m.LogServerMemtables, 1305.6) {
		t.Errorf("%+v", m)
	}
}

func TestMemoryPageBudgetWinsOverTheRatio(t *testing.T) {
	cfg, warnings := load(t, Options{Environ: []string{
		"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_RATIO=0.25", "RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=100 MiB",
		"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_RATIO=0.25", "RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=200 MiB",
	}})
	if m := cfg.Memory(); m.WorkerMemtables != int64(100*mib) || m.LogServerMemtables != int64(200*mib) || len(warnings) > 0 {
		t.Errorf("%+v, %q", m, warnings)
	}
}

func TestMemoryPageShareOfAnAbsentRoleIsGivenToNobody(t *testing.T) {
	all, _ := load(t, Options{})
	alone, _ := load(t, Options{Environ: []string{`RESTATE_ROLES=["worker"]`}})
	if all.Memory() != alone.Memory() {
		t.Errorf("%+v, alone %+v", all.Memory(), alone.Memory())
	}
	set, _ := load(t, Options{Environ: []string{`RESTATE_ROLES=["worker"]`, "RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=1700 MiB"}})
	if m := set.Memory(); m.WorkerMemtables != int64(1700*mib) {
		t.Errorf("%+v", m)
	}
}

// vain loads an environment and wants one warning, that a key has no effect, with the reason.
func vain(t *testing.T, env, key, why string) {
	t.Helper()
	_, warnings := load(t, Options{Environ: []string{env}})
	if len(warnings) != 1 || !strings.Contains(warnings[0], key) || !strings.Contains(warnings[0], "without effect") || !strings.Contains(warnings[0], why) {
		t.Errorf("%s: %q", env, warnings)
	}
}

func TestMemoryPageMetadataAndLocalLogsHaveNoMemtables(t *testing.T) {
	vain(t, "RESTATE_METADATA_SERVER__ROCKSDB_MEMORY_RATIO=0.02", "metadata-server.rocksdb-memory-ratio", "etcd")
	vain(t, "RESTATE_METADATA_SERVER__ROCKSDB_MEMORY_BUDGET=17 MiB", "metadata-server.rocksdb-memory-budget", "etcd")
	vain(t, "RESTATE_BIFROST__LOCAL__ROCKSDB_MEMORY_RATIO=0.5", "bifrost.local", "log-servers")
}

func TestMemoryPageRecordCacheHasNoEffect(t *testing.T) {
	vain(t, "RESTATE_BIFROST__RECORD_CACHE_MEMORY_SIZE=1 GiB", "bifrost.record-cache-memory-size", "ADR 13")
}

func TestMemoryPageFabricMemoryIsBoundedByMessagesAndWindows(t *testing.T) {
	vain(t, "RESTATE_NETWORKING__FABRIC_MEMORY_LIMIT=1 MiB", "networking.fabric-memory-limit", "networking.message-size-limit")
}

func TestMemoryPageIngestionHasNoEffect(t *testing.T) {
	vain(t, "RESTATE_INGRESS__INGESTION__INFLIGHT_MEMORY_BUDGET=2 MiB", "ingress.ingestion.inflight-memory-budget", "Kafka")
}

// Each fault names key, value and what to write instead.
func TestMemoryPageBadValuesAreNamed(t *testing.T) {
	for env, want := range map[string][]string{
		"RESTATE_ROCKSDB_TOTAL_MEMTABLES_RATIO=1.5":                        {"rocksdb-total-memtables-ratio", "1.5", "above 0 and at most 1"},
		"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_RATIO=-1":                 {"worker.storage.rocksdb-memory-ratio", "-1", "above 0 and at most 1"},
		"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_RATIO=NaN":                     {"log-server.rocksdb-memory-ratio", "NaN", "no number"},
		"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=3 GiB":             {"worker.storage.rocksdb-memory-budget", "3.0 GiB", "rocksdb-total-memory-size (2.0 GiB)", "lower the budget or raise the total"},
		"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=2049 MiB":               {"log-server.rocksdb-memory-budget", "2.0 GiB", "lower the budget or raise the total"},
		"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=1 KiB":             {"worker.storage.rocksdb-memory-budget", "1.0 KiB", "at least 1 MiB"},
		"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=2 gigs":                         {"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE", "2 gigs", "MiB"},
		"RESTATE_WORKER__DATA_SERVICE_MEMORY_LIMIT=10 KiB":                 {"worker.data-service-memory-limit", "10.0 KiB", "at least 1 MiB"},
		"RESTATE_WORKER__SELF_PROPOSAL_QUEUE_MEMORY_LIMIT=0":               {"worker.self-proposal-queue-memory-limit", "0", "at least 1 MiB"},
		"RESTATE_WORKER__SHUFFLE__INFLIGHT_MEMORY_BUDGET=1":                {"worker.shuffle.inflight-memory-budget", "at least 64 KiB"},
		"RESTATE_WORKER__INVOKER__MEMORY_LIMIT=1 MiB":                      {"worker.invoker.memory-limit", "1.0 MiB", "per-invocation-memory-limit"},
		"RESTATE_WORKER__INVOKER__PER_INVOCATION_INITIAL_MEMORY=64 MiB":    {"worker.invoker.per-invocation-initial-memory", "64.0 MiB", "at most"},
		"RESTATE_WORKER__STORAGE__ROCKSDB_DISABLE_AUTO_MEMORY_RECLAIMER=x": {"RESTATE_WORKER__STORAGE__ROCKSDB_DISABLE_AUTO_MEMORY_RECLAIMER", "x", "neither true nor false"},
	} {
		_, _, err := Load(Options{Environ: []string{env}, Hostname: "host"})
		if err == nil {
			t.Errorf("%s is taken", env)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in %v", env, w, err)
			}
		}
	}
	// All at once.
	_, _, err := Load(Options{Environ: []string{"RESTATE_ROCKSDB_TOTAL_MEMTABLES_RATIO=2", "RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=3 GiB"}, Hostname: "host"})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v", err)
	}
}

func TestMemoryPageMoreThanTheTotalIsSaid(t *testing.T) {
	for _, row := range []struct {
		env  []string
		want string
	}{
		{[]string{"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_RATIO=0.6", "RESTATE_LOG_SERVER__ROCKSDB_MEMORY_RATIO=0.6"}, "add up to 1.2"},
		{[]string{"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=1 GiB"}, "memtables of workers (1.0 GiB) and of log-servers (870.4 MiB)"}, // with the other's ratio
		{[]string{"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=1 GiB"}, "worker.storage.rocksdb-memory-budget or log-server.rocksdb-memory-budget"},
		{[]string{"RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=800 MiB", "RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=900 MiB"}, ""},
	} {
		_, warnings := load(t, Options{Environ: row.env})
		if row.want == "" && len(warnings) == 0 {
			continue
		}
		if row.want == "" || len(warnings) != 1 || !strings.Contains(warnings[0], row.want) || !strings.Contains(warnings[0], "rocksdb-total-memory-size") {
			t.Errorf("%q: %q, want %q", row.env, warnings, row.want)
		}
	}
}

// Sizes may change while a process runs; those of what it has opened need a restart, and are named.
func TestMemoryPageSizesAreLive(t *testing.T) {
	l := open(t, Options{File: file(t, "")})
	change, err := l.Take([]byte("rocksdb-total-memory-size = \"1 GiB\"\nrocksdb-total-memtables-ratio = 0.5\n[worker]\ndata-service-memory-limit = \"9 MiB\"\n" +
		"[worker.storage]\nrocksdb-memory-budget = \"9 MiB\"\nrocksdb-memory-ratio = 0.1\nrocksdb-disable-auto-memory-reclaimer = true\n" +
		"[worker.invoker]\nmemory-limit = \"99 MiB\"\n[log-server]\nrocksdb-memory-budget = \"8 MiB\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(change.Applied) != 7 || len(change.Restart) != 1 || !strings.Contains(change.Restart[0], "log-server.rocksdb-memory-budget") || len(change.Warnings) > 0 {
		t.Errorf("%+v", change)
	}
	if m := l.Current().Memory(); m.WorkerMemtables != int64(9*mib) || m.BlockCache != int64(512*mib) {
		t.Errorf("%+v", m)
	}
}
