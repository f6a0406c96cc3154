package loglet

import (
	"context"
	"errors"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/quorum"
)

// Unsealed asks whether the loglet is open. nil says that, after the call began, a write quorum of its
// log-servers had not sealed it, so that nobody had taken over the log then. It is the proof for a read
// while nothing can be appended.
func (c *Client) Unsealed(ctx context.Context, l *storedv1.Loglet) error {
	ref := logproto.RefOf(l)
	set, err := c.nodeset(l)
	if err != nil {
		return err
	}
	type said struct {
		member int
		err    error
	}
	answers := make(chan said, set.Len()) // room for all: nobody waits who is given up
	actx, cancel := context.WithCancel(ctx)
	g := lifecycle.NewGroup(actx)
	defer func() {
		cancel()
		_ = g.Wait() // questions never fail the group
	}()
	for i := range set.Len() {
		g.Go("ask", func(ctx context.Context) error {
			answers <- said{i, c.unsealedAt(ctx, set.Member(i), ref)}
			return nil
		})
	}
	var open quorum.Set
	var failed error
	for range set.Len() {
		if a := <-answers; a.err != nil {
			failed = errors.Join(failed, a.err)
		} else if open.Add(a.member); set.WriteQuorum(open) { // whoever hangs is not waited for
			return nil
		}
	}
	return errs.Newf(errs.Unavailable, "loglet %s: no write quorum says that it is open: %w", ref.Loglet, failed)
}

func (c *Client) unsealedAt(ctx context.Context, m quorum.Member, ref logproto.Ref) error {
	s, err := c.servers.Server(m.Node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
	defer cancel()
	info, err := s.Info(ctx, ref)
	switch {
	case err != nil:
		return err
	case info.Sealed:
		return errs.Newf(errs.Conflict, "%s has sealed it", m.Node)
	default:
		return info.Status.Err()
	}
}
