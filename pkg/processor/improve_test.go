package processor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/processor"
)

// elsewhere wants each log's first loglet to be left.
type elsewhere struct{ looks atomic.Int64 }

// Improve implements processor.Nodesets.
func (e *elsewhere) Improve(l *storedv1.Loglet) (string, error) {
	e.looks.Add(1)
	if id.Loglet(l.Id).Segment() > 0 {
		return "", nil
	}
	return "the first is never good", nil
}

// silentMeta is a metadata store that does not answer while it is silent.
type silentMeta struct {
	processor.Meta
	silent *atomic.Bool
}

// Lineage implements processor.Meta.
func (m silentMeta) Lineage(ctx context.Context, p id.Partition) (metastore.Lineage, error) {
	if m.silent.Load() {
		return metastore.Lineage{}, errs.Newf(errs.Unavailable, "no etcd leader")
	}
	return m.Meta.Lineage(ctx, p)
}

// A leader whose loglet is stored in the wrong place goes on in a new one, once; but not while it could not be elected.
func TestLeadersImproveNodesets(t *testing.T) {
	w := newWorld(t, 3, 1)
	sets := &elsewhere{}
	var silent atomic.Bool
	w.nodesets = sets
	w.cfg.ImproveInterval, w.cfg.ImproveAfter = time.Millisecond, time.Hour
	w.takeOver = func(m processor.Meta) processor.Meta { return silentMeta{m, &silent} }
	a := w.start("a")
	key := w.keyIn(0, 0)
	a.want(add(key), "1", "", "1")
	eventually(t, "looks", func() bool { return sets.looks.Load() > 30 }) // from now on it has been so
	silent.Store(true)
	w.clock.skip(2 * time.Hour)
	seen := sets.looks.Load()
	eventually(t, "looks", func() bool { return sets.looks.Load() > seen+30 })
	a.want(add(key), "2", "", "2")
	for p, s := range a.Status() {
		if s.Epoch != 1 {
			t.Errorf("partition %d is in epoch %d without a metadata store", p, s.Epoch)
		}
	}
	silent.Store(false)
	eventually(t, "all moved", func() bool {
		for _, s := range a.Status() {
			if s.Epoch != 2 {
				return false
			}
		}
		return true
	})
	a.want(add(key), "3", "", "3")
	seen = sets.looks.Load()
	eventually(t, "looks", func() bool { return sets.looks.Load() > seen+30 })
	for p, s := range a.Status() {
		if s.Epoch != 2 {
			t.Errorf("partition %d moved on to epoch %d", p, s.Epoch)
		}
	}
}
