package logstore

import "reprise/pkg/errs"

// Config is the configuration of a log store.
type Config struct {
	// CacheBytes is the size of the block cache. Records are mostly read once, so it is small. Default 16 MiB.
	CacheBytes int64
	// MemtableBytes is the size of a memtable: what a restart replays from Pebble's own log. Default 64 MiB.
	MemtableBytes uint64
	// MemtablesMax is how many memtables may be full and wait for their flush, with the one that is being filled. At more, writes
	// wait. Default 64.
	MemtablesMax int
	// WALDir is a folder for Pebble's own log, for example on another disk; empty: the store's. It may be set later, but not be
	// taken away or changed while it holds what the store has not flushed: Open refuses that.
	WALDir string
	// Tuning of Pebble.
	Tuning Tuning
}

// Default returns the default configuration.
func Default() Config { return Config{CacheBytes: 16 << 20, MemtableBytes: 64 << 20, MemtablesMax: 64} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.CacheBytes < 0 || c.MemtableBytes < 64<<10 || c.MemtableBytes > 2<<30 {
		return errs.Newf(errs.Invalid, "log store: cache of %d bytes, memtables of %d (64 KiB to 2 GiB)", c.CacheBytes, c.MemtableBytes)
	}
	if c.MemtablesMax < 2 {
		return errs.Newf(errs.Invalid, "log store: %d memtables; one is filled while another is flushed", c.MemtablesMax)
	}
	return nil
}
