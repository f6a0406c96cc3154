package partitionstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/partition"
)

var _ partition.State = (*View)(nil)

// View is the state with what was changed since the last Commit.
type View struct {
	s         *Store
	rows      *pebble.Batch // rows that a view never reads back
	read      *pebble.Batch // rows that it may; indexed; nil until there is one
	touched   []touch
	committed uint64 // LSN of the last commit
	key       []byte // scratch
}

type touch struct {
	id    id.Invocation
	entry *entry
}

// View returns the store's view, which commands are applied to.
func (s *Store) View() *View { return &s.view }

// touchedBytes is what a changed invocation counts for in Uncommitted: its row is encoded by Commit.
const touchedBytes = 256

// Uncommitted returns about how many bytes of rows a Commit would store; 0 only if there is nothing to store.
func (s *Store) Uncommitted() int {
	v := &s.view
	if v.empty() {
		return 0
	}
	n := 1 + v.rows.Len() + touchedBytes*len(v.touched) + openLockBytes*len(v.s.locks.order)
	if v.read != nil {
		n += v.read.Len()
	}
	return n
}

func (v *View) empty() bool {
	return v.s.meta.Applied == v.committed && v.rows.Empty() && (v.read == nil || v.read.Empty())
}

// Commit stores what was changed as one batch and makes the view empty. After an error the store is of no use.
func (s *Store) Commit() error {
	if s.err != nil {
		return s.err
	}
	v := &s.view
	if v.empty() {
		return nil
	}
	if err := v.commit(); err != nil {
		s.err = errs.With(errs.Internal, fmt.Errorf("commit to the partition store: %w", err))
		return s.err
	}
	v.committed = s.meta.Applied
	s.applied.Store(s.meta.Applied)
	for _, t := range v.touched {
		s.cache.settle(t.id, t.entry)
	}
	clear(v.touched)
	v.touched = v.touched[:0]
	s.cache.trim()
	return nil
}

func (v *View) commit() error {
	young := v.s.fresh.len()
	for _, t := range v.touched {
		if err := v.writeEntry(t.id, t.entry); err != nil {
			return err
		}
	}
	v.s.fresh.sortFrom(young)
	if err := v.indexOld(); err != nil {
		return err
	}
	if err := v.writeLocks(); err != nil {
		return err
	}
	op := v.rows.SetDeferred(1, v.s.meta.SizeVT())
	op.Key[0] = kindMeta
	if _, err := v.s.meta.MarshalToSizedBufferVT(op.Value); err != nil {
		return err
	}
	if err := op.Finish(); err != nil {
		return err
	}
	if v.read != nil && !v.read.Empty() {
		if err := v.rows.Apply(v.read, nil); err != nil {
			return err
		}
		v.read.Reset()
	}
	v.s.unpolled += v.rows.Len()
	if err := v.s.write(v.rows); err != nil {
		return err
	}
	v.rows.Reset()
	return v.s.moveWindow()
}

// writeEntry writes the row of an invocation, and takes away that of an earlier life.
func (v *View) writeEntry(i id.Invocation, e *entry) error {
	if !e.dirty {
		return nil
	}
	e.dirty = false
	if e.stored && (e.inv == nil || e.inv.Row.Incarnation != e.life.incarnation) {
		e.stored = false
		if err := v.unindex(e); err != nil {
			return err
		}
		if err := v.delete(appendLifeKey(v.key[:0], e.life)); err != nil {
			return err
		}
		if e.inv == nil {
			return v.delete(appendInvocationKey(v.key[:0], i))
		}
	}
	if e.inv == nil {
		return nil
	}
	if !e.stored {
		e.stored, e.life = true, lifeOf(e.inv)
		op := v.rows.SetDeferred(invocationKeyLen, 8)
		appendInvocationKey(op.Key[:0], i)
		binary.BigEndian.PutUint64(op.Value, e.life.incarnation)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	op := v.rows.SetDeferred(lifeKeyLen, e.inv.Row.SizeVT())
	appendLifeKey(op.Key[:0], e.life)
	if _, err := e.inv.Row.MarshalToSizedBufferVT(op.Value); err != nil {
		return err
	}
	if err := op.Finish(); err != nil {
		return err
	}
	return v.writeIndex(e)
}

// delete removes a row that the view does not read back; key is scratch.
func (v *View) delete(key []byte) error {
	v.key = key
	return v.rows.Delete(key, nil)
}

// discard gives the batches back; what they hold is forgotten.
func (v *View) discard() {
	_ = v.rows.Close() // never committed: nothing can fail
	if v.read != nil {
		_ = v.read.Close()
	}
}

// reader is where rows that a view may have changed are read.
func (v *View) reader() pebble.Reader {
	if v.read == nil || v.read.Empty() {
		return v.s.db
	}
	return v.read
}

func (v *View) writer() *pebble.Batch {
	if v.read == nil {
		v.read = v.s.db.NewIndexedBatch()
	}
	return v.read
}

// Meta implements partition.State.
func (v *View) Meta() *storedv1.Meta { return &v.s.meta }

// Invocation implements partition.State.
func (v *View) Invocation(i id.Invocation) (*invocation.Invocation, error) {
	e, err := v.s.find(i)
	if err != nil || e == nil {
		return nil, err
	}
	v.touch(i, e)
	return e.inv, nil
}

func (v *View) touch(i id.Invocation, e *entry) {
	if !e.touched {
		e.touched = true
		v.touched = append(v.touched, touch{id: i, entry: e})
	}
}

// find returns the entry of an invocation, read into the cache if need be, or nil. If no view touches it
// then, the next one that commits does not settle it; only rows that are not completed are kept so.
func (s *Store) find(i id.Invocation) (*entry, error) {
	if e, ok := s.cache.entries[i]; ok {
		return e, nil
	}
	if s.window.absent(i) {
		return nil, nil
	}
	inv, err := s.readInvocation(i)
	if err != nil || inv == nil {
		return nil, err
	}
	e := &entry{inv: inv, stored: true, life: lifeOf(inv), indexed: !completed(inv)}
	s.cache.entries[i] = e
	return e, nil
}

// readInvocation reads an invocation's present life; scratch is for keys.
func readInvocation(r pebble.Reader, scratch *[]byte, i id.Invocation) (*invocation.Invocation, error) {
	*scratch = appendInvocationKey((*scratch)[:0], i)
	value, closer, err := r.Get(*scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	incarnation, ok := parseUint64(value)
	if err := closer.Close(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, malformed(*scratch)
	}
	l := life{incarnation: incarnation, id: i}
	*scratch = appendLifeKey((*scratch)[:0], l)
	if value, closer, err = r.Get(*scratch); err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			err = errs.Newf(errs.Corrupt, "row is missing: %s", KeyString(*scratch))
		}
		return nil, err
	}
	inv, err := decodeInvocation(l, value)
	if cerr := closer.Close(); err == nil {
		err = cerr
	}
	return inv, err
}

func decodeInvocation(l life, value []byte) (*invocation.Invocation, error) {
	inv := &invocation.Invocation{ID: l.id}
	if err := decodeInto(inv, l, value); err != nil {
		return nil, err
	}
	return inv, nil
}

func decodeInto(inv *invocation.Invocation, l life, value []byte) error {
	err := inv.Row.UnmarshalVT(value)
	if err == nil && inv.Row.Incarnation != l.incarnation {
		err = fmt.Errorf("it is of life %d", inv.Row.Incarnation)
	}
	if err != nil {
		return errs.With(errs.Corrupt, fmt.Errorf("row of invocation %s@%d: %w", l.id, l.incarnation, err))
	}
	return nil
}

func lifeOf(inv *invocation.Invocation) life {
	return life{incarnation: inv.Row.Incarnation, id: inv.ID}
}

// PutInvocation implements partition.State. The row is encoded by Commit, once.
func (v *View) PutInvocation(inv *invocation.Invocation) error {
	e := v.s.cache.entries[inv.ID]
	if e == nil {
		e = &entry{}
		v.s.cache.entries[inv.ID] = e
		v.s.window.add(unique(inv.ID.Unique()))
	}
	e.inv, e.dirty = inv, true
	v.touch(inv.ID, e)
	return nil
}

// DeleteInvocation implements partition.State.
func (v *View) DeleteInvocation(inv *invocation.Invocation) error {
	e := v.s.cache.entries[inv.ID]
	if e == nil {
		return errs.Newf(errs.Internal, "invocation %s is deleted but was never read", inv.ID)
	}
	e.inv, e.dirty = nil, true
	v.touch(inv.ID, e)
	return nil
}

// Journal implements partition.State.
func (v *View) Journal(inv *invocation.Invocation) (*journal.Index, error) { return v.s.Journal(inv) }

// AppendJournal implements partition.State.
func (v *View) AppendJournal(inv *invocation.Invocation, row journal.Row) error {
	if err := inv.Journal.Add(row); err != nil {
		return err
	}
	op := v.rows.SetDeferred(journalKeyLen, journal.RowHeaderSize+len(row.Frames))
	appendJournalKey(op.Key[:0], lifeOf(inv), row.First)
	row.AppendValue(op.Value[:0])
	return op.Finish()
}

// pointDeletesMax is up to how many entries a journal is deleted row by row: range deletions slow every read after them.
const pointDeletesMax = 64

// DropJournal implements partition.State.
func (v *View) DropJournal(inv *invocation.Invocation) error {
	entries := inv.Row.JournalEntries // of one that completed, it is not worth reading
	if inv.Journal != nil || entries == 0 {
		index, err := v.s.Journal(inv)
		if err != nil {
			return err
		}
		entries = index.Entries
	}
	j := lifeOf(inv)
	if entries > pointDeletesMax {
		from := appendJournalKey(nil, j, 0)
		return v.rows.DeleteRange(from, appendJournalKey(nil, j, entries), nil)
	}
	for first := range entries { // not every entry begins a row
		if err := v.delete(appendJournalKey(v.key[:0], j, first)); err != nil {
			return err
		}
	}
	return nil
}

// JournalRows implements partition.State: it is for rare questions, and reads everything.
func (v *View) JournalRows(inv *invocation.Invocation, f func(journal.Row) error) error {
	if err := scanJournal(v.s.db, lifeOf(inv), f); err != nil {
		return err
	}
	l := lifeOf(inv)
	for r := v.rows.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		at, first, ok := parseJournalKey(key)
		if kind != pebble.InternalKeyKindSet || !ok || at != l {
			continue
		}
		row, err := journal.ParseRow(first, value)
		if err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
}

// Journal returns the index of a journal, read from its rows unless it is in memory.
func (s *Store) Journal(inv *invocation.Invocation) (*journal.Index, error) {
	if inv.Journal != nil {
		return inv.Journal, nil
	}
	index := &journal.Index{}
	if err := scanJournal(s.db, lifeOf(inv), index.Add); err != nil {
		return nil, err
	}
	inv.Journal = index
	return index, nil
}

func scanJournal(r pebble.Reader, l life, f func(journal.Row) error) (err error) {
	rows := journalRows(r, l, 0)
	defer errs.CloseInto(&err, rows)
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
}
