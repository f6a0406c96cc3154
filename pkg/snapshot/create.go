package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/span"
)

// Source is a copy of a store's files.
type Source struct {
	Dir         string  // of the database; nothing changes in it
	Incarnation uint64  // of the store
	Applied     lsn.LSN // as read from the copy itself
	Keys        KeyRange
}

// lockFile is left in a database that was opened to read it.
const lockFile = "LOCK"

// Create makes a snapshot of a partition. If there is one that holds as much already, that is returned, and created is
// false. The code is Conflict if another process made one meanwhile, Uncertain if nobody can tell.
func (r *Repository) Create(ctx context.Context, p id.Partition, src Source) (l *Latest, created bool, err error) {
	was, version, err := r.load(ctx, p)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, false, err
	}
	if was != nil && was.MinAppliedLSN >= src.Applied {
		return was, false, nil
	}
	ref := r.newRef(src.Applied)
	known, err := r.known(ctx, p, was)
	if err != nil {
		return nil, false, err
	}
	files, err := r.upload(ctx, p, src, ref, known)
	if err != nil {
		return nil, false, err
	}
	if ref.Checksum, err = r.putMetadata(ctx, p, src, ref, files); err != nil {
		return nil, false, err
	}
	next := r.succeed(p, was, ref)
	if err := r.swap(ctx, p, next, version); err != nil {
		return nil, false, err
	}
	if err := r.sweep(ctx, p, next); err != nil { // the next one sweeps again
		r.host.Log.LogAttrs(ctx, slog.LevelWarn, "old snapshots are not deleted yet", slog.Int(logkey.Partition, int(p)), slog.Any(logkey.Err, err))
	}
	return next, true, nil
}

// succeed returns the pointer that follows was.
func (r *Repository) succeed(p id.Partition, was *Latest, ref Ref) *Latest {
	l := &Latest{
		Version: latestVersion, PartitionID: p, LogID: p, ClusterName: r.owner.name, ClusterFingerprint: r.owner.fingerprint,
		NodeName: r.cfg.NodeName, Ref: ref, Retained: []Ref{ref},
	}
	if was != nil {
		l.Retained = append(l.Retained, was.Retained...)
	}
	l.Retained = l.Retained[:min(len(l.Retained), int(r.retained.Load()))]
	return l
}

// swap puts the pointer. After an error it looks who won: an answer that was lost may hide that it was put.
func (r *Repository) swap(ctx context.Context, p id.Partition, next *Latest, version string) error {
	key := prefixOf(p) + latestFile
	b, err := encode(next)
	if err != nil {
		return err
	}
	err = r.once(ctx, int64(len(b)), func(ctx context.Context) error { return r.pointers.Swap(ctx, key, b, version) })
	if err == nil {
		return nil
	}
	if now, _, lerr := r.load(ctx, p); lerr == nil && now.SnapshotID == next.SnapshotID {
		return nil
	}
	if errs.Is(err, errs.Conflict) {
		return errs.With(errs.Conflict, fmt.Errorf("put %s: another process made a snapshot meanwhile: %w", key, err))
	}
	return errs.With(errs.Uncertain, fmt.Errorf("put %s: %w", key, err))
}

// identity is what makes two files the same.
type identity struct {
	name        string
	incarnation uint64
	sizeBytes   int64
	checksum    string
}

func (f *File) identity() identity {
	return identity{name: f.Name, incarnation: f.Incarnation, sizeBytes: f.SizeBytes, checksum: f.Checksum}
}

// known finds the files of the retained snapshots that are still there, in their size.
func (r *Repository) known(ctx context.Context, p id.Partition, was *Latest) (map[identity]string, error) {
	known := map[identity]string{}
	if was == nil {
		return known, nil
	}
	there, err := r.list(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, ref := range was.Retained {
		m, err := r.metadata(ctx, p, ref)
		switch {
		case errs.Is(err, errs.Corrupt), errs.Is(err, errs.NotFound):
			r.host.Log.LogAttrs(ctx, slog.LevelError, "a retained snapshot is damaged", slog.Int(logkey.Partition, int(p)), slog.Any(logkey.Err, err))
			continue // what it has is uploaded again
		case err != nil:
			return nil, err
		}
		for i := range m.Files {
			f := &m.Files[i]
			if size, ok := there[prefixOf(p)+f.Path]; ok && size == f.SizeBytes {
				known[f.identity()] = f.Path
			}
		}
	}
	return known, nil
}

// list returns the sizes of all objects of a partition by key.
func (r *Repository) list(ctx context.Context, p id.Partition) (there map[string]int64, err error) {
	err = r.patiently(ctx, 0, func(ctx context.Context) error {
		there = map[string]int64{}
		return r.objects.List(ctx, prefixOf(p), func(key string, sizeBytes int64) error {
			there[key] = sizeBytes
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefixOf(p), err)
	}
	return there, nil
}

// upload brings the files of src into the object store that it does not hold.
func (r *Repository) upload(ctx context.Context, p id.Partition, src Source, ref Ref, known map[identity]string) (files []File, err error) {
	ctx, op := r.host.Spans.Operate(ctx, "snapshot upload", r.host.Rand.Uint64, r.host.Clock.Now())
	defer func() { op.End(r.host.Clock.Now(), err, uploaded(p, ref, files)...) }()
	names, err := r.host.FS.List(src.Dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", src.Dir, err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == lockFile })
	slices.Sort(names)
	files = make([]File, len(names))
	err = r.forEach(ctx, len(names), func(ctx context.Context, i int) error {
		f := &files[i]
		f.Name, f.Incarnation = names[i], src.Incarnation
		if !plainName(f.Name) {
			return errs.Newf(errs.Internal, "a database has a file %q", f.Name)
		}
		local := r.host.FS.PathJoin(src.Dir, f.Name)
		if err := r.sum(local, f); err != nil {
			return fmt.Errorf("read %s: %w", local, err)
		}
		if at, ok := known[f.identity()]; ok {
			f.Path = at
			return nil
		}
		f.Path = ref.Path + "/" + objectName(f)
		err := r.patiently(ctx, f.SizeBytes, func(ctx context.Context) error { return r.put(ctx, prefixOf(p)+f.Path, local, f) })
		if err != nil {
			return fmt.Errorf("upload %s: %w", f.Path, err)
		}
		return nil
	})
	return files, err
}

// uploaded is what a span tells of an upload: how many files the snapshot has, how many of them are new, and how large these are.
func uploaded(p id.Partition, ref Ref, files []File) []attribute.KeyValue {
	var n int
	var bytes int64
	for i := range files {
		if strings.HasPrefix(files[i].Path, ref.Path+"/") {
			n++
			bytes += files[i].SizeBytes
		}
	}
	return []attribute.KeyValue{
		span.Partition(p), attribute.String("restate.snapshot.id", ref.SnapshotID), attribute.Int64("restate.lsn", int64(ref.MinAppliedLSN)),
		attribute.Int("restate.snapshot.files", len(files)), attribute.Int("restate.snapshot.files_uploaded", n), attribute.Int64("restate.snapshot.bytes_uploaded", bytes),
	}
}

// sum reads a file to the end for its size and checksum.
func (r *Repository) sum(local string, f *File) (err error) {
	in, err := r.host.FS.Open(local)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, in)
	h := xxh3.New()
	f.SizeBytes, err = io.Copy(h, in)
	f.Checksum = hexSum(h.Sum128())
	return err
}

// put uploads a file. What goes out must be what was summed: a disk may give other bytes when it is read again.
func (r *Repository) put(ctx context.Context, key, local string, f *File) (err error) {
	in, err := r.host.FS.Open(local)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, in)
	h := xxh3.New()
	if err := r.objects.Put(ctx, key, io.TeeReader(in, h)); err != nil {
		return err
	}
	if got := hexSum(h.Sum128()); got != f.Checksum {
		return errs.Newf(errs.Corrupt, "%s was read with checksum %s, and again with %s", local, f.Checksum, got)
	}
	return nil
}

func (r *Repository) putMetadata(ctx context.Context, p id.Partition, src Source, ref Ref, files []File) (checksum string, err error) {
	b, err := encode(&Metadata{
		Version: metadataVersion, ClusterName: r.owner.name, ClusterFingerprint: r.owner.fingerprint, PartitionID: p, LogID: p, NodeName: r.cfg.NodeName,
		CreatedAt: ref.CreatedAt, SnapshotID: ref.SnapshotID, KeyRange: src.Keys, MinAppliedLSN: ref.MinAppliedLSN, Files: files,
	})
	if err != nil {
		return "", err
	}
	key := prefixOf(p) + ref.Path + "/" + metadataFile
	err = r.patiently(ctx, int64(len(b)), func(ctx context.Context) error { return r.objects.Put(ctx, key, bytes.NewReader(b)) })
	if err != nil {
		return "", fmt.Errorf("upload %s: %w", key, err)
	}
	return checksumOf(b), nil
}

// sweep deletes what lies at or below a pointer that was put, and is named neither by it nor by what it retains.
func (r *Repository) sweep(ctx context.Context, p id.Partition, l *Latest) error {
	keep := map[string]bool{}
	for _, ref := range l.Retained {
		m, err := r.metadata(ctx, p, ref)
		if err != nil {
			return err // nobody knows what it needs
		}
		keep[ref.Path+"/"+metadataFile] = true
		for i := range m.Files {
			keep[m.Files[i].Path] = true
		}
	}
	there, err := r.list(ctx, p)
	if err != nil {
		return err
	}
	var old []string
	for key := range there {
		rest := key[len(prefixOf(p)):]
		if at, _, ok := splitPath(rest); ok && at <= l.MinAppliedLSN && !keep[rest] {
			old = append(old, key)
		}
	}
	slices.Sort(old)
	return r.forEach(ctx, len(old), func(ctx context.Context, i int) error {
		err := r.patiently(ctx, 0, func(ctx context.Context) error { return r.objects.Delete(ctx, old[i]) })
		if err != nil {
			return fmt.Errorf("delete %s: %w", old[i], err)
		}
		return nil
	})
}

// forEach calls f for 0 to n-1, some of them at a time, until one fails.
func (r *Repository) forEach(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g := lifecycle.NewGroup(ctx)
	var next atomic.Int64
	for range min(n, r.cfg.TransfersMax) {
		g.Go("transfer", func(ctx context.Context) error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
