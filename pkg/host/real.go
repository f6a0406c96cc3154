package host

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// New returns the real host of a process.
func New(log *slog.Logger) Host {
	return Host{Clock: wallClock{}, Rand: systemRand{}, Log: log, Metrics: prometheus.NewRegistry(), FS: vfs.Default}
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) NewTimer(d time.Duration) Timer { return wallTimer{time.NewTimer(d)} }

type wallTimer struct{ t *time.Timer }

func (t wallTimer) C() <-chan time.Time        { return t.t.C }
func (t wallTimer) Stop() bool                 { return t.t.Stop() }
func (t wallTimer) Reset(d time.Duration) bool { return t.t.Reset(d) }

type systemRand struct{}

func (systemRand) Uint64() uint64 {
	var b [8]byte
	systemRand{}.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func (systemRand) Read(b []byte) { _, _ = rand.Read(b) } // never fails since Go 1.24
