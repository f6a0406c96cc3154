package processor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	parked    prometheus.Gauge
	unflushed prometheus.Gauge
	leading   prometheus.Gauge
	refused   prometheus.Counter
	stalls    prometheus.Counter

	cleanings, cleaningsFailed, cleaned prometheus.Counter

	snapshots, restores prometheus.Counter
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
		cleanings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_cleanings_total", Help: "Times that a partition was looked through for what was kept long enough. None for longer than worker.cleanup-interval: disks grow.",
		}),
		cleaningsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_failed_cleanings_total", Help: "Those that were cut short, and are repeated a minute later. If it keeps growing, the partition or its log takes too few records.",
		}),
		cleaned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_cleaned_invocations_total", Help: "Completed invocations whose result or journal was forgotten because its retention was over.",
		}),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_snapshots_total", Help: "Snapshots of partitions that were put into the object store.",
		}),
		restores: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_restores_total", Help: "Partition stores that were restored from a snapshot.",
		}),
	}
	r.MustRegister(m.snapshots, m.restores)
	r.MustRegister(m.cleanings, m.cleaningsFailed, m.cleaned)
	r.MustRegister(m.parked, m.unflushed, m.leading, m.refused, m.stalls)
	return m
}
