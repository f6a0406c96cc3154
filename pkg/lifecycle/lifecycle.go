package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Part is a living part of a role. Run returns only when all it started has ended.
type Part interface {
	Run(ctx context.Context) error
}

// Readier is a Part that says when it is ready; the parts after it start then.
type Readier interface {
	Ready() <-chan struct{}
}

// Func makes a Part of a function.
type Func func(ctx context.Context) error

// Run calls f.
func (f Func) Run(ctx context.Context) error { return f(ctx) }

// ErrStopped is the cause that parts see when they are stopped in order.
var ErrStopped = errors.New("stopped")

// Run starts the parts in order, each once the one before is ready, and blocks until ctx ends or a
// part fails; then it stops them in reverse order, each after the one before has ended. It returns
// the first failure, or nil when ctx ended.
func Run(ctx context.Context, parts ...Part) error {
	type running struct {
		cancel context.CancelCauseFunc
		done   chan struct{}
		err    error
	}
	failed := make(chan struct{}, len(parts)) // one send per part at most
	live := make([]*running, 0, len(parts))
	start := func(p Part) *running {
		pctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		r := &running{cancel: cancel, done: make(chan struct{})}
		go func() {
			r.err = p.Run(pctx)
			close(r.done) // first: who hears of it looks for a part that is done
			failed <- struct{}{}
		}()
		return r
	}
	stop := false
	for _, p := range parts {
		r := start(p)
		live = append(live, r)
		ready, ok := p.(Readier)
		if !ok {
			continue
		}
		select {
		case <-ready.Ready():
		case <-failed: // this part, or one before it
			stop = true
		case <-ctx.Done():
			stop = true
		}
		if stop {
			break
		}
	}
	if !stop {
		select {
		case <-failed:
		case <-ctx.Done():
		}
	}
	var first error
	ended := ctx.Err() != nil
	for _, r := range live { // a part that ended before it was told to is the cause
		select {
		case <-r.done:
			if first == nil && !ended {
				if first = r.err; first == nil {
					first = errors.New("a part ended by itself")
				}
			}
		default:
		}
	}
	for i := len(live) - 1; i >= 0; i-- {
		live[i].cancel(ErrStopped)
		<-live[i].done
		if err := live[i].err; first == nil && err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrStopped) {
			first = err
		}
	}
	return first
}

// Group owns goroutines; the first error ends the others.
type Group struct {
	g   *errgroup.Group
	ctx context.Context //nolint:containedctx // handed to the goroutines only
}

// NewGroup returns a group whose goroutines end with ctx.
func NewGroup(ctx context.Context) *Group {
	g, gctx := errgroup.WithContext(ctx)
	return &Group{g: g, ctx: gctx}
}

// Go starts f. A panic in f is not caught: it is a fault of ours.
func (g *Group) Go(name string, f func(ctx context.Context) error) {
	g.g.Go(func() error {
		if err := f(g.ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// Context ends when a goroutine failed or the parent ended.
func (g *Group) Context() context.Context { return g.ctx }

// Wait blocks until all goroutines ended and returns the first error.
func (g *Group) Wait() error { return g.g.Wait() }
