package loglet

import (
	"context"
	"errors"
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// Trim deletes the records of a log that its chain says are trimmed, at all log-servers that have some. It returns the index
// of the first segment of which records may be left: those before it may leave the chain. It asks each log-server once;
// those that do not answer are in err, and their records go with the next trim.
func (c *Client) Trim(ctx context.Context, chain *storedv1.Chain) (first uint32, err error) {
	segments := chain.GetSegments()
	var failed []error
	for i, s := range segments {
		base, through, whole := lsn.LSN(s.Base), lsn.LSN(chain.Trimmed), false
		if i+1 < len(segments) {
			end := lsn.LSN(segments[i+1].Base)
			whole = through+1 >= end
			through = min(through, end-1)
		}
		if len(failed) == 0 {
			first = s.Index
		}
		if through >= base { // else it is empty, or behind all that is trimmed
			if err := c.trimLoglet(ctx, s.Loglet, through.In(base)); err != nil {
				failed = append(failed, err)
			}
		}
		if !whole {
			break
		}
	}
	return first, errors.Join(failed...)
}

// trimLoglet asks all members of the nodeset that may have records.
func (c *Client) trimLoglet(ctx context.Context, l *storedv1.Loglet, through lsn.Offset) error {
	set, err := c.nodeset(l)
	if err != nil {
		return err
	}
	ref := logproto.RefOf(l)
	failed := make([]error, set.Len())
	g := lifecycle.NewGroup(ctx)
	for i := range set.Len() {
		m := set.Member(i)
		if m.Lost() {
			continue
		}
		g.Go("trim", func(ctx context.Context) error {
			if err := c.trimAt(ctx, m.Node, ref, through); err != nil {
				failed[i] = fmt.Errorf("trim loglet %s at %s: %w", ref.Loglet, m.Node, err)
			}
			return nil
		})
	}
	_ = g.Wait() // the goroutines return nothing
	return errors.Join(failed...)
}

// trimAt trims what one log-server has up to through. It may not have all of that.
func (c *Client) trimAt(ctx context.Context, n id.Node, ref logproto.Ref, through lsn.Offset) error {
	s, err := c.servers.Server(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AskTimeout)
	defer cancel()
	info, err := s.Info(ctx, ref)
	if err != nil {
		return err
	}
	if err := info.Status.Err(); err != nil {
		return err
	}
	through = min(through, info.Tail-1)
	if through <= info.Trimmed {
		return nil
	}
	if info, err = s.Trim(ctx, ref, through); err != nil {
		return err
	}
	return info.Status.Err()
}
