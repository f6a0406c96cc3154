package ingress

import (
	"context"
	"errors"
	"time"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// ErrDraining is the cause with which a front ends the requests that outlive its drain timeout.
var ErrDraining = errors.New("the ingress is shutting down")

// A request is tried again at once where another worker leads now, else after 20 ms, doubling to 1 s.
const (
	retryPauseMin = 20 * time.Millisecond
	retryPauseMax = time.Second
)

// Advice for a client whose request was given up, by what a repetition of it would do.
const (
	retryInvoke = "If the request has an 'idempotency-key', it can be safely retried, otherwise submitting it again may result in executing the invocation twice."
	retryRead   = "You may safely retry the request."
	retryWrite  = "Submitting the request again may result in executing the operation twice."
)

var errOutcome = &failure{statusInternal, "internal error: the partition gave an unexpected answer"}

// do proposes a request until a leader answers. A repetition is harmless: the record creates the
// invocation of its id once, a read changes nothing, and of signals the first counts.
func (g *Ingress) do(ctx context.Context, r command.Request, advice string) (*command.Outcome, *failure) {
	p := id.Partition(0)
	if n := g.parts.Routes.Partitions(); n > 0 {
		p = id.PartitionOf(r.ID.PartitionKey(), n)
	}
	for pause := retryPauseMin; ; {
		leader, _ := g.parts.Routes.Leader(p)
		o, err := g.parts.Partitions.Do(ctx, r)
		if ctx.Err() != nil && err != nil {
			return nil, ended(ctx, advice)
		}
		g.metrics.attempt(p, err)
		if err == nil {
			return o, nil
		}
		switch errs.CodeOf(err) {
		case errs.NotLeader, errs.Unavailable, errs.Uncertain:
		case errs.Invalid:
			return nil, failf(statusBadRequest, "the partition refused the request: %s", err)
		default:
			return nil, failf(statusInternal, "internal error: %s", err)
		}
		if g.moves(ctx, p, leader, pause) {
			pause = retryPauseMin
		} else {
			pause = min(2*pause, retryPauseMax)
		}
		if ctx.Err() != nil {
			return nil, ended(ctx, advice)
		}
	}
}

// moves waits until another than leader leads p and reports that it does; false after d, or when ctx ended.
func (g *Ingress) moves(ctx context.Context, p id.Partition, leader id.GenerationalNode, d time.Duration) bool {
	t := g.host.Clock.NewTimer(d)
	defer t.Stop()
	for {
		changed := g.parts.Routes.Changed()
		if now, ok := g.parts.Routes.Leader(p); ok && now != leader {
			return true
		}
		select {
		case <-changed:
		case <-t.C():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// ended is what becomes of a request whose context ended: the invocation goes on.
func ended(ctx context.Context, advice string) *failure {
	if errors.Is(context.Cause(ctx), ErrDraining) {
		return failf(statusUnavailable, "internal routing error: %s. %s", ErrDraining, advice)
	}
	return errClientGone
}
