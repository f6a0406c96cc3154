package faulty_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/host"
	"reprise/pkg/host/faulty"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// still is a clock that shows what the test says, with a monotonic reading as the real one.
type still struct{ now time.Time }

func (s *still) Now() time.Time                  { return s.now }
func (*still) NewTimer(time.Duration) host.Timer { panic("nobody waits") }

// The clock of the wall jumps; the time that passes does not.
func TestClock(t *testing.T) {
	dir, real := t.TempDir(), &still{now: time.Now()}
	h := host.New(slog.New(slog.DiscardHandler))
	h.Clock = real
	h = faulty.Wrap(h, dir)
	before := h.Clock.Now()
	if !before.Equal(real.now) {
		t.Errorf("without a fault it shows %s, at %s", before, real.now)
	}
	for _, off := range []time.Duration{5 * time.Second, -90 * time.Second, 0} {
		write(t, filepath.Join(dir, faulty.ClockFile), off.String())
		real.now = real.now.Add(time.Second)
		now := h.Clock.Now()
		if want := real.now.Add(off).UnixNano(); now.UnixNano() != want {
			t.Errorf("%s: it shows %s, at %s", off, now, real.now)
		}
		if passed := now.Sub(before); passed != real.now.Sub(before) {
			t.Errorf("%s: %s passed, not %s", off, passed, real.now.Sub(before))
		}
	}
}

// Syncs fail while somebody asks for it.
func TestSync(t *testing.T) {
	dir := t.TempDir()
	h := faulty.Wrap(host.New(slog.New(slog.DiscardHandler)), dir)
	f, err := h.FS.Create(filepath.Join(dir, "file"), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it holds nothing
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, faulty.SyncFile), "")
	for _, sync := range []func() error{f.Sync, f.SyncData} {
		if err := sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v", err)
		}
	}
}
