package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"reprise/pkg/errs"
)

// cdk is a store for which gocloud.dev has a driver.
type cdk struct {
	blob     folder
	versions versions
	synced   func(key string) error // makes what was written durable; nil if it is
}

// versions tells versions of an object apart.
type versions interface {
	// of names the version that r read, whose content is value.
	of(r *blob.Reader, value []byte) (string, error)
	// swap writes an object if that version stands there.
	swap(ctx context.Context, b folder, key string, value []byte, version string) error
}

// Close gives connections back.
func (b *cdk) Close() error { return b.blob.Close() }

// Open implements snapshot.Objects.
func (b *cdk) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := b.blob.NewReader(ctx, key, nil)
	if err != nil {
		return nil, coded(err)
	}
	return &reader{r}, nil
}

// reader gives errors codes.
type reader struct{ *blob.Reader }

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = coded(err)
	}
	return n, err
}

// WriteTo implements io.WriterTo: that of the library would not go through Read.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

// Put implements snapshot.Objects.
func (b *cdk) Put(ctx context.Context, key string, r io.Reader) error {
	if err := b.blob.write(ctx, key, r, &blob.WriterOptions{}); err != nil {
		return err
	}
	return b.sync(key)
}

func (b *cdk) sync(key string) error {
	if b.synced == nil {
		return nil
	}
	return b.synced(key)
}

// folder is an opened bucket.
type folder struct {
	*blob.Bucket
	// uploads: the driver itself reads the source. That of Azure must: what it does otherwise panics when a write breaks off
	// (gocloud.dev v0.47.0).
	uploads bool
}

// write writes an object whole, or not at all.
func (b folder) write(ctx context.Context, key string, r io.Reader, o *blob.WriterOptions) error {
	o.ContentType = "application/octet-stream"
	if b.uploads {
		return coded(b.Upload(ctx, key, r, o))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.NewWriter(ctx, key, o)
	if err != nil {
		return coded(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel()
		_ = w.Close() // it gives up what was written so far
		return coded(err)
	}
	return coded(w.Close())
}

// Delete implements snapshot.Objects.
func (b *cdk) Delete(ctx context.Context, key string) error {
	err := b.blob.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return coded(err)
}

// List implements snapshot.Objects.
func (b *cdk) List(ctx context.Context, prefix string, f func(key string, sizeBytes int64) error) error {
	it := b.blob.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return coded(err)
		}
		if err := f(o.Key, o.Size); err != nil {
			return err
		}
	}
}

// Load implements snapshot.Pointers.
func (b *cdk) Load(ctx context.Context, key string) ([]byte, string, error) {
	return load(ctx, b.blob, b.versions, key)
}

func load(ctx context.Context, b folder, v versions, key string) (value []byte, version string, err error) {
	r, err := b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, "", coded(err)
	}
	defer errs.CloseInto(&err, r)
	if value, err = readPointer(key, &reader{r}); err != nil {
		return nil, "", err
	}
	version, err = v.of(r, value)
	return value, version, err
}

// Swap implements snapshot.Pointers.
func (b *cdk) Swap(ctx context.Context, key string, value []byte, version string) error {
	if err := b.versions.swap(ctx, b.blob, key, value, version); err != nil {
		return err
	}
	return b.sync(key)
}

// condition has the service itself compare versions.
type condition struct {
	read   func(r *blob.Reader) (version string, ok bool)
	onlyIf func(version string) func(as func(any) bool) error
}

func (c condition) of(r *blob.Reader, _ []byte) (string, error) {
	version, ok := c.read(r)
	if !ok || version == "" {
		return "", errVersionless
	}
	return version, nil
}

func (c condition) swap(ctx context.Context, b folder, key string, value []byte, version string) error {
	o := &blob.WriterOptions{IfNotExist: version == ""}
	if version != "" {
		o.BeforeWrite = c.onlyIf(version)
	}
	err := b.write(ctx, key, bytes.NewReader(value), o)
	if version != "" && errs.Is(err, errs.NotFound) { // there is no version any more
		return errs.With(errs.Conflict, err)
	}
	return err
}

// errHook: the driver is another one than it was built with.
var errHook = errs.Newf(errs.Internal, "the driver takes no condition")

// coded gives an error of the library a code of ours.
func coded(err error) error {
	switch {
	case err == nil:
		return nil
	case raced(err):
		return errs.With(errs.Conflict, err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return errs.With(errs.NotFound, err)
	case gcerrors.FailedPrecondition:
		return errs.With(errs.Conflict, err)
	case gcerrors.Unimplemented:
		return errs.With(errs.Unsupported, err)
	case gcerrors.PermissionDenied, gcerrors.InvalidArgument:
		return errs.With(errs.Invalid, fmt.Errorf("%w: check the credentials and worker.snapshots.destination", err))
	default:
		return errs.With(errs.Unavailable, err)
	}
}
