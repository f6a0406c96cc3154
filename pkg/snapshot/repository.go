package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/retry"
)

// Config is about the snapshots of a cluster.
type Config struct {
	// ClusterName and Fingerprint are the cluster's: snapshots of another one are refused.
	ClusterName string
	Fingerprint uint64
	// NodeName is written into what this process makes.
	NodeName string
	// Retained is how many snapshots of a partition are kept (default 1). The log is kept from the oldest one on.
	Retained int
	// TransfersMax is how many files of a snapshot are on their way at a time (default 8).
	TransfersMax int
	// Retry is how an operation is repeated that the object store could not do (default: after 100 ms, doubled up to 10 s,
	// 10 times in all). The pointer is read and put once: who asked comes again.
	Retry retry.Policy
}

// Default returns the defaults.
func Default() Config {
	return Config{
		Retained: 1, TransfersMax: 8,
		Retry: retry.Policy{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Factor: 2, MaxAttempts: 10},
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.ClusterName == "" || c.Fingerprint == 0 {
		all = append(all, errors.New("snapshots: the cluster is not known"))
	}
	if c.Retained < 1 {
		all = append(all, fmt.Errorf("worker.snapshots.num-retained is %d; it must be at least 1", c.Retained))
	}
	if c.TransfersMax < 1 {
		all = append(all, fmt.Errorf("snapshots: transfers-max is %d; it must be at least 1", c.TransfersMax))
	}
	return errors.Join(all...)
}

// Repository makes, finds and restores snapshots. Any goroutine may use it.
type Repository struct {
	cfg      Config
	retained atomic.Int64
	retry    atomic.Pointer[retry.Policy]
	owner    owner
	objects  Objects
	pointers Pointers
	host     host.Host
}

// New checks cfg and returns a Repository over a folder of an object store.
func New(cfg Config, o Objects, p Pointers, h host.Host) (*Repository, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	r := &Repository{
		cfg: cfg, owner: owner{name: cfg.ClusterName, fingerprint: fmt.Sprintf("%016x", cfg.Fingerprint)},
		objects: o, pointers: p, host: h,
	}
	r.SetRetained(cfg.Retained)
	r.SetRetry(cfg.Retry)
	return r, nil
}

// SetRetained replaces Retained: it holds from the next snapshot of each partition on.
func (r *Repository) SetRetained(n int) { r.retained.Store(int64(max(n, 1))) }

// SetRetry replaces Retry: it holds from the next failure of each operation on.
func (r *Repository) SetRetry(p retry.Policy) { r.retry.Store(&p) }

// Latest returns the newest snapshot of a partition and those retained beside it; the code is NotFound if there is none.
func (r *Repository) Latest(ctx context.Context, p id.Partition) (*Latest, error) {
	l, _, err := r.load(ctx, p)
	return l, err
}

func (r *Repository) load(ctx context.Context, p id.Partition) (*Latest, string, error) {
	key := prefixOf(p) + latestFile
	var b []byte
	var version string
	err := r.once(ctx, latestBytesMax, func(ctx context.Context) (err error) {
		b, version, err = r.pointers.Load(ctx, key)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", key, err)
	}
	l, err := parseLatest(b, r.owner, p)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return l, version, nil
}

// metadata reads what a snapshot consists of.
func (r *Repository) metadata(ctx context.Context, p id.Partition, ref Ref) (*Metadata, error) {
	key := prefixOf(p) + ref.Path + "/" + metadataFile
	var b []byte
	err := r.patiently(ctx, latestBytesMax, func(ctx context.Context) (err error) {
		b, err = r.readAll(ctx, key, metadataBytesMax)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	m, err := parseMetadata(b, r.owner, p, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return m, nil
}

func (r *Repository) readAll(ctx context.Context, key string, bytesMax int64) (b []byte, err error) {
	in, err := r.objects.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer errs.CloseInto(&err, in)
	b, err = io.ReadAll(io.LimitReader(in, bytesMax+1))
	if err == nil && int64(len(b)) > bytesMax {
		err = errs.Newf(errs.Corrupt, "it is larger than %d bytes", bytesMax)
	}
	return b, err
}

// newRef names a snapshot that is about to be made.
func (r *Repository) newRef(at lsn.LSN) Ref {
	now := r.host.Clock.Now().UTC().Truncate(time.Millisecond)
	var random [10]byte
	r.host.Rand.Read(random[:])
	s := id.Snapshot(id.NewULID(now.UnixMilli(), random))
	return Ref{SnapshotID: s.String(), MinAppliedLSN: at, CreatedAt: now, Path: folderOf(at, s)}
}
