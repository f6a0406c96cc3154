package loglet

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

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
	if first := lsn.LSN(segments[0].Base); from < first {
		return errs.With(errs.NotFound, &TrimmedError{Through: first - 1})
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
	order := r.order(l)
	for r.at < r.to {
		hopeless := 0
		var last error
		advanced := false
		for i, n := range order {
			g, why, err := r.from(ctx, n)
			if err != nil {
				return err
			}
			if g == gotSome {
				order[0], order[i] = order[i], order[0] // whoever has the next record is asked first from then on
				advanced = true
				break
			}
			last = fmt.Errorf("from %s: %w", n, why)
			if g != gotNothing {
				hopeless++
			}
		}
		if advanced {
			continue
		}
		if hopeless == len(order) {
			return errs.Newf(errs.Corrupt, "no log-server has offset %d: %w", r.at, last)
		}
		if err := pause(ctx, r.c.h.Clock.NewTimer(r.c.cfg.RetryPause)); err != nil {
			return errs.With(errs.Unavailable, fmt.Errorf("%w (%w)", err, last))
		}
	}
	return nil
}

// order puts the log-server of this process first; the others follow in an order that spreads the load.
func (r *reading) order(l *storedv1.Loglet) []id.Node {
	out := make([]id.Node, len(l.Nodeset))
	for i := range out {
		out[i] = id.Node(l.Nodeset[(i+int(l.Id>>32))%len(out)])
	}
	if i := slices.Index(out, r.c.cfg.Self); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out
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

// from delivers what one log-server has from r.at on, up to its first hole. why explains what is not
// gotSome; err ends the reading.
func (r *reading) from(ctx context.Context, n id.Node) (g got, why, err error) {
	s, err := r.c.servers.Server(n)
	if err != nil {
		return gotNothing, err, nil
	}
	actx, cancel := context.WithTimeout(ctx, r.c.cfg.AskTimeout)
	defer cancel()
	a, err := s.Records(actx, logproto.RecordsRequest{Ref: r.ref, From: r.at, To: r.to, BytesMax: r.c.cfg.ReadBytesMax})
	if err != nil {
		return gotNothing, err, nil
	}
	if err := a.Status.Err(); err != nil {
		return gotNothing, err, nil
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
