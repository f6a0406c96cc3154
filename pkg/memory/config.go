package memory

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config bounds a Controller.
type Config struct {
	// Interval is how often the stores are looked at (default 3 s).
	Interval time.Duration
	// FlushesMax is how many flushes are under way at a time (default 2). More share the same disk.
	FlushesMax int
	// IdleAfter is how long nobody has written to a store that is flushed for it (default 10 s).
	IdleAfter time.Duration
	// HeldMax is how long rows are in memory alone where a few are written all the time (default 2 m).
	HeldMax time.Duration
}

// Default returns the defaults.
func Default() Config {
	return Config{Interval: 3 * time.Second, FlushesMax: 2, IdleAfter: 10 * time.Second, HeldMax: 2 * time.Minute}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	for _, f := range []struct {
		name  string
		value int64
	}{{"interval", int64(c.Interval)}, {"flushes-max", int64(c.FlushesMax)}, {"idle-after", int64(c.IdleAfter)}, {"held-max", int64(c.HeldMax)}} {
		if f.value < 1 {
			all = append(all, fmt.Errorf("memory: %s is %d; it must be at least 1", f.name, f.value))
		}
	}
	return errors.Join(all...)
}

// Budget is what may change while a Controller runs.
type Budget struct {
	Bytes     int64 // for the new rows of all open stores together
	NoReclaim bool  // stores above their share are not flushed (worker.storage.rocksdb-disable-auto-memory-reclaimer)
}

// Unlimited is a budget that nobody reaches.
var Unlimited = Budget{Bytes: math.MaxInt64}

const (
	// tableMin is the smallest memtable that a store works with sensibly, and the one that it begins with.
	tableMin = 256 << 10
	// tablesOfShare is how many memtables make a share: one is filled while another is flushed.
	tablesOfShare = 2
)

// Share is what each of so many open stores may hold.
func Share(budgetBytes int64, open int) int64 { return budgetBytes / int64(max(open, 1)) }

// TableBytes is how large the memtables of a store should be that is opened as one of so many.
func TableBytes(budgetBytes int64, open int) int64 {
	return max(Share(budgetBytes, open)/tablesOfShare, tableMin)
}
