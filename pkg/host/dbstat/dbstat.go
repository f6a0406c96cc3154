package dbstat

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// Stat is how one database stands.
type Stat struct {
	set         *set
	kind, name  string
	logged      bool // the database has a log of its own
	clock       host.Clock
	times       *times
	bytesRead   atomic.Uint64
	bytesPut    atomic.Uint64
	writes      atomic.Uint64
	errors      atomic.Uint64 // in the background
	stallMicros atomic.Uint64
	stalledAt   atomic.Int64 // Unix microseconds; 0: it is not

	mu    sync.Mutex // guards what follows; see the package comment
	db    *pebble.DB // nil: not open
	cache *pebble.Cache
}

// New returns the Stat of a database that is not open yet. logged says that it has a log of its own.
func New(h host.Host, kind, name string, logged bool) *Stat {
	s := host.Register(h.Metrics, newSet())
	return &Stat{set: s, kind: kind, name: name, logged: logged, clock: h.Clock, times: newTimes(h.Metrics, kind)}
}

// times are histograms of all databases of a kind.
type times struct {
	flush, compaction, stall, get, write, seek *host.Histogram
}

// pauses are buckets of what takes long: 1 ms to 4 minutes.
var pauses = prometheus.ExponentialBuckets(0.001, 4, 10)

func newTimes(reg *prometheus.Registry, kind string) *times {
	of := func(name, help string, bounds []float64) *host.Histogram {
		return host.NewHistograms(reg, prefix+name, help, bounds, "db").With(kind)
	}
	micro := prometheus.ExponentialBuckets(1e-6, 4, 10)
	return &times{
		flush:      of("db_flush_seconds", "Time to write memtables to files.", pauses),
		compaction: of("compaction_duration_seconds", "Time to merge files.", pauses),
		stall:      of("db_write_stall_seconds", "Time for which writes had to wait.", pauses),
		get:        of("db_get_seconds", "Time to read a row by its key.", micro),
		write:      of("db_write_seconds", "Time to commit a batch, with its sync where there is one.", micro),
		seek:       of("db_seek_seconds", "Time to find the first row of a range.", micro),
	}
}

// Listener counts what the database tells.
func (s *Stat) Listener() *pebble.EventListener {
	return &pebble.EventListener{
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				s.times.flush.Observe(i.TotalDuration.Seconds())
			}
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			if i.Err == nil {
				s.times.compaction.Observe(i.TotalDuration.Seconds())
			}
		},
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { s.stalledAt.Store(s.clock.Now().UnixMicro()) },
		WriteStallEnd: func() {
			if began := s.stalledAt.Swap(0); began != 0 {
				took := max(s.clock.Now().UnixMicro()-began, 0)
				s.stallMicros.Add(uint64(took))
				s.times.stall.Observe(float64(took) / 1e6)
			}
		},
		BackgroundError: func(error) { s.errors.Add(1) },
	}
}

// Opened has scrapes ask the database.
func (s *Stat) Opened(db *pebble.DB, cache *pebble.Cache) {
	s.mu.Lock()
	s.db, s.cache = db, cache
	s.mu.Unlock()
	s.set.add(s)
}

// Closing has them ask it no more. Call it before the database is closed.
func (s *Stat) Closing() {
	s.set.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.cache = nil, nil
}

// Wrote counts a batch that was committed.
func (s *Stat) Wrote(bytes int, took time.Duration) {
	s.writes.Add(1)
	s.bytesPut.Add(uint64(bytes))
	s.times.write.Observe(took.Seconds())
}

// Got counts a row that was read, or was not there.
func (s *Stat) Got(bytes int, took time.Duration) {
	s.bytesRead.Add(uint64(bytes))
	s.times.get.Observe(took.Seconds())
}

// Sought counts the begin of an iteration.
func (s *Stat) Sought(took time.Duration) { s.times.seek.Observe(took.Seconds()) }

// ask returns what Pebble tells; nil if the database is not open.
func (s *Stat) ask() *pebble.Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	return s.db.Metrics()
}

// set shows all databases of a process.
type set struct {
	perDB                            []family
	cacheCapacity, cacheUsage        *prometheus.Desc
	cacheHits, cacheMisses           *prometheus.Desc
	syncs                            *prometheus.Desc
	memCapacity, memUsage, memApprox *prometheus.Desc

	mu      sync.Mutex // guards what follows; a leaf
	stats   []*Stat
	budgets map[string]int64 // for memtables, by kind
}

func newSet() *set {
	db := []string{"db"}
	return &set{
		perDB:         families(),
		cacheCapacity: describe("block_cache_capacity_bytes", "Size of the cache of blocks of files, from which memtables are taken as well.", db),
		cacheUsage:    describe("block_cache_usage_bytes", "Bytes of the cache of blocks that are in use.", db),
		cacheHits:     describe("block_cache_hit_total", "Blocks that were found in the cache.", db),
		cacheMisses:   describe("block_cache_miss_total", "Blocks that had to be read from files.", db),
		syncs:         describe("wal_file_sync_seconds", "Time to sync the database's own log. It bounds all that is durable: if it grows, the disk is slow.", db),
		memCapacity:   describe("memory_write_buffer_manager_capacity_bytes", "Memory for new rows of all databases of the process.", nil),
		memUsage:      describe("memory_write_buffer_manager_usage_bytes", "Memory that new rows of all databases take.", nil),
		memApprox:     describe("memory_approx_memtable_bytes", "Bytes of the memtables of all databases.", nil),
		budgets:       map[string]int64{},
	}
}

// SetBudget says how much memory is meant for new rows of a kind of databases.
func SetBudget(h host.Host, kind string, bytes int64) {
	s := host.Register(h.Metrics, newSet())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budgets[kind] = bytes
}

func (s *set) add(x *Stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = append(s.stats, x)
}

func (s *set) remove(x *Stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = slices.DeleteFunc(s.stats, func(y *Stat) bool { return x == y })
}

// Describe implements prometheus.Collector.
func (s *set) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range s.perDB {
		ch <- f.desc
	}
	for _, d := range []*prometheus.Desc{
		s.cacheCapacity, s.cacheUsage, s.cacheHits, s.cacheMisses, s.syncs, s.memCapacity, s.memUsage, s.memApprox,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Of two databases with one name, as while one is opened anew, the newer one is shown.
func (s *set) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	stats := slices.Clone(s.stats)
	capacity := int64(0)
	for _, b := range s.budgets {
		capacity += b
	}
	s.mu.Unlock()
	shown, caches := map[string]bool{}, map[string]bool{}
	memtables := uint64(0)
	for _, x := range slices.Backward(stats) {
		m := x.ask()
		if m == nil || shown[x.name] {
			continue
		}
		shown[x.name] = true
		memtables += m.MemTable.Size
		for i := range s.perDB {
			f := &s.perDB[i]
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(x, m), x.name)
		}
		if !caches[x.kind] { // they share it
			caches[x.kind] = true
			s.collectCache(ch, x)
		}
		if x.logged {
			s.collectSyncs(ch, x.name, m)
		}
	}
	one := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	one(s.memCapacity, float64(capacity))
	one(s.memUsage, float64(memtables))
	one(s.memApprox, float64(memtables))
}

func (s *set) collectCache(ch chan<- prometheus.Metric, x *Stat) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cache == nil {
		return
	}
	m := x.cache.Metrics()
	ch <- prometheus.MustNewConstMetric(s.cacheCapacity, prometheus.GaugeValue, float64(x.cache.MaxSize()), x.kind)
	ch <- prometheus.MustNewConstMetric(s.cacheUsage, prometheus.GaugeValue, float64(m.Size), x.kind)
	ch <- prometheus.MustNewConstMetric(s.cacheHits, prometheus.CounterValue, float64(m.Hits), x.kind)
	ch <- prometheus.MustNewConstMetric(s.cacheMisses, prometheus.CounterValue, float64(m.Misses), x.kind)
}
