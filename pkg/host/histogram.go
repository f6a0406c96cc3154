package host

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Histograms is a family of histograms. A Histogram costs half of prometheus.Histogram, and takes many equal values at once:
// the hot path has one for each command.
type Histograms struct {
	desc   *prometheus.Desc
	labels int
	bounds []float64

	mu       sync.Mutex // guards children
	children map[string]*Histogram
}

var _ prometheus.Collector = (*Histograms)(nil)

// NewHistograms registers a family, or takes the one that is registered. bounds are the upper ones of its buckets, ascending.
func NewHistograms(reg prometheus.Registerer, name, help string, bounds []float64, labels ...string) *Histograms {
	return Register(reg, &Histograms{
		desc: prometheus.NewDesc(name, help, labels, nil), labels: len(labels), bounds: bounds, children: map[string]*Histogram{},
	})
}

// NewHistogram registers one without labels.
func NewHistogram(reg prometheus.Registerer, name, help string, bounds []float64) *Histogram {
	return NewHistograms(reg, name, help, bounds).With()
}

// With returns the child with these values of the labels. It is for setting up: a hot path keeps what it got.
func (h *Histograms) With(values ...string) *Histogram {
	key := strings.Join(values, "\xff")
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.children[key]
	if !ok {
		c = &Histogram{family: h, labels: prometheus.MakeLabelPairs(h.desc, values), counts: make([]atomic.Uint64, len(h.bounds)+1)}
		h.children[key] = c
	}
	return c
}

// Describe implements prometheus.Collector.
func (h *Histograms) Describe(ch chan<- *prometheus.Desc) { ch <- h.desc }

// Collect implements prometheus.Collector.
func (h *Histograms) Collect(ch chan<- prometheus.Metric) {
	h.mu.Lock()
	children := make([]*Histogram, 0, len(h.children))
	for _, c := range h.children {
		children = append(children, c)
	}
	h.mu.Unlock()
	for _, c := range children {
		ch <- c
	}
}

// Histogram counts values in buckets. It is safe for concurrent use.
type Histogram struct {
	family *Histograms
	labels []*dto.LabelPair
	counts []atomic.Uint64 // by bucket; the last one is for what is above all bounds
	sum    atomic.Uint64   // bits of a float64
}

var _ prometheus.Metric = (*Histogram)(nil)

// Observe counts a value.
func (h *Histogram) Observe(v float64) { h.ObserveN(v, 1) }

// ObserveN counts n values of that size.
func (h *Histogram) ObserveN(v float64, n uint64) {
	bounds := h.family.bounds
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	h.counts[i].Add(n)
	add := v * float64(n)
	for {
		was := h.sum.Load()
		if h.sum.CompareAndSwap(was, math.Float64bits(math.Float64frombits(was)+add)) {
			return
		}
	}
}

// Count is how many values were counted.
func (h *Histogram) Count() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Desc implements prometheus.Metric.
func (h *Histogram) Desc() *prometheus.Desc { return h.family.desc }

// Write implements prometheus.Metric.
func (h *Histogram) Write(out *dto.Metric) error {
	var count uint64
	buckets := make([]*dto.Bucket, len(h.family.bounds))
	for i, bound := range h.family.bounds {
		count += h.counts[i].Load()
		upTo := count
		buckets[i] = &dto.Bucket{UpperBound: &bound, CumulativeCount: &upTo}
	}
	count += h.counts[len(buckets)].Load() // the buckets and the count agree; the sum may be a value ahead
	sum := math.Float64frombits(h.sum.Load())
	out.Label = slices.Clone(h.labels)
	out.Histogram = &dto.Histogram{SampleCount: &count, SampleSum: &sum, Bucket: buckets}
	return nil
}

// Seconds are the buckets of short times: 50 µs to 26 s.
var Seconds = prometheus.ExponentialBuckets(50e-6, 3, 13)

// Bytes are those of sizes: 64 B to 64 MiB.
var Bytes = prometheus.ExponentialBuckets(64, 4, 11)
