package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/quorum"
)

const (
	// retryPause is waited after a failed write.
	retryPause = 250 * time.Millisecond
	// movingPause is how often those are looked at that catch up.
	movingPause = 100 * time.Millisecond
)

// Store is the part of metastore.Store that the controller writes.
type Store interface {
	Assign(ctx context.Context, partitions uint32, plan func([]*storedv1.Epoch) []placement.Replicas) (changed int, err error)
	ChangeNode(ctx context.Context, n id.Node, decide func(*metastore.Facts) (*storedv1.Node, error)) (*storedv1.Node, error)
}

// Controller is a lifecycle.Part: it decides which workers hold partitions.
type Controller struct {
	cfg    Config
	self   id.Node
	view   View
	roster Attendants
	store  Store
	host   host.Host
}

var _ lifecycle.Part = (*Controller)(nil)

// New returns the controller of a metadata daemon.
func New(cfg Config, self id.Node, view View, roster Attendants, store Store, h host.Host) *Controller {
	return &Controller{cfg: cfg, self: self, view: view, roster: roster, store: store, host: h}
}

// Run watches and acts until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	w := watcher{cfg: c.cfg, absent: map[id.Node]time.Time{}}
	for {
		changed := c.view.Changed()
		wait, ok := c.round(ctx, &w)
		if !ok {
			wait = retryPause
		}
		var fire <-chan time.Time
		var timer host.Timer
		if wait > 0 {
			timer = c.host.Clock.NewTimer(wait)
			fire = timer.C()
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-fire:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// round looks once. It returns when to look again without a change (0: never), and false if a write failed.
func (c *Controller) round(ctx context.Context, w *watcher) (wait time.Duration, ok bool) {
	s, now := c.view.Current(), c.host.Clock.Now()
	workers, wait := w.observe(s, now)
	alive := c.roster.Alive()
	if s.Cluster == nil || workers == nil || !acts(c.self, s, alive) {
		return wait, true
	}
	property, err := quorum.Parse(metastore.PartitionReplication(s.Cluster))
	if err != nil {
		c.host.Log.Error("partitions are not placed: the replication of the cluster cannot be read", slog.Any(logkey.Err, err))
		return wait, true
	}
	if moving(s.Epochs) {
		wait = sooner(wait, movingPause)
	}
	plan := func(epochs []*storedv1.Epoch) []placement.Replicas {
		all := holdings(epochs, s.Directives)
		w.marks.set(all, alive, now)
		return placement.Reconfigure(all, alive, workers, property)
	}
	if !settled(s, plan) {
		n, err := c.store.Assign(ctx, s.Partitions, plan)
		if err != nil {
			return wait, c.failed(ctx, err)
		}
		if n > 0 { // else others did
			c.host.Log.Info("assigned partitions", slog.Int(logkey.Count, n))
		}
	}
	return wait, c.disable(ctx, s)
}

// moving tells whether workers catch up.
func moving(epochs []*storedv1.Epoch) bool {
	return slices.ContainsFunc(epochs, func(e *storedv1.Epoch) bool { return len(e.GetNext()) > 0 })
}

// failed logs why something was not written, and returns false unless ctx has ended.
func (c *Controller) failed(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	level := slog.LevelWarn
	if errs.Is(err, errs.Conflict) {
		level = slog.LevelDebug
	}
	c.host.Log.Log(ctx, level, "placing partitions, will try again", slog.Any(logkey.Err, err))
	return false
}

// settled tells, from the view alone, that there is nothing to write.
func settled(s *metastore.Snapshot, plan func([]*storedv1.Epoch) []placement.Replicas) bool {
	for p, want := range plan(s.Epochs) {
		now := metastore.ReplicasOf(s.Epochs[p])
		if !slices.Equal(want.Current, now.Current) || !slices.Equal(want.Next, now.Next) {
			return false
		}
	}
	return true
}

// disable ends the draining of workers that hold nothing any more.
func (c *Controller) disable(ctx context.Context, s *metastore.Snapshot) (ok bool) {
	ok = true
	for _, n := range s.Nodes {
		if n.WorkerState != storedv1.WorkerState_WORKER_STATE_DRAINING || len(holds(s.Epochs, id.Node(n.Id))) > 0 {
			continue
		}
		_, err := c.store.ChangeNode(ctx, id.Node(n.Id), func(f *metastore.Facts) (*storedv1.Node, error) {
			if was := f.Node(id.Node(n.Id)); was != nil && was.WorkerState != storedv1.WorkerState_WORKER_STATE_DRAINING {
				return was, nil // the operator changed their mind
			}
			return Changed(f, id.Node(n.Id), Change{Worker: storedv1.WorkerState_WORKER_STATE_DISABLED})
		})
		if err != nil {
			ok = c.failed(ctx, fmt.Errorf("disable %s, which is drained: %w", id.Node(n.Id), err)) && ok
			continue
		}
		c.host.Log.Info("a worker is drained and disabled", slog.String(logkey.Peer, id.Node(n.Id).String()))
	}
	return ok
}

// watcher remembers since when which workers are there or away.
type watcher struct {
	cfg     Config
	present []id.Node
	since   time.Time // present has been like this
	absent  map[id.Node]time.Time
	marks   marks
}

// observe returns the workers for placement, nil while their set is settling, and after what time to
// look again (0: at the next change).
func (w *watcher) observe(s *metastore.Snapshot, now time.Time) (workers []placement.Worker, wait time.Duration) {
	var present []id.Node
	for _, n := range s.Nodes {
		nid := id.Node(n.Id)
		there := slices.ContainsFunc(s.Present, func(p metastore.Presence) bool { return p.ID.Node == nid })
		if !slices.Contains(n.Roles, metastore.RoleWorker) {
			continue
		}
		left := w.cfg.Grace
		if there {
			present = append(present, nid)
			delete(w.absent, nid)
		} else {
			since, known := w.absent[nid]
			if !known {
				since = now
				w.absent[nid] = now
			}
			left = w.cfg.Grace - now.Sub(since)
			wait = sooner(wait, left)
		}
		workers = append(workers, placement.Worker{ID: nid, Location: n.Location, Standing: standing(n.WorkerState, there, left > 0)})
	}
	if !slices.Equal(present, w.present) {
		w.present, w.since = present, now
	}
	if left := w.cfg.Settle - now.Sub(w.since); left > 0 {
		return nil, sooner(wait, left)
	}
	return workers, wait
}

// standing is what a worker may hold: it is there, or has been away for no longer than the grace.
func standing(state storedv1.WorkerState, there, graced bool) placement.Standing {
	switch {
	case state == storedv1.WorkerState_WORKER_STATE_DRAINING:
		return placement.Yields
	case state != storedv1.WorkerState_WORKER_STATE_ACTIVE:
		return placement.Out
	case there:
		return placement.Takes
	case graced:
		return placement.Keeps
	default:
		return placement.Yields
	}
}

func sooner(a, b time.Duration) time.Duration {
	if b <= 0 || a > 0 && a < b {
		return a
	}
	return b
}
