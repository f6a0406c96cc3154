package snapshot

import (
	"context"
	"fmt"
	"time"

	"reprise/pkg/errs"
)

// What takes longer is given up: an object store that hangs must not hold up the partitions that come next.
const (
	answerTimeout  = time.Minute // and for each byte what a slow line needs:
	bytesPerSecond = 256 << 10
)

// once does an operation on about so many bytes in the time that it may take.
func (r *Repository) once(ctx context.Context, sizeBytes int64, f func(ctx context.Context) error) error {
	limit := answerTimeout + time.Duration(sizeBytes/bytesPerSecond)*time.Second
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(tctx)
	if err != nil && tctx.Err() != nil && ctx.Err() == nil {
		return errs.With(errs.Unavailable, fmt.Errorf("no answer in %s: %w", limit, err))
	}
	return err
}

// patiently does an operation again after what may pass.
func (r *Repository) patiently(ctx context.Context, sizeBytes int64, f func(ctx context.Context) error) error {
	for failures := uint32(1); ; failures++ {
		err := r.once(ctx, sizeBytes, f)
		policy := r.retry.Load()
		if !errs.Is(err, errs.Unavailable) || ctx.Err() != nil || policy.Exhausted(failures) {
			return err
		}
		timer := r.host.Clock.NewTimer(policy.Delay(failures, r.host.Rand.Uint64()))
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
