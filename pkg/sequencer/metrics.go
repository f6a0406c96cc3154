package sequencer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

type metrics struct {
	enqueuedRecords, enqueuedBytes   prometheus.Counter
	committedRecords, committedBytes prometheus.Counter

	recordBytes        *host.Histogram
	appends            *host.Histogram
	waves, waveSeconds *host.Histogram
	stores             *host.Histograms
}

func newMetrics(reg *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &metrics{
		enqueuedRecords:  counter("restate_bifrost_replicatedloglet_enqueued_records_total", "Records appended."),
		enqueuedBytes:    counter("restate_bifrost_replicatedloglet_enqueued_records_bytes_total", "Bytes of records appended."),
		committedRecords: counter("restate_bifrost_sequencer_committed_records_total", "Records committed by this process."),
		committedBytes:   counter("restate_bifrost_sequencer_committed_records_bytes_total", "Bytes of records committed by this process."),
		recordBytes:      host.NewHistogram(reg, "restate_bifrost_sequencer_record_size_bytes", "Sizes of records, each as the mean of those appended with it.", host.Bytes),
		appends:          host.NewHistogram(reg, "restate_bifrost_sequencer_append_duration_seconds", "Time from an append until a write quorum has it.", host.Seconds),
		waves: host.NewHistogram(reg, "restate_bifrost_sequencer_append_waves",
			"Times that an append was sent until a write quorum had it. More than 1: log-servers are lost or refuse.", []float64{1, 2, 3, 4, 8, 16, 64}),
		waveSeconds: host.NewHistogram(reg, "restate_bifrost_sequencer_append_wave_duration_seconds", "Time of an append divided by its waves.", host.Seconds),
		stores:      host.NewHistograms(reg, "restate_bifrost_sequencer_store_duration_seconds", "Time of a frame at a log-server. Compare them to find a slow one.", host.Seconds, "node_id"),
	}
}

func (m *metrics) store(n id.Node) *host.Histogram { return m.stores.With(n.String()) }

func (m *metrics) enqueued(count uint32, bytes int) {
	m.enqueuedRecords.Add(float64(count))
	m.enqueuedBytes.Add(float64(bytes))
	m.recordBytes.ObserveN(float64(bytes)/float64(count), uint64(count))
}

func (m *metrics) committed(records lsn.Offset, bytes uint64) {
	m.committedRecords.Add(float64(records))
	m.committedBytes.Add(float64(bytes))
}

// appended is an append that is not committed.
type appended struct {
	end  lsn.Offset
	at   time.Time
	wave int // of its loglet, when it was appended
}

// quorumLocked counts the appends that are committed now.
func (l *Loglet) quorumLocked(known lsn.Offset) {
	n := 0
	for n < len(l.appends) && l.appends[n].end <= known {
		n++
	}
	if n == 0 {
		return
	}
	now, m := l.w.h.Clock.Now(), l.w.metrics
	for i := range l.appends[:n] {
		a := &l.appends[i]
		took, waves := now.Sub(a.at).Seconds(), float64(1+l.wave-a.wave)
		m.appends.Observe(took)
		m.waves.Observe(waves)
		m.waveSeconds.Observe(took / waves)
	}
	l.appends = l.appends[:copy(l.appends, l.appends[n:])]
}
