package partitionstore

import (
	"encoding/binary"
	"hash/maphash"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/queue"
)

// locks holds the locks that the open view read or changed. Most are taken and given back within one view:
// they are never stored, and, as it is known which keys have rows, never looked for.
type locks struct {
	seed   maphash.Seed
	stored map[uint64]uint32 // hashes of the keys that have rows: how many keys have it
	open   map[string]*openLock
	order  []*openLock // in which they were read
}

type openLock struct {
	key    string
	lock   queue.Lock
	taken  bool
	stored bool // there is a row
	dirty  bool // it is not as the row says
}

// openLockBytes is what an open lock counts for in Uncommitted.
const openLockBytes = 64

// lockLen is the length of a lock's value: the holder's id, how many wait, and from where on. Rows that older builds wrote
// lack the last one.
const (
	lockLen      = lockLenFirst + 8
	lockLenFirst = len(id.Invocation{}) + 4
)

func newLocks() locks {
	return locks{seed: maphash.MakeSeed(), stored: map[uint64]uint32{}, open: map[string]*openLock{}}
}

func (l *locks) hash(key []byte) uint64 { return maphash.Bytes(l.seed, key) }

// loadLocks learns which keys have rows.
func (s *Store) loadLocks() error {
	return scan(s.db, []byte{kindLock}, func(k, _ []byte) error {
		s.locks.stored[s.locks.hash(k)]++
		return nil
	})
}

// lock returns the lock of a key as the view has it.
func (v *View) lock(service, key string) (*openLock, error) {
	v.key = appendLockKey(v.key[:0], service, key)
	l := &v.s.locks
	if o := l.open[string(v.key)]; o != nil {
		return o, nil
	}
	o := &openLock{}
	if l.stored[l.hash(v.key)] > 0 {
		value, found, err := v.s.get(v.s.db, v.key)
		if err != nil {
			return nil, err
		}
		if found {
			if o.lock, err = parseLock(v.key, value); err != nil {
				return nil, err
			}
			o.taken, o.stored = true, true
		}
	}
	o.key = string(v.key)
	l.open[o.key] = o
	l.order = append(l.order, o)
	return o, nil
}

// Lock implements partition.State.
func (v *View) Lock(service, key string) (l queue.Lock, taken bool, err error) {
	o, err := v.lock(service, key)
	if err != nil || !o.taken {
		return l, false, err
	}
	return o.lock, true, nil
}

// SetLock implements partition.State.
func (v *View) SetLock(service, key string, l queue.Lock) error {
	o, err := v.lock(service, key)
	if err != nil {
		return err
	}
	o.lock, o.taken, o.dirty = l, true, true
	return nil
}

// ClearLock implements partition.State.
func (v *View) ClearLock(service, key string) error {
	o, err := v.lock(service, key)
	if err != nil {
		return err
	}
	o.lock, o.taken, o.dirty = queue.Lock{}, false, o.stored
	return nil
}

// writeLocks writes the rows of the locks that changed and forgets all.
func (v *View) writeLocks() error {
	l := &v.s.locks
	for _, o := range l.order {
		if !o.dirty {
			continue
		}
		h := maphash.String(l.seed, o.key)
		switch {
		case o.taken:
			if !o.stored {
				l.stored[h]++
			}
			op := v.rows.SetDeferred(len(o.key), lockLen)
			copy(op.Key, o.key)
			appendLock(op.Value[:0], o.lock)
			if err := op.Finish(); err != nil {
				return err
			}
		default:
			if l.stored[h]--; l.stored[h] == 0 {
				delete(l.stored, h)
			}
			if err := v.delete(append(v.key[:0], o.key...)); err != nil {
				return err
			}
		}
	}
	clear(l.open)
	clear(l.order)
	l.order = l.order[:0]
	return nil
}

func appendLock(dst []byte, l queue.Lock) []byte {
	dst = append(dst, l.Holder[:]...)
	dst = binary.BigEndian.AppendUint32(dst, l.Waiting)
	return binary.BigEndian.AppendUint64(dst, l.From)
}

func parseLock(key, value []byte) (l queue.Lock, err error) {
	if len(value) != lockLen && len(value) != lockLenFirst {
		return l, errs.Newf(errs.Corrupt, "%s has %d bytes", KeyString(key), len(value))
	}
	rest := value[copy(l.Holder[:], value):]
	l.Waiting = binary.BigEndian.Uint32(rest)
	if len(value) == lockLen {
		l.From = binary.BigEndian.Uint64(rest[4:])
	}
	return l, nil
}
