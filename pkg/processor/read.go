package processor

import (
	"context"
	"sync/atomic"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/partitionstore"
)

// Reading says what of a partition that is led here is to be read.
type Reading struct {
	Partition id.Partition
	// Live asks for what the invoker knows of the invocations that it runs: of all, or of LiveIDs if that is not nil.
	Live    bool
	LiveIDs []id.Invocation
}

// Read calls f with the rows of a partition as they are now, on a goroutine of the node: neither the partition's
// loop nor the end of its store waits for the caller. f ends soon after its ctx. Codes: NotLeader, and those of f.
func (n *Node) Read(ctx context.Context, what Reading, f func(context.Context, *partitionstore.Snapshot, []invocation.Live) error) error {
	p, err := n.part(what.Partition)
	if err != nil {
		return err
	}
	var begun atomic.Bool // by the loop, or given up by the caller
	done := make(chan error, 1)
	p.loop.mail.do(func() {
		if !begun.CompareAndSwap(false, true) {
			return
		}
		if p.tenure == nil || !p.tenure.leading {
			done <- errNotLed
			return
		}
		var live []invocation.Live
		if what.Live {
			live = p.loop.invoker.Live(p.id, what.LiveIDs)
		}
		snap, err := p.store.Snapshot()
		if err != nil {
			p.loop.parkSoon(p, err)
			done <- err
			return
		}
		n.background("read rows", func(stop context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			release := context.AfterFunc(stop, func() { cancel(errStopping) })
			defer release()
			err := f(ctx, snap, live)
			if cerr := snap.Close(); err == nil {
				err = cerr
			}
			done <- err
			return nil // it is the caller's
		})
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-n.ended:
		err = errNotLed
	}
	if begun.CompareAndSwap(false, true) {
		return err
	}
	return <-done // f has what the caller lent it
}

var errStopping = errs.Newf(errs.Unavailable, "this node is stopping")
