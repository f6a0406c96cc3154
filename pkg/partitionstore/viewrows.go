package partitionstore

import (
	"bytes"
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/keyenc"
	"reprise/pkg/partition"
	"reprise/pkg/queue"
)

// UserState implements partition.State.
func (v *View) UserState(service, key string, name []byte) ([]byte, bool, error) {
	v.key = appendUserStateKey(v.key[:0], service, key, name)
	return v.s.get(v.reader(), v.key)
}

// UserStateNames implements partition.State.
func (v *View) UserStateNames(service, key string) (names [][]byte, err error) {
	prefix := appendUserStatePrefix(nil, service, key)
	err = v.s.scan(v.reader(), prefix, func(k, _ []byte) error {
		names = append(names, bytes.Clone(k[len(prefix):]))
		return nil
	})
	return names, err
}

// SetUserState implements partition.State.
func (v *View) SetUserState(service, key string, name, value []byte) error {
	v.key = appendUserStateKey(v.key[:0], service, key, name)
	return v.writer().Set(v.key, value, nil)
}

// ClearUserState implements partition.State.
func (v *View) ClearUserState(service, key string, name []byte) error {
	v.key = appendUserStateKey(v.key[:0], service, key, name)
	return v.writer().Delete(v.key, nil)
}

// ClearAllUserState implements partition.State.
func (v *View) ClearAllUserState(service, key string) error {
	prefix := appendUserStatePrefix(nil, service, key)
	return v.clearRange(prefix, keyenc.PrefixEnd(prefix))
}

// clearRange deletes the rows from one key up to another: one by one if they are few.
func (v *View) clearRange(from, to []byte) error {
	var keys [][]byte
	err := scanRange(v.reader(), from, to, func(k, _ []byte) error {
		if keys = append(keys, bytes.Clone(k)); len(keys) > pointDeletesMax {
			return errStopScan
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(keys) > pointDeletesMax {
		return v.writer().DeleteRange(from, to, nil)
	}
	for _, k := range keys {
		if err := v.writer().Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}

// Promise implements partition.State.
func (v *View) Promise(p partition.Promise) (*storedv1.Promise, error) {
	row := &storedv1.Promise{}
	if found, err := v.getMessage(appendPromiseKey(v.key[:0], p), row); err != nil || !found {
		return nil, err
	}
	return row, nil
}

// SetPromise implements partition.State.
func (v *View) SetPromise(p partition.Promise, row *storedv1.Promise) error {
	return v.putMessage(appendPromiseKey(v.key[:0], p), row)
}

// PutWaiter implements partition.State.
func (v *View) PutWaiter(p partition.Promise, number uint64, s *storedv1.Sink) error {
	return v.putMessage(appendWaiterKey(v.key[:0], p, number), s)
}

// DeleteWaiter implements partition.State.
func (v *View) DeleteWaiter(p partition.Promise, number uint64) error {
	v.key = appendWaiterKey(v.key[:0], p, number)
	return v.writer().Delete(v.key, nil)
}

// Waiters implements partition.State.
func (v *View) Waiters(p partition.Promise, f func(number uint64, s *storedv1.Sink) error) error {
	prefix := appendPromiseKey(nil, p)
	return v.s.scan(v.reader(), prefix, func(k, value []byte) error {
		if len(k) == len(prefix) { // the promise itself
			return nil
		}
		_, number, waiter, ok := parsePromiseKey(k)
		if !ok || !waiter {
			return malformed(k)
		}
		s := &storedv1.Sink{}
		if err := decodeMessage(k, s, value); err != nil {
			return err
		}
		return f(number, s)
	})
}

// DropWaiters implements partition.State.
func (v *View) DropWaiters(p partition.Promise) error {
	prefix := appendPromiseKey(nil, p)
	return v.clearRange(append(prefix, 0), keyenc.PrefixEnd(prefix)) // behind the promise itself
}

// ClearPromises implements partition.State.
func (v *View) ClearPromises(service, key string) error {
	prefix := appendPromisePrefix(nil, service, key)
	return v.clearRange(prefix, keyenc.PrefixEnd(prefix))
}

// Enqueue implements partition.State.
func (v *View) Enqueue(service, key string, e queue.Entry) error {
	v.key = appendQueueKey(v.key[:0], service, key, e.Position)
	return v.writer().Set(v.key, e.ID[:], nil)
}

// FirstQueued implements partition.State.
func (v *View) FirstQueued(service, key string, from uint64) (e queue.Entry, found bool, err error) {
	first, end := appendQueueKey(nil, service, key, from), keyenc.PrefixEnd(appendQueuePrefix(nil, service, key))
	err = scanRange(v.reader(), first, end, func(k, value []byte) error {
		p, ok := queuePosition(k)
		if !ok || len(value) != len(e.ID) {
			return malformed(k)
		}
		e.Position, found = p, true
		copy(e.ID[:], value)
		return errStopScan
	})
	return e, found, err
}

// Dequeue implements partition.State.
func (v *View) Dequeue(service, key string, position uint64) error {
	v.key = appendQueueKey(v.key[:0], service, key, position)
	return v.writer().Delete(v.key, nil)
}

// message is one of api/stored with the generated fast encoding.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT(b []byte) error
}

// putMessage puts a row that is rare and that the view may read back.
func (v *View) putMessage(key []byte, m message) error {
	v.key = key
	value, err := m.MarshalVT()
	if err != nil {
		return err
	}
	return v.writer().Set(v.key, value, nil)
}

func (v *View) getMessage(key []byte, m message) (found bool, err error) {
	v.key = key
	value, found, err := v.s.get(v.reader(), v.key)
	if err != nil || !found {
		return false, err
	}
	return true, decodeMessage(v.key, m, value)
}

func decodeMessage(key []byte, m message, value []byte) error {
	if err := m.UnmarshalVT(value); err != nil {
		return errs.With(errs.Corrupt, fmt.Errorf("%s: %w", KeyString(key), err))
	}
	return nil
}

// PutChange implements partition.State.
func (v *View) PutChange(service, key string, position uint64, c *storedv1.PatchStateFacts) error {
	return v.putMessage(appendChangeKey(v.key[:0], service, key, position), c)
}

// Change implements partition.State.
func (v *View) Change(service, key string, position uint64) (*storedv1.PatchStateFacts, error) {
	c := &storedv1.PatchStateFacts{}
	if found, err := v.getMessage(appendChangeKey(v.key[:0], service, key, position), c); err != nil || !found {
		return nil, err
	}
	return c, nil
}

// DeleteChange implements partition.State.
func (v *View) DeleteChange(service, key string, position uint64) error {
	v.key = appendChangeKey(v.key[:0], service, key, position)
	return v.writer().Delete(v.key, nil)
}

// CountChanges implements partition.State.
func (v *View) CountChanges(service, key string, max int) (n int, err error) {
	err = v.s.scan(v.reader(), appendObject(nil, kindChange, service, key), func([]byte, []byte) error {
		if n++; n >= max {
			return errStopScan
		}
		return nil
	})
	return n, err
}

// PutEvent implements partition.State.
func (v *View) PutEvent(inv *invocation.Invocation, number uint32, e *storedv1.JournalEvent) error {
	return v.putMessage(appendEventKey(v.key[:0], lifeOf(inv), number), e)
}

// Event implements partition.State.
func (v *View) Event(inv *invocation.Invocation, number uint32) (*storedv1.JournalEvent, error) {
	e := &storedv1.JournalEvent{}
	if found, err := v.getMessage(appendEventKey(v.key[:0], lifeOf(inv), number), e); err != nil || !found {
		return nil, err
	}
	return e, nil
}

// DeleteEvent implements partition.State.
func (v *View) DeleteEvent(inv *invocation.Invocation, number uint32) error {
	v.key = appendEventKey(v.key[:0], lifeOf(inv), number)
	return v.writer().Delete(v.key, nil)
}

// PutTimer implements partition.State.
func (v *View) PutTimer(t partition.Timer) error {
	v.key = appendTimerKey(v.key[:0], t)
	return v.writer().Set(v.key, nil, nil)
}

// DeleteTimer implements partition.State.
func (v *View) DeleteTimer(t partition.Timer) error {
	v.key = appendTimerKey(v.key[:0], t)
	return v.writer().Delete(v.key, nil)
}

// HasTimer implements partition.State.
func (v *View) HasTimer(t partition.Timer) (bool, error) {
	v.key = appendTimerKey(v.key[:0], t)
	_, found, err := v.s.get(v.reader(), v.key)
	return found, err
}

func (v *View) lane(target id.Partition) *lane {
	l := v.s.outbox[target]
	if l == nil {
		l = &lane{first: 1}
		v.s.outbox[target] = l
	}
	return l
}

// OutboxSeq implements partition.State.
func (v *View) OutboxSeq(target id.Partition) (uint64, error) { return v.lane(target).last, nil }

// OutboxEmpty implements partition.State.
func (v *View) OutboxEmpty(target id.Partition) (bool, error) {
	l := v.lane(target)
	return l.first > l.last, nil
}

// PutOutbox implements partition.State.
func (v *View) PutOutbox(target id.Partition, seq uint64, record []byte) error {
	l := v.lane(target)
	if seq != l.last+1 {
		return errs.Newf(errs.Internal, "outbox row %d for partition %d follows %d", seq, target, l.last)
	}
	l.last = seq
	v.key = appendOutboxKey(v.key[:0], target, seq)
	if err := v.rows.Set(v.key, record, nil); err != nil {
		return err
	}
	v.key = appendPeerKey(v.key[:0], kindOutboxSeq, target)
	return v.rows.Set(v.key, keyenc.AppendUint64(nil, seq), nil)
}

// TruncateOutbox implements partition.State.
func (v *View) TruncateOutbox(target id.Partition, through uint64) error {
	l := v.lane(target)
	through = min(through, l.last)
	if through < l.first {
		return nil
	}
	from := l.first
	l.first = through + 1
	if through-from >= pointDeletesMax*pointDeletesMax {
		return v.rows.DeleteRange(appendOutboxKey(nil, target, from), appendOutboxKey(nil, target, through+1), nil)
	}
	for seq := from; seq <= through; seq++ {
		if err := v.delete(appendOutboxKey(v.key[:0], target, seq)); err != nil {
			return err
		}
	}
	return nil
}

// SourceSeq implements partition.State.
func (v *View) SourceSeq(source id.Partition) (uint64, error) { return v.s.SourceSeq(source) }

// SetSourceSeq implements partition.State.
func (v *View) SetSourceSeq(source id.Partition, seq uint64) error {
	v.s.sources[source] = seq
	v.key = appendPeerKey(v.key[:0], kindSource, source)
	return v.rows.Set(v.key, keyenc.AppendUint64(nil, seq), nil)
}
