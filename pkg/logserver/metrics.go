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
	batchBytes     *host.Histogram
	batchGroups    *host.Histogram
	sync           *host.Histogram
	readBytes      prometheus.Counter

	started, stopped   prometheus.Counter // loglets
	accepted, rejected prometheus.Counter // bytes of frames and repairs
}

var statusLabels = map[logproto.Status]string{
	logproto.Ok: "ok", logproto.Sealed: "sealed", logproto.Dropped: "expired", logproto.Disabled: "disabled",
	logproto.Malformed: "malformed", logproto.SequencerMismatch: "sequencer_mismatch", logproto.OutOfBounds: "out_of_bounds",
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		batchBytes:  host.NewHistogram(reg, "restate_log_server_write_batch_size_bytes", "Bytes committed with one sync.", host.Bytes),
		batchGroups: host.NewHistogram(reg, "reprise_logserver_batch_groups", "Groups of records committed with one sync.", prometheus.ExponentialBuckets(1, 2, 12)),
		sync: host.NewHistogram(reg, "reprise_logserver_commit_seconds",
			"Time of a commit with its sync. It bounds all that is durable: if it grows, the disk is slow.", prometheus.ExponentialBuckets(50e-6, 2, 16)),
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
	counter := func(name, help string) prometheus.Counter {
		return host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	m.started = counter("restate_log_server_loglet_started_total", "Loglets that were asked for since the start.")
	m.stopped = counter("restate_log_server_loglet_stopped_total", "Loglets that are not served any more.")
	m.accepted, m.rejected = host.NewTraffic(reg, "LogServerDataService")
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
