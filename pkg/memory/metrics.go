package memory

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reclaims prometheus.Counter
	flushes  [whys]prometheus.Counter
	waiting  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, c *Controller) *metrics {
	m := &metrics{
		reclaims: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_reclaim_flush_total", Help: "Flushes of partition stores that held more than their share of the memory for new rows. Many: raise worker.storage.rocksdb-memory-budget.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_memory_waiting_stores", Help: "Partition stores that are to be flushed and wait for others. If it stays, the disk is too slow.",
		}),
	}
	flushes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reprise_memory_flushes_total", Help: "Flushes that the memory controller asked for: of stores above their share (over), that nobody wrote to (idle), with rows that were in memory alone for long (held).",
	}, []string{"reason"})
	for w := range whys {
		m.flushes[w] = flushes.WithLabelValues(w.String())
	}
	r.MustRegister(m.reclaims, m.waiting, flushes, shares{c})
	return m
}

// shares shows the division of the budget at the last look.
type shares struct{ c *Controller }

var (
	budgetBytes = prometheus.NewDesc("reprise_memory_budget_bytes", "Memory for new rows of all partition stores together.", nil, nil)
	shareBytes  = prometheus.NewDesc("restate_partition_store_memtable_budget_bytes", "Memory for new rows of one partition store: the share of each that is open.", nil, nil)
	storeBytes  = prometheus.NewDesc("reprise_memory_store_bytes", "New rows of a partition store that are in memory alone.", []string{"partition"}, nil)
)

// Describe implements prometheus.Collector.
func (shares) Describe(ch chan<- *prometheus.Desc) {
	ch <- budgetBytes
	ch <- shareBytes
	ch <- storeBytes
}

// Collect implements prometheus.Collector. It asks no store.
func (s shares) Collect(ch chan<- prometheus.Metric) {
	b, open := s.c.state()
	one := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	one(budgetBytes, b.Bytes)
	one(shareBytes, Share(b.Bytes, len(open)))
	for _, x := range open {
		one(storeBytes, x.Bytes, strconv.Itoa(int(x.ID)))
	}
}
