package membership

import (
	"context"
	"log/slog"
	"sync"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

const (
	// presenceTTL is after what time a dead process is no longer listed as present. It is a hint for
	// placement and for the election of the controller, so it may be wrong.
	presenceTTL = 2 * time.Second
	// rehold pauses between attempts to get the lease back.
	reholdMin = 100 * time.Millisecond
	reholdMax = time.Second
)

// Nodes is the part of metastore.View that Presence needs.
type Nodes interface {
	Node(n id.Node) *storedv1.Node // nil: unknown
	Changed() <-chan struct{}      // closed at the next change
}

// Presence shows that this process lives, and ends it when a newer process of its node has started or
// the node was removed.
type Presence struct {
	me    id.GenerationalNode
	store Store
	nodes Nodes
	host  host.Host
	ready chan struct{}
	once  sync.Once
}

var _ lifecycle.Readier = (*Presence)(nil)

// NewPresence returns the presence of a member. nodes must have been loaded after it joined.
func NewPresence(me id.GenerationalNode, store Store, nodes Nodes, h host.Host) *Presence {
	return &Presence{me: me, store: store, nodes: nodes, host: h, ready: make(chan struct{})}
}

// Ready is closed when the others can see this process.
func (p *Presence) Ready() <-chan struct{} { return p.ready }

// Run implements lifecycle.Part.
func (p *Presence) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	g.Go("presence", p.hold)
	g.Go("membership", p.watch)
	return g.Wait()
}

func (p *Presence) hold(ctx context.Context) error {
	pause := reholdMin
	for {
		err := p.store.AnnouncePresence(ctx, p.me, presenceTTL, func() {
			pause = reholdMin
			p.once.Do(func() { close(p.ready) })
		})
		if ctx.Err() != nil {
			return nil
		}
		p.host.Log.Warn("presence lost, trying again", slog.String(logkey.Node, p.me.String()), slog.Any(logkey.Err, err))
		t := p.host.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C():
		}
		pause = min(2*pause, reholdMax)
	}
}

func (p *Presence) watch(ctx context.Context) error {
	for {
		changed := p.nodes.Changed()
		n := p.nodes.Node(p.me.Node)
		if n == nil {
			return errs.Newf(errs.Fenced, "node %s was removed from the cluster", p.me)
		}
		if n.Generation > p.me.Generation {
			return errs.Newf(errs.Fenced, "generation %d of this node has started: this is %s", n.Generation, p.me)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
