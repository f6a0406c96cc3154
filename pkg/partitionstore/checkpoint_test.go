package partitionstore_test

import (
	"errors"
	iofs "io/fs"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
)

// A copy, adopted elsewhere, and the rest of the log give the store that all of the log gives.
func TestCheckpointAndLogGiveTheSameStore(t *testing.T) {
	shared := newShared(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		fs := vfs.NewMem()
		s := open(t, smallConfig(), fs, shared)
		defer func() { _ = s.Close() }()
		memory := partitiontest.New()
		random := partitiontest.NewRandom(memory, draw)
		var log [][]byte
		next := func() {
			raw := random.Next()
			log = append(log, raw)
			rec, err := command.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := partition.Apply(memory, rec, nil); err != nil {
				t.Fatal(err)
			}
			apply(t, s, raw)
		}
		for range 1 + draw(50) {
			next()
		}
		commit(t, s)
		committed := len(log)
		if draw(2) == 0 { // not committed: not in the copy
			next()
		}
		c, err := s.Checkpoint(t.Context(), "copy")
		if err != nil {
			t.Fatal(err)
		}
		if c.Applied != lsn.LSN(committed) || c.Incarnation == 0 {
			t.Fatalf("the copy is at %d (incarnation %x), committed is %d", c.Applied, c.Incarnation, committed)
		}
		for range draw(50) {
			next()
		}
		commit(t, s)
		want, err := s.Dump()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		// In place of the store itself, as after a gap in the log.
		if err := fs.MkdirAll("stage", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := fs.Rename("copy", partitionstore.DatabaseIn(hostOn(fs), "stage")); err != nil {
			t.Fatal(err)
		}
		h := hostOn(fs)
		h.Rand.Uint64() // or it would choose the number that the store itself has
		applied, err := partitionstore.Adopt(h, "stage", dir, c.Applied)
		if err != nil || applied != c.Applied {
			t.Fatalf("adopted at %d: %v", applied, err)
		}
		s = open(t, smallConfig(), fs, shared)
		if got := s.Meta().Applied; got != uint64(committed) {
			t.Fatalf("the adopted store is at %d, want %d", got, committed)
		}
		for _, raw := range log[committed:] {
			apply(t, s, raw)
		}
		commit(t, s)
		got, err := s.Dump()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("the store is\n%s\nwant\n%s", got, want)
		}
		again, err := s.Checkpoint(t.Context(), "again")
		if err != nil || again.Incarnation == c.Incarnation {
			t.Fatalf("incarnation %x of the copied store, %x of the copy; %v", c.Incarnation, again.Incarnation, err)
		}
	})
}

func TestAdoptRefuses(t *testing.T) {
	fs := vfs.NewMem()
	shared := newShared(t)
	s := open(t, smallConfig(), fs, shared)
	defer func() { _ = s.Close() }()
	if _, err := s.Checkpoint(t.Context(), "stage/db"); err != nil {
		t.Fatal(err)
	}
	h := hostOn(fs)
	if _, err := partitionstore.Adopt(h, "stage", "other", 1); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a copy that lacks what it should hold: %v", err)
	}
	if there, err := partitionstore.Exists(h, "other"); there || err != nil {
		t.Errorf("it was adopted: %v", err)
	}
	if _, err := partitionstore.Adopt(h, "nowhere", "other", 0); err == nil {
		t.Error("nothing was adopted")
	}
	if there, err := partitionstore.Exists(h, dir); !there || err != nil {
		t.Errorf("the store is not there: %v", err)
	}
	if _, err := s.Checkpoint(t.Context(), "stage/db"); err == nil {
		t.Error("a copy was written over another one")
	}
}

// A store keeps its incarnation, and chooses another if its file is lost.
func TestIncarnation(t *testing.T) {
	fs := vfs.NewMem()
	shared := newShared(t)
	incarnation := func() uint64 {
		s := open(t, smallConfig(), fs, shared)
		defer func() { _ = s.Close() }()
		c, err := s.Checkpoint(t.Context(), "copy")
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.RemoveAll("copy"); err != nil {
			t.Fatal(err)
		}
		return c.Incarnation
	}
	first := incarnation()
	if again := incarnation(); again != first {
		t.Errorf("incarnation %x, after a restart %x", first, again)
	}
	if err := fs.Remove(dir + "/INCARNATION"); err != nil {
		t.Fatal(err)
	}
	if again := incarnation(); again == 0 {
		t.Error("there is none")
	}
}

// Whenever the machine dies, a store that is removed is whole or not there, and the next Remove leaves nothing.
func TestRemove(t *testing.T) {
	shared := newShared(t)
	for calls, removed := 0, false; !removed; calls++ {
		mem := vfs.NewCrashableMem()
		s := open(t, smallConfig(), mem, shared)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		left := calls
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if left--; left < 0 {
					return errorfs.ErrInjected
				}
			}
			return nil
		}))
		err := partitionstore.Remove(hostOn(fs), dir)
		removed = err == nil
		after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, uint64(calls)))})
		there, xerr := partitionstore.Exists(hostOn(after), dir)
		if xerr != nil || removed && there {
			t.Fatalf("call %d: there is %v, %v", calls, there, xerr)
		}
		if there {
			if err := open(t, smallConfig(), after, shared).Close(); err != nil {
				t.Fatalf("call %d: %v", calls, err)
			}
		}
		if err := partitionstore.Remove(hostOn(after), dir); err != nil {
			t.Fatal(err)
		}
		for _, left := range []string{dir, partitionstore.RemovedFrom(dir)} {
			if _, err := after.Stat(left); !errors.Is(err, iofs.ErrNotExist) {
				t.Fatalf("call %d: %s is there, or %v", calls, left, err)
			}
		}
	}
}
