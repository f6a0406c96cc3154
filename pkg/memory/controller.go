package memory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// Stores are those that a Controller divides the budget over.
type Stores interface {
	// Standing returns how the open stores stand. It waits for no flush and no close.
	Standing() []Standing
	// Flush has a store write its rows out, and returns when it has; at once if it is not open any more.
	Flush(ctx context.Context, p id.Partition) error
}

// Controller divides a budget over the open stores.
type Controller struct {
	cfg     Config
	host    host.Host
	stores  Stores
	metrics *metrics
	wake    chan struct{} // has a value when it is to look at once

	// mu guards what follows. It is a leaf.
	mu     sync.Mutex
	budget Budget
	last   []Standing // at the last look; replaced, never changed
}

// New checks cfg and returns a Controller with an unlimited budget; Run starts it.
func New(cfg Config, stores Stores, h host.Host) (*Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	c := &Controller{cfg: cfg, host: h, stores: stores, wake: make(chan struct{}, 1), budget: Unlimited}
	c.metrics = newMetrics(h.Metrics, c)
	return c, nil
}

// Set replaces the budget, which is divided anew at once. Any goroutine may call it; it does not wait.
func (c *Controller) Set(b Budget) {
	c.mu.Lock()
	c.budget = b
	c.mu.Unlock()
	c.Wake()
}

// Wake has the Controller look now: a store was opened or closed. It does not wait.
func (c *Controller) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// TableBytes is how large the memtables of a store should be that is opened as one of so many.
func (c *Controller) TableBytes(open int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return TableBytes(c.budget.Bytes, max(open, len(c.last)))
}

// Share is what each of the stores may hold that were open at the last look.
func (c *Controller) Share() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Share(c.budget.Bytes, len(c.last))
}

// Run looks and flushes until ctx ends, or a flush fails.
func (c *Controller) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	ended := make(chan id.Partition, c.cfg.FlushesMax) // as many as may be under way
	g.Go("look", func(ctx context.Context) error {
		ledger := NewLedger(c.cfg)
		timer := c.host.Clock.NewTimer(c.cfg.Interval)
		defer timer.Stop()
		for {
			for _, o := range c.look(ledger) {
				g.Go(fmt.Sprintf("flush partition %d", o.ID), func(ctx context.Context) error {
					defer func() { ended <- o.ID }()
					return c.flush(ctx, o)
				})
			}
			select {
			case <-ctx.Done():
				return nil
			case p := <-ended:
				ledger.Ended(p)
			case <-c.wake:
			case <-timer.C():
				timer.Reset(c.cfg.Interval)
			}
		}
	})
	return g.Wait()
}

// look divides the budget over the stores that are open now, and says what is to be flushed.
func (c *Controller) look(ledger *Ledger) []Order {
	open := c.stores.Standing()
	c.mu.Lock()
	c.last = open
	b := c.budget
	c.mu.Unlock()
	now := c.host.Clock.Now()
	ledger.Look(now, open)
	orders, waiting := ledger.Orders(now, b, open)
	c.metrics.waiting.Set(float64(waiting))
	return orders
}

func (c *Controller) flush(ctx context.Context, o Order) error {
	began := c.host.Clock.Now()
	if o.Why == Over {
		c.metrics.reclaims.Inc()
	}
	c.metrics.flushes[o.Why].Inc()
	err := c.stores.Flush(ctx, o.ID)
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil // it is stopping: whoever closes the store flushes it
	}
	if err != nil {
		return err
	}
	c.host.Log.LogAttrs(ctx, slog.LevelDebug, "partition flushed to free memory", slog.Int(logkey.Partition, int(o.ID)), slog.String(logkey.Reason, o.Why.String()),
		slog.Int64(logkey.Bytes, o.Bytes), slog.Duration(logkey.Elapsed, c.host.Clock.Now().Sub(began)))
	return nil
}

// state is what metrics show.
func (c *Controller) state() (b Budget, open []Standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.budget, c.last
}
