package partitionstore

import (
	"errors"
	"fmt"
)

// Config bounds a Store.
type Config struct {
	// MemTableBytes is the size of a memtable (default 32 MiB). Up to MemTablesMax of them may be full and wait for their flush.
	MemTableBytes uint64
	// MemTablesMax is how many memtables' worth of rows may wait before the store gives no credit (default 4).
	MemTablesMax int
	// L0FilesMax is how many overlapping layers level 0 may have before the store gives no credit (default 40).
	L0FilesMax int
	// ActiveMax is how many invoked invocations are kept decoded (default 20000). Fewer cost reads, more cost memory (1 KiB each).
	ActiveMax int
	// IdleMax is how many of those that wait (suspended, scheduled, queued, paused) are kept decoded (default 100): those that
	// will soon be invoked again, not all that sleep.
	IdleMax int
	// Tuning of Pebble.
	Tuning Tuning
}

// Default returns the defaults.
func Default() Config {
	return Config{MemTableBytes: 32 << 20, MemTablesMax: 4, L0FilesMax: 40, ActiveMax: 20000, IdleMax: 100}
}

// memTableMin is the smallest memtable that Pebble can work with sensibly.
const memTableMin = 64 << 10

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.MemTableBytes < memTableMin || c.MemTableBytes >= 4<<30 {
		all = append(all, fmt.Errorf("partition store: memtable of %d bytes; it must be from 64 KiB to below 4 GiB", c.MemTableBytes))
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"memtables-max", c.MemTablesMax}, {"l0-files-max", c.L0FilesMax}, {"active-max", c.ActiveMax}, {"idle-max", c.IdleMax}} {
		if f.value < 1 {
			all = append(all, fmt.Errorf("partition store: %s is %d; it must be at least 1", f.name, f.value))
		}
	}
	return errors.Join(all...)
}
