package partitionstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/encoding/protowire"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/keyenc"
	"reprise/pkg/queue"
)

// Walks over all rows of a kind, for people who look: nothing of the engine reads a partition so.

// stepsBeforeSeek is how many rows of a journal are stepped over before the next invocation is sought.
const stepsBeforeSeek = 8

// LifeRows walks the invocations of a partition in the order of their creation, and the journal of each.
type LifeRows struct {
	it      *pebble.Iterator
	err     error
	current life
	started bool
	ahead   bool // the iterator stands on a row that was not told
	seek    []byte

	backward bool
	active   *activeGuide // not nil: completed invocations are left out
	fields   Fields
	row      invocation.Invocation // with fields: the one that Next lends
	encoded  []byte                // with fields: what of a row is decoded
	target   lastTarget            // with fields: many invocations have the same one
}

// lastTarget is the target that was decoded last.
type lastTarget struct {
	encoded []byte
	message *storedv1.Target
}

// Fields is a set of fields of a stored invocation, by their numbers.
type Fields uint64

// FieldsOf makes a set of numbers below 64.
func FieldsOf(numbers ...int) (f Fields) {
	for _, n := range numbers {
		f |= 1 << n
	}
	return f
}

// Lives walks all invocations.
func (s *Snapshot) Lives() *LifeRows {
	it, err := s.snap.NewIter(bounds([]byte{kindLife}))
	return &LifeRows{it: it, err: err}
}

// LivesWith walks all invocations and decodes no more of them than these fields and the incarnation. What Next returns
// is borrowed until it is called again.
func (s *Snapshot) LivesWith(f Fields) *LifeRows {
	r := s.Lives()
	r.fields = f | FieldsOf(fieldIncarnation)
	return r
}

const (
	fieldIncarnation = 1
	fieldTarget      = 3
)

// Backward has Next go from the newest invocation to the oldest. NextJournal must not be called then.
func (r *LifeRows) Backward() { r.backward = true }

// decode reads a row, or what is wanted of it.
func (r *LifeRows) decode(l life, value []byte) (*invocation.Invocation, error) {
	if r.fields == 0 {
		return decodeInvocation(l, value)
	}
	r.encoded = r.encoded[:0]
	var target []byte
	for rest := value; len(rest) > 0; {
		number, kind, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return nil, errs.Newf(errs.Corrupt, "row of invocation %s@%d: %w", l.id, l.incarnation, protowire.ParseError(tag))
		}
		n := protowire.ConsumeFieldValue(number, kind, rest[tag:])
		if n < 0 {
			return nil, errs.Newf(errs.Corrupt, "row of invocation %s@%d: %w", l.id, l.incarnation, protowire.ParseError(n))
		}
		switch field := rest[:tag+n]; {
		case number >= 64 || r.fields&(1<<number) == 0:
		case number == fieldTarget && bytes.Equal(field, r.target.encoded):
			target = field
		default:
			if number == fieldTarget {
				target = field
			}
			r.encoded = append(r.encoded, field...)
		}
		rest = rest[tag+n:]
	}
	r.row.Row.Reset()
	r.row.ID = l.id
	if err := decodeInto(&r.row, l, r.encoded); err != nil {
		return nil, err
	}
	switch decoded := r.row.Row.Target; {
	case decoded != nil:
		r.target = lastTarget{append(r.target.encoded[:0], target...), decoded}
	case target != nil:
		r.row.Row.Target = r.target.message
	}
	return &r.row, nil
}

// step moves to the next row that was not told; false at the end.
func (r *LifeRows) step() bool {
	switch {
	case r.err != nil:
		return false
	case r.ahead:
		return r.it.Valid()
	case !r.started && r.backward:
		r.started = true
		r.it.Last()
	case !r.started:
		r.started = true
		r.it.First()
	case r.backward:
		r.it.Prev()
	default:
		r.it.Next()
	}
	r.ahead = r.it.Valid()
	if !r.ahead {
		r.err = r.it.Error()
	}
	return r.ahead
}

// Next goes to the next invocation, past what is left of a journal; io.EOF after the last one. The caller keeps the row, unless
// the walk is LivesWith.
func (r *LifeRows) Next() (*invocation.Invocation, error) {
	for steps := 0; r.step(); {
		k := r.it.Key()
		if l, ok := parseLifeKey(k); ok {
			v, err := r.it.ValueAndErr()
			if err != nil {
				return nil, err
			}
			r.current, r.ahead = l, false
			inv, err := r.decode(l, v)
			if err != nil || r.active == nil {
				return inv, err
			}
			if !completed(inv) {
				r.active.meet()
				return inv, nil
			}
			if err := r.pass(l); err != nil {
				return nil, err
			}
			steps = 0
			continue
		}
		l, _, ok := parseJournalKey(k)
		if !ok {
			return nil, malformed(k)
		}
		if steps++; steps < stepsBeforeSeek {
			r.ahead = false
			continue
		}
		if r.seek = appendLifeKey(r.seek[:0], l); r.backward {
			r.it.SeekLT(append(r.seek, 0)) // the invocation itself: its journal begins with its key
		} else {
			r.seek = keyenc.PrefixEnd(r.seek)
			r.it.SeekGE(r.seek)
		}
		r.ahead, steps = r.it.Valid(), 0
		if !r.ahead {
			r.err = r.it.Error()
			break
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return nil, io.EOF
}

// NextJournal returns the next row of the journal of the invocation that Next told, borrowed until the next call; io.EOF
// after the last one.
func (r *LifeRows) NextJournal() (journal.Row, error) {
	if !r.step() {
		if r.err != nil {
			return journal.Row{}, r.err
		}
		return journal.Row{}, io.EOF
	}
	l, first, ok := parseJournalKey(r.it.Key())
	if !ok || l != r.current {
		return journal.Row{}, io.EOF
	}
	v, err := r.it.ValueAndErr()
	if err != nil {
		return journal.Row{}, err
	}
	r.ahead = false
	return journal.ParseRow(first, v)
}

// Close ends the walk.
func (r *LifeRows) Close() error {
	if r.it == nil {
		return nil
	}
	it := r.it
	r.it, r.err, r.ahead = nil, errors.New("the walk is closed"), false
	return errors.Join(it.Close(), r.active.close())
}

// Object narrows a walk to the objects of one service, or to one object of it.
type Object struct {
	Service, Key       string
	HasService, HasKey bool // a key without a service narrows nothing
}

func (o Object) prefix(kind byte) []byte {
	prefix := []byte{kind}
	if !o.HasService {
		return prefix
	}
	prefix = keyenc.AppendBytes(prefix, o.Service)
	if !o.HasKey {
		return prefix
	}
	return keyenc.AppendBytes(prefix, o.Key)
}

// ObjectRows walks rows that belong to objects, in the order of service, key and what follows.
type ObjectRows struct {
	rows
	kind byte
}

func (s *Snapshot) objectRows(kind byte, o Object) *ObjectRows {
	prefix := o.prefix(kind)
	return &ObjectRows{rows: newRows(s.snap, prefix, prefix), kind: kind}
}

// Locks walks the locks that are held.
func (s *Snapshot) Locks(o Object) *LockRows { return &LockRows{s.objectRows(kindLock, o)} }

// Queues walks who waits for locks.
func (s *Snapshot) Queues(o Object) *QueueRows { return &QueueRows{s.objectRows(kindQueue, o)} }

// UserStates walks the state of objects.
func (s *Snapshot) UserStates(o Object) *ObjectStateRows {
	return &ObjectStateRows{s.objectRows(kindUserState, o)}
}

func (r *ObjectRows) object() (service, key string, rest, value []byte, err error) {
	k, v, err := r.next()
	if err != nil {
		return "", "", nil, nil, err
	}
	service, key, rest, ok := cutObject(k, r.kind)
	if !ok {
		return "", "", nil, nil, malformed(k)
	}
	return service, key, rest, v, nil
}

// LockRows walks locks.
type LockRows struct{ *ObjectRows }

// Next returns the next lock; io.EOF after the last one.
func (r *LockRows) Next() (service, key string, holder id.Invocation, err error) {
	service, key, _, v, err := r.object()
	if err != nil {
		return "", "", holder, err
	}
	l, err := parseLock(r.it.Key(), v)
	return service, key, l.Holder, err
}

// QueueRows walks who waits.
type QueueRows struct{ *ObjectRows }

// Queued is who waits for a lock.
type Queued struct {
	Service, Key string
	queue.Entry
}

// Next returns the next one that waits; io.EOF after the last one.
func (r *QueueRows) Next() (q Queued, err error) {
	service, key, rest, v, err := r.object()
	if err != nil {
		return q, err
	}
	if len(rest) != 8 || len(v) != len(q.ID) {
		return q, errs.Newf(errs.Corrupt, "queue row of %s/%q is malformed", service, key)
	}
	q = Queued{Service: service, Key: key, Entry: queue.Entry{Position: binary.BigEndian.Uint64(rest)}}
	copy(q.ID[:], v)
	return q, nil
}

// ObjectStateRows walks user state.
type ObjectStateRows struct{ *ObjectRows }

// Next returns the next entry, borrowed until the next call; io.EOF after the last one.
func (r *ObjectStateRows) Next() (service, key string, e StateEntry, err error) {
	service, key, name, v, err := r.object()
	return service, key, StateEntry{Key: name, Value: v}, err
}
