package partitionstore

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// window knows the newest ids that have rows, so that those of new invocations are not looked for. An id that
// was made up begins with its time: what is asked for and not there is nearly always newer than the floor.
type window struct {
	floor   unique // nothing is known of ids up to it
	horizon int64  // Unix ms; nor of ids from it on: most ids that were not made up are there
	young   map[unique]struct{}
	old     map[unique]struct{}
}

// unique is the unique part of an id, by which rows are ordered.
type unique [16]byte

const (
	windowIDs = 2048 // in each of the two sets
	// The horizon is moved, at the cost of a seek, when it is nearer than windowNear.
	windowNear = 5 * 60 * 1000
	windowFar  = 10 * 60 * 1000
)

func (u unique) millis() int64 { return int64(binary.BigEndian.Uint64(u[:8]) >> 16) }

func uniqueFrom(millis int64) (u unique) {
	binary.BigEndian.PutUint64(u[:], uint64(millis)<<16)
	return u
}

// absent tells whether i is known to have no row.
func (w *window) absent(i id.Invocation) bool {
	u := unique(i.Unique())
	if !w.spans(u) {
		return false
	}
	if _, ok := w.young[u]; ok {
		return false
	}
	_, ok := w.old[u]
	return !ok
}

func (w *window) spans(u unique) bool {
	return u.millis() < w.horizon && bytes.Compare(u[:], w.floor[:]) > 0
}

// add says that an id gets its first row. It stays, whatever becomes of the row.
func (w *window) add(u unique) {
	if !w.spans(u) {
		return
	}
	if len(w.young) == windowIDs {
		for o := range w.old {
			if bytes.Compare(o[:], w.floor[:]) > 0 {
				w.floor = o
			}
		}
		clear(w.old)
		w.young, w.old = w.old, w.young
	}
	w.young[u] = struct{}{}
}

// loadWindow begins behind the newest id that has a row.
func (s *Store) loadWindow() (err error) {
	s.window = window{horizon: s.meta.TimeMs + windowFar, young: map[unique]struct{}{}, old: map[unique]struct{}{}}
	it, err := s.db.NewIter(s.ids(0, s.window.horizon))
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, it)
	if it.Last() {
		i, ok := parseInvocationKey(it.Key())
		if !ok {
			return malformed(it.Key())
		}
		s.window.floor = unique(i.Unique())
	}
	return it.Error()
}

// ids are the bounds of the rows that say which life an id has, from one time up to another.
func (s *Store) ids(from, to int64) *pebble.IterOptions {
	lower, upper := uniqueFrom(from), uniqueFrom(to)
	return &pebble.IterOptions{LowerBound: append([]byte{kindInvocation}, lower[:]...), UpperBound: append([]byte{kindInvocation}, upper[:]...)}
}

// moveWindow moves the horizon ahead of the partition's time. Everything is committed.
func (s *Store) moveWindow() error {
	w := &s.window
	if s.meta.TimeMs+windowNear < w.horizon {
		return nil
	}
	b := s.ids(w.horizon, s.meta.TimeMs+windowFar)
	w.horizon = s.meta.TimeMs + windowFar
	return scanRange(s.db, b.LowerBound, b.UpperBound, func(k, _ []byte) error {
		i, ok := parseInvocationKey(k)
		if !ok {
			return malformed(k)
		}
		w.add(unique(i.Unique()))
		return nil
	})
}
