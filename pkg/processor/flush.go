package processor

import (
	"context"
	"log/slog"
	"time"

	"reprise/pkg/logkey"
)

// flushInterval is how often the replay budget is looked at.
const flushInterval = 50 * time.Millisecond

// flushIfOver flushes p's store if recovery itself has applied more than the budget.
func (n *Node) flushIfOver(ctx context.Context, p *part) error {
	if p.store.Unflushed() < n.cfg.ReplayBudget {
		return nil
	}
	return p.store.Flush(ctx)
}

// keepReplayShort flushes the store with the oldest unflushed command while the process holds more
// than it can replay in time after a crash. It runs beside the loops: a flush does not stop them.
func (n *Node) keepReplayShort(ctx context.Context, parts []*part) error {
	timer := n.host.Clock.NewTimer(flushInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		for {
			p, total := mostBehind(parts)
			n.metrics.unflushed.Set(float64(total))
			if p == nil || total <= n.cfg.ReplayBudget {
				break
			}
			if err := p.openStore().Flush(ctx); err != nil {
				return err
			}
			n.host.Log.LogAttrs(ctx, slog.LevelDebug, "partition flushed", slog.Int(logkey.Partition, int(p.id)), slog.Int64(logkey.Count, total))
		}
		timer.Reset(flushInterval)
	}
}

// mostBehind returns the partition with the most unflushed commands and the sum over all.
func mostBehind(parts []*part) (most *part, total int64) {
	best := int64(0)
	for _, p := range parts {
		s := p.openStore()
		if s == nil {
			continue
		}
		u := s.Unflushed()
		total += u
		if u > best {
			most, best = p, u
		}
	}
	return most, total
}
