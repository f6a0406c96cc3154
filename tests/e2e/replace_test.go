package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// callers call objects one after the other and note errors and the longest time without an answer.
type callers struct {
	form    *harness.Form
	answers atomic.Int64
	worst   atomic.Int64 // nanoseconds

	mu   sync.Mutex
	errs []error
}

// start has n callers call, each an object of its own, until stop.
func (c *callers) start(ctx context.Context, n int) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			client := harness.NewClient(c.form)
			defer client.Close()
			for k := 0; !stopped.Load(); k++ {
				begin := time.Now()
				if err := client.Call(ctx, fmt.Sprintf("Account/caller-%d/add", i), fmt.Sprintf("c%d-%d", i, k), nil); err != nil {
					c.mu.Lock()
					c.errs = append(c.errs, err)
					c.mu.Unlock()
					return
				}
				c.answers.Add(1)
				for took := int64(time.Since(begin)); ; {
					if was := c.worst.Load(); took <= was || c.worst.CompareAndSwap(was, took) {
						break
					}
				}
			}
		})
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

// gap returns the longest time without an answer since it was asked last.
func (c *callers) gap() time.Duration {
	return time.Duration(c.worst.Swap(0)).Round(time.Millisecond)
}

// progress waits for that many further answers.
func (c *callers) progress(ctx context.Context, n int64) error {
	goal := c.answers.Load() + n
	return harness.Wait(ctx, progressLimit, "answers", func(context.Context) error {
		if have := c.answers.Load(); have < goal {
			return fmt.Errorf("%d of %d", have, goal)
		}
		return nil
	})
}

// The replication of partitions is changed, and a worker is drained, removed and replaced by a new one, while clients call:
// none sees an error.
func TestReplaceWorker(t *testing.T) {
	if !strings.Contains(*formsFlag, "daemons") {
		t.Skip("it is about several processes")
	}
	f := newForm(t, "cluster")
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))
	w := &callers{form: f}
	stop := w.start(t.Context(), 16)
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("clients saw %v", w.errs)
		}
	})
	n := newOperator(t, fabricOf(f.Processes[0]))

	ok(t, w.progress(t.Context(), 500))
	old := n.id("worker-2")
	n.held("all partitions have two replicas", func(sets map[int][]string) error { return n.all(sets, 2, "") })
	t.Logf("before: worst gap %s", w.gap())
	n.run("nodes remove -y --nodes "+old, 1, "it runs", "worker holds partitions")

	begin := time.Now()
	for _, copies := range []int{3, 2} {
		n.run("config set -y --partition-replication "+strconv.Itoa(copies), 0)
		n.held(fmt.Sprintf("all partitions have %d replicas", copies), func(sets map[int][]string) error { return n.all(sets, copies, "") })
	}
	t.Logf("one replica more, and one less, after %s, worst gap %s", time.Since(begin).Round(time.Millisecond), w.gap())

	begin = time.Now()
	n.run("nodes set-worker-state -y --nodes "+old+" --worker-state draining", 0)
	n.await("it is disabled by itself", func() error {
		if state := n.workerState(old); state != "disabled" {
			return fmt.Errorf("it is %s: %v", state, n.sets())
		}
		return nil
	})
	t.Logf("drained after %s, worst gap %s", time.Since(begin).Round(time.Millisecond), w.gap())
	n.held("others hold all", func(sets map[int][]string) error { return n.all(sets, 2, old) })
	process, err := f.Process("worker-2")
	ok(t, err)
	ok(t, process.Stop())
	n.waits("nodes remove -y --nodes "+old, 0, "was removed") // its lease ends a moment later
	ok(t, w.progress(t.Context(), 100))
	t.Logf("stopped and removed, worst gap %s", w.gap())

	begin = time.Now()
	process, err = f.Add(env.bins, "worker-4")
	ok(t, err)
	ok(t, process.Restart(t.Context()))
	fresh := "N" + n.id("worker-4")
	n.held("the new one holds its share", func(sets map[int][]string) error {
		share := 0
		for _, nodes := range sets {
			if slices.Contains(nodes, fresh) {
				share++
			}
		}
		if share < 16 {
			return fmt.Errorf("it holds %d of 48: %v", share, sets)
		}
		return n.all(sets, 2, old)
	})
	t.Logf("replaced after %s, worst gap %s", time.Since(begin).Round(time.Millisecond), w.gap())
	ok(t, w.progress(t.Context(), 100))
	stop()
	for _, err := range w.errs {
		t.Errorf("a client saw %v", err)
	}
}
