package logserver

import (
	"time"

	"reprise/pkg/errs"
)

// Config is the configuration of a log-server.
type Config struct {
	// ReserveBytes of the disk stay free: below it, nothing new is stored. Pebble ends the process on a
	// full disk, so it must hold what is under way and what flushes and compactions need, also of the
	// other stores on the disk. Default 0: 1 GiB, but at most an eighth of the disk.
	ReserveBytes uint64
	// BatchBytesMax bounds what is committed with one sync. Default 32 MiB.
	BatchBytesMax int
	// BatchRecordsMax bounds it likewise, to within one frame; 0: it does not.
	BatchRecordsMax uint32
	// QueueMax bounds the operations that wait for the committer. Default 4096; more are Dropped.
	QueueMax int
	// QueueBytesMax bounds the records that wait for the committer; one frame is always taken. 0: what QueueMax allows.
	QueueBytesMax int
	// Unsynced answers before what was stored is on the disk. For tests only: a machine that dies loses records that were committed.
	Unsynced bool
	// ReadBytesMax bounds the answer to a read. Default 4 MiB; one group comes always.
	ReadBytesMax int
	// KeepKnownEvery is how often advanced known global tails are written. Default 10 s.
	KeepKnownEvery time.Duration
	// CheckSpaceEvery is how often free space is looked at. Default 500 ms.
	CheckSpaceEvery time.Duration
}

// Default returns the default configuration.
func Default() Config {
	return Config{
		BatchBytesMax: 32 << 20, QueueMax: 4096, ReadBytesMax: 4 << 20,
		KeepKnownEvery: 10 * time.Second, CheckSpaceEvery: 500 * time.Millisecond,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.BatchBytesMax < 1 || c.QueueMax < 1 || c.QueueBytesMax < 0 || c.ReadBytesMax < 1 || c.KeepKnownEvery <= 0 || c.CheckSpaceEvery <= 0 {
		return errs.Newf(errs.Invalid, "log-server: limits and intervals must be positive: %+v", c)
	}
	return nil
}
