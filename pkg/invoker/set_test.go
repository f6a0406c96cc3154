package invoker

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"reprise/pkg/host/hosttest"
)

// worker.invoker.concurrent-invocations-limit and memory-limit may change: what is held stays, and who waits is told of room.
func TestLimitsAreLive(t *testing.T) {
	cfg := Default()
	cfg.ConcurrentMax, cfg.MemoryBytesMax = 1, 40<<20
	h := hosttest.New(hosttest.NewClock(), 1)
	l := NewLimits(cfg, h)
	o := &told{}
	v := &Invoker{owner: o}
	if !l.acquire(v) || l.acquire(v) {
		t.Fatal("there is one token")
	}
	l.Set(2, 40<<20)
	if o.n != 1 || !l.acquire(v) {
		t.Fatalf("told %d times of the second token", o.n)
	}
	l.Set(1, 40<<20)
	if attempts, _ := l.Held(); attempts != 2 || l.acquire(v) {
		t.Fatalf("%d attempts, and one more", attempts)
	}
	l.release(v)
	l.leave(v)
	l.Set(0, 1<<20)
	if l.take(1<<20) || !l.take(1<<19) {
		t.Error("the memory is not bounded by the new limit")
	}
	l.Set(0, 0)
	if !l.take(1 << 40) {
		t.Error("0 is a limit")
	}
	l.Set(7, 1<<30)
	if got := testutil.ToFloat64(newMetrics(h.Metrics, 7).limit.WithLabelValues("0")); got != 7 {
		t.Errorf("restate_invoker_concurrency_limit is %v", got)
	}
}

// worker.invoker.message-size-limit and per-invocation-memory-limit may change: attempts that begin then have the new ones.
func TestSizesAreLive(t *testing.T) {
	value := strings.Repeat("x", 3<<20)
	l := newLoop(t, endpoint(t, func(p *peer) { output(p, value) }, false))
	l.wantValue(l.invoke(service("h"), "as it was"), value)
	sizes := l.cfg.Sizes
	sizes.MessageBytesMax = 1 << 20
	l.v.limits.SetSizes(sizes)
	if f := l.wantFailure(l.invoke(service("h"), "message-size-limit"), "RT0003"); !strings.Contains(f.GetMessage(), "bytes") {
		t.Error(f)
	}
	sizes = l.cfg.Sizes
	sizes.InvocationBytesMax = 1 << 10
	l.v.limits.SetSizes(sizes)
	if f := l.wantFailure(l.invoke(service("h"), "per-invocation-memory-limit"), "RT0001"); !strings.Contains(f.GetMessage(), "per-invocation-memory-limit") {
		t.Error(f)
	}
	l.v.limits.SetSizes(l.cfg.Sizes)
	l.wantValue(l.invoke(service("h"), "as it was"), value)
	l.wantNothingHeld()
}
