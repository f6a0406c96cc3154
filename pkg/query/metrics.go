package query

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	statements *prometheus.CounterVec
	refused    prometheus.Counter
	limited    prometheus.Counter
	processes  prometheus.Gauge
	started    prometheus.Counter
	rows       prometheus.Counter
	bytes      prometheus.Counter
}

func newMetrics(r *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_query_" + name, Help: help})
	}
	m := &metrics{
		statements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_query_statements_total", Help: "SQL statements, by outcome: completed, failed, cancelled.",
		}, []string{"outcome"}),
		refused:   counter("statements_refused_total", "SQL statements that waited in vain for others to end."),
		limited:   counter("statements_limited_total", "SQL statements that came faster than admin.query-engine.rate-limiting allows."),
		processes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "reprise_query_processes", Help: "Query processes that live."}),
		started:   counter("processes_started_total", "Query processes that were started."),
		rows:      counter("scanned_rows_total", "Rows that scans of partitions brought."),
		bytes:     counter("scanned_bytes_total", "Bytes of these rows."),
	}
	for _, outcome := range []string{"completed", "failed", "cancelled"} {
		m.statements.WithLabelValues(outcome) // a family is there from the start
	}
	r.MustRegister(m.statements, m.refused, m.limited, m.processes, m.started, m.rows, m.bytes)
	return m
}
