package partitionstore

import (
	"cmp"
	"errors"
	"io"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/invocation"
	"reprise/pkg/keyenc"
)

// Which invocations are not completed must be known without reading all rows. Most live so briefly that
// an index row for each would be a waste: one is written only for those that wait for their time or
// turn, and for those that still live indexLag commands after the one that created them. The rest is
// found among their rows, which lie in the order of creation.
const indexLag = 1024

// fresh holds the invocations that were created without an index row, oldest first. Some may have ended.
type fresh struct {
	items []freshItem
	head  int
}

type freshItem struct {
	life  life
	entry *entry // nil if it was found in the rows
}

func (f *fresh) push(x freshItem) { f.items = append(f.items, x) }

func (f *fresh) len() int { return len(f.items) }

// sortFrom puts the items from n on in order. A commit pushes them in the order in which ids were touched,
// and an id that got a new life may have been touched long before.
func (f *fresh) sortFrom(n int) {
	slices.SortFunc(f.items[n:], func(a, b freshItem) int { return cmp.Compare(a.life.incarnation, b.life.incarnation) })
}

// pop takes the oldest if it was created at or before the position.
func (f *fresh) pop(through uint64) (x freshItem, ok bool) {
	if f.head == len(f.items) || f.items[f.head].life.incarnation > through {
		return x, false
	}
	x = f.items[f.head]
	if f.head++; 2*f.head >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return x, true
}

// firstFresh is the oldest position from which an invocation may live without an index row.
func firstFresh(applied uint64) uint64 { return applied - min(applied, indexLag) + 1 }

// loadFresh finds again what the fresh queue held.
func (s *Store) loadFresh() error {
	rows := newRows(s.db, keyenc.AppendUint64([]byte{kindLife}, firstFresh(s.meta.Applied)), []byte{kindLife})
	for {
		k, _, err := rows.next()
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		if l, ok := parseLifeKey(k); ok { // else it is a row of the journal
			s.fresh.push(freshItem{life: l})
		}
	}
}

func completed(inv *invocation.Invocation) bool {
	return inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
}

// writeIndex keeps the index in step with a row that is written.
func (v *View) writeIndex(e *entry) error {
	if completed(e.inv) {
		return v.unindex(e)
	}
	if e.indexed || e.fresh {
		return nil
	}
	switch e.inv.Row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED, storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		return v.index(e) // it has no journal yet, and may wait for long
	default:
		e.fresh = true
		v.s.fresh.push(freshItem{life: e.life, entry: e})
		return nil
	}
}

func (v *View) index(e *entry) error {
	e.indexed, e.fresh = true, false
	op := v.rows.SetDeferred(lifeKeyLen, 0)
	appendActiveKey(op.Key[:0], e.life)
	return op.Finish()
}

func (v *View) unindex(e *entry) error {
	e.fresh = false
	if !e.indexed {
		return nil
	}
	e.indexed = false
	return v.delete(appendActiveKey(v.key[:0], e.life))
}

// indexOld writes the index rows of invocations that live for long.
func (v *View) indexOld() error {
	through := firstFresh(v.s.meta.Applied) - 1
	for {
		x, ok := v.s.fresh.pop(through)
		if !ok {
			return nil
		}
		if x.entry != nil && !x.entry.fresh { // it ended
			continue
		}
		e, err := v.s.find(x.life.id)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if e.inv != nil && !completed(e.inv) && e.life == x.life {
			if err := v.index(e); err != nil {
				return err
			}
		}
		if !e.touched {
			v.s.cache.settle(x.life.id, e)
		}
	}
}

// ActiveRows walks the invocations that are not completed.
type ActiveRows struct {
	snap  *Snapshot
	rows  rows
	since uint64        // first position of those that may have no index row; 0 before it is known
	seen  map[life]bool // of those, the ones with an index row
	late  bool          // the index is done
}

// Active walks the invocations that are not completed, each once: those with an index row, then
// the young ones without, both in the order of creation.
func (s *Snapshot) Active() *ActiveRows {
	prefix := []byte{kindActive}
	return &ActiveRows{rows: newRows(s.snap, prefix, prefix), snap: s, seen: map[life]bool{}}
}

// Next returns the next invocation, which the caller keeps; io.EOF after the last one.
func (r *ActiveRows) Next() (*invocation.Invocation, error) {
	if r.since == 0 {
		var meta storedv1.Meta
		if err := readMeta(r.snap.snap, &meta); err != nil {
			return nil, err
		}
		r.since = firstFresh(meta.Applied)
	}
	for {
		k, v, err := r.rows.next()
		switch {
		case errors.Is(err, io.EOF) && !r.late:
			if err := r.turnToRows(); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		inv, err := r.at(k, v)
		if err != nil || inv != nil {
			return inv, err
		}
	}
}

func (r *ActiveRows) turnToRows() error {
	r.late = true
	if err := r.rows.Close(); err != nil {
		return err
	}
	r.rows = newRows(r.snap.snap, keyenc.AppendUint64([]byte{kindLife}, r.since), []byte{kindLife})
	return nil
}

// at returns the invocation that a row stands for, or nil if it is none that is to be told.
func (r *ActiveRows) at(k, v []byte) (*invocation.Invocation, error) {
	if r.late {
		l, ok := parseLifeKey(k)
		if !ok || r.seen[l] { // a row of a journal, or one that the index had
			return nil, nil
		}
		inv, err := decodeInvocation(l, v)
		if err != nil || completed(inv) {
			return nil, err
		}
		return inv, nil
	}
	l, ok := parseActiveKey(k)
	if !ok {
		return nil, malformed(k)
	}
	if l.incarnation >= r.since {
		r.seen[l] = true
	}
	inv, err := r.snap.Invocation(l.id)
	if err == nil && (inv == nil || inv.Row.Incarnation != l.incarnation || completed(inv)) {
		err = errs.Newf(errs.Corrupt, "index row without an invocation: %s", KeyString(k))
	}
	return inv, err
}

// Close ends the walk.
func (r *ActiveRows) Close() error { return r.rows.Close() }
