package processor

import (
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/schema"
)

// Replay implements invoker.Owner: what an attempt that starts now is sent. A short journal with
// little state is read here; anything longer is read row by row by another goroutine, from a snapshot.
func (l *Loop) Replay(pid id.Partition, i id.Invocation, eagerLimit int) (invoker.Replay, error) {
	p, err := l.node.part(pid)
	if err != nil {
		return invoker.Replay{}, err
	}
	if p.tenure == nil || p.store == nil {
		return invoker.Replay{}, errNotLed
	}
	inv, err := p.store.Invocation(i)
	if err != nil {
		return invoker.Replay{}, err
	}
	if inv == nil {
		return invoker.Replay{}, errs.Newf(errs.NotFound, "invocation %s is gone", i)
	}
	index, err := p.store.Journal(inv)
	if err != nil {
		return invoker.Replay{}, err
	}
	r := invoker.Replay{
		Entries: index.Entries, Commands: index.Commands, LastTime: index.LastTime, LastAttempt: index.LastAttempt,
	}
	stateLimit := 0
	if inv.HasState() {
		stateLimit = min(eagerLimit, l.node.cfg.InlineReplayBytesMax)
	}
	frames, state, partial, ok, err := p.store.ReadInline(inv, l.node.cfg.InlineReplayBytesMax, stateLimit)
	if err != nil {
		return invoker.Replay{}, err
	}
	if ok && (!partial || eagerLimit <= stateLimit || !inv.HasState()) {
		r.Inline, r.Frames, r.Partial = true, frames, partial || !inv.HasState()
		r.State = state
		return r, nil
	}
	if r.Reader, err = p.store.Reader(inv); err != nil {
		return invoker.Replay{}, err
	}
	return r, nil
}

func (n *Node) registry() *schema.Registry { return n.view.Current().Registry }

func (l *Loop) nowMillis() int64 { return host.Millis(l.node.host.Clock) }
