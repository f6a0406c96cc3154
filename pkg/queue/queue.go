package queue

import (
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Name names the queue of an object key.
type Name struct {
	Service string
	Key     string
}

// Stage is where in a queue an invocation stands.
type Stage uint8

// The stages.
const (
	Running Stage = 1 // it has the lock
	Waiting Stage = 2
)

// Entry is somebody in a queue at a position: an invocation, or a change of user state, which has the
// zero ID, and leaves as soon as its turn has come.
type Entry struct {
	Position uint64
	ID       id.Invocation
}

// IsChange tells whether the entry is a change of user state.
func (e Entry) IsChange() bool { return e.ID == id.Invocation{} }

// Lock is the head of a queue: who runs, and how many wait. A queue in which nobody runs has none.
type Lock struct {
	Holder  id.Invocation
	Waiting uint32
	From    uint64 // position of the holder: nobody waits before it
}

// Rows is where queues are kept.
type Rows interface {
	Lock(service, key string) (Lock, bool, error)
	SetLock(service, key string, l Lock) error
	ClearLock(service, key string) error
	Enqueue(service, key string, e Entry) error
	// FirstQueued returns the entry with the lowest position. None is before from, which tells where to look: a
	// store may have to step over what is left of those that were there.
	FirstQueued(service, key string, from uint64) (e Entry, found bool, err error)
	Dequeue(service, key string, position uint64) error
}

// Enter lets e run if nobody does, else has it wait at its position. Positions grow with each call for a queue.
func Enter(rows Rows, q Name, e Entry) (Stage, error) {
	lock, taken, err := rows.Lock(q.Service, q.Key)
	if err != nil {
		return 0, err
	}
	if !taken {
		return Running, rows.SetLock(q.Service, q.Key, Lock{Holder: e.ID, From: e.Position})
	}
	lock.Waiting++
	if err := rows.SetLock(q.Service, q.Key, lock); err != nil {
		return 0, err
	}
	return Waiting, rows.Enqueue(q.Service, q.Key, e)
}

// Leave ends the turn of i, which runs, and returns who runs next, if anyone waits.
func Leave(rows Rows, q Name, i id.Invocation) (next Entry, found bool, err error) {
	lock, taken, err := rows.Lock(q.Service, q.Key)
	if err != nil {
		return next, false, err
	}
	if !taken || lock.Holder != i {
		return next, false, errs.Newf(errs.Corrupt, "%s leaves the queue of %s %q, where it does not run", i, q.Service, q.Key)
	}
	if lock.Waiting == 0 {
		return next, false, rows.ClearLock(q.Service, q.Key)
	}
	next, found, err = rows.FirstQueued(q.Service, q.Key, lock.From)
	if err != nil {
		return next, false, err
	}
	if !found {
		return next, false, errs.Newf(errs.Corrupt, "%d wait in the queue of %s %q, and none is there", lock.Waiting, q.Service, q.Key)
	}
	if err := rows.Dequeue(q.Service, q.Key, next.Position); err != nil {
		return next, false, err
	}
	return next, true, rows.SetLock(q.Service, q.Key, Lock{Holder: next.ID, Waiting: lock.Waiting - 1, From: next.Position})
}

// Remove takes who waits at position out of the queue.
func Remove(rows Rows, q Name, position uint64) error {
	lock, taken, err := rows.Lock(q.Service, q.Key)
	if err != nil {
		return err
	}
	if !taken || lock.Waiting == 0 {
		return errs.Newf(errs.Corrupt, "nobody waits in the queue of %s %q, and %d leaves it", q.Service, q.Key, position)
	}
	lock.Waiting--
	if err := rows.SetLock(q.Service, q.Key, lock); err != nil {
		return err
	}
	return rows.Dequeue(q.Service, q.Key, position)
}
