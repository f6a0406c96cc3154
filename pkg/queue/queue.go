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

// Rows is where queues are kept.
type Rows interface {
	LockHolder(service, key string) (id.Invocation, bool, error)
	SetLockHolder(service, key string, holder id.Invocation) error
	ClearLockHolder(service, key string) error
	Enqueue(service, key string, position uint64, i id.Invocation) error
	FirstQueued(service, key string) (position uint64, i id.Invocation, found bool, err error)
	Dequeue(service, key string, position uint64) error
}

// Enter lets i run if nobody does, else has it wait at position. Positions grow with each call for a queue.
func Enter(rows Rows, q Name, position uint64, i id.Invocation) (Stage, error) {
	_, taken, err := rows.LockHolder(q.Service, q.Key)
	if err != nil {
		return 0, err
	}
	if taken {
		return Waiting, rows.Enqueue(q.Service, q.Key, position, i)
	}
	return Running, rows.SetLockHolder(q.Service, q.Key, i)
}

// Leave ends the turn of i, which runs, and returns who runs next, if anyone waits.
func Leave(rows Rows, q Name, i id.Invocation) (next id.Invocation, found bool, err error) {
	holder, taken, err := rows.LockHolder(q.Service, q.Key)
	if err != nil {
		return next, false, err
	}
	if !taken || holder != i {
		return next, false, errs.Newf(errs.Corrupt, "%s leaves the queue of %s %q, where it does not run", i, q.Service, q.Key)
	}
	position, next, found, err := rows.FirstQueued(q.Service, q.Key)
	if err != nil {
		return next, false, err
	}
	if !found {
		return next, false, rows.ClearLockHolder(q.Service, q.Key)
	}
	if err := rows.Dequeue(q.Service, q.Key, position); err != nil {
		return next, false, err
	}
	return next, true, rows.SetLockHolder(q.Service, q.Key, next)
}
