package memory_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stores are fakes: a flush ends when it is let go.
type stores struct {
	mu     sync.Mutex
	all    map[id.Partition]memory.Standing
	fail   error
	block  map[id.Partition]chan struct{} // flushes that wait
	asked  chan id.Partition
	looked chan struct{}
}

func newStores() *stores {
	return &stores{all: map[id.Partition]memory.Standing{}, block: map[id.Partition]chan struct{}{}, asked: make(chan id.Partition, 1000), looked: make(chan struct{}, 100000)}
}

func (s *stores) Standing() (out []memory.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		out = append(out, x)
	}
	s.looked <- struct{}{}
	return out
}

func (s *stores) Flush(ctx context.Context, p id.Partition) error {
	s.asked <- p
	s.mu.Lock()
	wait, fail := s.block[p], s.fail
	s.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x, ok := s.all[p]; ok {
		x.Bytes, x.Flushed = 0, x.Written
		s.all[p] = x
	}
	return fail
}

// open opens a store, or writes to it.
func (s *stores) open(p id.Partition, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[p]
	s.all[p] = memory.Standing{ID: p, Bytes: bytes, Written: x.Written + 1, Flushed: x.Flushed}
}

func (s *stores) closed(p id.Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, p)
}

// room is a Controller that runs over fakes.
type room struct {
	*memory.Controller
	t       *testing.T
	stores  *stores
	clock   *hosttest.Clock
	metrics *prometheus.Registry
	stop    func() error
}

func run(t *testing.T, budgetBytes int64) *room {
	t.Helper()
	r := &room{t: t, stores: newStores(), clock: hosttest.NewClock()}
	h := hosttest.New(r.clock, 1)
	r.metrics = h.Metrics
	c, err := memory.New(memory.Default(), r.stores, h)
	if err != nil {
		t.Fatal(err)
	}
	r.Controller = c
	c.Set(memory.Budget{Bytes: budgetBytes})
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("controller", c.Run)
	var once sync.Once
	var ended error
	r.stop = func() error {
		once.Do(func() { cancel(); ended = g.Wait() })
		return ended
	}
	t.Cleanup(func() { _ = r.stop() })
	r.settle()
	return r
}

// settle waits until the Controller has looked at what there is now: at the second look from now on at the latest, it has taken it
// down.
func (r *room) settle() {
	r.t.Helper()
	for len(r.stores.looked) > 0 {
		<-r.stores.looked
	}
	for range 2 {
		r.Wake()
		<-r.stores.looked
	}
}

// pass lets time go by.
func (r *room) pass(d time.Duration) {
	r.clock.Advance(d)
	r.settle()
}

func (r *room) share(want string) {
	r.t.Helper()
	text := "# HELP restate_partition_store_memtable_budget_bytes Memory for new rows of one partition store: the share of each that is open.\n" +
		"# TYPE restate_partition_store_memtable_budget_bytes gauge\nrestate_partition_store_memtable_budget_bytes " + want + "\n"
	if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(text), "restate_partition_store_memtable_budget_bytes"); err != nil {
		r.t.Error(err)
	}
}

func (r *room) count(name string) (sum float64) {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// With each store that opens or closes, and each change of the budget, the shares are other ones, and metrics say so.
func TestSharesFollow(t *testing.T) {
	r := run(t, 640)
	r.share("640")
	for p := range id.Partition(64) {
		r.stores.open(p, 1)
	}
	r.settle()
	r.share("10")
	for p := range id.Partition(32) {
		r.stores.closed(p)
	}
	r.settle()
	r.share("20")
	r.Set(memory.Budget{Bytes: 64})
	r.settle()
	r.share("2")
	if got := r.Share(); got != 2 {
		t.Errorf("share %d", got)
	}
	if got := r.count("reprise_memory_store_bytes"); got != 32 {
		t.Errorf("%v bytes are shown", got)
	}
}

// A budget that is lowered has what is above it flushed at once.
func TestLoweredBudgetFlushes(t *testing.T) {
	r := run(t, 1000)
	for p := range id.Partition(10) {
		r.stores.open(p, 10*int64(p))
	}
	r.settle()
	if len(r.stores.asked) != 0 {
		t.Fatal("a store within its share is flushed")
	}
	r.Set(memory.Budget{Bytes: 800})
	if p := <-r.stores.asked; p != 9 {
		t.Errorf("partition %d is flushed", p)
	}
	r.settle()
	if len(r.stores.asked) != 0 || r.count("restate_partition_store_reclaim_flush_total") != 1 {
		t.Errorf("%d more, %v counted", len(r.stores.asked), r.count("restate_partition_store_reclaim_flush_total"))
	}
}

// Flushes that hang hold up no look: shares go on following, and they are waited for when the process stops.
func TestBlockedFlushesHoldNothingUp(t *testing.T) {
	r := run(t, 100)
	for _, p := range []id.Partition{0, 1} {
		r.stores.block[p] = make(chan struct{})
		r.stores.open(p, 1000)
	}
	r.settle()
	<-r.stores.asked
	<-r.stores.asked
	r.stores.open(2, 500)
	r.settle()
	r.share("33")
	if got := r.count("reprise_memory_waiting_stores"); got != 1 {
		t.Errorf("%v stores wait", got)
	}
	r.Set(memory.Budget{Bytes: 30})
	r.settle()
	r.share("10")
	if len(r.stores.asked) != 0 {
		t.Error("there are more than two flushes at a time")
	}
	close(r.stores.block[1])
	if p := <-r.stores.asked; p != 2 {
		t.Errorf("partition %d has the place", p)
	}
	if err := r.stop(); err != nil { // 0 hangs still
		t.Error(err)
	}
}

func TestQuietStoresAreFlushed(t *testing.T) {
	r := run(t, 1<<20)
	r.stores.open(7, 10)
	r.settle()
	r.pass(9 * time.Second)
	if len(r.stores.asked) != 0 {
		t.Fatal("it is flushed before its time")
	}
	r.clock.Advance(3 * time.Second)
	if p := <-r.stores.asked; p != 7 {
		t.Errorf("partition %d", p)
	}
	r.settle()
	if got := r.count("reprise_memory_flushes_total"); got != 1 || r.count("restate_partition_store_reclaim_flush_total") != 0 {
		t.Errorf("%v flushes", got)
	}
}

// A store that cannot be flushed is of no use: the role ends with the reason.
func TestFailedFlushEndsTheController(t *testing.T) {
	r := run(t, 10)
	r.stores.fail = errors.New("the disk is gone")
	r.stores.open(3, 20)
	r.Wake()
	<-r.stores.asked
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "flush partition 3: the disk is gone") {
		t.Errorf("%v", err)
	}
}
