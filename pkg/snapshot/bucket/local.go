package bucket

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"reprise/pkg/errs"
)

// Memory returns an empty object store that ends with the process.
func Memory() *Bucket {
	var mu sync.Mutex
	return &Bucket{&cdk{blob: folder{Bucket: memblob.OpenBucket(nil)}, versions: locked{lock: func(string) (io.Closer, error) {
		mu.Lock()
		return unlock{&mu}, nil
	}}}}
}

type unlock struct{ mu *sync.Mutex }

func (u unlock) Close() error {
	u.mu.Unlock()
	return nil
}

// File opens a folder. Processes of one machine may share it; for several, its file system must have locks that hold
// between them.
func File(dir string) (*Bucket, error) {
	b, err := fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	return &Bucket{&cdk{
		blob:   folder{Bucket: b},
		synced: func(key string) error { return syncFile(dir, key) },
		versions: locked{
			lock: func(key string) (io.Closer, error) {
				path := filepath.Join(dir, filepath.FromSlash(key)) + ".lock"
				if err := vfs.Default.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return nil, err
				}
				return vfs.Default.Lock(path)
			},
			replace: func(key string, value []byte) error {
				return replaceFile(filepath.Join(dir, filepath.FromSlash(key)), value)
			},
		},
	}}, nil
}

// replaceFile leaves the old file or the new one, whatever happens: it is on the disk before it gets the name.
func replaceFile(path string, value []byte) error {
	temp := path + ".tmp"
	f, err := vfs.Default.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return vfs.Default.Rename(temp, path)
}

// syncFile makes a file durable, and the folders that lead to it.
func syncFile(dir, key string) error {
	path := filepath.Join(dir, filepath.FromSlash(key))
	for range strings.Count(key, "/") + 2 {
		if err := syncPath(path); err != nil {
			return err
		}
		path = filepath.Dir(path)
	}
	return nil
}

func syncPath(path string) (err error) {
	f, err := vfs.Default.OpenDir(path) // a file is opened for reading, too
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, f)
	return f.Sync()
}

// locked compares what stands there under a lock that all writers take.
type locked struct {
	lock    func(key string) (io.Closer, error)
	replace func(key string, value []byte) error // nil: as any object is written
}

func (locked) of(_ *blob.Reader, value []byte) (string, error) {
	sum := xxh3.Hash128(value).Bytes()
	return string(sum[:]), nil
}

func (l locked) swap(ctx context.Context, b folder, key string, value []byte, version string) (err error) {
	held, err := l.lock(key)
	if err != nil {
		return errs.With(errs.Unavailable, err)
	}
	defer errs.CloseInto(&err, held)
	_, stands, err := load(ctx, b, l, key)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if stands != version {
		return errs.Newf(errs.Conflict, "%s was replaced meanwhile", key)
	}
	if l.replace == nil {
		return b.write(ctx, key, bytes.NewReader(value), &blob.WriterOptions{})
	}
	return coded(l.replace(key, value))
}
