package host

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/span"
)

// Host is what a process lends its parts. Copies share everything.
type Host struct {
	Clock   Clock
	Rand    Rand
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Spans   *span.Recorder // nil: nothing is recorded
	FS      vfs.FS
}

// Clock tells the time and wakes.
type Clock interface {
	Now() time.Time
	// NewTimer returns a timer that fires once after d.
	NewTimer(d time.Duration) Timer
}

// Timer is a time.Timer.
type Timer interface {
	C() <-chan time.Time
	Stop() bool
	Reset(d time.Duration) bool
}

// Rand gives random bytes. It is safe for concurrent use.
type Rand interface {
	Uint64() uint64
	Read(b []byte)
}

// Millis is the clock's time in milliseconds since the Unix epoch.
func Millis(c Clock) int64 { return c.Now().UnixMilli() }
