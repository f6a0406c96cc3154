package snapshot

import (
	"context"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Restore writes the files of a snapshot to dir, which is empty or does not exist, and syncs them. Each is checked; the
// code is Corrupt if one is damaged or missing. After an error dir is gone.
func (r *Repository) Restore(ctx context.Context, p id.Partition, ref Ref, dir string) (err error) {
	fs := r.host.FS
	if names, err := fs.List(dir); err == nil && len(names) > 0 {
		return errs.Newf(errs.Invalid, "restore to %s: the folder is not empty", dir)
	}
	m, err := r.metadata(ctx, p, ref)
	if err != nil {
		return missing(err)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = fs.RemoveAll(dir) // the first error is the one to show
		}
	}()
	err = r.forEach(ctx, len(m.Files), func(ctx context.Context, i int) error {
		f := &m.Files[i]
		if err := r.download(ctx, prefixOf(p)+f.Path, fs.PathJoin(dir, f.Name), f); err != nil {
			return missing(fmt.Errorf("download %s: %w", f.Path, err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// missing: what a snapshot needs and is not there is damage.
func missing(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.With(errs.Corrupt, err)
	}
	return err
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
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(in, want.SizeBytes+1))
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
