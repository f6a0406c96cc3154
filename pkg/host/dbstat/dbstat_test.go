package dbstat_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"reprise/pkg/host"
	"reprise/pkg/host/dbstat"
	"reprise/pkg/host/hosttest"
)

// open opens a database in memory.
func open(t *testing.T, h host.Host, s *dbstat.Stat, dir string, logged bool) (*pebble.DB, *pebble.Cache) {
	t.Helper()
	cache := pebble.NewCache(1 << 20)
	t.Cleanup(cache.Unref)
	db, err := pebble.Open(dir, &pebble.Options{FS: h.FS, Cache: cache, DisableWAL: !logged, Logger: quiet{}, EventListener: s.Listener()})
	if err != nil {
		t.Fatal(err)
	}
	s.Opened(db, cache)
	return db, cache
}

// quiet is a logger for nobody.
type quiet struct{}

func (quiet) Infof(string, ...any) {}

func (quiet) Errorf(string, ...any) {}

func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// values are all series of the gauges and counters, by name and the label db.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()+label(m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func label(m *dto.Metric) string {
	for _, l := range m.GetLabel() {
		return "/" + l.GetValue()
	}
	return ""
}

// syncs are the sum and the largest bucket of the histogram of syncs.
func syncs(t *testing.T, reg *prometheus.Registry) (sum, most float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "restate_rocksdb_wal_file_sync_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum(), h.GetBucket()[len(h.GetBucket())-1].GetUpperBound()
		}
	}
	t.Fatal("there is no histogram of syncs")
	return 0, 0
}

func TestWhatIsDoneShows(t *testing.T) {
	h := hosttest.New(hosttest.NewClock(), 1)
	dbstat.SetBudget(h, "partitions", 100)
	dbstat.SetBudget(h, "log-server", 11)
	part, log := dbstat.New(h, "partitions", "partition-3", false), dbstat.New(h, "log-server", "log-server", true)
	rows, _ := open(t, h, part, "rows", false)
	records, _ := open(t, h, log, "records", true)
	for db, o := range map[*pebble.DB]*pebble.WriteOptions{rows: pebble.NoSync, records: pebble.Sync} {
		for range 2 { // a sync is counted after who waited for it goes on, and before the next one begins
			if err := db.Set([]byte("a"), make([]byte, 1000), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	part.Wrote(1000, time.Millisecond)
	part.Got(7, time.Microsecond)
	part.Sought(time.Microsecond)
	log.Wrote(1000, time.Millisecond)
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	got := values(t, h.Metrics)
	for name, want := range map[string]float64{
		"flush_completed_total/partition-3": 1, "num_files_at_level0/partition-3": 1, "db_flush_seconds/partitions": 1,
		"bytes_written_total/partition-3": 1000, "bytes_read_total/partition-3": 7, "db_get_seconds/partitions": 1, "db_seek_seconds/partitions": 1,
		"db_write_seconds/partitions": 1, "db_write_seconds/log-server": 1, "write_wal_total/partition-3": 0, "write_wal_total/log-server": 1,
		"wal_bytes_total/partition-3": 0, "block_cache_capacity_bytes/partitions": 1 << 20, "background_errors/log-server": 0,
		"memory_write_buffer_manager_capacity_bytes": 111, "actual_delayed_write_rate_bytes/log-server": 0, "num_immutable_mem_table/partition-3": 0,
	} {
		if v, ok := got["restate_rocksdb_"+name]; !ok || v != want {
			t.Errorf("%s is %v (%t), not %v", name, v, ok, want)
		}
	}
	for _, name := range []string{
		"live_sst_files_size_bytes/partition-3", "flush_write_bytes_total/partition-3", "wal_bytes_total/log-server", "cur_size_all_mem_tables_bytes/partition-3",
		"memory_write_buffer_manager_usage_bytes", "wal_synced_total/log-server", "wal_file_sync_seconds/log-server",
	} {
		if got["restate_rocksdb_"+name] <= 0 {
			t.Errorf("%s is %v", name, got["restate_rocksdb_"+name])
		}
	}
	if sum, most := syncs(t, h.Metrics); sum <= 0 || sum > 60 || most < 1 || most > 10 {
		t.Errorf("two syncs took %v s, the largest bucket is %v s", sum, most)
	}
	for s, db := range map[*dbstat.Stat]*pebble.DB{part: rows, log: records} {
		s.Closing()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if v, ok := values(t, h.Metrics)["restate_rocksdb_flush_completed_total/partition-3"]; ok {
		t.Errorf("a database that is closed is shown: %v", v)
	}
}

func TestStallsAreCounted(t *testing.T) {
	clock := hosttest.NewClock()
	h := hosttest.New(clock, 1)
	s := dbstat.New(h, "partitions", "partition-1", false)
	db, _ := open(t, h, s, "rows", false)
	l := s.Listener()
	l.WriteStallBegin(pebble.WriteStallBeginInfo{})
	if v := values(t, h.Metrics)["restate_rocksdb_is_write_stopped/partition-1"]; v != 1 {
		t.Errorf("writes are stopped: %v", v)
	}
	clock.Advance(3 * time.Second)
	l.WriteStallEnd()
	l.BackgroundError(pebble.ErrClosed)
	got := values(t, h.Metrics)
	for name, want := range map[string]float64{"stall_micros_total/partition-1": 3e6, "db_write_stall_seconds/partitions": 1, "is_write_stopped/partition-1": 0, "background_errors/partition-1": 1} {
		if v := got["restate_rocksdb_"+name]; v != want {
			t.Errorf("%s is %v, not %v", name, v, want)
		}
	}
	s.Closing()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Stores are opened and closed while scrapes go on; one that is closed is never asked.
func TestScrapesWhileStoresComeAndGo(t *testing.T) {
	h := hosttest.New(hosttest.NewClock(), 1)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, err := h.Metrics.Gather(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 8 {
		s := dbstat.New(h, "partitions", "partition-1", false)
		db, _ := open(t, h, s, "rows", false)
		s.Closing()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}
