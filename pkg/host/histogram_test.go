package host_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"reprise/pkg/host"
)

func TestHistograms(t *testing.T) {
	reg := prometheus.NewRegistry()
	family := host.NewHistograms(reg, "reprise_host_test_seconds", "Test.", []float64{1, 2}, "kind")
	family.With("a").Observe(1) // bounds are inclusive
	family.With("a").ObserveN(1.5, 3)
	family.With("a").Observe(7)
	family.With("b")
	if again := host.NewHistograms(reg, "reprise_host_test_seconds", "Test.", []float64{1, 2}, "kind"); again != family {
		t.Error("a family that is registered is not taken")
	}
	want := `# HELP reprise_host_test_seconds Test.
# TYPE reprise_host_test_seconds histogram
reprise_host_test_seconds_bucket{kind="a",le="1"} 1
reprise_host_test_seconds_bucket{kind="a",le="2"} 4
reprise_host_test_seconds_bucket{kind="a",le="+Inf"} 5
reprise_host_test_seconds_sum{kind="a"} 12.5
reprise_host_test_seconds_count{kind="a"} 5
reprise_host_test_seconds_bucket{kind="b",le="1"} 0
reprise_host_test_seconds_bucket{kind="b",le="2"} 0
reprise_host_test_seconds_bucket{kind="b",le="+Inf"} 0
reprise_host_test_seconds_sum{kind="b"} 0
reprise_host_test_seconds_count{kind="b"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestHistogramOfManyGoroutines(t *testing.T) {
	h := host.NewHistogram(prometheus.NewRegistry(), "reprise_host_test_bytes", "Test.", host.Bytes)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				h.ObserveN(64, 2)
			}
		})
	}
	wg.Wait()
	if n := h.Count(); n != 8000 {
		t.Errorf("%d of 8000 values", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		h := host.NewHistogram(prometheus.NewRegistry(), "reprise_host_test_seconds", "Test.", host.Seconds)
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(0.0002)
		}
	})
	b.Run("prometheus", func(b *testing.B) {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "reprise_host_test_seconds", Buckets: host.Seconds})
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(0.0002)
		}
	})
}

func TestObserveDoesNotAllocate(t *testing.T) {
	h := host.NewHistogram(prometheus.NewRegistry(), "reprise_host_test_seconds", "Test.", host.Seconds)
	if n := testing.AllocsPerRun(100, func() { h.ObserveN(0.3, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
