package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/snapshot"
)

// Snapshots keeps copies of partition stores where other nodes find them.
type Snapshots interface {
	// Latest has the code NotFound if there is none.
	Latest(ctx context.Context, p id.Partition) (*snapshot.Latest, error)
	Create(ctx context.Context, p id.Partition, src snapshot.Source) (l *snapshot.Latest, created bool, err error)
	Restore(ctx context.Context, p id.Partition, ref snapshot.Ref, dir string) error
}

// errNoSnapshots: there is no object store.
var errNoSnapshots = errs.Newf(errs.Invalid, "there is nowhere to put snapshots: set worker.snapshots.destination")

func (n *Node) dirOf(p *part) string { return filepath.Join(n.cfg.Dir, strconv.Itoa(int(p.id))) }

const (
	// snapshotInterval is how often it is looked which snapshots are due.
	snapshotInterval = time.Second
	// snapshotPause is how long one that failed waits.
	snapshotPause = 10 * time.Second
	// snapshotSpread is by which share of it an interval is longer or shorter, so that partitions do not meet.
	snapshotSpread = 0.1
)

// keepSnapshots makes the snapshots that are due, one after the other, beside the loops.
func (n *Node) keepSnapshots(ctx context.Context, parts []*part) error {
	plans := make([]plan, len(parts))
	wait := n.cfg.SnapshotDelay
	timer := n.host.Clock.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C():
		case <-ctx.Done():
			return nil
		}
		for i, p := range parts {
			if err := n.snapshotIfDue(ctx, p, &plans[i]); err != nil && ctx.Err() == nil {
				n.host.Log.LogAttrs(ctx, slog.LevelWarn, "no snapshot was made; trying again later",
					slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err), slog.Duration(logkey.Elapsed, snapshotPause))
				plans[i] = plan{notBefore: n.host.Clock.Now().Add(snapshotPause)}
			}
		}
		timer.Reset(snapshotInterval)
	}
}

// plan is what is known of the snapshots of a partition that is led here.
type plan struct {
	epoch     lsn.Epoch // in which it was looked up; another leader may have made one since
	applied   lsn.LSN   // of the newest one
	due       time.Time // as far as the interval goes
	notBefore time.Time
}

func (n *Node) snapshotIfDue(ctx context.Context, p *part, plan *plan) error {
	epoch, leads := p.ledIn()
	now := n.host.Clock.Now()
	if !leads || now.Before(plan.notBefore) {
		return nil
	}
	if plan.epoch != epoch {
		l, err := n.snapshots.Latest(ctx, p.id)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		*plan = n.planAfter(epoch, l)
	}
	applied := p.applied()
	if applied == plan.applied || n.cfg.SnapshotRecords > 0 && uint64(applied-plan.applied) < n.cfg.SnapshotRecords {
		return nil
	}
	if n.cfg.SnapshotInterval > 0 && now.Before(plan.due) {
		return nil
	}
	l, err := n.snapshot(ctx, p)
	if err != nil {
		return err
	}
	*plan = n.planAfter(epoch, l)
	return nil
}

func (n *Node) planAfter(epoch lsn.Epoch, l *snapshot.Latest) plan {
	next := plan{epoch: epoch}
	if l == nil {
		return next // there is none yet: all that was applied counts, and time does not
	}
	next.applied = l.MinAppliedLSN
	share := float64(n.host.Rand.Uint64()>>11) / (1 << 53) // from 0 to 1
	next.due = l.CreatedAt.Add(time.Duration(float64(n.cfg.SnapshotInterval) * (1 - snapshotSpread + 2*snapshotSpread*share)))
	return next
}

// Snapshot makes a snapshot of a partition that is led here, or returns the newest if that holds as much.
func (n *Node) Snapshot(ctx context.Context, pid id.Partition) (*snapshot.Latest, error) {
	p, err := n.part(pid)
	if err != nil {
		return nil, err
	}
	if n.snapshots == nil {
		return nil, errNoSnapshots
	}
	if _, leads := p.ledIn(); !leads {
		return nil, errNotLed
	}
	return n.snapshot(ctx, p)
}

// snapshot copies the store of p and uploads the copy.
func (n *Node) snapshot(ctx context.Context, p *part) (l *snapshot.Latest, err error) {
	if !p.copying.TryLock() {
		return nil, errs.Newf(errs.Unavailable, "a snapshot of the partition is being made")
	}
	defer p.copying.Unlock()
	started := n.host.Clock.Now()
	dir := n.dirOf(p) + ".checkpoint"
	if err := n.host.FS.RemoveAll(dir); err != nil { // of a process that was killed
		return nil, err
	}
	defer func() {
		if rerr := n.host.FS.RemoveAll(dir); err == nil {
			err = rerr
		}
	}()
	c, err := p.checkpoint(ctx, dir)
	if err != nil {
		return nil, err
	}
	l, created, err := n.snapshots.Create(ctx, p.id, snapshot.Source{
		Dir: c.Dir, Incarnation: c.Incarnation, Applied: c.Applied, Keys: snapshot.KeyRange{Start: c.KeyFrom, End: c.KeyTo},
	})
	if err != nil || !created {
		return l, err
	}
	n.metrics.snapshots.Inc()
	n.host.Log.LogAttrs(ctx, slog.LevelInfo, "snapshot was made", slog.Int(logkey.Partition, int(p.id)),
		slog.Uint64(logkey.LSN, uint64(l.MinAppliedLSN)), slog.Duration(logkey.Elapsed, n.host.Clock.Now().Sub(started)))
	return l, nil
}

func (p *part) checkpoint(ctx context.Context, dir string) (partitionstore.Checkpoint, error) {
	store, back := p.borrow()
	if store == nil {
		return partitionstore.Checkpoint{}, errNotLed
	}
	defer back()
	return store.Checkpoint(ctx, dir)
}

// ledIn tells whether p is led here, and in which epoch.
func (p *part) ledIn() (lsn.Epoch, bool) {
	s := p.state.Load()
	return lsn.Epoch(s >> 2), placement.Role(s&3) == placement.Leads
}

// trimmed is an error that says up to where the log is gone.
type trimmed interface{ TrimmedThrough() lsn.LSN }

// forgo gives the store of p up if err says that the log does not reach back to it; the next open replaces it.
func (n *Node) forgo(p *part, err error) error {
	var gap trimmed
	if !errors.As(err, &gap) || p.store == nil {
		return nil
	}
	if p.led { // what it began as a leader may still read the store
		return openError{errs.With(errs.Unavailable, fmt.Errorf("the store is to be replaced by a snapshot; start this process again: %w", err))}
	}
	p.missing = gap.TrimmedThrough()
	if cerr := p.closeStore(); cerr != nil {
		return openError{cerr}
	}
	return nil
}

// openStoreOf opens the store of p, which is restored first if there is none, or the log does not reach back to it.
func (n *Node) openStoreOf(ctx context.Context, p *part) error {
	dir := n.dirOf(p)
	if err := n.restore(ctx, p, dir); err != nil {
		return errs.With(errs.Unavailable, fmt.Errorf("restore: %w", err)) // and tried again: a gap is never skipped
	}
	store, err := partitionstore.Open(n.cfg.Store, n.host, dir, n.shared)
	if err != nil {
		return openError{err}
	}
	p.store = store
	p.opened.Store(store)
	return nil
}

// restore brings a snapshot in place of the store, if that is of no use.
func (n *Node) restore(ctx context.Context, p *part, dir string) error {
	switch there, err := partitionstore.Exists(n.host, dir); {
	case err != nil:
		return err
	case p.missing > 0 && n.snapshots == nil:
		return fmt.Errorf("the log is trimmed through %d: %w", p.missing, errNoSnapshots)
	case there && p.missing == 0, n.snapshots == nil:
		return nil
	}
	l, err := n.snapshots.Latest(ctx, p.id)
	switch {
	case p.missing > 0 && err != nil:
		return fmt.Errorf("the log is trimmed through %d: %w", p.missing, err)
	case errs.Is(err, errs.NotFound):
		return nil
	case err != nil: // the whole log may be there
		n.host.Log.LogAttrs(ctx, slog.LevelWarn, "no snapshot can be found; the partition begins with an empty store",
			slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err))
		return nil
	}
	for _, ref := range l.Retained { // newest first
		if ref.MinAppliedLSN < p.missing {
			break
		}
		err = n.restoreFrom(ctx, p, ref, dir)
		if !errs.Is(err, errs.Corrupt) {
			return err
		}
		n.host.Log.LogAttrs(ctx, slog.LevelError, "a snapshot is damaged", slog.Int(logkey.Partition, int(p.id)),
			slog.Uint64(logkey.LSN, uint64(ref.MinAppliedLSN)), slog.Any(logkey.Err, err))
	}
	switch {
	case err != nil && p.missing == 0: // the whole log may be there
		return nil
	case err != nil:
		return err
	default:
		return errs.Newf(errs.Unavailable, "the log is trimmed through %d, the newest snapshot is at %d", p.missing, l.MinAppliedLSN)
	}
}

func (n *Node) restoreFrom(ctx context.Context, p *part, ref snapshot.Ref, dir string) error {
	started := n.host.Clock.Now()
	stage := dir + ".restore"
	if err := n.host.FS.RemoveAll(stage); err != nil {
		return err
	}
	if err := n.snapshots.Restore(ctx, p.id, ref, partitionstore.DatabaseIn(n.host, stage)); err != nil {
		return err
	}
	applied, err := partitionstore.Adopt(n.host, stage, dir, ref.MinAppliedLSN)
	if err != nil {
		return err
	}
	p.missing = 0
	n.metrics.restores.Inc()
	n.host.Log.LogAttrs(ctx, slog.LevelInfo, "partition was restored from a snapshot", slog.Int(logkey.Partition, int(p.id)),
		slog.Uint64(logkey.LSN, uint64(applied)), slog.Duration(logkey.Elapsed, n.host.Clock.Now().Sub(started)))
	return nil
}
