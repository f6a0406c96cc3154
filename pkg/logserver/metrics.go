package logserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/logproto"
)

type metrics struct {
	records, bytes [logproto.Malformed + 1]prometheus.Counter // by status
	repairs        [2]prometheus.Counter                      // records, bytes
	batchBytes     prometheus.Summary
	batchGroups    prometheus.Summary
	sync           prometheus.Histogram
	readBytes      prometheus.Counter
}

var statusLabels = map[logproto.Status]string{
	logproto.Ok: "ok", logproto.Sealed: "sealed", logproto.Dropped: "expired", logproto.Disabled: "disabled",
	logproto.Malformed: "malformed", logproto.SequencerMismatch: "sequencer_mismatch", logproto.OutOfBounds: "out_of_bounds",
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		batchBytes: host.Register(reg, prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "restate_log_server_write_batch_size_bytes", Help: "Bytes committed with one sync."})),
		batchGroups: host.Register(reg, prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "reprise_logserver_batch_groups", Help: "Groups of records committed with one sync."})),
		sync: host.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reprise_logserver_commit_seconds", Help: "Time of a commit with its sync.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16)})),
		readBytes: host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_logserver_read_bytes_total", Help: "Bytes of records read."})),
	}
	records := host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_log_server_store_records_total", Help: "Records of stores by result."}, []string{"status"}))
	bytes := host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_log_server_store_bytes_total", Help: "Bytes of stores by result."}, []string{"status"}))
	for s, label := range statusLabels {
		m.records[s], m.bytes[s] = records.WithLabelValues(label), bytes.WithLabelValues(label)
	}
	m.repairs = [2]prometheus.Counter{records.WithLabelValues("repair"), bytes.WithLabelValues("repair")}
	return m
}

func (m *metrics) group(s logproto.Status, g *logproto.Group) {
	if g.Repair && s == logproto.Ok {
		m.repairs[0].Add(float64(g.Count))
		m.repairs[1].Add(float64(len(g.Records)))
		return
	}
	m.records[s].Add(float64(g.Count))
	m.bytes[s].Add(float64(len(g.Records)))
}

func (m *metrics) batch(bytes, groups int, took time.Duration) {
	m.batchBytes.Observe(float64(bytes))
	m.batchGroups.Observe(float64(groups))
	m.sync.Observe(took.Seconds())
}

func (m *metrics) read(bytes int) { m.readBytes.Add(float64(bytes)) }
