package processor_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/id"
	"reprise/pkg/memory"
	"reprise/pkg/placement"
)

const (
	shareOfOne = "restate_partition_store_memtable_budget_bytes"
	storesOpen = "restate_partition_store_num_open"
	reclaims   = "restate_partition_store_reclaim_flush_total"
)

// The share of a store follows the number of those that are open, led or followed, and the budget.
func TestShareFollowsOpenStores(t *testing.T) {
	const partitions, budget = 16, 16 << 20
	w := newWorld(t, partitions, 2)
	w.trims(placement.DurableNowhere, time.Hour)
	a, b := w.start("a"), w.start("b")
	for _, n := range []*worker{a, b} {
		n.SetMemory(memory.Budget{Bytes: budget})
	}
	has := func(n *worker, stores, bytes float64) {
		t.Helper()
		eventually(t, "the share", func() bool { return n.gauge(storesOpen) == stores && n.gauge(shareOfOne) == bytes })
	}
	has(a, partitions, budget/partitions)
	has(b, 0, budget)
	w.hold(func(p id.Partition) []id.Node { // half of them are followed by b
		if p%2 == 0 {
			return []id.Node{a.self.Node, b.self.Node}
		}
		return []id.Node{a.self.Node}
	})
	has(b, partitions/2, budget/(partitions/2))
	has(a, partitions, budget/partitions)
	b.SetMemory(memory.Budget{Bytes: budget / 2})
	has(b, partitions/2, budget/2/(partitions/2))
	w.hold(func(id.Partition) []id.Node { return []id.Node{a.self.Node} })
	eventually(t, "b closes its stores", func() bool {
		w.clock.skip(10 * time.Minute)
		return b.gauge(storesOpen) == 0
	})
	has(b, 0, budget/2)
	has(a, partitions, budget/partitions)
}

// Stores that hold more than their share are flushed, and only those.
func TestStoresAboveTheirShareAreFlushed(t *testing.T) {
	const partitions = 8
	w := newWorld(t, partitions, 2)
	w.cfg.Memory.Interval = 10 * time.Millisecond
	n := w.start("a")
	for p := range id.Partition(partitions) {
		n.want(add(w.keyIn(p, 0)), "first", "", "1")
	}
	eventually(t, "rows are in memory", func() bool {
		held := n.series("reprise_memory_store_bytes")
		for p := range partitions {
			if held["/"+strconv.Itoa(p)] == 0 {
				return false
			}
		}
		return true
	})
	if got := n.gauge(reclaims); got != 0 {
		t.Fatalf("%v were flushed within their share", got)
	}
	n.SetMemory(memory.Budget{Bytes: 1, NoReclaim: true})
	n.want(add(w.keyIn(0, 0)), "second", "", "2")
	if got := n.gauge(reclaims); got != 0 {
		t.Fatalf("%v were flushed with the reclaimer off", got)
	}
	n.SetMemory(memory.Budget{Bytes: 1})
	eventually(t, "all are flushed", func() bool {
		for p, s := range n.Status() {
			if s.Durable < s.Applied {
				return false
			}
			if held := n.series("reprise_memory_store_bytes")["/"+strconv.Itoa(p)]; held != 0 {
				return false
			}
		}
		return true
	})
	if got := n.gauge(reclaims); got < partitions {
		t.Errorf("%v flushes of %d stores", got, partitions)
	}
}

// A partition that nobody writes to any more is on the disk soon, so that its log can be trimmed.
func TestIdlePartitionIsFlushed(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.cfg.Memory.Interval, w.cfg.Memory.IdleAfter = 10*time.Millisecond, 50*time.Millisecond
	n := w.start("a")
	n.want(add(w.keyIn(1, 0)), "x", "", "1")
	eventually(t, "it is on the disk", func() bool {
		s := n.Status()[1]
		return s.Applied > 0 && s.Durable == s.Applied
	})
	if got := n.series("reprise_memory_flushes_total")["/over"]; got != 0 {
		t.Errorf("%v flushes of stores above their share", got)
	}
}

// gate is a disk that writes no tables of some folder while it is shut.
type gate struct {
	vfs.FS
	mu    sync.Mutex
	shut  string        // part of their paths
	open  chan struct{} // closed when it is opened again
	tried chan struct{} // closed by the first that waits
}

func (g *gate) close(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.open, g.tried = path, make(chan struct{}), make(chan struct{})
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != "" {
		close(g.open)
		g.shut = ""
	}
}

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	g.mu.Lock()
	wait, waits := g.open, g.shut != "" && strings.HasSuffix(name, ".sst") && strings.Contains(filepath.ToSlash(name), g.shut)
	if waits {
		select {
		case <-g.tried:
		default:
			close(g.tried)
		}
	}
	g.mu.Unlock()
	if waits {
		<-wait
	}
	return g.FS.Create(name, c)
}

// While the disk does not take what one store writes out, its partition and all others take requests, they are flushed, the node
// says how it stands, and shares follow.
func TestBlockedFlushHoldsNobodyUp(t *testing.T) {
	const partitions = 8
	w := newWorld(t, partitions, 2)
	g := &gate{FS: w.fs}
	w.host.FS = g
	w.cfg.Memory.Interval = 10 * time.Millisecond
	n := w.start("a")
	g.close("a/3/")
	t.Cleanup(g.reopen)
	n.want(add(w.keyIn(3, 0)), "before", "", "1")
	n.SetMemory(memory.Budget{Bytes: 1})
	n.await("a flush that hangs", g.tried)
	const calls = 5
	for i := range calls {
		for p := range id.Partition(partitions) {
			n.want(add(w.keyIn(p, 1)), "call "+strconv.Itoa(i), "", strconv.Itoa(i+1))
		}
		if all := n.Status(); len(all) != partitions || all[3].Role != placement.Leads {
			t.Fatalf("status %+v", all)
		}
	}
	eventually(t, "all others are flushed", func() bool {
		for p, s := range n.Status() {
			if p != 3 && s.Durable < s.Applied {
				return false
			}
		}
		return true
	})
	if s := n.Status()[3]; s.Durable >= s.Applied {
		t.Errorf("the store that could not be flushed is: %+v", s)
	}
	n.SetMemory(memory.Budget{Bytes: 800})
	eventually(t, "the share follows", func() bool { return n.gauge(shareOfOne) == 800/partitions })
	g.reopen()
	n.SetMemory(memory.Budget{Bytes: 1})
	eventually(t, "it is flushed", func() bool {
		s := n.Status()[3]
		return s.Durable == s.Applied
	})
}
