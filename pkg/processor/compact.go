package processor

import (
	"context"
	"fmt"

	"reprise/pkg/errs"
)

// Compact compacts the stores of all partitions that are held here, one after the other, and returns how many bytes they took
// before and take now. It ends with the node.
func (n *Node) Compact(ctx context.Context) (before, after uint64, err error) {
	parts := n.parts.Load()
	if parts == nil {
		return 0, 0, errs.Newf(errs.Unavailable, "this worker starts")
	}
	done := make(chan struct{})
	n.background("compact", func(stop context.Context) error {
		defer close(done)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		release := context.AfterFunc(stop, func() { cancel(errStopping) })
		defer release()
		for _, p := range *parts {
			b, a, perr := p.compact(ctx)
			before, after = before+b, after+a
			if perr != nil {
				err = fmt.Errorf("partition %d: %w", p.id, perr)
				return nil // it is the caller's
			}
		}
		if stop.Err() != nil { // stores that were closed meanwhile had nothing to compact
			err = errStopping
		}
		return nil
	})
	<-done
	return before, after, err
}

func (p *part) compact(ctx context.Context) (before, after uint64, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, 0, err
	}
	store, back := p.borrow()
	if store == nil {
		return 0, 0, nil
	}
	defer back()
	return store.Compact(ctx)
}
