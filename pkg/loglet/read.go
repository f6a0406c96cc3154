package loglet

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

var errNoCopy = errs.Newf(errs.NotFound, "no copy")

// TrimmedError says that records are gone on purpose: all up to Through.
type TrimmedError struct{ Through lsn.LSN }

// Error says so.
func (e *TrimmedError) Error() string { return fmt.Sprintf("the log is trimmed through %d", e.Through) }

// TrimmedThrough is the position up to which they are gone.
func (e *TrimmedError) TrimmedThrough() lsn.LSN { return e.Through }

// Read calls f for the records [from, to) of a log, consecutive and in order, from any copy. All below to
// must be known to be committed: to is what a commit, a final tail or a known global tail told. The
// bytes are f's to keep. A range that was trimmed is a *TrimmedError; log-servers that do not answer are
// tried until ctx ends; a record that all servers answer not to have is Corrupt.
func (c *Client) Read(ctx context.Context, chain *storedv1.Chain, from, to lsn.LSN, f func(first lsn.LSN, count int, records []byte) error) error {
	if from >= to {
		return nil
	}
	segments := chain.GetSegments()
	if len(segments) == 0 || from < lsn.First {
		return errs.Newf(errs.Invalid, "read from %d of a log of %d segments", from, len(segments))
	}
	if through := max(lsn.LSN(segments[0].Base)-1, lsn.LSN(chain.Trimmed)); from <= through { // some may be left, somewhere
		return errs.With(errs.NotFound, &TrimmedError{Through: through})
	}
	for i, seg := range segments {
		base, end := lsn.LSN(seg.Base), lsn.LSN(math.MaxUint64)
		if i+1 < len(segments) {
			end = lsn.LSN(segments[i+1].Base)
		}
		lo, hi := max(from, base), min(to, end)
		if lo >= hi {
			continue
		}
		r := &reading{c: c, ref: logproto.RefOf(seg.Loglet), base: base, at: lo.In(base), to: hi.In(base), f: f}
		if err := r.run(ctx, seg.Loglet); err != nil {
			return fmt.Errorf("read %s: %w", r.ref.Loglet, err)
		}
	}
	return nil
}

// reading reads one loglet.
type reading struct {
	c    *Client
	ref  logproto.Ref
	base lsn.LSN
	at   lsn.Offset
	to   lsn.Offset
	f    func(lsn.LSN, int, []byte) error
}

// got is how far one log-server helped.
type got uint8

const (
	gotSome    got = 1 // at least one record was delivered
	gotHole    got = 2 // it answered that it has no copy
	gotDamaged got = 3 // its copy is damaged
	gotNothing got = 4 // no answer
)

func (r *reading) run(ctx context.Context, l *storedv1.Loglet) error {
	order := r.c.order(l)
	for r.at < r.to {
		best, hopeless, last, err := r.round(ctx, order)
		switch {
		case err != nil:
			return err
		case best >= 0:
			order[0], order[best] = order[best], order[0] // whoever has the next record is asked first from then on
			continue
		case hopeless == len(order):
			return errs.Newf(errs.Corrupt, "no log-server has offset %d: %w", r.at, last)
		}
		if err := pause(ctx, r.c.h.Clock.NewTimer(r.c.cfg.RetryPause)); err != nil {
			return errs.With(errs.Unavailable, fmt.Errorf("%w (%w)", err, last))
		}
	}
	return nil
}

// round asks for what follows r.at until one log-server, best of order, gives at least one record. If none does, best
// is -1, last is why, and hopeless is how many answered that they have none.
func (r *reading) round(ctx context.Context, order []id.Node) (best, hopeless int, last, err error) {
	best = -1
	request := logproto.RecordsRequest{Ref: r.ref, From: r.at, To: r.to, BytesMax: r.c.cfg.ReadBytesMax}
	ask := func(ctx context.Context, s logproto.Server) (logproto.RecordsAnswer, error) {
		return s.Records(ctx, request)
	}
	late := hedged(ctx, r.c, order, ask, func(i int, a logproto.RecordsAnswer, failed error) (enough bool) {
		var g got
		var why error
		if g, why, err = r.take(order[i], a, failed); err != nil {
			return true
		}
		if g == gotSome {
			best = i
			return true
		}
		last = fmt.Errorf("from %s: %w", order[i], why)
		if g != gotNothing {
			hopeless++
		}
		return false
	})
	r.c.shun(late)
	if last == nil && best < 0 { // ctx ended before anybody answered
		last = errSilent
	}
	return best, hopeless, last, err
}

func pause(ctx context.Context, t host.Timer) error {
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take delivers what one log-server answered to have from r.at on, up to its first hole. why explains what is not
// gotSome; err ends the reading.
func (r *reading) take(n id.Node, a logproto.RecordsAnswer, failed error) (g got, why, err error) {
	if failed == nil {
		failed = a.Status.Err()
	}
	if failed != nil {
		return gotNothing, failed, nil
	}
	if a.Trimmed >= r.at {
		return 0, nil, errs.With(errs.NotFound, &TrimmedError{Through: a.Trimmed.At(r.base)})
	}
	g, why = gotHole, errNoCopy
	for _, run := range a.Groups {
		if run.First != r.at || run.End() > r.to {
			break
		}
		first := r.at.At(r.base)
		if err := check(run, first); err != nil {
			if g != gotSome {
				g, why = gotDamaged, err
			}
			r.c.h.Log.Error("a log-server gave a damaged record", slog.String(logkey.Peer, n.String()),
				slog.String(logkey.Loglet, r.ref.Loglet.String()), slog.Any(logkey.Err, err))
			break
		}
		if err := r.f(first, int(run.Count), run.Records); err != nil {
			return 0, nil, err
		}
		g, r.at = gotSome, run.End()
		r.c.metrics.read.Add(float64(run.Count))
	}
	return g, why, nil
}

// check verifies that a run is what was appended at its place.
func check(run logproto.Run, first lsn.LSN) error {
	rest := run.Records
	for i := range run.Count {
		rec, more, err := command.Next(rest)
		if err != nil {
			return err
		}
		if err := command.Verify(rec); err != nil {
			return err
		}
		p, err := command.Parse(rec)
		if err != nil {
			return err
		}
		if want := first + lsn.LSN(i); p.LSN != want {
			return errs.Newf(errs.Corrupt, "record at %d says that it is %d", want, p.LSN)
		}
		rest = more
	}
	if len(rest) > 0 {
		return errs.Newf(errs.Corrupt, "%d bytes after the records at %d", len(rest), first)
	}
	return nil
}
