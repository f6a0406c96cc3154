package loglet

import (
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Config is the configuration of a client.
type Config struct {
	// Self is the node of this process, whose log-server is asked first; 0 = it has none.
	Self id.Node
	// AskTimeout is how long one log-server may take for an answer. Default 1 s.
	AskTimeout time.Duration
	// HedgeAfter is how long a log-server may be silent before another one is asked as well. Default 50 ms.
	HedgeAfter time.Duration
	// ShunFor is how long one that was silent while another answered is asked last. Default 2 s.
	ShunFor time.Duration
	// RetryPause is the pause before a log-server is asked again after a failure. Default 20 ms.
	RetryPause time.Duration
	// RestartAfter is how long a recovery hears nothing new before it begins anew. Default 250 ms.
	RestartAfter time.Duration
	// ReadBytesMax is how much is asked for at once. Default 1 MiB.
	ReadBytesMax int
}

// Default returns the default configuration.
func Default() Config {
	return Config{
		AskTimeout: time.Second, HedgeAfter: 50 * time.Millisecond, ShunFor: 2 * time.Second, RetryPause: 20 * time.Millisecond, RestartAfter: 250 * time.Millisecond, ReadBytesMax: 1 << 20,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.AskTimeout <= 0 || c.HedgeAfter <= 0 || c.ShunFor <= 0 || c.RetryPause <= 0 || c.RestartAfter <= 0 || c.ReadBytesMax < 1 {
		return errs.Newf(errs.Invalid, "log client: times and limits must be positive: %+v", c)
	}
	return nil
}
