package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/queue"
)

// State is the partition as Apply sees it: a view over one storage batch with what was stored before.
// Slices and objects that it returns are borrowed until the next call, unless said otherwise.
// Every error means that the store is broken; the partition is parked.
type State interface {
	// Meta is the partition's own row. Apply changes it in place; it is stored with every batch.
	Meta() *storedv1.Meta

	// Invocation returns the row of an invocation, or nil. The same object is returned until it is
	// deleted or leaves the cache, which never happens within a batch.
	Invocation(i id.Invocation) (*invocation.Invocation, error)
	// PutInvocation stores the row as it is now; it keeps inv.
	PutInvocation(inv *invocation.Invocation) error
	DeleteInvocation(inv *invocation.Invocation) error

	// Journal returns inv.Journal, loaded from the rows if it was nil.
	Journal(inv *invocation.Invocation) (*journal.Index, error)
	// AppendJournal stores a row and adds it to inv.Journal, which must be loaded.
	AppendJournal(inv *invocation.Invocation, row journal.Row) error
	// JournalRows calls f with each row of the journal, in order, borrowed. It is slow: for what happens rarely.
	JournalRows(inv *invocation.Invocation, f func(journal.Row) error) error
	// DropJournal deletes all rows of the journal.
	DropJournal(inv *invocation.Invocation) error

	// What happened beside the journal, numbered from 0; nil if there is none with the number.
	PutEvent(inv *invocation.Invocation, number uint32, e *storedv1.JournalEvent) error
	Event(inv *invocation.Invocation, number uint32) (*storedv1.JournalEvent, error)
	DeleteEvent(inv *invocation.Invocation, number uint32) error

	// User state of an object or workflow key. A value returned is copied.
	UserState(service, key string, name []byte) (value []byte, found bool, err error)
	UserStateNames(service, key string) ([][]byte, error) // in byte order, copied
	SetUserState(service, key string, name, value []byte) error
	ClearUserState(service, key string, name []byte) error
	ClearAllUserState(service, key string) error

	// Promise returns the row of a durable promise, the caller's own, or nil.
	Promise(p Promise) (*storedv1.Promise, error)
	SetPromise(p Promise, row *storedv1.Promise) error
	// PutWaiter stores who waits for a promise, under a number that grows.
	PutWaiter(p Promise, number uint64, s *storedv1.Sink) error
	DeleteWaiter(p Promise, number uint64) error
	// Waiters calls f with each who waits for a promise, in order; f may keep the Sink.
	Waiters(p Promise, f func(number uint64, s *storedv1.Sink) error) error
	// DropWaiters deletes them all.
	DropWaiters(p Promise) error
	// ClearPromises drops all promises of a workflow key; who waits for one is not told.
	ClearPromises(service, key string) error

	// The queue of an object key: who holds the lock, who waits.
	Lock(service, key string) (l queue.Lock, taken bool, err error)
	SetLock(service, key string, l queue.Lock) error
	ClearLock(service, key string) error
	Enqueue(service, key string, e queue.Entry) error
	// FirstQueued returns the waiting entry with the lowest position; none is before from.
	FirstQueued(service, key string, from uint64) (e queue.Entry, found bool, err error)
	Dequeue(service, key string, position uint64) error
	// PutChange stores the change of state that waits at a position; Change returns it, or nil.
	PutChange(service, key string, position uint64, c *storedv1.PatchStateFacts) error
	Change(service, key string, position uint64) (*storedv1.PatchStateFacts, error)
	DeleteChange(service, key string, position uint64) error
	// CountChanges counts the changes of a key that wait, up to max.
	CountChanges(service, key string, max int) (int, error)

	PutTimer(t Timer) error
	DeleteTimer(t Timer) error
	HasTimer(t Timer) (bool, error)

	// OutboxSeq returns the sequence of the newest message ever put for target, 0 if none.
	OutboxSeq(target id.Partition) (uint64, error)
	// OutboxEmpty tells whether no row for target is there.
	OutboxEmpty(target id.Partition) (bool, error)
	// PutOutbox stores a finished record (unstamped, source set) under the next sequence and makes that the newest.
	PutOutbox(target id.Partition, seq uint64, record []byte) error
	TruncateOutbox(target id.Partition, through uint64) error

	// SourceSeq is the sequence of the last message taken from another partition.
	SourceSeq(source id.Partition) (uint64, error)
	SetSourceSeq(source id.Partition, seq uint64) error
}

// Promise names a durable promise of a workflow key.
type Promise struct{ Service, Key, Name string }

// TimerKind says what a timer does. Numbers are stored.
type TimerKind uint8

// The timer kinds.
const (
	TimerSleep TimerKind = 1 // completes the sleep with completion id Index
	TimerStart TimerKind = 2 // starts a scheduled invocation
	// TimerForget forgets a completed invocation that only a repetition of its request may still see.
	TimerForget TimerKind = 3
)

// Timer is the key of a timer row, in this order.
type Timer struct {
	Due         int64 // Unix milliseconds
	ID          id.Invocation
	Incarnation uint64
	Kind        TimerKind
	Index       uint32
}
