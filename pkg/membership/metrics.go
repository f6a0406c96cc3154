package membership

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// beatLags are the buckets of the lag of beats: a process that is silent for a second is dead.
var beatLags = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2}

// beatMetrics show how late beats are.
type beatMetrics struct {
	lag *host.Histogram
	max prometheus.Gauge

	mu      sync.Mutex // a leaf
	highest time.Duration
}

func newBeatMetrics(reg prometheus.Registerer) *beatMetrics {
	return &beatMetrics{
		lag: host.NewHistogram(reg, "reprise_membership_beat_lag_seconds",
			"From when a beat was due until it was handed to its connection. Who is silent for a second is dead: if it comes near that, the process lacks CPU.", beatLags),
		max: host.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_membership_beat_lag_max_seconds", Help: "The longest lag of a beat since this process started.",
		})),
	}
}

func (m *beatMetrics) observe(lag time.Duration) {
	m.lag.Observe(lag.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	if lag > m.highest {
		m.highest = lag
		m.max.Set(lag.Seconds())
	}
}
