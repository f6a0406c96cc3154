package loglet

import (
	"context"
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
)

// order is whom to ask about a loglet, one after the other: the log-server of this process first; the others in an
// order that spreads the load; at the end those that were silent lately.
func (c *Client) order(l *storedv1.Loglet) []id.Node {
	out := make([]id.Node, len(l.Nodeset))
	for i := range out {
		out[i] = id.Node(l.Nodeset[(i+int(l.Id>>32))%len(out)])
	}
	if i := slices.Index(out, c.cfg.Self); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	now := c.h.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(out, func(a, b id.Node) int { return c.rankLocked(a, now) - c.rankLocked(b, now) })
	return out
}

func (c *Client) rankLocked(n id.Node, now time.Time) int {
	if until, ok := c.shunned[n]; ok && now.Before(until) {
		return 1
	}
	return 0
}

// shun has log-servers asked last for a while.
func (c *Client) shun(nodes []id.Node) {
	if len(nodes) == 0 {
		return
	}
	until := c.h.Clock.Now().Add(c.cfg.ShunFor)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nodes {
		c.shunned[n] = until
	}
}

// answered is what one log-server of an order said.
type answered[A any] struct {
	i   int
	a   A
	err error
}

// hedged asks the log-servers of order: the next one when one failed or said what was no help, or when all that were
// asked are silent for HedgeAfter. It gives each answer to take, one at a time, until take says that it is enough,
// or all have answered. What is under way then is given up; late are those who should have answered by then.
func hedged[A any](ctx context.Context, c *Client, order []id.Node, ask func(context.Context, logproto.Server) (A, error), take func(i int, a A, err error) (enough bool)) (late []id.Node) {
	actx, cancel := context.WithCancel(ctx)
	g := lifecycle.NewGroup(actx)
	defer func() {
		cancel()
		_ = g.Wait() // questions never fail the group
	}()
	answers := make(chan answered[A], len(order)) // room for all: nobody waits who is given up
	silent := make(map[int]time.Time, 1)          // since when they were asked
	timer := c.h.Clock.NewTimer(c.cfg.HedgeAfter)
	defer timer.Stop()
	for next := 0; next < len(order) || len(silent) > 0; {
		if next < len(order) {
			i, n := next, order[next]
			next++
			silent[i] = c.h.Clock.Now()
			g.Go("ask", func(ctx context.Context) error {
				x := answered[A]{i: i}
				x.a, x.err = askOne(ctx, c, n, ask)
				answers <- x
				return nil
			})
			timer.Reset(c.cfg.HedgeAfter)
		}
		select {
		case x := <-answers:
			delete(silent, x.i)
			if take(x.i, x.a, x.err) {
				return lateOf(order, silent, c.h.Clock.Now().Add(-c.cfg.HedgeAfter))
			}
		case <-timer.C():
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func askOne[A any](ctx context.Context, c *Client, n id.Node, ask func(context.Context, logproto.Server) (A, error)) (a A, err error) {
	s, err := c.servers.Server(n)
	if err != nil {
		return a, err
	}
	tctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
	defer cancel()
	a, err = ask(tctx, s)
	if err != nil && tctx.Err() != nil && ctx.Err() == nil {
		err = errSilent
	}
	return a, err
}

var errSilent = errs.Newf(errs.Unavailable, "no answer in time")

// lateOf are those of order that were asked before a time and are silent.
func lateOf(order []id.Node, silent map[int]time.Time, before time.Time) (out []id.Node) {
	for i, since := range silent {
		if since.Before(before) {
			out = append(out, order[i])
		}
	}
	return out
}
