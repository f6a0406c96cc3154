package loglet

import (
	"context"
	"errors"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// WaitForTail waits until records at past or behind it are known to be committed, and returns where they end. It
// returns at once if the loglet is sealed: there may be more below its final tail, which is not known then. It tries until
// ctx ends.
func (c *Client) WaitForTail(ctx context.Context, l *storedv1.Loglet, past lsn.Offset) (tail lsn.Offset, sealed bool, err error) {
	r := &reading{c: c, ref: logproto.RefOf(l)}
	order := r.order(l)
	for k := 0; ; k = (k + 1) % len(order) {
		info, err := c.waitAt(ctx, order[k], logproto.TailWait{Ref: r.ref, Known: past + 1})
		if err == nil {
			err = info.Status.Err()
		}
		switch {
		case ctx.Err() != nil:
			return 0, false, errs.With(errs.Unavailable, context.Cause(ctx))
		case err == nil && (info.Known > past || info.Sealed):
			return info.Known, info.Sealed, nil
		case errs.Is(err, errs.Fenced):
			return 0, false, err
		}
		if errors.Is(err, errSilent) {
			continue // it had nothing new, or hangs: another one may know more
		}
		if perr := pause(ctx, c.h.Clock.NewTimer(c.cfg.RetryPause)); perr != nil {
			return 0, false, errs.With(errs.Unavailable, errors.Join(perr, err))
		}
	}
}

var errSilent = errs.Newf(errs.Unavailable, "no answer in time")

// waitAt asks one log-server.
func (c *Client) waitAt(ctx context.Context, n id.Node, w logproto.TailWait) (logproto.Info, error) {
	s, err := c.servers.Server(n)
	if err != nil {
		return logproto.Info{}, err
	}
	wctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
	defer cancel()
	info, err := s.WaitForTail(wctx, w)
	if err != nil && wctx.Err() != nil {
		err = errSilent
	}
	return info, err
}
