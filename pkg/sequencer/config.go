package sequencer

import (
	"time"

	"reprise/pkg/errs"
)

// Config is the configuration of the log writer.
type Config struct {
	// FrameBytesMax bounds the records in a frame; one group goes always. Default 4 MiB.
	FrameBytesMax int
	// FrameGroupsMax bounds the groups in a frame. Default 4096.
	FrameGroupsMax int
	// CommitTimeout is how long records may wait without any commit in their loglet. Default 1 s. It doubles each time that
	// loglets are given up for it, up to CommitTimeoutMax (default 10 s), and halves after half a minute without: where
	// the disks of all log-servers stand still, to begin anew on the same ones only makes it worse.
	CommitTimeout, CommitTimeoutMax time.Duration
	// StoreTimeout is how long a log-server may take for a frame before its connection is made anew. Default 2 s. One that
	// takes longer gets twice the time at each try, up to StoreTimeoutMax (default 1 minute): a slow disk must not be asked
	// for the same again and again.
	StoreTimeout, StoreTimeoutMax time.Duration
	// ReleaseAfter is how long nothing is stored before the global tail goes out on its own. Default 2 ms.
	ReleaseAfter time.Duration
	// RetryMin and RetryMax bound the pause before a log-server is tried again. Default 20 ms and 200 ms.
	RetryMin, RetryMax time.Duration
}

// Default returns the default configuration.
func Default() Config {
	return Config{
		FrameBytesMax: 4 << 20, FrameGroupsMax: 4096, CommitTimeout: time.Second, CommitTimeoutMax: 10 * time.Second,
		StoreTimeout: 2 * time.Second, StoreTimeoutMax: time.Minute,
		ReleaseAfter: 2 * time.Millisecond, RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.FrameBytesMax < 1 || c.FrameGroupsMax < 1 || c.CommitTimeout <= 0 || c.CommitTimeoutMax < c.CommitTimeout || c.StoreTimeout <= 0 || c.StoreTimeoutMax < c.StoreTimeout || c.ReleaseAfter <= 0 ||
		c.RetryMin <= 0 || c.RetryMax < c.RetryMin {
		return errs.Newf(errs.Invalid, "log writer: limits and times must be positive, the larger of two not the smaller: %+v", c)
	}
	return nil
}
