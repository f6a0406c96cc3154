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
	answers := make([]error, set.Len())
	g := lifecycle.NewGroup(ctx)
	for i := range answers {
		g.Go("ask", func(ctx context.Context) error {
			answers[i] = c.unsealedAt(ctx, set.Member(i), ref)
			return nil
		})
	}
	_ = g.Wait() // questions never fail the group
	var open quorum.Set
	for i, err := range answers {
		if err == nil {
			open.Add(i)
		}
	}
	if set.WriteQuorum(open) {
		return nil
	}
	return errs.Newf(errs.Unavailable, "loglet %s: no write quorum says that it is open: %w", ref.Loglet, errors.Join(answers...))
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
