package controller

import (
	"context"
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
)

// Config of a controller.
type Config struct {
	Copies int // workers that hold a partition
	// Settle is how long the set of present workers must not change before partitions that nobody
	// holds are placed: workers that start together get equal shares. 0 where there is one worker.
	Settle time.Duration
	// Grace is how long a worker may be away and keep its partitions.
	Grace time.Duration
}

// Default is for a cluster.
func Default() Config { return Config{Copies: 1, Settle: time.Second, Grace: 10 * time.Minute} }

// retryPause is waited after a failed write.
const retryPause = 250 * time.Millisecond

// View is the part of metastore.View that the controller reads.
type View interface {
	Current() *metastore.Snapshot
	Changed() <-chan struct{}
}

// Store is the part of metastore.Store that the controller writes.
type Store interface {
	Assign(ctx context.Context, partitions uint32, plan func(current [][]id.Node) [][]id.Node) (changed int, err error)
}

// Controller is a lifecycle.Part.
type Controller struct {
	cfg   Config
	self  id.Node
	view  View
	store Store
	host  host.Host
}

var _ lifecycle.Part = (*Controller)(nil)

// New returns the controller of a metadata daemon.
func New(cfg Config, self id.Node, view View, store Store, h host.Host) *Controller {
	return &Controller{cfg: cfg, self: self, view: view, store: store, host: h}
}

// Acting returns the node whose controller acts: of the metadata daemons present, the one that came
// first. 0: none is there.
func Acting(s *metastore.Snapshot) id.Node {
	for _, p := range s.Present {
		if n := s.Node(p.ID.Node); n != nil && slices.Contains(n.Roles, metastore.RoleMetadata) {
			return p.ID.Node
		}
	}
	return 0
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
	s := c.view.Current()
	workers, wait := w.observe(s, c.host.Clock.Now())
	if s.Cluster == nil || Acting(s) != c.self || workers == nil {
		return wait, true
	}
	plan := func(current [][]id.Node) [][]id.Node { return placement.Assign(current, workers, c.cfg.Copies) }
	if settled(s, plan) {
		return wait, true
	}
	n, err := c.store.Assign(ctx, s.Partitions, plan)
	if err != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if errs.Is(err, errs.Conflict) {
			level = slog.LevelDebug
		}
		c.host.Log.Log(ctx, level, "assigning partitions, will try again", slog.Any(logkey.Err, err))
		return wait, false
	}
	c.host.Log.Info("assigned partitions", slog.Int(logkey.Count, n))
	return wait, true
}

// settled tells, from the view alone, that there is nothing to write.
func settled(s *metastore.Snapshot, plan func([][]id.Node) [][]id.Node) bool {
	current := make([][]id.Node, len(s.Epochs))
	for p, e := range s.Epochs {
		for _, n := range e.Replicas {
			current[p] = append(current[p], id.Node(n))
		}
	}
	return slices.EqualFunc(current, plan(current), slices.Equal)
}

// watcher remembers since when which workers are there or away.
type watcher struct {
	cfg     Config
	present []id.Node
	since   time.Time // present has been like this
	absent  map[id.Node]time.Time
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
		active := n.WorkerState == storedv1.WorkerState_WORKER_STATE_ACTIVE
		pw := placement.Worker{ID: nid, Takes: there && active, Keeps: active}
		if there {
			present = append(present, nid)
			delete(w.absent, nid)
		} else {
			since, known := w.absent[nid]
			if !known {
				since = now
				w.absent[nid] = now
			}
			left := w.cfg.Grace - now.Sub(since)
			pw.Keeps = active && left > 0
			wait = sooner(wait, left)
		}
		workers = append(workers, pw)
	}
	if !slices.Equal(present, w.present) {
		w.present, w.since = present, now
	}
	if left := w.cfg.Settle - now.Sub(w.since); left > 0 {
		return nil, sooner(wait, left)
	}
	return workers, wait
}

func sooner(a, b time.Duration) time.Duration {
	if b <= 0 || a > 0 && a < b {
		return a
	}
	return b
}
