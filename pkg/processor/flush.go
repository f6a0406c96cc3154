package processor

import (
	"context"
	"log/slog"
	"time"

	"reprise/pkg/logkey"
)

const (
	// flushInterval is how often the replay budget is looked at.
	flushInterval = 100 * time.Millisecond
	// tidyInterval is how often the store that is most behind is flushed within the budget: a process that is
	// not busy has little to replay, and one that is busy does not notice.
	tidyInterval = time.Second
	// tidyMin is how many commands are worth a flush then. They are replayed within 10 ms.
	tidyMin = 512
)

// flushIfOver flushes p's store if recovery itself has applied more than the budget. What it applied is
// flushed soon in any case: another crash would have to replay the same again.
func (n *Node) flushIfOver(ctx context.Context, p *part) error {
	p.replayed.Store(true)
	if p.store.Unflushed() < n.cfg.ReplayBudget {
		return nil
	}
	return p.store.Flush(ctx)
}

// keepReplayShort flushes the store with the most unflushed commands while the process holds more
// than it can replay in time after a crash. It runs beside the loops: a flush does not stop them.
func (n *Node) keepReplayShort(ctx context.Context, parts []*part) error {
	timer := n.host.Clock.NewTimer(flushInterval)
	defer timer.Stop()
	tidied := n.host.Clock.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		p := replayed(parts)
		if now := n.host.Clock.Now(); p == nil && now.Sub(tidied) >= tidyInterval {
			tidied = now
			if err := n.flushJoining(ctx, parts); err != nil {
				return err
			}
			p, _ = mostBehind(parts)
		}
		if p != nil && p.unflushed() >= tidyMin {
			if err := n.flush(ctx, p); err != nil {
				return err
			}
		}
		for {
			p, total := mostBehind(parts)
			n.metrics.unflushed.Set(float64(total))
			if p == nil || total <= n.cfg.ReplayBudget {
				break
			}
			n.metrics.shortenings.Inc()
			if err := n.flush(ctx, p); err != nil {
				return err
			}
		}
		timer.Reset(flushInterval)
	}
}

func (n *Node) flush(ctx context.Context, p *part) error {
	store, back := p.borrow()
	if store == nil {
		return nil
	}
	defer back()
	behind := store.Unflushed()
	if err := store.Flush(ctx); err != nil {
		return err
	}
	n.host.Log.LogAttrs(ctx, slog.LevelDebug, "partition flushed", slog.Int(logkey.Partition, int(p.id)), slog.Int64(logkey.Count, behind))
	return nil
}

// replayed returns the partition with the most unflushed commands of those that were replayed and not
// flushed since.
func replayed(parts []*part) *part {
	var most *part
	best := int64(0)
	for _, p := range parts {
		if !p.replayed.Load() {
			continue
		}
		if u := p.unflushed(); u > best {
			most, best = p, u
		}
	}
	if most != nil {
		most.replayed.Store(false)
	}
	return most
}

// mostBehind returns the partition with the most unflushed commands and the sum over all.
func mostBehind(parts []*part) (most *part, total int64) {
	best := int64(0)
	for _, p := range parts {
		u := p.unflushed()
		total += u
		if u > best {
			most, best = p, u
		}
	}
	return most, total
}
