package processor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/logkey"
	"reprise/pkg/metastore"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
)

// keptMin is how long a store stays at least that nobody needs: whoever moves partitions to and fro finds it again.
const keptMin = time.Minute

// found tells of which partitions there is something on the disk.
func (n *Node) found(partitions int) ([]bool, error) {
	all := make([]bool, partitions)
	names, err := n.host.FS.List(n.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, ".")
		if p, err := strconv.Atoi(number); err == nil && p >= 0 && p < partitions {
			all[p] = true
		}
	}
	return all, nil
}

// awaitRole blocks until this node has a role in p; false if ctx ended. A store that nobody needs is removed meanwhile: it is
// kept for as long as records that nobody needs.
func (n *Node) awaitRole(ctx context.Context, p *part) (is bool, err error) {
	since := n.host.Clock.Now()
	timer := n.host.Clock.NewTimer(n.cfg.TrimInterval)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := n.view.Changed()
		if n.role(p) != none {
			return true, nil
		}
		select {
		case <-changed:
		case <-p.wake:
		case <-ctx.Done():
		case <-timer.C():
			left, err := n.leave(ctx, p, since)
			if err != nil {
				return false, err
			}
			if !left {
				timer.Reset(n.cfg.TrimInterval)
			}
		}
	}
	return false, nil
}

// leave closes the store of a partition that is held elsewhere since a time, and removes it the next time. It tells whether
// there is nothing left. The error is one of the disk.
func (n *Node) leave(ctx context.Context, p *part, since time.Time) (left bool, err error) {
	if n.workers == nil || n.host.Clock.Now().Sub(since) < max(n.policy().TrimDelay, keptMin) {
		return false, nil
	}
	if p.store != nil { // others are told that there is none before there is none
		if err := p.closeStore(); err != nil {
			return false, openError{err}
		}
		return false, nil
	}
	dir := n.dirOf(p)
	there, err := partitionstore.Exists(n.host, dir)
	if err == nil && there {
		err = n.checkNeedless(ctx, p, dir)
	}
	if err == nil {
		err = n.removeAll(dir)
	}
	if err != nil {
		level := slog.LevelWarn
		if errs.Is(err, errs.Conflict) {
			level = slog.LevelDebug // it will be needless one day, or is held here again
		}
		n.host.Log.LogAttrs(ctx, level, "the store of a partition that is held elsewhere stays for now", slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err))
		return false, nil
	}
	if there {
		n.host.Log.LogAttrs(ctx, slog.LevelInfo, "the store of a partition that is held elsewhere was removed", slog.Int(logkey.Partition, int(p.id)))
	}
	return true, nil
}

// checkNeedless finds that the set that holds p now does without this node: that is in force, and each of it lives and has applied
// what the store in dir has. The code is Conflict if not.
func (n *Node) checkNeedless(ctx context.Context, p *part, dir string) error {
	lineage, err := n.meta.Lineage(ctx, p.id)
	if err != nil {
		return err
	}
	holders := metastore.ReplicasOf(lineage.Epoch)
	if len(holders.Current) == 0 || slices.Contains(holders.All(), n.self.Node) || lineage.Epoch.GetNode() == uint32(n.self.Node) {
		return errs.Newf(errs.Conflict, "it is held by %v, and is to be by %v", holders.Current, holders.Next)
	}
	applied, err := partitionstore.AppliedIn(n.host, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	alive, err := n.workers.Standing(ctx)
	if err != nil {
		return err
	}
	for _, holder := range holders.Current {
		at := slices.IndexFunc(alive, func(a placement.Attendant) bool { return a.ID.Node == holder })
		if at < 0 {
			return errs.Newf(errs.Conflict, "node %s, which holds it, is away", holder)
		}
		if s := alive[at].Status(p.id); s.Role != placement.Leads && s.Role != placement.Follows || s.Applied < applied {
			return errs.Newf(errs.Conflict, "node %s, which holds it, has applied %d, the store here %d", holder, s.Applied, applied)
		}
	}
	return nil
}

// removeAll removes a store and what was begun beside it.
func (n *Node) removeAll(dir string) error {
	for _, begun := range []string{checkpointOf(dir), stageOf(dir)} {
		if err := n.host.FS.RemoveAll(begun); err != nil {
			return err
		}
	}
	return partitionstore.Remove(n.host, dir)
}
