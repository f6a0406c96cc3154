package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/snapshot"
)

// objectStore is the name under which the object store is reached.
const objectStore = "objects"

// bucket is the object store. What it says to have written it keeps.
type bucket struct {
	w *world

	slow time.Time // the driver's: until then it is slow

	// mu guards what follows. It is a leaf.
	mu       sync.Mutex
	objects  map[string][]byte
	versions map[string]int                // of pointers
	newest   map[id.Partition]snapshot.Ref // of the pointers
	archived map[id.Partition]lsn.LSN      // what the oldest snapshot holds that a pointer retains
	needed   map[id.Partition]neededSums   // what the pointers need
	puts     int
}

// neededSums is the checksum of each object that a pointer needs, by key.
type neededSums map[string]string

func newBucket(w *world) *bucket {
	return &bucket{
		w: w, objects: map[string][]byte{}, versions: map[string]int{}, newest: map[id.Partition]snapshot.Ref{}, archived: map[id.Partition]lsn.LSN{},
		needed: map[id.Partition]neededSums{},
	}
}

var errMissing = errs.Newf(errs.NotFound, "no such object")

func (b *bucket) open(key string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.objects[key]
	if !ok {
		return nil, errMissing
	}
	return v, nil
}

func (b *bucket) put(key string, value []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	b.objects[key] = value
	if b.w.mistakes.collide {
		for other := range b.objects {
			if short := plainName(key); short != "" && partitionOf(other) == partitionOf(key) && plainName(other) == short {
				b.objects[other] = value // it is the same object
			}
		}
	}
	b.wholeLocked(partitionOf(key))
}

// plainName is the name of a database file as its store has it, "" for other objects.
func plainName(key string) string {
	if parts := strings.SplitN(path.Base(key), "-", 3); len(parts) == 3 {
		return parts[2]
	}
	return ""
}

// shown is a key without the checksum of its file: Pebble writes a manifest in the order of a map.
func shown(key string) string {
	if name := plainName(key); name != "" {
		return path.Join(path.Dir(key), name)
	}
	return key
}

func (b *bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	b.wholeLocked(partitionOf(key))
}

func (b *bucket) list(prefix string) map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := map[string]int64{}
	for key, v := range b.objects {
		if strings.HasPrefix(key, prefix) {
			there[key] = int64(len(v))
		}
	}
	return there
}

func (b *bucket) load(key string) ([]byte, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.objects[key]
	if !ok {
		return nil, "", errMissing
	}
	return v, strconv.Itoa(b.versions[key]), nil
}

func (b *bucket) swap(key string, value []byte, version string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := ""
	if _, ok := b.objects[key]; ok {
		now = strconv.Itoa(b.versions[key])
	}
	if version != now && !b.w.mistakes.unconditional {
		return errs.Newf(errs.Conflict, "version %q stands there, not %q", now, version)
	}
	b.objects[key] = value
	b.versions[key]++
	b.pointedLocked(partitionOf(key), value)
	return nil
}

// pointedLocked looks at a pointer that was put: it leads to a newer snapshot, and all is there.
func (b *bucket) pointedLocked(p id.Partition, value []byte) {
	var l snapshot.Latest
	if err := json.Unmarshal(value, &l); err != nil {
		b.w.violate("P6", "the pointer of partition %d: %v", p, err)
		return
	}
	if l.MinAppliedLSN < b.newest[p].MinAppliedLSN || l.MinAppliedLSN == b.newest[p].MinAppliedLSN && l.SnapshotID != b.newest[p].SnapshotID {
		b.w.violate("P6", "the newest snapshot of partition %d goes back from %d to %d", p, b.newest[p].MinAppliedLSN, l.MinAppliedLSN)
	}
	b.newest[p], b.archived[p] = l.Ref, l.Archived()
	need := neededSums{}
	for _, ref := range l.Retained {
		key := fmt.Sprintf("%d/%s/metadata.json", p, ref.Path)
		need[key] = ref.Checksum
		var m snapshot.Metadata
		if err := json.Unmarshal(b.objects[key], &m); err != nil {
			b.w.violate("P6", "the metadata of snapshot %s of partition %d: %v", ref.SnapshotID, p, err)
			return
		}
		for _, f := range m.Files {
			need[fmt.Sprintf("%d/%s", p, f.Path)] = f.Checksum
		}
	}
	b.needed[p] = need
	b.wholeLocked(p)
}

// wholeLocked checks that all is there that can be restored.
func (b *bucket) wholeLocked(p id.Partition) {
	for key, sum := range b.needed[p] {
		v, ok := b.objects[key]
		if got := xxh3.Hash128(v); !ok || fmt.Sprintf("%016x%016x", got.Hi, got.Lo) != sum {
			b.w.violate("P6", "a snapshot that is kept needs %s, which is there: %v, and is not what it was", key, ok)
		}
	}
}

// holds is what the oldest snapshot holds that is kept.
func (b *bucket) holds(p id.Partition) lsn.LSN {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.archived[p]
}

func partitionOf(key string) id.Partition {
	folder, _, _ := strings.Cut(key, "/")
	n, _ := strconv.Atoi(folder)
	return id.Partition(n)
}

// objects is the object store as one process reaches it; direct, without a network.
type objects struct {
	p      *process
	b      *bucket
	direct bool
}

var (
	_ snapshot.Objects  = objects{}
	_ snapshot.Pointers = objects{}
)

// objectTimeout is when the client of the object store gives up.
const objectTimeout = 2 * time.Second

// verdict is what the object store does with a request.
type verdict uint8

const (
	does        verdict = iota
	refuses             // it does nothing, and says so
	doesAndErrs         // it does it, and says that it failed
)

// request carries a request to the object store. Its answer may be lost.
func request[A any](ctx context.Context, o objects, what string, f func() (A, error)) (a A, err error) {
	if o.direct {
		return f()
	}
	w := o.p.w
	// No two end at one moment: which of them is tried again when would depend on the order of goroutines.
	ctx, cancel := context.WithTimeout(ctx, objectTimeout+time.Duration(hashOf([]byte(what))%1000)*time.Millisecond)
	defer cancel()
	a, err = call(ctx, w, o.p, objectStore, what, func(ctx context.Context, _ *process) (none A, err error) {
		verdicts := make(chan verdict, 1)
		w.net.post(&message{from: objectStore, to: objectStore, what: what + " from " + o.p.name, certain: true, delay: w.objectTime, arrive: func() { verdicts <- w.verdict() }})
		select {
		case v := <-verdicts:
			if v == refuses {
				return none, errs.Newf(errs.Unavailable, "503 slow down")
			}
			a, err := f()
			if v == doesAndErrs {
				return none, errs.Newf(errs.Unavailable, "500 internal error")
			}
			return a, err
		case <-ctx.Done():
			return none, errReset
		}
	})
	if errs.Is(err, errs.Uncertain) { // as drivers say it
		err = errs.With(errs.Unavailable, err)
	}
	return a, err
}

// objectTime is how long the object store takes.
func (w *world) objectTime() time.Duration {
	if time.Now().Before(w.bucket.slow) {
		return w.between(100*time.Millisecond, 4*time.Second)
	}
	return w.between(time.Millisecond, 100*time.Millisecond)
}

func (w *world) verdict() verdict {
	switch x := w.rnd.Float64(); {
	case x < w.faults.objects:
		return refuses
	case x < 2*w.faults.objects:
		return doesAndErrs
	default:
		return does
	}
}

// Open implements snapshot.Objects.
func (o objects) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	v, err := request(ctx, o, "open "+shown(key), func() ([]byte, error) { return o.b.open(key) })
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(v)), nil
}

// Put implements snapshot.Objects.
func (o objects) Put(ctx context.Context, key string, r io.Reader) error {
	v, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, err = request(ctx, o, "put "+shown(key), func() (struct{}, error) { o.b.put(key, v); return struct{}{}, nil })
	return err
}

// Delete implements snapshot.Objects.
func (o objects) Delete(ctx context.Context, key string) error {
	_, err := request(ctx, o, "delete "+shown(key), func() (struct{}, error) { o.b.remove(key); return struct{}{}, nil })
	return err
}

// List implements snapshot.Objects.
func (o objects) List(ctx context.Context, prefix string, f func(key string, sizeBytes int64) error) error {
	there, err := request(ctx, o, "list "+prefix, func() (map[string]int64, error) { return o.b.list(prefix), nil })
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(there)) {
		if err := f(key, there[key]); err != nil {
			return err
		}
	}
	return nil
}

// Load implements snapshot.Pointers.
func (o objects) Load(ctx context.Context, key string) ([]byte, string, error) {
	type loaded struct {
		value   []byte
		version string
	}
	l, err := request(ctx, o, "load "+key, func() (l loaded, err error) {
		l.value, l.version, err = o.b.load(key)
		return l, err
	})
	return l.value, l.version, err
}

// Swap implements snapshot.Pointers.
func (o objects) Swap(ctx context.Context, key string, value []byte, version string) error {
	_, err := request(ctx, o, "swap "+key, func() (struct{}, error) { return struct{}{}, o.b.swap(key, bytes.Clone(value), version) })
	return err
}

// repository makes and restores snapshots for a process, or, without one, for a check.
func (w *world) repository(p *process, o objects) (*snapshot.Repository, error) {
	cfg := snapshot.Default()
	cfg.ClusterName, cfg.Fingerprint, cfg.NodeName, cfg.Retained = "sim", fingerprint, p.name, w.keep.retained
	return snapshot.New(cfg, o, o, p.host)
}

// unflushed is a repository whose sources are the files of the time before.
type unflushed struct {
	*snapshot.Repository
	p *process
}

// Create implements processor.Snapshots.
func (u unflushed) Create(ctx context.Context, p id.Partition, src snapshot.Source) (*snapshot.Latest, bool, error) {
	fs := u.p.host.FS
	was := fmt.Sprintf("before-%d", p)
	now := was + "-next"
	if err := copyFiles(u.p, src.Dir, now); err != nil {
		return nil, false, err
	}
	if _, err := fs.Stat(was); err == nil {
		src.Dir = was
	}
	l, created, err := u.Repository.Create(ctx, p, src)
	return l, created, errors.Join(err, fs.RemoveAll(was), fs.Rename(now, was))
}

func copyFiles(p *process, from, to string) error {
	fs := p.host.FS
	if err := errors.Join(fs.RemoveAll(to), fs.MkdirAll(to, 0o755)); err != nil {
		return err
	}
	names, err := fs.List(from)
	for _, n := range names {
		if err == nil {
			err = fs.Link(fs.PathJoin(from, n), fs.PathJoin(to, n))
		}
	}
	return err
}
