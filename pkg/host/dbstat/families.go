package dbstat

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const prefix = "restate_rocksdb_"

// family is one number of each database.
type family struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *Stat, m *pebble.Metrics) float64
}

func describe(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// families maps what is known of a database to the names of the contract, where the meaning is the same.
func families() (all []family) {
	for _, rows := range [][]row{memtableRows, compactionRows, fileRows, writeRows} {
		for _, r := range rows {
			kind := prometheus.GaugeValue
			if r.counter {
				kind = prometheus.CounterValue
			}
			all = append(all, family{describe(r.name, r.help, []string{"db"}), kind, r.value})
		}
	}
	for i := range 7 {
		d := describe(fmt.Sprintf("num_files_at_level%d", i), "Files of a level.", []string{"db"})
		all = append(all, family{d, prometheus.GaugeValue, func(_ *Stat, m *pebble.Metrics) float64 { return float64(m.Levels[i].TablesCount) }})
	}
	return all
}

type row struct {
	name, help string
	counter    bool
	value      func(s *Stat, m *pebble.Metrics) float64
}

var memtableRows = []row{
	{"cur_size_all_mem_tables_bytes", "Bytes of memtables that are filled or wait for their flush.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.MemTable.Size)
	}},
	{"size_all_mem_tables_bytes", "Bytes of all memtables, with those that iterators still read.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.MemTable.Size + m.MemTable.ZombieSize)
	}},
	{"num_immutable_mem_table", "Memtables that wait for their flush.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(max(m.MemTable.Count-1, 0))
	}},
	{"mem_table_flush_pending", "1: a memtable waits for its flush.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return truth(m.MemTable.Count > 1)
	}},
	{"flush_completed_total", "Flushes of memtables.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Flush.Count)
	}},
	{"flush_write_bytes_total", "Bytes that flushes wrote.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return sum(m, func(l *pebble.LevelMetrics) uint64 { return l.TableBytesFlushed + l.BlobBytesFlushed })
	}},
}

var compactionRows = []row{
	{"compaction_pending", "1: files are to be merged.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return truth(m.Compact.EstimatedDebt > 0)
	}},
	{"num_running_compactions", "Compactions that run.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Compact.NumInProgress)
	}},
	{"compaction_completed_total", "Compactions that were done.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Compact.Count)
	}},
	{"compact_read_bytes_total", "Bytes that compactions read.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return sum(m, func(l *pebble.LevelMetrics) uint64 { return l.TableBytesRead })
	}},
	{"compact_write_bytes_total", "Bytes that compactions wrote.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return sum(m, func(l *pebble.LevelMetrics) uint64 { return l.TableBytesCompacted + l.BlobBytesCompacted })
	}},
	{"estimate_pending_compaction_bytes", "Bytes that compactions have to write until nothing is pending. If it grows, the disk is too slow.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Compact.EstimatedDebt)
	}},
}

var fileRows = []row{
	{"live_sst_files_size_bytes", "Bytes of files that hold rows.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Table.Local.LiveSize)
	}},
	{"obsolete_sst_files_size_bytes", "Bytes of files that are to be deleted, or still read.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Table.Local.ObsoleteSize + m.Table.Local.ZombieSize)
	}},
	{"total_sst_files_size_bytes", "Bytes of all files of rows.", false, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(m.Table.Local.LiveSize + m.Table.Local.ObsoleteSize + m.Table.Local.ZombieSize)
	}},
	{"background_errors", "Errors in the background since the start. The log has them; a disk that fails ends the process.", false, func(s *Stat, _ *pebble.Metrics) float64 {
		return float64(s.errors.Load())
	}},
}

var writeRows = []row{
	{"is_write_stopped", "1: writes wait.", false, func(s *Stat, _ *pebble.Metrics) float64 {
		return truth(s.stalledAt.Load() != 0)
	}},
	{"actual_delayed_write_rate_bytes", "0: Pebble does not slow writes down, it stops them.", false, func(*Stat, *pebble.Metrics) float64 { return 0 }},
	{"stall_micros_total", "Microseconds for which writes had to wait.", true, func(s *Stat, _ *pebble.Metrics) float64 {
		return float64(s.stallMicros.Load())
	}},
	{"wal_bytes_total", "Bytes that were written to the database's own log. Partition stores have none.", true, func(s *Stat, m *pebble.Metrics) float64 {
		if !s.logged { // Pebble counts what it would have written
			return 0
		}
		return float64(m.WAL.BytesWritten)
	}},
	{"wal_synced_total", "Syncs of the database's own log.", true, func(_ *Stat, m *pebble.Metrics) float64 {
		return float64(syncsOf(m).GetSampleCount())
	}},
	{"write_wal_total", "Batches that were written to the database's own log.", true, func(s *Stat, _ *pebble.Metrics) float64 {
		if !s.logged {
			return 0
		}
		return float64(s.writes.Load())
	}},
	{"bytes_read_total", "Bytes of rows that were read by their keys.", true, func(s *Stat, _ *pebble.Metrics) float64 {
		return float64(s.bytesRead.Load())
	}},
	{"bytes_written_total", "Bytes of batches that were committed.", true, func(s *Stat, _ *pebble.Metrics) float64 {
		return float64(s.bytesPut.Load())
	}},
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sum(m *pebble.Metrics, of func(*pebble.LevelMetrics) uint64) float64 {
	n := uint64(0)
	for i := range m.Levels {
		n += of(&m.Levels[i])
	}
	return float64(n)
}

// syncsOf is Pebble's histogram of syncs; empty without a log.
func syncsOf(m *pebble.Metrics) *dto.Histogram {
	var out dto.Metric
	if m.LogWriter.FsyncLatency == nil || m.LogWriter.FsyncLatency.Write(&out) != nil {
		return nil
	}
	return out.Histogram
}

// nanos are in a second: Pebble's histogram counts them.
const nanos = 1e9

// syncBuckets is how many of Pebble's hundred buckets become one of ours.
const syncBuckets = 8

func (s *set) collectSyncs(ch chan<- prometheus.Metric, db string, m *pebble.Metrics) {
	h := syncsOf(m)
	if h == nil {
		return
	}
	buckets := map[float64]uint64{}
	for i, b := range h.Bucket {
		if i%syncBuckets == syncBuckets-1 {
			buckets[b.GetUpperBound()/nanos] = b.GetCumulativeCount()
		}
	}
	ch <- prometheus.MustNewConstHistogram(s.syncs, h.GetSampleCount(), h.GetSampleSum()/nanos, buckets, db)
}
