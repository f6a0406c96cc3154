package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/snapshot"
	"reprise/pkg/snapshot/bucket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const part = id.Partition(3)

// content is the files of a database.
type content map[string]string

func with(c content, more ...string) content {
	c = maps.Clone(c)
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// world is one object store, and a disk for all that use it.
type world struct {
	t     *testing.T
	store *bucket.Bucket
	clock *hosttest.Clock
	host  host.Host
	dirs  int
}

// inEach runs a test over each kind of store that needs no server.
func inEach(t *testing.T, f func(t *testing.T, w *world)) {
	for _, row := range []struct {
		name string
		open func(t *testing.T) (*bucket.Bucket, error)
	}{
		{"memory", func(*testing.T) (*bucket.Bucket, error) { return bucket.Memory(), nil }},
		{"file", func(t *testing.T) (*bucket.Bucket, error) {
			return bucket.Open(t.Context(), bucket.Config{Destination: "file://" + t.TempDir()})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, err := row.open(t)
			must(t, err)
			f(t, newWorld(t, b))
		})
	}
}

func newWorld(t *testing.T, b *bucket.Bucket) *world {
	t.Cleanup(func() { must(t, b.Close()) })
	w := &world{t: t, store: b, clock: hosttest.NewClock()}
	w.host = hosttest.New(w.clock, 1)
	w.host.FS = vfs.NewMem()
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err error, code errs.Code, text string) {
	t.Helper()
	if !errs.Is(err, code) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want code %s and %q", err, code, text)
	}
}

type option func(*snapshot.Config)

func retained(n int) option       { return func(c *snapshot.Config) { c.Retained = n } }
func oneByOne(c *snapshot.Config) { c.TransfersMax = 1 }

// repository opens the store, or what stands in front of it.
func (w *world) repository(front *front, options ...option) *snapshot.Repository {
	w.t.Helper()
	cfg := snapshot.Default()
	cfg.ClusterName, cfg.Fingerprint, cfg.NodeName = "test", 0xabc, "n1"
	for _, o := range options {
		o(&cfg)
	}
	var objects interface {
		snapshot.Objects
		snapshot.Pointers
	} = w.store
	if front != nil {
		front.Bucket = w.store
		objects = front
	}
	r, err := snapshot.New(cfg, objects, objects, w.host)
	must(w.t, err)
	return r
}

// source writes a database to the disk.
func (w *world) source(at lsn.LSN, c content) snapshot.Source {
	w.t.Helper()
	w.dirs++
	dir := fmt.Sprintf("checkpoint-%d", w.dirs)
	must(w.t, w.host.FS.MkdirAll(dir, 0o755))
	for name, text := range c {
		w.overwriteFile(w.host.FS.PathJoin(dir, name), text)
	}
	return snapshot.Source{Dir: dir, Incarnation: 1, Applied: at, Keys: snapshot.KeyRange{Start: 5, End: 1<<64 - 1}}
}

// overwriteFile writes a file on the disk.
func (w *world) overwriteFile(name, text string) {
	w.t.Helper()
	f, err := w.host.FS.Create(name, vfs.WriteCategoryUnspecified)
	must(w.t, err)
	_, err = io.WriteString(f, text)
	must(w.t, err)
	must(w.t, f.Close())
}

func (w *world) create(r *snapshot.Repository, at lsn.LSN, c content) *snapshot.Latest {
	w.t.Helper()
	w.clock.Advance(time.Second)
	l, created, err := r.Create(w.t.Context(), part, w.source(at, c))
	must(w.t, err)
	if !created || l.MinAppliedLSN != at {
		w.t.Fatalf("created is %v, the newest is at %d, want %d", created, l.MinAppliedLSN, at)
	}
	return l
}

// restored returns what a snapshot restores.
func (w *world) restored(r *snapshot.Repository, ref snapshot.Ref) content {
	w.t.Helper()
	w.dirs++
	dir := fmt.Sprintf("restored-%d", w.dirs)
	must(w.t, r.Restore(w.t.Context(), part, ref, dir))
	names, err := w.host.FS.List(dir)
	must(w.t, err)
	c := content{}
	for _, name := range names {
		f, err := w.host.FS.Open(w.host.FS.PathJoin(dir, name))
		must(w.t, err)
		b, err := io.ReadAll(f)
		must(w.t, err)
		must(w.t, f.Close())
		c[name] = string(b)
	}
	return c
}

func (w *world) holds(r *snapshot.Repository, ref snapshot.Ref, want content) {
	w.t.Helper()
	if got := w.restored(r, ref); !maps.Equal(got, want) {
		w.t.Fatalf("snapshot at %d holds %v, want %v", ref.MinAppliedLSN, got, want)
	}
}

// keys lists all objects of the partition without the folder's id, sorted.
func (w *world) keys() []string {
	w.t.Helper()
	var keys []string
	must(w.t, w.store.List(w.t.Context(), "3/", func(key string, _ int64) error {
		if !strings.HasSuffix(key, ".lock") {
			keys = append(keys, key)
		}
		return nil
	}))
	slices.Sort(keys)
	return keys
}

// count counts the objects whose name ends so.
func (w *world) count(suffix string) (n int) {
	for _, k := range w.keys() {
		if strings.HasSuffix(k, suffix) {
			n++
		}
	}
	return n
}

// overwrite replaces the object whose key ends so.
func (w *world) overwrite(suffix string, change func([]byte) []byte) {
	w.t.Helper()
	for _, k := range w.keys() {
		if !strings.HasSuffix(k, suffix) {
			continue
		}
		r, err := w.store.Open(w.t.Context(), k)
		must(w.t, err)
		b, err := io.ReadAll(r)
		must(w.t, err)
		must(w.t, r.Close())
		must(w.t, w.store.Put(w.t.Context(), k, bytes.NewReader(change(b))))
		return
	}
	w.t.Fatalf("no object %s in %v", suffix, w.keys())
}

// flaky does each operation on files of a store only when it is asked the third time.
type flaky struct {
	*bucket.Bucket
	mu    sync.Mutex
	asked map[string]int
}

func (f *flaky) may(op, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked[op+key]++; f.asked[op+key]%3 == 0 {
		return nil
	}
	return errs.Newf(errs.Unavailable, "try again")
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader) error {
	if err := f.may("put", key); err != nil {
		return err
	}
	return f.Bucket.Put(ctx, key, r)
}

func (f *flaky) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := f.may("open", key); err != nil {
		return nil, err
	}
	return f.Bucket.Open(ctx, key)
}

func (f *flaky) Delete(ctx context.Context, key string) error {
	if err := f.may("delete", key); err != nil {
		return err
	}
	return f.Bucket.Delete(ctx, key)
}

func (f *flaky) List(ctx context.Context, prefix string, g func(string, int64) error) error {
	if err := f.may("list", prefix); err != nil {
		return err
	}
	return f.Bucket.List(ctx, prefix, g)
}

// What passes is tried again, as often as the policy allows.
func TestRetries(t *testing.T) {
	w := newWorld(t, bucket.Memory())
	w.host.Clock = hosttest.Real(1).Clock
	f := &flaky{Bucket: w.store, asked: map[string]int{}}
	open := func(attempts uint32) *snapshot.Repository {
		cfg := snapshot.Default()
		cfg.ClusterName, cfg.Fingerprint, cfg.NodeName = "test", 0xabc, "n1"
		cfg.Retry.Initial, cfg.Retry.MaxAttempts = time.Millisecond, attempts
		r, err := snapshot.New(cfg, f, f, w.host)
		must(t, err)
		return r
	}
	_, _, err := open(2).Create(t.Context(), part, w.source(100, base))
	wants(t, err, errs.Unavailable, "try again")
	clear(f.asked)
	r := open(2)
	policy := snapshot.Default().Retry
	policy.Initial, policy.MaxAttempts = time.Millisecond, 3
	r.SetRetry(policy) // worker.snapshots.object-store-retry-policy is live
	w.create(r, 100, base)
	l := w.create(r, 200, with(base, "000004.sst", "FOUR"))
	w.holds(r, l.Ref, with(base, "000004.sst", "FOUR"))
	if n := w.count("metadata.json"); n != 1 {
		t.Errorf("%d snapshots are left, the old one should be gone", n)
	}
}

// front stands before a store: it counts, and breaks on demand.
type front struct {
	*bucket.Bucket
	mu         sync.Mutex // for what follows
	puts       []string
	calls      int
	crashAt    int  // from this call on all fail
	done       bool // but that one is carried out
	beforeSwap func()
	loseAnswer bool // of a swap that was carried out
}

var errCrashed = errors.New("crashed")

// step tells whether a call is carried out, and what it answers if not nil.
func (f *front) step() (carryOut bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	switch {
	case f.crashAt == 0 || f.calls < f.crashAt:
		return true, nil
	case f.calls == f.crashAt:
		return f.done, errCrashed
	default:
		return false, errCrashed
	}
}

func (f *front) Put(ctx context.Context, key string, r io.Reader) error {
	do, err := f.step()
	if do {
		f.mu.Lock()
		f.puts = append(f.puts, path.Base(key))
		f.mu.Unlock()
		if perr := f.Bucket.Put(ctx, key, r); perr != nil {
			return perr
		}
	}
	return err
}

func (f *front) Delete(ctx context.Context, key string) error {
	do, err := f.step()
	if do {
		if derr := f.Bucket.Delete(ctx, key); derr != nil {
			return derr
		}
	}
	return err
}

func (f *front) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, err := f.step(); err != nil {
		return nil, err
	}
	return f.Bucket.Open(ctx, key)
}

func (f *front) List(ctx context.Context, prefix string, g func(string, int64) error) error {
	if _, err := f.step(); err != nil {
		return err
	}
	return f.Bucket.List(ctx, prefix, g)
}

func (f *front) Load(ctx context.Context, key string) ([]byte, string, error) {
	if _, err := f.step(); err != nil {
		return nil, "", err
	}
	return f.Bucket.Load(ctx, key)
}

func (f *front) Swap(ctx context.Context, key string, value []byte, version string) error {
	if f.beforeSwap != nil {
		f.beforeSwap()
	}
	do, err := f.step()
	if do {
		if serr := f.Bucket.Swap(ctx, key, value, version); serr != nil {
			return serr
		}
	}
	if f.loseAnswer {
		return errs.Newf(errs.Conflict, "a second try found the first one's work")
	}
	return err
}

var base = content{"000004.sst": "four", "000005.sst": "five", "MANIFEST-000001": "m1", "OPTIONS-000003": "o", "marker.manifest.000001.MANIFEST-000001": ""}

func TestCreateAndRestore(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		r := w.repository(nil)
		if _, err := r.Latest(t.Context(), part); !errs.Is(err, errs.NotFound) {
			t.Fatalf("an empty store has a snapshot: %v", err)
		}
		made := w.create(r, 100, with(base, "LOCK", ""))
		l, err := r.Latest(t.Context(), part)
		must(t, err)
		if l.Ref != made.Ref || l.Archived() != 100 || l.NodeName != "n1" || len(l.Retained) != 1 {
			t.Fatalf("latest is %+v, made was %+v", l, made)
		}
		if want := "lsn_00000000000000000100-" + l.SnapshotID; l.Path != want || !strings.HasPrefix(l.SnapshotID, "snap_1") {
			t.Fatalf("path %q, want %q", l.Path, want)
		}
		w.holds(r, l.Ref, base)
		for _, at := range []lsn.LSN{99, 100} { // nothing new
			l, created, err := r.Create(t.Context(), part, w.source(at, base))
			if err != nil || created || l.MinAppliedLSN != 100 {
				t.Fatalf("at %d: created is %v, %v", at, created, err)
			}
		}
		if n := w.count("metadata.json"); n != 1 {
			t.Fatalf("%d snapshots", n)
		}
	})
}

// What a restore has brought is not fetched again: neither after a crash, nor when the snapshot was replaced meanwhile.
func TestRestoreGoesOn(t *testing.T) {
	w := newWorld(t, bucket.Memory())
	f := &front{}
	r := w.repository(f, oneByOne)
	l := w.create(r, 100, base)
	f.crashAt = f.calls + 4 // after the metadata and two files
	if err := r.Restore(t.Context(), part, l.Ref, "restored-1"); !errors.Is(err, errCrashed) {
		t.Fatalf("restore: %v", err)
	}
	f.crashAt = 0
	must(t, w.host.FS.MkdirAll("restored-1/more", 0o755)) // of nobody
	next := w.create(r, 200, with(base, "000005.sst", "FIVE", "000006.sst", "six"))
	wants(t, r.Restore(t.Context(), part, l.Ref, "restored-1"), errs.NotFound, "metadata.json")
	before := f.calls
	w.dirs = 0 // into the same folder
	w.holds(r, next.Ref, with(base, "000005.sst", "FIVE", "000006.sst", "six"))
	if opened := f.calls - before; opened != 1+5 { // 000004.sst is there; 000005.sst is, but of the old one
		t.Errorf("%d objects were opened", opened)
	}
	before = f.calls
	w.dirs = 0
	w.overwriteFile("restored-1/000006.sst", "sIx")
	w.holds(r, next.Ref, with(base, "000005.sst", "FIVE", "000006.sst", "six"))
	if opened := f.calls - before; opened != 1+1 {
		t.Errorf("%d objects were opened for one damaged file", opened)
	}
}

// A file that a retained snapshot holds is not uploaded again, whoever makes the next one.
func TestIncremental(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		w.create(w.repository(nil), 100, base)
		f := &front{}
		next := with(base, "000006.sst", "six", "MANIFEST-000001", "m1 and more")
		delete(next, "000004.sst")
		l := w.create(w.repository(f, oneByOne), 200, next)
		var files []string
		for _, p := range f.puts {
			files = append(files, p[strings.LastIndex(p, "-0")+1:])
		}
		if len(f.puts) != 3 || !strings.HasSuffix(f.puts[0], "-000006.sst") || !strings.HasSuffix(f.puts[1], "-MANIFEST-000001") || f.puts[2] != "metadata.json" {
			t.Fatalf("uploaded %v", files)
		}
		w.holds(w.repository(nil), l.Ref, next)
		if n := w.count("000004.sst"); n != 0 {
			t.Fatal("a file that no snapshot needs is still there")
		}

		// Another store numbers alike; so does one that was set back.
		f = &front{}
		src := w.source(300, next)
		src.Incarnation = 2
		_, created, err := w.repository(f).Create(t.Context(), part, src)
		must(t, err)
		if !created || len(f.puts) != len(next)+1 {
			t.Fatalf("another store: created is %v, uploaded %v", created, f.puts)
		}
		f = &front{}
		back := w.source(400, with(next, "000006.sst", "SIX"))
		back.Incarnation = 2
		_, _, err = w.repository(f).Create(t.Context(), part, back)
		must(t, err)
		if len(f.puts) != 2 {
			t.Fatalf("a store that was set back: uploaded %v", f.puts)
		}
		l, err = w.repository(nil).Latest(t.Context(), part)
		must(t, err)
		w.holds(w.repository(nil), l.Ref, with(next, "000006.sst", "SIX"))

		// Somebody deleted an object: the next snapshot brings it again.
		for _, k := range w.keys() {
			if strings.HasSuffix(k, "000005.sst") {
				must(t, w.store.Delete(t.Context(), k))
			}
		}
		gone := w.source(500, with(next, "000006.sst", "SIX"))
		gone.Incarnation = 2
		l, _, err = w.repository(nil).Create(t.Context(), part, gone)
		must(t, err)
		w.holds(w.repository(nil), l.Ref, with(next, "000006.sst", "SIX"))
	})
}

func TestRetention(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		r := w.repository(nil, retained(2))
		all := map[lsn.LSN]content{}
		for i := range lsn.LSN(4) {
			at := 100 * (i + 1)
			all[at] = with(base, fmt.Sprintf("%06d.sst", 10+i), fmt.Sprint(i), "MANIFEST-000001", fmt.Sprint("m", i))
			w.create(r, at, all[at])
		}
		l, err := r.Latest(t.Context(), part)
		must(t, err)
		if len(l.Retained) != 2 || l.Retained[0] != l.Ref || l.Archived() != 300 {
			t.Fatalf("retained are %+v", l.Retained)
		}
		for _, ref := range l.Retained {
			w.holds(r, ref, all[ref.MinAppliedLSN])
		}
		// 4 files are shared by both and stand where they were first; each has 2 of its own, and metadata.
		if n := len(w.keys()); n != 1+4+2*(2+1) {
			t.Fatalf("%d objects: %v", n, w.keys())
		}
	})
}

// One wins; the other is told so, and harms nothing.
func TestTwoWriters(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		for i, first := range []bool{true, false} { // of all, or with one before
			if !first {
				w.create(w.repository(nil), 100, base)
			}
			at := lsn.LSN(1000 * (i + 1))
			theirs := with(base, "000007.sst", "theirs", "MANIFEST-000001", fmt.Sprint("m", i))
			ours := with(base, "000008.sst", "ours", "MANIFEST-000001", fmt.Sprint("n", i))
			f := &front{beforeSwap: func() { w.create(w.repository(nil), at, theirs) }}
			_, _, err := w.repository(f).Create(t.Context(), part, w.source(at+1, ours))
			wants(t, err, errs.Conflict, "another process")
			l, err := w.repository(nil).Latest(t.Context(), part)
			must(t, err)
			if l.MinAppliedLSN != at {
				t.Fatalf("the newest is at %d, want %d", l.MinAppliedLSN, at)
			}
			w.holds(w.repository(nil), l.Ref, theirs)
			l = w.create(w.repository(nil), at+2, ours)
			w.holds(w.repository(nil), l.Ref, ours)
			if n := len(w.keys()); n != 1+1+len(ours) {
				t.Fatalf("%d objects after the next one: %v", n, w.keys())
			}
			must(t, w.store.Delete(t.Context(), "3/latest.json"))
		}
	})
}

// A winner that deletes late, while others go on, deletes nothing that they name.
func TestLateDeletion(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		w.create(w.repository(nil), 100, base)
		second := with(base, "000006.sst", "six", "MANIFEST-000001", "m2")
		third := with(base, "000007.sst", "seven", "MANIFEST-000001", "m3")
		var l *snapshot.Latest
		f := &late{Bucket: w.store, between: func() { l = w.create(w.repository(nil, retained(2)), 300, third) }}
		cfg := snapshot.Default()
		cfg.ClusterName, cfg.Fingerprint = "test", 0xabc
		r, err := snapshot.New(cfg, f, f, w.host)
		must(t, err)
		_, created, err := r.Create(t.Context(), part, w.source(200, second))
		if err != nil || !created {
			t.Fatalf("created is %v, %v", created, err)
		}
		w.holds(w.repository(nil), l.Ref, third)
	})
}

// late has something happen between the pointer and the deletion.
type late struct {
	*bucket.Bucket
	between func()
}

func (l *late) Swap(ctx context.Context, key string, value []byte, version string) error {
	err := l.Bucket.Swap(ctx, key, value, version)
	l.between()
	return err
}

// A conditional put whose answer was lost is tried again by the client library, which then hears of a conflict.
func TestLostAnswer(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		l, created, err := w.repository(&front{loseAnswer: true}).Create(t.Context(), part, w.source(100, base))
		if err != nil || !created || l.MinAppliedLSN != 100 {
			t.Fatalf("created is %v, %v", created, err)
		}
	})
}

// Whatever call is the last one of a process, what can be restored is whole, and the next snapshot leaves nothing over.
func TestCrashAtEachStep(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		for _, done := range []bool{false, true} {
			for at := 1; ; at++ {
				crashed := crashAt(t, w, at, done)
				if !crashed {
					if at <= 13 {
						t.Fatalf("only %d calls", at)
					}
					break
				}
			}
		}
	})
}

func crashAt(t *testing.T, w *world, at int, done bool) (crashed bool) {
	t.Helper()
	for _, k := range w.keys() {
		must(t, w.store.Delete(t.Context(), k))
	}
	healthy := w.repository(nil, retained(2))
	all := map[lsn.LSN]content{
		100: base,
		200: with(base, "000006.sst", "six", "MANIFEST-000001", "m2"),
		300: with(base, "000007.sst", "seven", "MANIFEST-000001", "m3"),
		400: with(base, "000008.sst", "eight", "MANIFEST-000001", "m4"),
	}
	w.create(healthy, 100, all[100])
	w.create(healthy, 200, all[200])
	f := &front{crashAt: at, done: done}
	_, created, err := w.repository(f, retained(2), oneByOne).Create(t.Context(), part, w.source(300, all[300]))
	if created != (err == nil) {
		t.Fatalf("call %d: created is %v, %v", at, created, err)
	}
	l, lerr := healthy.Latest(t.Context(), part)
	must(t, lerr)
	if created && l.MinAppliedLSN != 300 {
		t.Fatalf("call %d: created, but the newest is at %d", at, l.MinAppliedLSN)
	}
	if l.MinAppliedLSN == 300 && !created && !errs.Is(err, errs.Uncertain) {
		t.Fatalf("call %d: it was made, the error is %v", at, err)
	}
	for _, ref := range l.Retained {
		w.holds(healthy, ref, all[ref.MinAppliedLSN])
	}
	l = w.create(healthy, 400, all[400])
	for _, ref := range l.Retained {
		w.holds(healthy, ref, all[ref.MinAppliedLSN])
	}
	// Pointer, 4 files that both share, and for each metadata, MANIFEST and one file of its own.
	if n := len(w.keys()); n != 1+4+2*3 {
		t.Fatalf("call %d: %d objects are left: %v", at, n, w.keys())
	}
	return f.calls >= at
}

func TestDamage(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, row := range []struct {
		name, object string
		change       func([]byte) []byte
		code         errs.Code
		text         string
	}{
		{"a flipped bit", "000005.sst", flip, errs.Corrupt, "000005.sst: it is damaged"},
		{"a byte less", "000005.sst", func(b []byte) []byte { return b[1:] }, errs.Corrupt, "it is damaged"},
		{"a byte more", "000005.sst", func(b []byte) []byte { return append(b, 0) }, errs.Corrupt, "it is damaged"},
		{"metadata", "metadata.json", flip, errs.Corrupt, "metadata.json: it is damaged"},
		{"pointer", "latest.json", func(b []byte) []byte { return b[:len(b)/2] }, errs.Corrupt, "latest.json: it is damaged"},
		{"another LSN", "latest.json", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`lsn": 100`), []byte(`lsn": 108`)) }, errs.Corrupt, "does not stand at"},
		{"a newer pointer", "latest.json", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"V2"`), []byte(`"V3"`)) }, errs.Unsupported, "this binary knows"},
		{"the pointer of another partition", "latest.json", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"partition_id": 3`), []byte(`"partition_id": 4`))
		}, errs.Corrupt, "of partition 4"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, bucket.Memory())
			r := w.repository(nil)
			w.create(r, 100, base)
			w.overwrite(row.object, row.change)
			l, err := r.Latest(t.Context(), part)
			if err == nil {
				err = r.Restore(t.Context(), part, l.Ref, "to")
			}
			wants(t, err, row.code, row.text)
		})
	}
	t.Run("a missing file", func(t *testing.T) {
		w := newWorld(t, bucket.Memory())
		r := w.repository(nil)
		l := w.create(r, 100, base)
		for _, k := range w.keys() {
			if strings.HasSuffix(k, "000004.sst") {
				must(t, w.store.Delete(t.Context(), k))
			}
		}
		wants(t, r.Restore(t.Context(), part, l.Ref, "to"), errs.NotFound, "000004.sst")
	})
	t.Run("the next one does without what is damaged", func(t *testing.T) {
		w := newWorld(t, bucket.Memory())
		r := w.repository(nil, retained(2))
		w.create(r, 100, base)
		w.overwrite("metadata.json", flip)
		l := w.create(r, 200, base)
		w.holds(r, l.Ref, base)
	})
}

func TestForeignCluster(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		w.create(w.repository(nil), 100, base)
		before := w.keys()
		for name, o := range map[string]option{
			"name":        func(c *snapshot.Config) { c.ClusterName = "other" },
			"fingerprint": func(c *snapshot.Config) { c.Fingerprint = 0xdef },
		} {
			r := w.repository(nil, o)
			_, err := r.Latest(t.Context(), part)
			wants(t, err, errs.Invalid, "it is of cluster \"test\"")
			_, _, err = r.Create(t.Context(), part, w.source(200, base))
			wants(t, err, errs.Invalid, "it is of cluster \"test\"")
			if !slices.Equal(before, w.keys()) {
				t.Fatalf("another cluster (%s) changed the store", name)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	_, err := snapshot.New(snapshot.Config{}, bucket.Memory(), bucket.Memory(), hosttest.New(hosttest.NewClock(), 1))
	wants(t, err, errs.Invalid, "num-retained")
	wants(t, err, errs.Invalid, "cluster is not known")
}
