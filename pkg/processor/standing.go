package processor

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
)

// standing tells how the partitions of a node stand when it is asked. Gauges with quantiles are over partitions, so that
// there are as many of them however many partitions there are.
type standing struct{ n *Node }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	partitionsOfCluster = gauge("restate_num_partitions", "Partitions of the cluster.")
	partitionsHeld      = gauge("restate_num_active_partitions", "Partitions that this node leads or follows.")
	partitionsLed       = gauge("restate_num_active_partition_leaders", "Partitions that this node leads. Their sum over all nodes is restate_num_partitions, or some have no leader.")
	lagOfPartitions     = gauge("restate_partition_applied_lsn_lag", "Records that the partitions of this node are behind their logs. If it grows, they apply too slowly or cannot read.", "quantile")
	lagsUnknown         = gauge("restate_partition_num_unknown_applied_lsn_lag", "Partitions of this node that do not know how far they are behind.")
	statusAges          = gauge("restate_partition_time_since_last_status_update_seconds", "Time since the loops of the partitions of this node looked at the clock. Seconds: a loop is stuck.", "quantile")
	snapshotAges        = gauge("restate_partition_snapshot_age_seconds", "Age of the newest snapshots of the partitions that are led here. If it grows beyond the interval, the log says why none is made.", "quantile")
)

// Describe implements prometheus.Collector.
func (standing) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		partitionsOfCluster, partitionsHeld, partitionsLed, lagOfPartitions, lagsUnknown, statusAges, snapshotAges,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It waits for nobody.
func (s standing) Collect(ch chan<- prometheus.Metric) {
	one := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	now := s.n.host.Clock.Now()
	var held, led, unknown int
	var lags, ages, silences []float64
	if parts := s.n.parts.Load(); parts != nil {
		for _, p := range *parts {
			store := p.opened.Load()
			if store == nil {
				continue
			}
			held++
			if seen := p.loop.seen.Load(); seen > 0 {
				silences = append(silences, max(float64(now.UnixMilli()-seen), 0)/1000)
			}
			role := placement.Role(p.state.Load() & 3)
			if role == placement.Leads {
				led++
				if l := p.latest.Load(); l != nil {
					ages = append(ages, now.Sub(l.CreatedAt).Seconds())
				}
			}
			if lag, ok := p.lag(role); ok {
				lags = append(lags, lag)
			} else {
				unknown++
			}
		}
	}
	one(partitionsOfCluster, float64(s.n.view.Current().Partitions))
	one(partitionsHeld, float64(held))
	one(partitionsLed, float64(led))
	one(lagsUnknown, float64(unknown))
	quantiles(ch, lagOfPartitions, lags)
	quantiles(ch, statusAges, silences)
	quantiles(ch, snapshotAges, ages)
}

// lag is how many records the store lacks of what p knows to be in the log.
func (p *part) lag(role placement.Role) (records float64, known bool) {
	end := lsn.LSN(p.tail.Load())
	if role == placement.Leads {
		end = lsn.LSN(p.proposed.Load())
	}
	if end == 0 {
		return 0, false
	}
	applied := p.applied()
	if applied+1 >= end {
		return 0, true
	}
	return float64(end - applied - 1), true
}

func quantiles(ch chan<- prometheus.Metric, d *prometheus.Desc, all []float64) {
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		v := 0.0
		if k := len(all); k > 0 {
			v = all[min(int(q*float64(k)), k-1)]
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strconv.FormatFloat(q, 'g', -1, 64))
	}
}

// addPools shows the memory that requests take which wait to be committed and applied.
func (n *Node) addPools() {
	capacity := func() int64 { return int64(n.policy().RequestBytesMax) }
	host.AddPool(n.host.Metrics, "partition-leader-rpc", capacity, n.waiting.calls.Load)
	host.AddPool(n.host.Metrics, "partition-messages", capacity, n.waiting.deliveries.Load)
}
