package processor

import (
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/snapshot"
	"reprise/pkg/span"
)

// Snapshots keeps copies of partition stores where other nodes find them.
type Snapshots interface {
	// Latest has the code NotFound if there is none.
	Latest(ctx context.Context, p id.Partition) (*snapshot.Latest, error)
	// Verify is Latest, and finds that all objects are there which it needs.
	Verify(ctx context.Context, p id.Partition) (*snapshot.Latest, error)
	Create(ctx context.Context, p id.Partition, src snapshot.Source) (l *snapshot.Latest, created bool, err error)
	Restore(ctx context.Context, p id.Partition, ref snapshot.Ref, dir string) error
}

// errNoSnapshots: there is no object store.
var errNoSnapshots = errs.Newf(errs.Invalid, "there is nowhere to put snapshots: set worker.snapshots.destination")

func (n *Node) dirOf(p *part) string { return filepath.Join(n.cfg.Dir, strconv.Itoa(int(p.id))) }

// checkpointOf is where a store is copied to while it is uploaded, beside it.
func checkpointOf(dir string) string { return dir + ".checkpoint" }

const (
	// snapshotInterval is how often it is looked which snapshots are due.
	snapshotInterval = time.Second
	// snapshotPause is how long one that failed waits.
	snapshotPause = 10 * time.Second
	// snapshotSpread is by which share of it an interval is longer or shorter, so that partitions do not meet.
	snapshotSpread = 0.1
)

// snapshotShares is over how many goroutines the partitions are spread that look which snapshots are due. Fewer than these make one at a time,
// if the policy says so.
const snapshotShares = 64

// keepSnapshots makes the snapshots that are due, beside the loops: one at a time of each share of the partitions.
func (n *Node) keepSnapshots(group *lifecycle.Group, parts []*part) {
	shares := min(snapshotShares, len(parts))
	for i := range shares {
		var share []*part
		for k := i; k < len(parts); k += shares {
			share = append(share, parts[k])
		}
		group.Go("snapshots", func(ctx context.Context) error { return n.keepShare(ctx, share) })
	}
}

func (n *Node) keepShare(ctx context.Context, parts []*part) error {
	plans := make([]plan, len(parts))
	timer := n.host.Clock.NewTimer(n.cfg.SnapshotDelay)
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
	made      time.Time // likewise; zero: there is none
	spread    float64   // by which share of the interval the next one is due sooner or later
	notBefore time.Time
}

func (n *Node) snapshotIfDue(ctx context.Context, p *part, plan *plan) error {
	epoch, leads := p.ledIn()
	now, wanted := n.host.Clock.Now(), n.policy()
	if !leads || now.Before(plan.notBefore) || wanted.SnapshotRecords == 0 && wanted.SnapshotInterval == 0 {
		return nil
	}
	if plan.epoch != epoch {
		l, err := n.snapshots.Latest(ctx, p.id)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		p.keep(l)
		*plan = n.planAfter(epoch, l)
	}
	applied := p.applied()
	if applied == plan.applied || wanted.SnapshotRecords > 0 && uint64(applied-plan.applied) < wanted.SnapshotRecords {
		return nil
	}
	if wanted.SnapshotInterval > 0 && now.Before(plan.due(wanted.SnapshotInterval)) {
		return nil
	}
	if err := n.exports.enter(ctx); err != nil {
		return err
	}
	defer n.exports.leave()
	if _, leads := p.ledIn(); !leads { // any more
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
	next.made, next.spread = l.CreatedAt, snapshotSpread*(2*share-1)
	return next
}

// due is when the next one is to be made, as far as the interval goes.
func (p *plan) due(interval time.Duration) time.Time {
	if p.made.IsZero() {
		return p.made
	}
	return p.made.Add(time.Duration(float64(interval) * (1 + p.spread)))
}

// Snapshot makes a snapshot of a partition that is led here, or returns the newest if that holds as much, or atLeast, if that
// is not 0. One that is begun goes on when ctx ends.
func (n *Node) Snapshot(ctx context.Context, pid id.Partition, atLeast lsn.LSN) (*snapshot.Latest, error) {
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
	if atLeast > 0 {
		if l, err := n.snapshots.Latest(ctx, pid); err != nil && !errs.Is(err, errs.NotFound) || err == nil && l.MinAppliedLSN >= atLeast {
			return l, err
		}
		if at := p.applied(); at < atLeast {
			return nil, errs.Newf(errs.Conflict, "Applied LSN below the target LSN: %d < %d", at, atLeast)
		}
	}
	type outcome struct {
		l   *snapshot.Latest
		err error
	}
	made := make(chan outcome, 1)
	n.background("snapshot", func(ctx context.Context) error {
		l, err := n.snapshot(ctx, p)
		made <- outcome{l, err}
		return nil // it is the caller's
	})
	select {
	case o := <-made:
		return o.l, o.err
	case <-ctx.Done():
		return nil, errs.Newf(errs.Uncertain, "the snapshot is still being made: %w", context.Cause(ctx))
	}
}

// snapshot copies the store of p and uploads the copy.
func (n *Node) snapshot(ctx context.Context, p *part) (l *snapshot.Latest, err error) {
	p.copying.Lock() // one that is being made may hold less
	defer p.copying.Unlock()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	started := n.host.Clock.Now()
	ctx, op := n.host.Spans.Operate(ctx, "snapshot create", n.host.Rand.Uint64, started)
	defer func() { op.End(n.host.Clock.Now(), err, span.Partition(p.id)) }()
	dir := checkpointOf(n.dirOf(p))
	if err := n.host.FS.RemoveAll(dir); err != nil { // of a process that was killed
		return nil, err
	}
	defer func() {
		if rerr := n.host.FS.RemoveAll(dir); err == nil {
			err = rerr
		}
	}()
	c, err := n.checkpoint(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	l, created, err := n.snapshots.Create(ctx, p.id, snapshot.Source{
		Dir: c.Dir, Incarnation: c.Incarnation, Applied: c.Applied, Keys: snapshot.KeyRange{Start: c.KeyFrom, End: c.KeyTo},
	})
	if err != nil {
		n.metrics.uploadsFailed.Inc()
		return nil, err
	}
	p.keep(l)
	if !created {
		return l, nil
	}
	n.metrics.uploads.Inc()
	n.metrics.uploadTime.Observe(n.host.Clock.Now().Sub(started).Seconds())
	n.host.Log.LogAttrs(ctx, slog.LevelInfo, "snapshot was made", slog.Int(logkey.Partition, int(p.id)),
		slog.Uint64(logkey.LSN, uint64(l.MinAppliedLSN)), slog.Duration(logkey.Elapsed, n.host.Clock.Now().Sub(started)))
	return l, nil
}

func (n *Node) checkpoint(ctx context.Context, p *part, dir string) (c partitionstore.Checkpoint, err error) {
	ctx, op := n.host.Spans.Operate(ctx, "snapshot checkpoint", n.host.Rand.Uint64, n.host.Clock.Now())
	defer func() {
		op.End(n.host.Clock.Now(), err, span.Partition(p.id), attribute.Int64("restate.lsn", int64(c.Applied)))
	}()
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
