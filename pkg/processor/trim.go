package processor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/snapshot"
)

// Workers knows how partitions stand at the workers of the cluster that live.
type Workers interface {
	Standing(ctx context.Context) ([]placement.Attendant, error)
}

const (
	// standingTimeout bounds the question how others stand.
	standingTimeout = 5 * time.Second
	// trimTimeout bounds the trim of one log.
	trimTimeout = 30 * time.Second
	// idleWarning is how often it is said that logs are never trimmed.
	idleWarning = time.Minute
)

// trimming is what is known of the trims of a partition that is led here.
type trimming struct {
	epoch lsn.Epoch
	wait  waitingPoints
	done  lsn.LSN // all up to it is deleted
}

// keepTrimming takes records off the logs of the partitions that are led here, once they are not needed any more.
func (n *Node) keepTrimming(ctx context.Context, parts []*part) error {
	all := make([]trimming, len(parts))
	timer := n.host.Clock.NewTimer(n.cfg.TrimFirst)
	defer timer.Stop()
	var warned time.Time
	for {
		select {
		case <-timer.C():
		case <-ctx.Done():
			return nil
		}
		mode := n.policy().Durability.Or(n.workersOf())
		if now := n.host.Clock.Now(); mode.Snapshots() && n.snapshots == nil && now.Sub(warned) >= idleWarning {
			warned = now
			n.host.Log.LogAttrs(ctx, slog.LevelWarn, "logs are never trimmed and fill the disks: set worker.snapshots.destination, or another worker.durability-mode")
		}
		if mode != placement.DurableNowhere && !(mode.Snapshots() && n.snapshots == nil) {
			n.trimAll(ctx, parts, all, mode)
		}
		timer.Reset(n.cfg.TrimInterval)
	}
}

// workersOf counts the workers of the cluster.
func (n *Node) workersOf() (count int) {
	for _, node := range n.view.Current().Nodes {
		if slices.Contains(node.Roles, metastore.RoleWorker) && node.WorkerState != storedv1.WorkerState_WORKER_STATE_DISABLED {
			count++
		}
	}
	return count
}

func (n *Node) trimAll(ctx context.Context, parts []*part, all []trimming, mode placement.Durability) {
	alive := n.standing(ctx, parts)
	for i, p := range parts {
		epoch, leads := p.ledIn()
		if !leads {
			continue
		}
		if all[i].epoch != epoch {
			all[i] = trimming{epoch: epoch}
		}
		tctx, cancel := context.WithTimeout(ctx, trimTimeout)
		err := n.trimIfDue(tctx, p, &all[i], mode, alive)
		cancel()
		if err != nil && ctx.Err() == nil && !errs.Is(err, errs.Conflict) {
			n.host.Log.LogAttrs(ctx, slog.LevelWarn, "the log is not trimmed everywhere yet; trying again later", slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err))
		}
	}
}

// standing is how partitions stand at all workers; of others only what is known.
func (n *Node) standing(ctx context.Context, parts []*part) []placement.Attendant {
	me := placement.Attendant{ID: n.self, Statuses: n.Status()}
	epochs := n.view.Current().Epochs
	asks := slices.ContainsFunc(parts, func(p *part) bool {
		_, leads := p.ledIn()
		return leads && len(epochs[p.id].GetReplicas())+len(epochs[p.id].GetNext()) > 1
	})
	if !asks || n.workers == nil {
		return []placement.Attendant{me}
	}
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	alive, err := n.workers.Standing(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		n.host.Log.LogAttrs(ctx, slog.LevelWarn, "how other workers stand is not known", slog.Any(logkey.Err, err))
	}
	alive = slices.DeleteFunc(alive, func(a placement.Attendant) bool { return a.ID.Node == n.self.Node })
	return append(alive, me)
}

func (n *Node) trimIfDue(ctx context.Context, p *part, t *trimming, mode placement.Durability, alive []placement.Attendant) error {
	now := n.host.Clock.Now()
	archived, at, err := n.archived(ctx, p, now)
	if err != nil {
		return err
	}
	holders := metastore.ReplicasOf(n.view.Current().Epochs[p.id])
	point := mode.Point(placement.DurableAt(p.id, holders.All(), alive), archived)
	if !mode.Snapshots() {
		at = now
	}
	label := strconv.Itoa(int(p.id))
	n.metrics.archived.WithLabelValues(label).Set(float64(archived))
	n.metrics.durable.WithLabelValues(label).Set(float64(placement.DurableAt(p.id, []id.Node{n.self.Node}, alive)[0]))
	t.wait.add(point, at)
	through := min(t.wait.due(now.Add(-n.policy().TrimDelay)), point) // a holder may have lost its disk meanwhile
	if through <= t.done {
		return nil
	}
	if mode.Snapshots() { // what is taken off can be read there only
		l, err := n.snapshots.Verify(ctx, p.id)
		if err != nil {
			return err
		}
		through = min(through, l.Archived())
	}
	if err := n.trim(ctx, p.id, t.epoch, through, holders.All()); err != nil {
		return err
	}
	t.done = through
	n.metrics.trimmed.WithLabelValues(label).Set(float64(through))
	return nil
}

// archived is what the oldest snapshot holds that is kept, and since when it is there; 0 if there is none.
func (n *Node) archived(ctx context.Context, p *part, now time.Time) (lsn.LSN, time.Time, error) {
	if n.snapshots == nil {
		return 0, now, nil
	}
	l := p.latest.Load()
	if l == nil {
		found, err := n.snapshots.Latest(ctx, p.id)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return 0, now, err
		}
		if found != nil {
			p.latest.CompareAndSwap(nil, found)
		}
		l = found
	}
	if l == nil {
		return 0, now, nil
	}
	return l.Archived(), l.CreatedAt, nil
}

// trim decides that the records of a log up to through are not needed, which holds only in that epoch and for those holders
// (nil: whoever they are), and deletes them.
func (n *Node) trim(ctx context.Context, p id.Partition, in lsn.Epoch, through lsn.LSN, holders []id.Node) error {
	lineage, err := n.meta.Lineage(ctx, p)
	if err != nil {
		return err
	}
	if lsn.Epoch(lineage.Epoch.GetEpoch()) != in || lineage.Epoch.GetNode() != uint32(n.self.Node) {
		return errs.Newf(errs.Conflict, "another epoch has begun")
	}
	now := metastore.ReplicasOf(lineage.Epoch)
	if holders != nil && !slices.Equal(now.All(), holders) { // the view lags behind the store
		return errs.Newf(errs.Conflict, "partition %d is now held by %v, and %v were asked what they need: try again", p, now.All(), holders)
	}
	was := lineage.Chain.GetTrimmed()
	if lineage, err = n.meta.Trim(ctx, p, lineage, through, lineage.Chain.GetFirstIndex()); err != nil {
		return err
	}
	first, failed := n.log.Trim(ctx, lineage.Chain)
	if first > lineage.Chain.GetFirstIndex() {
		if _, err := n.meta.Trim(ctx, p, lineage, through, first); err != nil {
			return err
		}
	}
	if uint64(through) > was {
		n.host.Log.LogAttrs(ctx, slog.LevelInfo, "log was trimmed", slog.Int(logkey.Partition, int(p)), slog.Uint64(logkey.LSN, uint64(through)))
	}
	return failed
}

// Trim takes the records of a partition that is led here off its log, up to through, or, if that is 0, as far as nobody needs
// them: a snapshot has them, or all holders have them on their disks. With force it is enough that this node has.
func (n *Node) Trim(ctx context.Context, pid id.Partition, through lsn.LSN, force bool) (lsn.LSN, error) {
	p, err := n.part(pid)
	if err != nil {
		return 0, err
	}
	epoch, leads := p.ledIn()
	if !leads {
		return 0, errNotLed
	}
	if err := n.flush(ctx, p); err != nil {
		return 0, err
	}
	p.unflushed() // asks what is on the disk now
	holders := metastore.ReplicasOf(n.view.Current().Epochs[pid])
	durable := placement.DurableAt(pid, holders.All(), n.standing(ctx, []*part{p}))
	needless := placement.DurableHolders.Point(durable, 0)
	if n.snapshots != nil {
		l, err := n.snapshots.Verify(ctx, pid)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return 0, err
		}
		if err == nil {
			needless = max(needless, l.Archived())
		}
	}
	mine := placement.DurableAt(pid, []id.Node{n.self.Node}, n.standing(ctx, nil))[0]
	switch {
	case through == 0:
		through = needless
	case through > mine:
		return 0, errs.Newf(errs.Invalid, "records up to %d can not be trimmed: the partition has applied %d", through, mine)
	case through > needless && !force:
		return 0, errs.Newf(errs.Conflict, "records up to %d are needed: a snapshot, or the disks of all who hold the partition, have only those up to %d. Make a snapshot first, or give --force", through, needless)
	}
	if through == 0 {
		return 0, nil
	}
	judged := holders.All()
	if force {
		judged = nil
	}
	return through, n.trim(ctx, pid, epoch, through, judged)
}

// waitingPoints are positions up to which records may be taken off, each from a time on. Both grow.
type waitingPoints struct {
	points []waitingPoint
	passed lsn.LSN
}

type waitingPoint struct {
	point lsn.LSN
	since time.Time
}

// waitingMax is how many wait; with more, the newest waits for the next one.
const waitingMax = 256

func (w *waitingPoints) add(point lsn.LSN, since time.Time) {
	k := len(w.points)
	switch {
	case point <= w.passed, k > 0 && point <= w.points[k-1].point:
	case k == waitingMax:
		w.points[k-1] = waitingPoint{point, since}
	default:
		w.points = append(w.points, waitingPoint{point, since})
	}
}

// due is the last point that stands since before.
func (w *waitingPoints) due(before time.Time) lsn.LSN {
	k := 0
	for k < len(w.points) && !w.points[k].since.After(before) {
		w.passed = w.points[k].point
		k++
	}
	w.points = slices.Delete(w.points, 0, k)
	return w.passed
}

// keep remembers the newest snapshot of p.
func (p *part) keep(l *snapshot.Latest) {
	if l != nil {
		p.latest.Store(l)
	}
}
