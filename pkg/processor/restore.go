package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/errs"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/partitionstore"
	"reprise/pkg/snapshot"
	"reprise/pkg/span"
)

// trimmed is an error that says up to where the log is gone.
type trimmed interface{ TrimmedThrough() lsn.LSN }

// forgo gives the store of p up if err says that the log does not reach back to it; the next open replaces it. It waits
// for those who read it.
func (n *Node) forgo(p *part, err error) error {
	var gap trimmed
	if !errors.As(err, &gap) || p.store == nil {
		return nil
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
	for _, left := range []string{checkpointOf(dir), partitionstore.RemovedFrom(dir)} { // of a process that was killed
		if err := n.host.FS.RemoveAll(left); err != nil {
			return openError{err}
		}
	}
	blocked := n.metrics.blocked.WithLabelValues(strconv.Itoa(int(p.id)), blockedBySnapshot)
	if err := n.restore(ctx, p, dir); err != nil {
		blocked.Set(1)
		return errs.With(errs.Unavailable, fmt.Errorf("restore: %w", err)) // and tried again: a gap is never skipped
	}
	blocked.Set(0)
	cfg := n.cfg.Store
	cfg.MemTableBytes = n.tableBytes()
	store, err := partitionstore.Open(cfg, n.host, dir, n.shared)
	if err != nil {
		return openError{err}
	}
	p.missing = 0
	p.store = store
	p.opened.Store(store)
	n.metrics.openStores.Inc()
	n.memory.Wake()
	return nil
}

// optionalTimeout is how long it may take to find a snapshot that is perhaps not needed.
const optionalTimeout = 5 * time.Second

// errReplaced: a snapshot went while it was read, because there is a newer one.
var errReplaced = errors.New("the snapshot was replaced")

// restore brings a snapshot in place of the store, if that is of no use.
func (n *Node) restore(ctx context.Context, p *part, dir string) error {
	there, err := partitionstore.Exists(n.host, dir)
	if err != nil {
		return err
	}
	if there && p.missing == 0 {
		return n.host.FS.RemoveAll(stageOf(dir)) // of a restore that was not needed in the end
	}
	lineage, err := n.meta.Lineage(ctx, p.id)
	if err != nil {
		return fmt.Errorf("read lineage: %w", err)
	}
	p.missing = max(p.missing, lsn.LSN(lineage.Chain.GetTrimmed()))
	switch {
	case n.snapshots == nil && p.missing > 0:
		return fmt.Errorf("the log is trimmed through %d: %w", p.missing, errNoSnapshots)
	case n.snapshots == nil:
		return nil
	}
	for {
		l, err := n.latest(ctx, p)
		if err != nil || l == nil {
			return err
		}
		if err := n.checkEnd(ctx, p, l.MinAppliedLSN); err != nil {
			return err
		}
		if err = n.restoreAny(ctx, p, l, dir); !errors.Is(err, errReplaced) {
			return err
		}
	}
}

// latest returns the newest snapshot, or nil if there may be none, because the whole log may be there.
func (n *Node) latest(ctx context.Context, p *part) (*snapshot.Latest, error) {
	if p.missing > 0 {
		l, err := n.snapshots.Latest(ctx, p.id)
		if err != nil {
			return nil, fmt.Errorf("the log is trimmed through %d: %w", p.missing, err)
		}
		return l, nil
	}
	tctx, cancel := context.WithTimeout(ctx, optionalTimeout)
	defer cancel()
	l, err := n.snapshots.Latest(tctx, p.id)
	if err != nil && !errs.Is(err, errs.NotFound) && ctx.Err() == nil {
		n.host.Log.LogAttrs(ctx, slog.LevelWarn, "no snapshot can be found; the partition begins with an empty store",
			slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err))
	}
	if err != nil {
		return nil, context.Cause(ctx)
	}
	return l, nil
}

// restoreAny restores the newest snapshot of l that is not damaged.
func (n *Node) restoreAny(ctx context.Context, p *part, l *snapshot.Latest, dir string) (err error) {
	for _, ref := range l.Retained { // newest first
		if ref.MinAppliedLSN < p.missing {
			break
		}
		err = n.restoreFrom(ctx, p, ref, dir)
		if errs.Is(err, errs.NotFound) {
			now, lerr := n.snapshots.Latest(ctx, p.id)
			if lerr == nil && now.SnapshotID != l.SnapshotID {
				return errReplaced
			}
			err = errs.With(errs.Corrupt, err)
		}
		if !errs.Is(err, errs.Corrupt) {
			return err
		}
		n.metrics.downloadsFailed.Inc()
		n.host.Log.LogAttrs(ctx, slog.LevelError, "a snapshot is damaged", slog.Int(logkey.Partition, int(p.id)),
			slog.Uint64(logkey.LSN, uint64(ref.MinAppliedLSN)), slog.Any(logkey.Err, err))
	}
	switch {
	case err != nil && p.missing == 0: // the whole log may be there
		return n.host.FS.RemoveAll(stageOf(dir))
	case err != nil:
		return err
	default:
		return errs.Newf(errs.Unavailable, "the log is trimmed through %d, the newest snapshot is at %d", p.missing, l.MinAppliedLSN)
	}
}

// checkEnd refuses a snapshot that holds what the log does not: one of them is not of this cluster, or the log lost records.
// The chain is read after the snapshot was found, or it could be the older one.
func (n *Node) checkEnd(ctx context.Context, p *part, at lsn.LSN) error {
	lineage, err := n.meta.Lineage(ctx, p.id)
	if err != nil {
		return fmt.Errorf("read lineage: %w", err)
	}
	end := lsn.First
	if segments := lineage.Chain.GetSegments(); len(segments) > 0 {
		last := segments[len(segments)-1]
		base := lsn.LSN(last.Base)
		if at < base {
			return nil
		}
		offset, err := n.log.Bound(ctx, last.Loglet)
		if err != nil {
			return fmt.Errorf("where the log ends: %w", err)
		}
		end = offset.At(base)
	}
	if at >= end {
		return errs.Newf(errs.Conflict, "the snapshot holds what was committed up to %d, the log has nothing from %d on: the log lost records, or worker.snapshots.destination is that of another cluster", at, end)
	}
	return nil
}

func (n *Node) restoreFrom(ctx context.Context, p *part, ref snapshot.Ref, dir string) (err error) {
	started := n.host.Clock.Now()
	ctx, op := n.host.Spans.Operate(ctx, "snapshot restore", n.host.Rand.Uint64, started)
	defer func() {
		op.End(n.host.Clock.Now(), err, span.Partition(p.id), attribute.String("restate.snapshot.id", ref.SnapshotID), attribute.Int64("restate.lsn", int64(ref.MinAppliedLSN)))
	}()
	stage := stageOf(dir)
	if err := n.snapshots.Restore(ctx, p.id, ref, partitionstore.DatabaseIn(n.host, stage)); err != nil {
		return err
	}
	applied, err := partitionstore.Adopt(n.host, stage, dir, ref.MinAppliedLSN)
	if err != nil {
		return err
	}
	took := n.host.Clock.Now().Sub(started)
	n.metrics.restores.Inc()
	n.metrics.downloadTime.Observe(took.Seconds())
	n.host.Log.LogAttrs(ctx, slog.LevelInfo, "partition was restored from a snapshot", slog.Int(logkey.Partition, int(p.id)),
		slog.Uint64(logkey.LSN, uint64(applied)), slog.Duration(logkey.Elapsed, took))
	return nil
}

// stageOf is where a store is restored to, beside it.
func stageOf(dir string) string { return dir + ".restore" }
