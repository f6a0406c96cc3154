package processor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	parked    prometheus.Gauge
	unflushed prometheus.Gauge
	leading   prometheus.Gauge
	refused   prometheus.Counter
	stalls    prometheus.Counter
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
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_refused_records_total", Help: "Requests and messages of other partitions that were told to come again, as too many waited.",
		}),
		stalls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_store_stalls_total", Help: "Times that committed commands had to wait for the store of their partition.",
		}),
	}
	r.MustRegister(m.parked, m.unflushed, m.leading, m.refused, m.stalls)
	return m
}
