package processor

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	parked    prometheus.Gauge
	unflushed prometheus.Gauge
	leading   prometheus.Gauge
	refused   prometheus.Counter
	stalls    prometheus.Counter

	cleanings, cleaningsFailed, cleaned prometheus.Counter

	uploads, uploadsFailed, downloadsFailed, restores prometheus.Counter

	durable, archived, trimmed *prometheus.GaugeVec // by partition; of those led here

	uploadTime, downloadTime prometheus.Summary
	blocked                  *prometheus.GaugeVec // by partition and reason
}

// blockedBySnapshot is a reason why a partition cannot run here.
const blockedBySnapshot = "snapshot-unavailable"

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
		uploads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_upload_total", Help: "Snapshots of partitions that were put into the object store.",
		}),
		uploadsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_upload_failed_total", Help: "Snapshots of partitions that could not be put into the object store; the next one is tried 10 s later. The log says why.",
		}),
		downloadsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_download_failed_total", Help: "Snapshots that could not be restored because something of them is damaged or missing.",
		}),
		uploadTime: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "restate_partition_store_snapshots_upload_duration_seconds", Help: "How long it took to make snapshots.",
		}),
		downloadTime: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "restate_partition_store_snapshots_download_duration_seconds", Help: "How long it took to restore partition stores.",
		}),
		blocked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "restate_partition_blocked_flare", Help: "1: the partition cannot run here. snapshot-unavailable: the log does not reach back to its store, and no snapshot can be restored. ahead-of-log: its store holds what the log lost, and is not used.",
		}, []string{"partition", "reason"}),
		durable:  positions("durable", "Up to where a partition that is led here is on the disk of this node."),
		archived: positions("archived", "Up to where a partition that is led here is in the oldest snapshot that is kept. If it stands still, look whether snapshots are made."),
		trimmed:  positions("trimmed", "Up to where the log of a partition that is led here is trimmed. If it stands still, the disks of the log-servers fill: see worker.durability-mode."),
		restores: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_restores_total", Help: "Partition stores that were restored from a snapshot.",
		}),
	}
	r.MustRegister(m.uploads, m.uploadsFailed, m.downloadsFailed, m.uploadTime, m.downloadTime, m.blocked, m.restores, m.durable, m.archived, m.trimmed)
	r.MustRegister(m.cleanings, m.cleaningsFailed, m.cleaned)
	r.MustRegister(m.parked, m.unflushed, m.leading, m.refused, m.stalls)
	return m
}

// positions are LSNs by partition.
func positions(what, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "reprise_processor_" + what + "_lsn", Help: help}, []string{"partition"})
}

// ages are how old the newest snapshots are of the partitions that are led here, as quantiles.
type ages struct{ n *Node }

var ageOfSnapshots = prometheus.NewDesc("restate_partition_snapshot_age_seconds",
	"Age of the newest snapshots of the partitions that are led here. If it grows beyond the interval, the log says why none is made.", []string{"quantile"}, nil)

// Describe implements prometheus.Collector.
func (a ages) Describe(ch chan<- *prometheus.Desc) { ch <- ageOfSnapshots }

// Collect implements prometheus.Collector.
func (a ages) Collect(ch chan<- prometheus.Metric) {
	var all []float64
	if parts := a.n.parts.Load(); parts != nil {
		now := a.n.host.Clock.Now()
		for _, p := range *parts {
			if _, leads := p.ledIn(); !leads {
				continue
			}
			if l := p.latest.Load(); l != nil {
				all = append(all, now.Sub(l.CreatedAt).Seconds())
			}
		}
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		age := 0.0
		if k := len(all); k > 0 {
			age = all[min(int(q*float64(k)), k-1)]
		}
		ch <- prometheus.MustNewConstMetric(ageOfSnapshots, prometheus.GaugeValue, age, strconv.FormatFloat(q, 'g', -1, 64))
	}
}
