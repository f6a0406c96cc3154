package logstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ref = logproto.Ref{Loglet: id.NewLoglet(3, 9), Sequencer: id.GenerationalNode{Node: 4, Generation: 7}, Nonce: 0xabcdef}

func hostOn(fs vfs.FS) host.Host {
	h := host.New(slog.New(slog.DiscardHandler))
	h.FS = fs
	return h
}

func small() logstore.Config {
	c := logstore.Default()
	c.MemtableBytes, c.CacheBytes = 64<<10, 1<<20
	return c
}

func open(t testing.TB, fs vfs.FS) *logstore.Store {
	t.Helper()
	s, err := logstore.Open(small(), hostOn(fs), "data")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *logstore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// records returns the records of offsets [first, first+n); each holds its offset.
func records(first lsn.Offset, n uint32) []byte {
	var out []byte
	for i := range n {
		start := len(out)
		out, _ = command.Append(out, command.Header{Kind: command.Step}, nil, []byte("body")) // no facts: cannot fail
		command.Stamp(out[start:], ref.Loglet, lsn.LSN(first)+lsn.LSN(i), 1, 1, 1)
	}
	return out
}

func put(t testing.TB, s *logstore.Store, first lsn.Offset, count uint32, sync bool) {
	t.Helper()
	b := s.NewBatch()
	check(t, b.Identity(ref))
	check(t, b.Group(ref.Loglet, first, count, records(first, count)))
	check(t, b.Commit(sync))
	check(t, b.Close())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *logstore.Store) logproto.Replica {
	t.Helper()
	r, err := s.Load(ref.Loglet)
	check(t, err)
	return r
}

func TestReopen(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	if got := load(t, s); got != logproto.NewReplica(ref.Loglet) {
		t.Errorf("an unknown loglet loads as %+v", got)
	}
	put(t, s, 1, 4, true)
	put(t, s, 5, 2, true)
	b := s.NewBatch()
	check(t, b.Seal(ref.Loglet))
	check(t, b.Known(ref.Loglet, 6))
	check(t, b.Trim(ref.Loglet, 2))
	check(t, b.Commit(true))
	check(t, b.Close())
	check(t, s.WriteMarker(logstore.Marker{Node: 4, Fingerprint: 99, CreatedMillis: 5}))
	closeStore(t, s)
	closeStore(t, s) // again

	s = open(t, fs)
	defer closeStore(t, s)
	want := logproto.Replica{Ref: ref, Identified: true, Tail: 7, Known: 6, Trimmed: 2, Sealed: true}
	if got := load(t, s); got != want {
		t.Errorf("loaded %+v, want %+v", got, want)
	}
	if m, ok, err := s.Marker(); err != nil || !ok || m != (logstore.Marker{Node: 4, Fingerprint: 99, CreatedMillis: 5}) {
		t.Errorf("marker %+v, %t, %v", m, ok, err)
	}
}

// Pebble's own log may go to another folder, also when the store is there already, and not silently away from it.
func TestLogFolder(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	put(t, s, 1, 4, true)
	closeStore(t, s)
	apart := small()
	apart.WALDir = "other/disk"
	s, err := logstore.Open(apart, hostOn(fs), "data")
	check(t, err)
	put(t, s, 5, 2, true)
	closeStore(t, s)
	if names, err := fs.List("other/disk"); err != nil || len(names) == 0 {
		t.Errorf("the other folder holds %v, %v", names, err)
	}
	if s, err := logstore.Open(small(), hostOn(fs), "data"); err == nil {
		t.Errorf("opened without the folder, with %+v", load(t, s))
		closeStore(t, s)
	} else if !strings.Contains(err.Error(), "other/disk") {
		t.Errorf("the error does not name the folder: %v", err)
	}
	s, err = logstore.Open(apart, hostOn(fs), "data")
	check(t, err)
	defer closeStore(t, s)
	if got := load(t, s); got.Tail != 7 {
		t.Errorf("loaded %+v", got)
	}
}

func TestCrashLosesOnlyWhatWasNotSynced(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	put(t, s, 1, 4, true)
	put(t, s, 5, 4, false)
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	s = open(t, after)
	defer closeStore(t, s)
	if got := load(t, s); got.Tail != 5 || !got.Identified {
		t.Errorf("after the crash: %+v", got)
	}
}

// What a store shows after it was opened stays: a process that died left unsynced bytes, which are there
// when it starts again, and the machine may lose power after that.
func TestWhatIsShownAfterOpenIsDurable(t *testing.T) {
	for seed := range uint64(20) {
		fs := vfs.NewCrashableMem()
		s := open(t, fs)
		put(t, s, 1, 4, true)
		for i := range lsn.Offset(20) {
			put(t, s, 5+i, 1, false)
		}
		killed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 70, RNG: rand.New(rand.NewPCG(seed, 1))})
		closeStore(t, s)
		s = open(t, killed)
		shown := load(t, s).Tail
		off := killed.CrashClone(vfs.CrashCloneCfg{})
		closeStore(t, s)
		s = open(t, off)
		if got := load(t, s).Tail; got < shown || shown < 5 {
			t.Errorf("seed %d: tail %d was shown, then the power failed: %d", seed, shown, got)
		}
		closeStore(t, s)
	}
}

const childEnv = "REPRISE_LOGSTORE_TEST_CHILD"

// A write error ends the process: nothing was acknowledged, so nothing is lost.
func TestWriteErrorEndsTheProcess(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		failToWrite(t)
		os.Exit(3) // it went on
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriteErrorEndsTheProcess$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("log store cannot go on")) {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}

func failToWrite(t *testing.T) {
	toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") {
			return errorfs.ErrInjected
		}
		return nil
	})}
	h := hostOn(errorfs.Wrap(vfs.NewMem(), toggle))
	h.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := logstore.Open(small(), h, "data")
	check(t, err)
	b := s.NewBatch()
	check(t, b.Group(ref.Loglet, 1, 1, records(1, 1)))
	toggle.On()
	if err := b.Commit(true); err == nil {
		t.Log("a commit that was not written returns without error")
	}
}

func TestRefusesOtherFolders(t *testing.T) {
	fs := vfs.NewMem()
	closeStore(t, open(t, fs))
	write := func(name, text string) {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		check(t, err)
		_, err = f.Write([]byte(text))
		check(t, err)
		check(t, f.Close())
	}
	write("data/FORMAT", "reprise log-store 2\n")
	if _, err := logstore.Open(small(), hostOn(fs), "data"); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a newer format: %v", err)
	}
	check(t, fs.MkdirAll("alien", 0o700))
	write("alien/CURRENT", "")
	if _, err := logstore.Open(small(), hostOn(fs), "alien"); !errs.Is(err, errs.Unsupported) {
		t.Errorf("somebody else's folder: %v", err)
	}
}

// The store holds what a map would hold, however groups were cut, over flushes and reopens.
func TestReadsLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		h := hostOn(fs)
		s, err := logstore.Open(small(), h, "data")
		if err != nil {
			t.Fatal(err)
		}
		model := map[lsn.Offset]bool{}
		tail, trimmed := lsn.FirstOffset, lsn.Offset(0)
		for range rapid.IntRange(1, 25).Draw(t, "writes") {
			b := s.NewBatch()
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				first := tail + lsn.Offset(rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "hole"))
				n := uint32(rapid.IntRange(1, 6).Draw(t, "count"))
				if err := b.Group(ref.Loglet, first, n, records(first, n)); err != nil {
					t.Fatal(err)
				}
				for o := first; o < first+lsn.Offset(n); o++ {
					model[o] = true
				}
				tail = first + lsn.Offset(n)
			case 0:
				if tail > trimmed+2 {
					trimmed = lsn.Offset(rapid.IntRange(int(trimmed+1), int(tail-1)).Draw(t, "trim"))
					if err := b.Trim(ref.Loglet, trimmed); err != nil {
						t.Fatal(err)
					}
				}
			case 1:
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = logstore.Open(small(), h, "data"); err != nil {
					t.Fatal(err)
				}
				b = s.NewBatch()
			}
			if err := b.Commit(false); err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		from := lsn.Offset(rapid.IntRange(int(trimmed+1), int(tail)).Draw(t, "from"))
		to := lsn.Offset(rapid.IntRange(int(from), int(tail)+2).Draw(t, "to"))
		compare(t, s, model, from, to)
		if r, err := s.Load(ref.Loglet); err != nil || r.Tail != tail || r.Trimmed != trimmed {
			t.Fatalf("loaded %+v, %v; tail is %d, trimmed %d", r, err, tail, trimmed)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func compare(t *rapid.T, s *logstore.Store, model map[lsn.Offset]bool, from, to lsn.Offset) {
	rd, err := s.Reader(ref.Loglet)
	if err != nil {
		t.Fatal(err)
	}
	got := map[lsn.Offset]bool{}
	err = rd.Each(from, to, func(run logproto.Run) (bool, error) {
		if !bytes.Equal(run.Records, records(run.First, run.Count)) {
			t.Fatalf("run at %d has other records", run.First)
		}
		for o := run.First; o < run.End(); o++ {
			if got[o] {
				t.Fatalf("offset %d is read twice", o)
			}
			got[o] = true
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ranges, err := rd.Ranges(from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := map[lsn.Offset]bool{}
	for _, r := range ranges {
		for o := r.From; o < r.To; o++ {
			in[o] = true
		}
	}
	for o := from; o < to; o++ {
		if got[o] != model[o] || in[o] != model[o] {
			t.Fatalf("offset %d: read %t, in ranges %t, stored %t", o, got[o], in[o], model[o])
		}
	}
	for o := range got {
		if o < from || o >= to {
			t.Fatalf("offset %d is outside [%d, %d)", o, from, to)
		}
	}
	if err := rd.Close(); err != nil {
		t.Fatal(err)
	}
}
