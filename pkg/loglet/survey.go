package loglet

import (
	"context"
	"errors"
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Found is what a log-server told about a loglet when it was asked once.
type Found struct {
	Node   id.Node
	Info   logproto.Info
	Exists []logproto.Range // of a digest
	Err    error            // why there is no answer
}

// Survey asks each log-server of a loglet once what it knows of it.
func (c *Client) Survey(ctx context.Context, l *storedv1.Loglet) ([]Found, error) {
	ref := logproto.RefOf(l)
	return c.askEach(ctx, l, func(ctx context.Context, s logproto.Server, f *Found) (err error) {
		if f.Info, err = s.Info(ctx, ref); err != nil {
			return err
		}
		return f.Info.Status.Err()
	})
}

// Digest asks each log-server of a loglet once which of the offsets [from, to) it has.
func (c *Client) Digest(ctx context.Context, l *storedv1.Loglet, from, to lsn.Offset) ([]Found, error) {
	r := logproto.DigestRequest{Ref: logproto.RefOf(l), From: from, To: to}
	return c.askEach(ctx, l, func(ctx context.Context, s logproto.Server, f *Found) (err error) {
		if f.Info, err = s.Info(ctx, r.Ref); err != nil {
			return err
		}
		a, err := s.Digest(ctx, r)
		if err != nil {
			return err
		}
		f.Exists = a.Exists
		return a.Status.Err()
	})
}

func (c *Client) askEach(ctx context.Context, l *storedv1.Loglet, ask func(context.Context, logproto.Server, *Found) error) ([]Found, error) {
	set, err := c.nodeset(l)
	if err != nil {
		return nil, err
	}
	found := make([]Found, set.Len())
	g := lifecycle.NewGroup(ctx)
	for i := range found {
		f := &found[i]
		f.Node = set.Member(i).Node
		g.Go("ask", func(ctx context.Context) error {
			s, err := c.servers.Server(f.Node)
			if err == nil {
				ctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
				defer cancel()
				err = ask(ctx, s, f)
			}
			f.Err = err
			return nil
		})
	}
	return found, g.Wait()
}

// Bound returns an offset that no record is at or behind which was committed before the call: every such record is on a
// log-server of any f-majority. There may be less. It asks once.
func (c *Client) Bound(ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	set, err := c.nodeset(l)
	if err != nil {
		return 0, err
	}
	found, err := c.Survey(ctx, l)
	if err != nil {
		return 0, err
	}
	s := summaryOf(found)
	if set.FMajority(s.answered) != quorum.Success {
		return 0, s.unknown(id.Loglet(l.Id), errSilent)
	}
	return s.last, nil
}

// FindTail returns the first offset behind all records that were committed before the call, and whether the loglet is
// sealed. It stores nothing, unless the loglet is sealed: then it ends, as every recovery, with all below the tail on a
// write quorum. It tries until ctx ends.
func (c *Client) FindTail(ctx context.Context, l *storedv1.Loglet) (tail lsn.Offset, sealed bool, err error) {
	set, err := c.nodeset(l)
	if err != nil {
		return 0, false, err
	}
	target := lsn.Offset(0) // no record that was committed when it was found is at or behind it
	for {
		found, err := c.Survey(ctx, l)
		if err != nil {
			return 0, false, err
		}
		s := summaryOf(found)
		switch {
		case set.FMajority(s.sealed) == quorum.Success:
			tail, err = c.Seal(ctx, l)
			return tail, true, err
		case set.FMajority(s.answered) == quorum.Success && target == 0:
			target = s.last
		}
		if target != 0 && s.known >= target && s.sealed == (quorum.Set{}) {
			return s.known, false, nil
		}
		if perr := pause(ctx, c.h.Clock.NewTimer(c.cfg.RetryPause)); perr != nil {
			return 0, false, s.unknown(id.Loglet(l.Id), perr)
		}
	}
}

// summary is what a survey came to.
type summary struct {
	answered, sealed quorum.Set
	known, last      lsn.Offset // the largest known global tail, the largest local tail
	failures         []error
}

func summaryOf(found []Found) (s summary) {
	for i, f := range found {
		if f.Err != nil {
			s.failures = append(s.failures, fmt.Errorf("%s: %w", f.Node, f.Err))
			continue
		}
		s.answered.Add(i)
		if f.Info.Sealed {
			s.sealed.Add(i)
		}
		s.known, s.last = max(s.known, f.Info.Known, 1), max(s.last, f.Info.Tail, 1)
	}
	return s
}

// unknown is the error of a tail that was not found in time.
func (s *summary) unknown(l id.Loglet, why error) error {
	if len(s.failures) > 0 {
		return errs.Newf(errs.Unavailable, "tail of loglet %s: too few log-servers answer: %w", l, errors.Join(s.failures...))
	}
	return errs.Newf(errs.Unavailable, "tail of loglet %s: it is between offsets %d and %d, and nobody says where: %w", l, s.known, s.last, why)
}
