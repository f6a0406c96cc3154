package host

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// pools shows the pools of memory of a process, two gauges with the label name.
type pools struct {
	capacity, usage *prometheus.Desc

	mu  sync.Mutex // guards all
	all map[string]pool
}

type pool struct{ capacity, usage func() int64 }

// AddPool shows a pool of memory. capacity (0: no limit) and usage are called by scrapes and must not wait; of two pools with
// one name the newer one counts.
func AddPool(reg prometheus.Registerer, name string, capacity, usage func() int64) {
	label := []string{"name"}
	p := Register(reg, &pools{
		capacity: prometheus.NewDesc("restate_memory_pool_capacity_bytes", "Size of a pool of memory; 0: it has no limit of its own.", label, nil),
		usage:    prometheus.NewDesc("restate_memory_pool_usage_bytes", "Bytes of a pool of memory that are in use. Near its capacity, work is put off or refused.", label, nil),
		all:      map[string]pool{},
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[name] = pool{capacity, usage}
}

// Describe implements prometheus.Collector.
func (p *pools) Describe(ch chan<- *prometheus.Desc) { ch <- p.capacity; ch <- p.usage }

// Collect implements prometheus.Collector.
func (p *pools) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, x := range p.all {
		ch <- prometheus.MustNewConstMetric(p.capacity, prometheus.GaugeValue, float64(x.capacity()), name)
		ch <- prometheus.MustNewConstMetric(p.usage, prometheus.GaugeValue, float64(x.usage()), name)
	}
}

// NewTraffic counts the bytes of requests for a service of this process: those that were taken, and those that were refused because too
// many waited.
func NewTraffic(reg prometheus.Registerer, target string) (accepted, rejected prometheus.Counter) {
	counter := func(name, help string) prometheus.Counter {
		return Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"target"})).WithLabelValues(target)
	}
	return counter("restate_network_service_accepted_request_bytes_total", "Bytes of requests that were taken."),
		counter("restate_network_service_rejected_request_bytes_total", "Bytes of requests that were told to come again because too many waited.")
}
