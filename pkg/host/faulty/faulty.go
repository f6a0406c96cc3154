package faulty

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"reprise/pkg/host"
)

// Names of the files in the folder.
const (
	ClockFile = "clock"
	SyncFile  = "sync"
)

// Wrap returns a host whose faults are told by the files in dir.
func Wrap(h host.Host, dir string) host.Host {
	h.Clock = &clock{Clock: h.Clock, file: filepath.Join(dir, ClockFile)}
	h.FS = errorfs.Wrap(h.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		default:
			return nil
		}
		if _, err := os.Stat(filepath.Join(dir, SyncFile)); err != nil {
			return nil // nobody asked for it
		}
		return fmt.Errorf("sync %s: %w", op.Path, syscall.EIO)
	}))
	return h
}

// clock shows another time of the day; how much time passes is not changed, as with a real one that is set.
type clock struct {
	host.Clock
	file string

	mu   sync.Mutex
	read time.Time // when the file was read last, as of the real clock
	off  time.Duration
}

// readAgain is how long what was read holds.
const readAgain = 10 * time.Millisecond

// Now implements host.Clock.
func (c *clock) Now() time.Time {
	now := c.Clock.Now()
	c.mu.Lock()
	if c.read.IsZero() || now.Sub(c.read) > readAgain {
		c.read, c.off = now, offset(c.file)
	}
	off := c.off
	c.mu.Unlock()
	return shift(now, off)
}

// offset is what a file says; nothing where there is none, or it is being written.
func offset(file string) time.Duration {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return d
}

// secondsShift is where a time.Time with a monotonic reading keeps the seconds of the wall's clock, above its nanoseconds.
const secondsShift = 30

// shift moves the wall's clock by whole seconds and leaves the monotonic one. No function of package time does that:
// Add moves both, so that timers would see time pass which has not.
func shift(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(by/time.Second)) << secondsShift
	return t
}
