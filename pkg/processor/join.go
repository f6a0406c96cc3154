package processor

import (
	"context"
	"slices"
)

// joins tells whether this node is only to hold p.
func (n *Node) joins(p *part) bool {
	all := n.view.Current().Epochs
	if int(p.id) >= len(all) {
		return false
	}
	me := uint32(n.self.Node)
	return slices.Contains(all[p.id].GetNext(), me) && !slices.Contains(all[p.id].GetReplicas(), me)
}

// flushJoining flushes what this node is only to hold: it takes another's place once it has on disk what that one has there.
func (n *Node) flushJoining(ctx context.Context, parts []*part) error {
	for _, p := range parts {
		if p.unflushed() == 0 || !n.joins(p) {
			continue
		}
		if err := n.flush(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// works tells whether something that came to p, or was proposed, is not applied yet, though the log takes records. Any
// goroutine may ask.
func (p *part) works() bool {
	if p.refused.Load() {
		return false
	}
	if at := p.applied(); at > 0 && p.proposed.Load() > uint64(at)+1 {
		return true
	}
	m := p.loop.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	return p.inbox.open && p.inbox.count > 0
}
