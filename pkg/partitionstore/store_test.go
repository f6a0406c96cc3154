package partitionstore_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "store"

func smallConfig() partitionstore.Config {
	c := partitionstore.Default()
	c.MemTableBytes = 256 << 10
	return c
}

type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func hostOn(fs vfs.FS) host.Host {
	h := hosttest.New(hosttest.NewClock(), 1)
	h.FS = fs
	return h
}

func open(t tester, cfg partitionstore.Config, fs vfs.FS, shared *partitionstore.Shared) *partitionstore.Store {
	t.Helper()
	s, err := partitionstore.Open(cfg, hostOn(fs), dir, shared)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func newShared(t *testing.T) *partitionstore.Shared {
	shared := partitionstore.NewShared(8 << 20)
	t.Cleanup(func() {
		if err := shared.Close(); err != nil {
			t.Error(err)
		}
	})
	return shared
}

func apply(t tester, s *partitionstore.Store, raw []byte) []partition.Effect {
	t.Helper()
	rec, err := command.Parse(raw)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	effects, err := partition.Apply(s.View(), rec, nil)
	if err != nil {
		t.Fatalf("record %d: %v", rec.LSN, err)
	}
	return effects
}

func commit(t tester, s *partitionstore.Store) {
	t.Helper()
	if err := s.Commit(); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func snapshot(t tester, s *partitionstore.Store) *partitionstore.Snapshot {
	t.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return snap
}

// The store and the State in memory agree after any log, however it is cut into batches, whatever the
// caches hold, and through crashes that lose what was not flushed.
func TestAgreesWithMemory(t *testing.T) {
	shared := newShared(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		cfg := smallConfig()
		cfg.ActiveMax, cfg.IdleMax = 1+draw(4), 1+draw(2)
		fs := vfs.NewCrashableMem()
		s := open(t, cfg, fs, shared)
		defer func() { _ = s.Close() }()
		memory := partitiontest.New()
		random := partitiontest.NewRandom(memory, draw)
		var log [][]byte
		for range 1 + draw(100) {
			raw := random.Next()
			log = append(log, raw)
			rec, err := command.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := partition.Apply(memory, rec, nil); err != nil {
				t.Fatalf("record %d: %v", rec.LSN, err)
			}
			apply(t, s, raw)
			switch draw(20) {
			case 0, 1, 2, 3, 4, 5:
				commit(t, s)
			case 6:
				commit(t, s)
				if err := s.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
				durable, err := s.DurableLSN()
				if err != nil || durable != rec.LSN || s.Unflushed() != 0 {
					t.Fatalf("after a flush at %d the durable position is %d, %v; %d unflushed", rec.LSN, durable, err, s.Unflushed())
				}
			case 8, 9:
				compareReplay(t, s, memory, partitiontest.ID(draw(partitiontest.IDs)))
			case 7: // the machine stops; what was not flushed is applied again
				crashed := fs.CrashClone(vfs.CrashCloneCfg{})
				durable, err := s.DurableLSN()
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				fs, s = crashed, open(t, cfg, crashed, shared)
				applied := s.Meta().Applied
				if applied < uint64(durable) {
					t.Fatalf("position %d was durable, after the crash it is %d", durable, applied)
				}
				for _, again := range log[applied:] {
					apply(t, s, again)
				}
			}
		}
		commit(t, s)
		if n := s.Uncommitted(); n != 0 {
			t.Fatalf("%d bytes are not committed after a commit", n)
		}
		got, err := s.Dump()
		if err != nil {
			t.Fatal(err)
		}
		if want := memory.Dump(); got != want {
			t.Fatalf("the store has\n%s\nmemory has\n%s", got, want)
		}
		comparePending(t, s, memory)
	})
}

// The first store of a node is made with the folder of all of them: that outlives a power failure as well.
func TestFirstStoreSurvivesACrash(t *testing.T) {
	shared := newShared(t)
	fs := vfs.NewCrashableMem()
	s, err := partitionstore.Open(smallConfig(), hostOn(fs), "partitions/0", shared)
	if err != nil {
		t.Fatal(err)
	}
	raw := partitiontest.NewRandom(partitiontest.New(), func(int) int { return 0 }).Next()
	apply(t, s, raw)
	commit(t, s)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	durable, err := s.DurableLSN()
	if err != nil || durable == 0 {
		t.Fatalf("durable is %d, %v", durable, err)
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = partitionstore.Open(smallConfig(), hostOn(crashed), "partitions/0", shared); err != nil {
		t.Fatal(err)
	}
	if got := s.AppliedLSN(); got != durable {
		t.Errorf("%d was durable, the crash left %d", durable, got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// compareReplay compares what an attempt of an invocation is sent, whether its rows are committed or not.
func compareReplay(t *rapid.T, s *partitionstore.Store, memory *partitiontest.State, i id.Invocation) {
	inv, err := s.Invocation(i)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := memory.Invocation(i) // never fails
	if (inv == nil) != (known == nil) {
		t.Fatalf("%s: the store has %v, memory has %v", i, inv, known)
	}
	if inv == nil || inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED { // no attempt follows
		return
	}
	var want []byte
	if err := memory.JournalRows(known, func(row journal.Row) error {
		want = append(want, row.Frames...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	frames, state, partial, ok, err := s.ReadInline(inv, 1<<20, 1<<20)
	if err != nil || !ok || partial || !bytes.Equal(frames, want) {
		t.Fatalf("%s: the store has %x, ok=%t partial=%t, %v; memory has %x", i, frames, ok, partial, err, want)
	}
	if !inv.HasState() {
		return
	}
	target := inv.Row.Target
	names, _ := memory.UserStateNames(target.GetService(), target.GetKey()) // never fails
	for n, e := range state {
		value, _, _ := memory.UserState(target.GetService(), target.GetKey(), e.Key) // never fails
		if len(state) != len(names) || !bytes.Equal(e.Key, names[n]) || !bytes.Equal(e.Value, value) {
			t.Fatalf("%s: state %d is %q = %x; memory has %q and %x", i, n, e.Key, e.Value, names, value)
		}
	}
}

// comparePending compares what a snapshot and the State in memory bring back.
func comparePending(t *rapid.T, s *partitionstore.Store, memory *partitiontest.State) {
	snap := snapshot(t, s)
	defer func() { _ = snap.Close() }()
	active, timers := snap.Active(), snap.Timers(0)
	defer func() { _, _ = active.Close(), timers.Close() }()
	stored := &partition.Pending{Active: active.Next, Timers: timers.Next}
	all := func(p *partition.Pending) (got []string) {
		p.Outbox = nil
		for done := false; !done; {
			var effects []partition.Effect
			var err error
			if effects, done, err = p.Next(5, nil); err != nil {
				t.Fatal(err)
			}
			for _, e := range effects {
				got = append(got, e.ID.String()+string(rune('0'+e.Kind)))
			}
		}
		return got
	}
	if got, want := strings.Join(all(stored), " "), strings.Join(all(memory.Pending()), " "); len(got) != len(want) {
		t.Fatalf("the store brings back %s, memory %s", got, want)
	}
}

func TestFormat(t *testing.T) {
	shared := newShared(t)
	write := func(t *testing.T, fs vfs.FS, text string) {
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(fs.PathJoin(dir, "FORMAT"), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, text string
		code       errs.Code
		says       string
	}{
		{"present", "reprise partitionstore 1\n", 0, ""},
		{"newer", "reprise partitionstore 2\n", errs.Unsupported, "start a newer one"},
		{"another thing", "reprise logstore 1\n", errs.Corrupt, "does not name the format"},
		{"empty", "", errs.Corrupt, "does not name the format"},
		{"zero", "reprise partitionstore 0\n", errs.Corrupt, "does not name the format"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			write(t, fs, test.text)
			s, err := partitionstore.Open(smallConfig(), hostOn(fs), dir, shared)
			if test.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errs.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v", err)
			}
		})
	}
	t.Run("database without format", func(t *testing.T) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll(fs.PathJoin(dir, "db"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := partitionstore.Open(smallConfig(), hostOn(fs), dir, shared); !errs.Is(err, errs.Corrupt) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestConfig(t *testing.T) {
	if err := partitionstore.Default().Validate(); err != nil {
		t.Error(err)
	}
	err := (partitionstore.Config{}).Validate()
	for _, want := range []string{"memtable of 0", "memtables-max", "l0-files-max", "active-max", "idle-max"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if _, err := partitionstore.Open(partitionstore.Config{}, hostOn(vfs.NewMem()), dir, newShared(t)); err == nil {
		t.Error("a store opened without limits")
	}
}

// A store whose flushes fall behind says so before a commit would block.
func TestCredit(t *testing.T) {
	cfg := smallConfig()
	s := open(t, cfg, vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	if !s.Credit() {
		t.Error("a new store gives no credit")
	}
	l := newLog(t, s)
	l.do(command.Header{Kind: command.Invoke, ID: partitiontest.ID(1)}, &storedv1.InvokeFacts{Target: counter},
		partitiontest.Input(strings.Repeat("x", 2<<20)))
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !s.Credit() {
		t.Error("a flushed store gives no credit")
	}
}

// What is committed together need not be touched in the order of its creation: the index row of an
// invocation that lives for long must not wait for a younger one.
func TestIndexInOrderOfCreation(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	v := s.View()
	put := func(i id.Invocation, incarnation uint64) *invocation.Invocation {
		inv := &invocation.Invocation{ID: i, Journal: &journal.Index{}}
		inv.Row.Incarnation, inv.Row.Status = incarnation, storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED
		v.Meta().Applied = incarnation
		if err := v.PutInvocation(inv); err != nil {
			t.Fatal(err)
		}
		return inv
	}
	again, old := partitiontest.ID(1), partitiontest.ID(2)
	first := put(again, 1)
	commit(t, s)
	if err := v.DeleteInvocation(first); err != nil { // touched first, and given a new life last
		t.Fatal(err)
	}
	put(old, 10)
	put(again, 20)
	commit(t, s)
	v.Meta().Applied = 10 + partitionstore.IndexLag
	commit(t, s)
	if n, err := s.IndexRows(); n != 1 || err != nil {
		t.Errorf("%d index rows, %v; the invocation of record 10 wants one", n, err)
	}
}

// Pebble's first memtables are small, and it flushes none before they hold half of what one may: their number
// must not take the store's credit away, or it never comes back.
func TestCreditWithLargeValues(t *testing.T) {
	s := open(t, partitionstore.Default(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	value := make([]byte, 100<<10)
	for n := range 100 {
		if err := s.View().SetUserState("Cart", strconv.Itoa(n), []byte("all"), value); err != nil {
			t.Fatal(err)
		}
		commit(t, s)
		if !s.Credit() {
			t.Fatalf("no credit after %d values of 100 KiB", n+1)
		}
	}
}
