package processor

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/partition"
)

// measured does what metrics cost for a command of a leader with one effect.
func measured() func() {
	m, clock := newMetrics(prometheus.NewRegistry()), hosttest.Real(1).Clock
	began := clock.Now()
	return func() {
		ended := clock.Now()
		m.applyLeading.of(command.Step).Observe(ended.Sub(began).Seconds())
		m.latency.ObserveN(ended.Sub(began).Seconds(), 1)
		m.actions[partition.EffectForward].Inc()
		m.accepted.Add(300)
		began = ended
	}
}

func BenchmarkCommandMetrics(b *testing.B) {
	f := measured()
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}

func TestCommandMetricsDoNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(1000, measured()); n != 0 {
		t.Errorf("%v allocations for each command", n)
	}
}
