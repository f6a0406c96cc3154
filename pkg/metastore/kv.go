package metastore

import (
	"context"
	"errors"
	"time"
)

// KV is an ordered, replicated map with conditional writes. Its revision grows with every write.
//
// Errors carry errs.Unavailable if nothing happened, errs.Uncertain if a write may have happened.
type KV interface {
	// Read returns all ranges at one revision, through a quorum. Values belong to the caller.
	Read(ctx context.Context, ranges ...Range) (items [][]Item, revision int64, err error)
	// Txn makes all writes if all conditions hold, else none. At most 128 of both.
	Txn(ctx context.Context, conds []Cond, writes []Write) (ok bool, revision int64, err error)
	// Watch calls f with every change below prefix from revision from on, in order, those of one
	// write together, until ctx ends, f fails or the watch breaks. It returns ErrCompacted if from
	// is too old. It returns nil only if ctx ended.
	Watch(ctx context.Context, prefix string, from int64, f func([]Event) error) error
	// Hold writes the key, calls held and keeps the key alive until ctx ends, when it is deleted; or
	// until it is lost. A holder that dies loses the key ttl later. It returns nil only if ctx ended.
	Hold(ctx context.Context, key string, value []byte, ttl time.Duration, held func()) error
}

// ErrCompacted says that the wanted revision is gone: read everything again.
var ErrCompacted = errors.New("revision compacted")

// TxnOpsMax is how many conditions, and how many writes, a transaction may hold (etcd's default).
const TxnOpsMax = 128

// Range is one key, or all keys with a prefix.
type Range struct {
	Key    string
	Prefix bool
}

// Item is a key with its value.
type Item struct {
	Key      string
	Value    []byte
	Created  int64 // revision that created the key
	Modified int64 // revision that wrote the value
}

// Cond holds if the key was last written at revision Modified (0: the key does not exist) or, with a
// Value, if it has that value; with Prefix, if no key that begins with Key was written after Modified. Keys that
// were deleted since do not show.
type Cond struct {
	Key      string
	Modified int64
	Value    []byte
	Prefix   bool
}

// Write puts or deletes a key.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Event is a change of a key.
type Event struct {
	Item
	Deleted bool
}
