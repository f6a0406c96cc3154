package processor

import (
	"context"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/memory"
)

// stores are the partition stores of a node, as the memory controller sees them. Its goroutine alone calls Standing.
type stores struct {
	n       *Node
	askedAt time.Time // when Pebble was asked how large memtables are
}

// tablesInterval is how often it is asked at most: that costs more than all the rest.
const tablesInterval = time.Second

// Standing implements memory.Stores. A store that is being closed is left out: to wait for it could take as long as a flush. What
// memtables do not take now is kept from the cache of blocks.
func (s *stores) Standing() (open []memory.Standing) {
	tables, now := int64(0), s.n.host.Clock.Now()
	asks := s.askedAt.IsZero() || now.Sub(s.askedAt) >= tablesInterval || now.Before(s.askedAt) // the clock may be set back
	parts := s.n.parts.Load()
	if parts == nil {
		return nil
	}
	for _, p := range *parts {
		store, back := p.tryBorrow() // one that is being closed is flushed by that
		if store == nil {
			continue
		}
		applied := store.AppliedLSN() // first: what is written meanwhile is not flushed
		bytes := store.Held()
		if asks {
			tables += store.TableBytes()
		}
		open = append(open, memory.Standing{ID: p.id, Bytes: bytes, Written: uint64(applied), Flushed: min(uint64(store.KnownDurable()), uint64(applied))})
		back()
	}
	if asks {
		s.askedAt = now
		s.n.shared.TablesTake(tables)
	}
	return open
}

// Flush implements memory.Stores.
func (s *stores) Flush(ctx context.Context, p id.Partition) error {
	part, err := s.n.part(p)
	if err != nil {
		return err
	}
	return s.n.flush(ctx, part)
}

// SetMemory replaces the memory for new rows of all partition stores. Stores that are opened from now on get memtables to match.
func (n *Node) SetMemory(b memory.Budget) { n.memory.Set(b) }

// tableBytes is how large the memtables of a store are that is opened now: there will be as many stores as this node holds partitions.
func (n *Node) tableBytes() uint64 {
	held := 0
	parts := *n.parts.Load()
	for i, e := range n.view.Current().Epochs {
		if i < len(parts) && n.roleOf(parts[i], e) != none {
			held++
		}
	}
	return min(uint64(n.memory.TableBytes(held)), n.cfg.Store.MemTableBytes)
}
