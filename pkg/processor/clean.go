package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
)

// cleaner looks now and then for completed invocations of which something was kept long enough. It reads a
// snapshot beside the loop and proposes page by page; Apply looks again.
type cleaner struct {
	at      int64 // when it looks next, Unix milliseconds
	running bool
}

const (
	// cleanPage is how many invocations one record lets expire.
	cleanPage = 256
	// cleanAgain is the pause after a look that was cut short, if the interval is not shorter.
	cleanAgain = time.Minute
)

// scheduleFirstClean has the partitions of a process begin at different times, 20 to 40 % of the interval after
// they are led.
func (l *Loop) scheduleFirstClean(p *part, now int64) {
	fifth := max(l.node.cfg.CleanupInterval.Milliseconds()/5, 1)
	p.tenure.cleaner.at = now + fifth + int64(l.node.host.Rand.Uint64()%uint64(fifth))
}

// clean begins a look if one is due.
func (l *Loop) clean(p *part, now int64) {
	c, interval := &p.tenure.cleaner, l.node.cfg.CleanupInterval
	c.at = min(c.at, now+interval.Milliseconds()) // the clock may be set back
	if c.running || now < c.at {
		return
	}
	snap, err := p.store.Snapshot()
	if err != nil {
		l.parkSoon(p, err)
		return
	}
	c.running = true
	tenure := p.tenure
	l.node.background("clean", func(ctx context.Context) error {
		defer func() { _ = snap.Close() }() // nothing was written through it
		err := l.expire(ctx, p, snap, now)
		l.node.metrics.cleanings.Inc()
		if err != nil {
			l.node.metrics.cleaningsFailed.Inc()
		}
		l.mail.do(func() {
			if p.tenure != tenure {
				return
			}
			tenure.cleaner.running = false
			pause := interval
			if err != nil {
				pause = min(cleanAgain, interval)
			}
			tenure.cleaner.at = l.nowMillis() + pause.Milliseconds()
			if errs.Is(err, errs.Corrupt) {
				l.park(p, fmt.Errorf("look for what expired: %w", err))
			}
		})
		return nil
	})
}

// expire proposes to forget what was kept long enough at now, a page at a time.
func (l *Loop) expire(ctx context.Context, p *part, snap *partitionstore.Snapshot, now int64) error {
	rows := snap.Completed()
	defer func() { _ = rows.Close() }() // read only
	for more := true; more; {
		var page storedv1.ExpireFacts
		var err error
		if more, err = nextExpired(ctx, rows, now, &page); err != nil {
			return err
		}
		if len(page.Lives) == 0 {
			return nil
		}
		if err := l.proposeExpire(ctx, p, &page); err != nil {
			return err
		}
		l.node.metrics.cleaned.Add(float64(len(page.Lives)))
	}
	return nil
}

// nextExpired fills a page; more tells that there may be others.
func nextExpired(ctx context.Context, rows *partitionstore.CompletedRows, now int64, page *storedv1.ExpireFacts) (more bool, err error) {
	for len(page.Lives) < cleanPage {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		inv, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if partition.Expired(inv, now) != partition.ExpiredNothing {
			page.Lives = append(page.Lives, partition.LifeOf(inv))
		}
	}
	return true, nil
}

// proposeExpire returns when the record is applied, so that a look never fills the log.
func (l *Loop) proposeExpire(ctx context.Context, p *part, page *storedv1.ExpireFacts) error {
	rec, err := command.Append(nil, command.Header{Kind: command.Expire}, page)
	if err != nil {
		return err
	}
	done := make(chan error, 1) // one answer: the callback never blocks
	c := &call{internal: true, want: command.WantAccepted, answered: func(c *call) { done <- c.err }}
	if err := l.mail.record(p, rec, c); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
