package partitionstore

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/keyenc"
	"reprise/pkg/partition"
	"reprise/pkg/serviceproto"
)

// Snapshot is the store as one commit left it. Any goroutine may read it, one at a time. Whoever took it closes it; the store
// waits for that before it closes.
type Snapshot struct {
	store *Store
	snap  *pebble.Snapshot
}

// Snapshot commits, and returns the store as it is now.
func (s *Store) Snapshot() (*Snapshot, error) {
	if err := s.Commit(); err != nil {
		return nil, err
	}
	s.readers.Add(1)
	return &Snapshot{store: s, snap: s.db.NewSnapshot()}, nil
}

// Close gives the snapshot back. It is called once.
func (s *Snapshot) Close() error {
	defer s.store.readers.Done()
	return s.snap.Close()
}

// Invocation returns the row of an invocation, or nil. The caller keeps it.
func (s *Snapshot) Invocation(i id.Invocation) (*invocation.Invocation, error) {
	var key []byte
	return readInvocation(s.snap, &key, i)
}

// rows walks rows in key order. A failed start shows with the first step.
type rows struct {
	it      *pebble.Iterator
	err     error
	started bool
	seek    []byte // where the next step goes, if set
}

func newRows(r pebble.Reader, lower, prefix []byte) rows {
	o := bounds(prefix)
	o.LowerBound = lower
	it, err := r.NewIter(o)
	return rows{it: it, err: err}
}

// next moves to the next row; io.EOF after the last one.
func (r *rows) next() (key, value []byte, err error) {
	if r.err != nil {
		return nil, nil, r.err
	}
	step := r.it.Next
	if !r.started {
		r.started, step = true, r.it.First
	}
	if r.seek != nil {
		to := r.seek
		r.seek, step = nil, func() bool { return r.it.SeekGE(to) }
	}
	if !step() {
		if err := r.it.Error(); err != nil {
			return nil, nil, err
		}
		return nil, nil, io.EOF
	}
	value, err = r.it.ValueAndErr()
	return r.it.Key(), value, err
}

// skipTo has the next step go to the first row at or after key.
func (r *rows) skipTo(key []byte) { r.seek = key }

// Close ends the walk.
func (r *rows) Close() error {
	if r.it == nil {
		return nil
	}
	it := r.it
	r.it, r.err = nil, io.EOF
	return it.Close()
}

// JournalRows walks the rows of a journal.
type JournalRows struct{ rows }

// Journal walks the rows of inv's journal from the row that begins with entry first.
func (s *Snapshot) Journal(inv *invocation.Invocation, first uint32) *JournalRows {
	return journalRows(s.snap, lifeOf(inv), first)
}

// journalRows begins behind the row of the invocation, which has the prefix too.
func journalRows(r pebble.Reader, l life, first uint32) *JournalRows {
	return &JournalRows{newRows(r, appendJournalKey(nil, l, first), appendLifeKey(nil, l))}
}

// Next returns the next row, whose frames are borrowed until the next call; io.EOF after the last one.
func (r *JournalRows) Next() (journal.Row, error) {
	k, v, err := r.next()
	if err != nil {
		return journal.Row{}, err
	}
	_, first, ok := parseJournalKey(k)
	if !ok {
		return journal.Row{}, malformed(k)
	}
	return journal.ParseRow(first, v)
}

// EventRows walks what happened beside a journal.
type EventRows struct{ rows }

// Events walks the events of inv's life, oldest first.
func (s *Snapshot) Events(inv *invocation.Invocation) *EventRows {
	prefix := appendEventPrefix(nil, lifeOf(inv))
	return &EventRows{newRows(s.snap, prefix, prefix)}
}

// Next returns the next event and its number; io.EOF after the last one.
func (r *EventRows) Next() (number uint32, e *storedv1.JournalEvent, err error) {
	k, v, err := r.next()
	if err != nil {
		return 0, nil, err
	}
	_, number, ok := parseEventKey(k)
	if !ok {
		return 0, nil, malformed(k)
	}
	e = &storedv1.JournalEvent{}
	if err := e.UnmarshalVT(v); err != nil {
		return 0, nil, errs.With(errs.Corrupt, fmt.Errorf("%s: %w", KeyString(k), err))
	}
	return number, e, nil
}

// CompletedRows walks the invocations that completed, without reading their journals.
type CompletedRows struct{ rows }

// Completed walks the completed invocations in the order of their creation.
func (s *Snapshot) Completed() *CompletedRows {
	return &CompletedRows{newRows(s.snap, []byte{kindLife}, []byte{kindLife})}
}

// Next returns the next one; io.EOF after the last one.
func (r *CompletedRows) Next() (*invocation.Invocation, error) {
	for {
		k, v, err := r.next()
		if err != nil {
			return nil, err
		}
		l, ok := parseLifeKey(k)
		if !ok { // its journal is in the way
			if l, _, ok = parseJournalKey(k); !ok {
				return nil, malformed(k)
			}
			r.skipTo(keyenc.PrefixEnd(appendLifeKey(nil, l)))
			continue
		}
		inv, err := decodeInvocation(l, v)
		if err != nil {
			return nil, err
		}
		if completed(inv) {
			return inv, nil
		}
	}
}

// StateEntry is one entry of the user state of an object.
type StateEntry = serviceproto.StateEntry

// UserStateRows walks the user state of an object.
type UserStateRows struct {
	rows
	prefix int
}

// UserState walks the state of an object in the order of its names.
func (s *Snapshot) UserState(service, key string) *UserStateRows {
	return newUserStateRows(s.snap, service, key)
}

func newUserStateRows(r pebble.Reader, service, key string) *UserStateRows {
	prefix := appendUserStatePrefix(nil, service, key)
	return &UserStateRows{rows: newRows(r, prefix, prefix), prefix: len(prefix)}
}

// Next returns the next entry, borrowed until the next call; io.EOF after the last one.
func (r *UserStateRows) Next() (StateEntry, error) {
	k, v, err := r.next()
	if err != nil {
		return StateEntry{}, err
	}
	return StateEntry{Key: k[r.prefix:], Value: v}, nil
}

// eager reads state in the order of its names until the next entry would exceed limit bytes; partial
// tells that there is more.
func (r *UserStateRows) eager(limit int) (entries []StateEntry, partial bool, err error) {
	defer errs.CloseInto(&err, r)
	size := 0
	for {
		e, err := r.Next()
		if err == io.EOF { //nolint:errorlint // never wrapped
			return entries, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		size += len(e.Key) + len(e.Value)
		if size > limit {
			return entries, true, nil
		}
		both := append(append(make([]byte, 0, len(e.Key)+len(e.Value)), e.Key...), e.Value...)
		entries = append(entries, StateEntry{Key: both[:len(e.Key):len(e.Key)], Value: both[len(e.Key):]})
	}
}

// PromiseRows walks durable promises.
type PromiseRows struct{ rows }

// Promises walks durable promises, in the order of service, key and name.
func (s *Snapshot) Promises(o Object) *PromiseRows {
	prefix := o.prefix(kindPromise)
	return &PromiseRows{newRows(s.snap, prefix, prefix)}
}

// Next returns the next promise, which the caller keeps; io.EOF after the last one.
func (r *PromiseRows) Next() (p partition.Promise, row *storedv1.Promise, err error) {
	for {
		k, v, err := r.next()
		if err != nil {
			return p, nil, err
		}
		p, _, waiter, ok := parsePromiseKey(k)
		if !ok {
			return p, nil, malformed(k)
		}
		if !waiter {
			row := &storedv1.Promise{}
			return p, row, decodeMessage(k, row, v)
		}
	}
}

// TimerRows walks timers.
type TimerRows struct{ rows }

// Timers walks the timers due at or after from (Unix milliseconds), in order.
func (s *Snapshot) Timers(from int64) *TimerRows {
	return &TimerRows{newRows(s.snap, appendTimerDue(nil, from), []byte{kindTimer})}
}

// Next returns the next timer; io.EOF after the last one.
func (r *TimerRows) Next() (partition.Timer, error) {
	k, _, err := r.next()
	if err != nil {
		return partition.Timer{}, err
	}
	t, ok := parseTimerKey(k)
	if !ok {
		return partition.Timer{}, malformed(k)
	}
	return t, nil
}

// OutboxRows walks the messages for one partition.
type OutboxRows struct{ rows }

// Outbox walks the messages for target from sequence from on.
func (s *Snapshot) Outbox(target id.Partition, from uint64) *OutboxRows {
	return &OutboxRows{newRows(s.snap, appendOutboxKey(nil, target, from), appendPeerKey(nil, kindOutbox, target))}
}

// Next returns the next message, borrowed until the next call; io.EOF after the last one.
func (r *OutboxRows) Next() (seq uint64, record []byte, err error) {
	k, v, err := r.next()
	if err != nil {
		return 0, nil, err
	}
	_, seq, ok := parseOutboxKey(k)
	if !ok {
		return 0, nil, malformed(k)
	}
	return seq, v, nil
}
