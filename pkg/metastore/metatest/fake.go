package metatest

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/metastore"
)

// Fault tells what happens to one call of a Fake.
type Fault int

// The faults.
const (
	None      Fault = iota
	Refused         // nothing happens, errs.Unavailable
	LostAfter       // a write happens, the answer is lost: errs.Uncertain
	LostCall        // nothing happens, but the caller can not know: errs.Uncertain
)

// Fake is a KV in memory. Leases do not expire by themselves: Expire ends one.
type Fake struct {
	// Inject, if set before use, decides what happens to the n-th call (from 1) of op "read" or "txn".
	Inject func(op string, n int) Fault

	mu        sync.Mutex
	calls     map[string]int
	items     map[string]metastore.Item
	history   [][]metastore.Event // of revision compacted+1, ...
	compacted int64
	changed   chan struct{} // closed and replaced at each write
	holds     map[string]chan struct{}
}

var _ metastore.KV = (*Fake)(nil)

// NewFake returns an empty map at revision 0.
func NewFake() *Fake {
	return &Fake{calls: map[string]int{}, items: map[string]metastore.Item{}, changed: make(chan struct{}), holds: map[string]chan struct{}{}}
}

func (f *Fake) faultLocked(ctx context.Context, op string) (Fault, error) {
	if err := ctx.Err(); err != nil {
		return Refused, errs.With(errs.Unavailable, err)
	}
	f.calls[op]++
	if f.Inject == nil {
		return None, nil
	}
	fault := f.Inject(op, f.calls[op])
	switch fault {
	case Refused:
		return fault, errs.Newf(errs.Unavailable, "injected: refused")
	case LostCall, LostAfter:
		return fault, errs.Newf(errs.Uncertain, "injected: answer lost")
	default:
		return None, nil
	}
}

// Read implements metastore.KV.
func (f *Fake) Read(ctx context.Context, ranges ...metastore.Range) ([][]metastore.Item, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.faultLocked(ctx, "read"); err != nil {
		return nil, 0, errs.With(errs.Unavailable, err)
	}
	out := make([][]metastore.Item, len(ranges))
	for i, r := range ranges {
		for k, it := range f.items {
			if k == r.Key || r.Prefix && strings.HasPrefix(k, r.Key) {
				it.Value = bytes.Clone(it.Value)
				out[i] = append(out[i], it)
			}
		}
		sort.Slice(out[i], func(a, b int) bool { return out[i][a].Key < out[i][b].Key })
	}
	return out, f.revisionLocked(), nil
}

// Txn implements metastore.KV.
func (f *Fake) Txn(ctx context.Context, conds []metastore.Cond, writes []metastore.Write) (bool, int64, error) {
	if len(conds) > metastore.TxnOpsMax || len(writes) > metastore.TxnOpsMax {
		return false, 0, errs.Newf(errs.Invalid, "transaction of %d conditions and %d writes", len(conds), len(writes))
	}
	if n := sizeOf(conds, writes); n > requestBytesMax {
		return false, 0, errs.Newf(errs.Invalid, "transaction of %d bytes", n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fault, err := f.faultLocked(ctx, "txn")
	if err != nil && fault != LostAfter {
		return false, 0, err
	}
	for _, c := range conds {
		it, there := f.items[c.Key]
		if c.Prefix {
			for k, it := range f.items {
				if strings.HasPrefix(k, c.Key) && it.Modified > c.Modified {
					return false, f.revisionLocked(), err
				}
			}
			continue
		}
		if c.Value != nil && (!there || !bytes.Equal(it.Value, c.Value)) || c.Value == nil && it.Modified != c.Modified {
			return false, f.revisionLocked(), err
		}
	}
	if len(writes) > 0 {
		f.writeLocked(writes)
	}
	return err == nil, f.revisionLocked(), err
}

// requestBytesMax is what an etcd takes that is not told otherwise.
const requestBytesMax = 3 << 19

func sizeOf(conds []metastore.Cond, writes []metastore.Write) (n int) {
	for _, c := range conds {
		n += len(c.Key) + len(c.Value)
	}
	for _, w := range writes {
		n += len(w.Key) + len(w.Value)
	}
	return n
}

// Watch implements metastore.KV.
func (f *Fake) Watch(ctx context.Context, prefix string, from int64, fn func([]metastore.Event) error) error {
	for {
		f.mu.Lock()
		if from <= f.compacted {
			f.mu.Unlock()
			return metastore.ErrCompacted
		}
		var events []metastore.Event
		changed := f.changed
		if from <= f.revisionLocked() {
			for _, e := range f.history[from-f.compacted-1] {
				if strings.HasPrefix(e.Key, prefix) {
					events = append(events, e)
				}
			}
			from++
			changed = nil
		}
		f.mu.Unlock()
		if len(events) > 0 {
			if err := fn(events); err != nil {
				return err
			}
		}
		if changed == nil {
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Hold implements metastore.KV.
func (f *Fake) Hold(ctx context.Context, key string, value []byte, _ time.Duration, held func()) error {
	f.mu.Lock()
	fault, err := f.faultLocked(ctx, "hold")
	if fault != None {
		f.mu.Unlock()
		return err
	}
	lost := make(chan struct{})
	f.holds[key] = lost
	f.writeLocked([]metastore.Write{{Key: key, Value: value}})
	f.mu.Unlock()
	held()
	select {
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.holds[key] == lost { // not taken over by another holder
			delete(f.holds, key)
			f.writeLocked([]metastore.Write{{Key: key, Delete: true}})
		}
		return nil
	case <-lost:
		return errs.Newf(errs.Unavailable, "hold %s: lease lost", key)
	}
}

// Expire ends the hold of a key as if its holder had died.
func (f *Fake) Expire(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost, ok := f.holds[key]
	if !ok {
		panic(fmt.Sprintf("metatest: nobody holds %s", key))
	}
	delete(f.holds, key)
	f.writeLocked([]metastore.Write{{Key: key, Delete: true}})
	close(lost)
}

// Compact forgets the history up to now: watches from an older revision fail.
func (f *Fake) Compact() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compacted, f.history = f.revisionLocked(), nil
}

func (f *Fake) revisionLocked() int64 { return f.compacted + int64(len(f.history)) }

func (f *Fake) writeLocked(writes []metastore.Write) {
	rev := f.revisionLocked() + 1
	events := make([]metastore.Event, 0, len(writes))
	for _, w := range writes {
		old, there := f.items[w.Key]
		if w.Delete {
			if there {
				delete(f.items, w.Key)
				events = append(events, metastore.Event{Item: metastore.Item{Key: w.Key, Modified: rev}, Deleted: true})
			}
			continue
		}
		it := metastore.Item{Key: w.Key, Value: bytes.Clone(w.Value), Created: rev, Modified: rev}
		if there {
			it.Created = old.Created
		}
		f.items[w.Key] = it
		it.Value = bytes.Clone(w.Value)
		events = append(events, metastore.Event{Item: it})
	}
	f.history = append(f.history, events)
	close(f.changed)
	f.changed = make(chan struct{})
}
