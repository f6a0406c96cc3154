package snapshot

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/otel/attribute"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/span"
)

// Restore writes the files of a snapshot to dir and syncs them. Files that are there and whole are kept, others are
// removed: so what broke off goes on. Each is checked. After an error dir is left as it is. The code is Corrupt if a file
// is damaged, and NotFound if one is not there: the snapshot may have been replaced meanwhile.
func (r *Repository) Restore(ctx context.Context, p id.Partition, ref Ref, dir string) (err error) {
	ctx, op := r.host.Spans.Operate(ctx, "snapshot download", r.host.Rand.Uint64, r.host.Clock.Now())
	var fetched atomic.Int64
	defer func() {
		op.End(r.host.Clock.Now(), err, span.Partition(p), attribute.String("restate.snapshot.id", ref.SnapshotID), attribute.Int64("restate.snapshot.bytes_downloaded", fetched.Load()))
	}()
	fs := r.host.FS
	m, err := r.metadata(ctx, p, ref)
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := r.removeOthers(dir, m.Files); err != nil {
		return err
	}
	err = r.forEach(ctx, len(m.Files), func(ctx context.Context, i int) error {
		f := &m.Files[i]
		local := fs.PathJoin(dir, f.Name)
		if r.whole(local, f) {
			return nil
		}
		err := r.patiently(ctx, f.SizeBytes, func(ctx context.Context) error { return r.download(ctx, prefixOf(p)+f.Path, local, f) })
		if err != nil {
			return fmt.Errorf("download %s: %w", f.Path, err)
		}
		fetched.Add(f.SizeBytes)
		return nil
	})
	if err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// removeOthers removes what is in dir and none of files.
func (r *Repository) removeOthers(dir string, files []File) error {
	names, err := r.host.FS.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.ContainsFunc(files, func(f File) bool { return f.Name == name }) {
			continue
		}
		if err := r.host.FS.RemoveAll(r.host.FS.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// whole tells whether a file was brought here before, and is on the disk.
func (r *Repository) whole(local string, want *File) bool {
	info, err := r.host.FS.Stat(local)
	if err != nil || info.Size() != want.SizeBytes {
		return false
	}
	got := File{Name: want.Name, Incarnation: want.Incarnation}
	return r.sum(local, &got) == nil && got.identity() == want.identity() && syncFile(r.host.FS, local) == nil
}

func (r *Repository) download(ctx context.Context, key, local string, want *File) (err error) {
	in, err := r.objects.Open(ctx, key)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, in)
	out, err := r.host.FS.Create(local, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	h := xxh3.New()
	// A file may change the bytes that it is given to write: they are summed before.
	n, err := io.Copy(io.MultiWriter(h, out), io.LimitReader(in, want.SizeBytes+1))
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if got := hexSum(h.Sum128()); n != want.SizeBytes || got != want.Checksum {
		return errs.Newf(errs.Corrupt, "it is damaged: at least %d bytes with checksum %s, it should be %d with %s", n, got, want.SizeBytes, want.Checksum)
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) (err error) {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, d)
	return d.Sync()
}

// syncFile makes a file durable that another process may have written.
func syncFile(fs vfs.FS, name string) (err error) {
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, f)
	return f.Sync()
}
