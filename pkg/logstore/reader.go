package logstore

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// Reader reads the groups of one loglet as they were when it was made.
type Reader struct {
	s  *Store
	it *pebble.Iterator
	l  id.Loglet
}

// Reader returns a reader of a loglet, to be closed.
func (s *Store) Reader(l id.Loglet) (*Reader, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: groupKey(nil, l, 0), UpperBound: metaKey(nil, kindGroup, l+1)})
	if err != nil {
		return nil, fmt.Errorf("read loglet %d_%d: %w", l.Log(), l.Segment(), err)
	}
	return &Reader{s: s, it: it, l: l}, nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	if err := r.it.Close(); err != nil {
		return fmt.Errorf("read loglet %d_%d: %w", r.l.Log(), r.l.Segment(), err)
	}
	return nil
}

// run decodes the group under the iterator. Its bytes are borrowed until the iterator moves.
func (r *Reader) run() (logproto.Run, error) {
	l, first, ok := parseGroupKey(r.it.Key())
	if !ok || l != r.l {
		return logproto.Run{}, errs.Newf(errs.Corrupt, "key %x among the groups of loglet %d_%d", r.it.Key(), r.l.Log(), r.l.Segment())
	}
	v, err := r.it.ValueAndErr()
	if err != nil {
		return logproto.Run{}, fmt.Errorf("read %s: %w", KeyString(r.it.Key()), err)
	}
	if len(v) < groupHeaderSize || v[0] != groupVersion {
		return logproto.Run{}, errs.Newf(errs.Corrupt, "%s is no group of version %d", KeyString(r.it.Key()), groupVersion)
	}
	return logproto.Run{First: first, Count: binary.LittleEndian.Uint32(v[1:]), Records: v[groupHeaderSize:]}, nil
}

// seek goes to the group that holds offset at, or else to the next one.
func (r *Reader) seek(at lsn.Offset) (bool, error) {
	var key [groupKeySize]byte
	began := r.s.clock.Now()
	before := r.it.SeekLT(groupKey(key[:0], r.l, at+1))
	r.s.stat.Sought(r.s.clock.Now().Sub(began))
	if before {
		run, err := r.run()
		if err != nil {
			return false, err
		}
		if run.End() > at {
			return true, nil
		}
		return r.it.Next(), r.it.Error()
	}
	if err := r.it.Error(); err != nil {
		return false, err
	}
	return r.it.First(), r.it.Error()
}

// Each calls f for what is stored of [from, to), in order and cut to it, until f says stop. The
// records are borrowed until f returns.
func (r *Reader) Each(from, to lsn.Offset, f func(run logproto.Run) (more bool, err error)) error {
	if from >= to {
		return nil
	}
	ok, err := r.seek(from)
	for ; ok && err == nil; ok, err = r.it.Next(), r.it.Error() {
		run, err := r.run()
		if err != nil {
			return err
		}
		if run.First >= to {
			return nil
		}
		if run, err = Cut(run, from, to); err != nil {
			return err
		}
		more, err := f(run)
		if err != nil || !more {
			return err
		}
	}
	return err
}

// Ranges appends the ranges stored of [from, to) to dst.
func (r *Reader) Ranges(from, to lsn.Offset, dst []logproto.Range) ([]logproto.Range, error) {
	if from >= to {
		return dst, nil
	}
	ok, err := r.seek(from)
	for ; ok && err == nil; ok, err = r.it.Next(), r.it.Error() {
		run, err := r.run()
		if err != nil {
			return dst, err
		}
		if run.First >= to {
			return dst, nil
		}
		part := logproto.Range{From: max(run.First, from), To: min(run.End(), to)}
		if n := len(dst); n > 0 && dst[n-1].To == part.From {
			dst[n-1].To = part.To
			continue
		}
		dst = append(dst, part)
	}
	return dst, err
}

// Cut returns the part of run that lies in [from, to), which must meet it.
func Cut(run logproto.Run, from, to lsn.Offset) (logproto.Run, error) {
	if from <= run.First && to >= run.End() {
		return run, nil
	}
	end := min(to, run.End())
	rest := run.Records
	start := rest
	for at := run.First; at < end; at++ {
		if at == from {
			start = rest
		}
		var err error
		if _, rest, err = command.Next(rest); err != nil {
			return run, fmt.Errorf("group at %d: %w", run.First, err)
		}
	}
	first := max(from, run.First)
	return logproto.Run{First: first, Count: uint32(end - first), Records: start[:len(start)-len(rest)]}, nil
}
