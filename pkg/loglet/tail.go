package loglet

import (
	"context"
	"errors"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// WaitForTail waits until records at past or behind it are known to be committed, and returns where they end. It
// returns at once if the loglet is sealed: there may be more below its final tail, which is not known then. It tries until
// ctx ends.
//
// A log-server that has nothing new is as silent as one that hangs, so soon several are asked.
func (c *Client) WaitForTail(ctx context.Context, l *storedv1.Loglet, past lsn.Offset) (tail lsn.Offset, sealed bool, err error) {
	wait := logproto.TailWait{Ref: logproto.RefOf(l), Known: past + 1}
	ask := func(ctx context.Context, s logproto.Server) (logproto.Info, error) { return s.WaitForTail(ctx, wait) }
	for {
		done, last := false, errSilent
		hedged(ctx, c, c.order(l), ask, func(_ int, info logproto.Info, failed error) (enough bool) {
			if failed == nil {
				failed = info.Status.Err()
			}
			switch {
			case failed == nil && (info.Known > past || info.Sealed):
				tail, sealed, done = info.Known, info.Sealed, true
			case errs.Is(failed, errs.Fenced):
				err, done = failed, true
			case failed != nil && !errors.Is(failed, errSilent):
				last = failed
			}
			return done
		})
		if done {
			return tail, sealed, err
		}
		if errors.Is(last, errSilent) && ctx.Err() == nil {
			continue // nobody had anything new
		}
		if perr := pause(ctx, c.h.Clock.NewTimer(c.cfg.RetryPause)); perr != nil {
			return 0, false, errs.Newf(errs.Unavailable, "%w (%w)", perr, last)
		}
	}
}
