package processor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	parked    prometheus.Gauge
	unflushed prometheus.Gauge
	leading   prometheus.Gauge
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_parked_partitions", Help: "Partitions that stopped because a command could not be applied.",
		}),
		unflushed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_unflushed_commands", Help: "Commands applied but not flushed: what a restart must replay.",
		}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_led_partitions", Help: "Partitions that this node leads.",
		}),
	}
	r.MustRegister(m.parked, m.unflushed, m.leading)
	return m
}
