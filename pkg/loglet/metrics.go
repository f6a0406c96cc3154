package loglet

import (
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

type metrics struct {
	read     prometheus.Counter // records
	seals    *host.Histogram
	failed   prometheus.Counter
	repaired prometheus.Counter
}

func newMetrics(reg *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	// Leaders apply records from memory and there is no cache besides (ADR 13), so the next two never move.
	counter("restate_bifrost_replicatedloglet_read_record_cache_hit_total", "Records read from a cache. There is none: who leads applies from memory and reads nothing.")
	counter("restate_bifrost_replicatedloglet_read_record_cache_filtered_total", "Records of a cache that were not wanted. There is none.")
	return &metrics{
		read:     counter("restate_bifrost_replicatedloglet_read_record_total", "Records read from log-servers, by followers and after a start."),
		seals:    host.NewHistogram(reg, "reprise_loglet_seal_seconds", "Time to seal a loglet and find its tail: a part of each take-over.", host.Seconds),
		failed:   counter("reprise_loglet_seals_failed_total", "Loglets that could not be sealed before the one who wanted it gave up. The log-servers that hold them are away."),
		repaired: counter("reprise_loglet_repaired_records_total", "Copies of records that were made to have all below a tail on a write quorum."),
	}
}
