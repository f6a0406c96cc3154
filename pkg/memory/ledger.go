package memory

import (
	"cmp"
	"slices"
	"time"

	"reprise/pkg/id"
)

// Standing is how an open store stands.
type Standing struct {
	ID      id.Partition
	Bytes   int64  // of rows that are in memory alone
	Written uint64 // grows with each write
	Flushed uint64 // Written, as far as it is flushed
}

// Why a store is flushed.
type Why uint8

// The reasons, the most urgent one first.
const (
	Over Why = iota // it holds more than its share
	Idle            // nobody wrote to it for a while
	Held            // it has held the same rows for too long
	whys
)

// String is the label of metrics.
func (w Why) String() string { return [whys]string{"over", "idle", "held"}[w] }

// Order is a flush that is to be asked for.
type Order struct {
	ID    id.Partition
	Why   Why
	Bytes int64
}

// Ledger remembers since when stores stand as they do. It is the state of the rules: the same calls give the same orders.
type Ledger struct {
	cfg Config
	of  map[id.Partition]*entry
}

type entry struct {
	seen    Standing
	writeAt time.Time // when Written was seen to have changed last
	heldAt  time.Time // since when there has been something to flush, or the last flush ended
	askedAt time.Time // when a flush was asked for last
	busy    bool      // it is under way
}

// NewLedger returns an empty one.
func NewLedger(cfg Config) *Ledger { return &Ledger{cfg: cfg, of: map[id.Partition]*entry{}} }

// Look takes down how the open stores stand now. Of those that are not among them nothing is remembered, but for a flush that is
// under way.
func (l *Ledger) Look(now time.Time, open []Standing) {
	gone := map[id.Partition]*entry{}
	for p, e := range l.of {
		gone[p] = e
	}
	for _, s := range open {
		e := l.of[s.ID]
		delete(gone, s.ID)
		switch {
		case e == nil:
			e = &entry{writeAt: now, heldAt: now}
			l.of[s.ID] = e
		case s.Written < e.seen.Written: // it was opened anew
			*e = entry{writeAt: now, heldAt: now, busy: e.busy}
		default:
			if s.Written != e.seen.Written {
				e.writeAt = now
			}
			if s.Flushed != e.seen.Flushed || e.seen.Written == e.seen.Flushed {
				e.heldAt = now
			}
		}
		e.seen = s
	}
	for p, e := range gone {
		if !e.busy {
			delete(l.of, p)
		}
	}
}

// Orders returns what is to be flushed next, the stores above their share first, by size, and marks it as under way: at most as many
// as there are places left. waiting is how many more would be, were there places.
func (l *Ledger) Orders(now time.Time, b Budget, open []Standing) (orders []Order, waiting int) {
	places := l.cfg.FlushesMax
	for _, e := range l.of {
		if e.busy {
			places--
		}
	}
	share := Share(b.Bytes, len(open))
	var all []Order
	for _, s := range open {
		if why, ok := l.why(now, s, share, b.NoReclaim); ok {
			all = append(all, Order{ID: s.ID, Why: why, Bytes: s.Bytes})
		}
	}
	slices.SortFunc(all, func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.Why, b.Why), cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.ID, b.ID))
	})
	n := min(max(places, 0), len(all))
	for _, o := range all[:n] {
		e := l.of[o.ID]
		e.busy, e.askedAt = true, now
	}
	return all[:n], len(all) - n
}

// why tells whether a store is to be flushed.
func (l *Ledger) why(now time.Time, s Standing, share int64, noReclaim bool) (Why, bool) {
	e := l.of[s.ID]
	// One that was just flushed is left alone for an interval: if it is over again, its own memtables are full, and are being flushed.
	if e == nil || e.busy || s.Written == s.Flushed || !e.askedAt.IsZero() && now.Sub(e.askedAt) < l.cfg.Interval {
		return 0, false
	}
	switch {
	case s.Bytes > share && !noReclaim:
		return Over, true
	case now.Sub(e.writeAt) >= l.cfg.IdleAfter:
		return Idle, true
	case now.Sub(e.heldAt) >= l.cfg.HeldMax:
		return Held, true
	}
	return 0, false
}

// Ended says that a flush that was ordered has ended.
func (l *Ledger) Ended(p id.Partition) {
	if e := l.of[p]; e != nil {
		e.busy = false
	}
}
