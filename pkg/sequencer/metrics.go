package sequencer

import (
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

type metrics struct {
	enqueuedRecords, enqueuedBytes   prometheus.Counter
	committedRecords, committedBytes prometheus.Counter
	stores                           *prometheus.SummaryVec
}

func newMetrics(reg *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &metrics{
		enqueuedRecords:  counter("restate_bifrost_replicatedloglet_enqueued_records_total", "Records appended."),
		enqueuedBytes:    counter("restate_bifrost_replicatedloglet_enqueued_records_bytes_total", "Bytes of records appended."),
		committedRecords: counter("restate_bifrost_sequencer_committed_records_total", "Records committed by this process."),
		committedBytes:   counter("restate_bifrost_sequencer_committed_records_bytes_total", "Bytes of records committed by this process."),
		stores: host.Register(reg, prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "restate_bifrost_sequencer_store_duration_seconds", Help: "Time of a frame at a log-server."}, []string{"node_id"})),
	}
}

func (m *metrics) store(n id.Node) prometheus.Observer { return m.stores.WithLabelValues(n.String()) }

func (m *metrics) enqueued(count uint32, bytes int) {
	m.enqueuedRecords.Add(float64(count))
	m.enqueuedBytes.Add(float64(bytes))
}

func (m *metrics) committed(records lsn.Offset, bytes uint64) {
	m.committedRecords.Add(float64(records))
	m.committedBytes.Add(float64(bytes))
}
