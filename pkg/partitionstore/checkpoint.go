package partitionstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lsn"
)

// Checkpoint is a copy of the files of a store.
type Checkpoint struct {
	Dir         string
	Incarnation uint64  // of the store
	Applied     lsn.LSN // what the copy holds, as read from it
	KeyFrom     uint64
	KeyTo       uint64 // inclusive
}

// Checkpoint flushes what is committed and copies the files of the store to dir, by links where it can. dir must not
// exist; whoever asked removes it. Any goroutine may call it: the owner goes on, and what it commits meanwhile may be in
// the copy.
func (s *Store) Checkpoint(ctx context.Context, dir string) (c Checkpoint, err error) {
	if err := s.Flush(ctx); err != nil { // Pebble does not, without a log of its own
		return c, err
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return c, fmt.Errorf("copy partition store to %s: %w", dir, err)
	}
	meta, err := readDatabase(s.host, dir)
	if err != nil {
		return c, fmt.Errorf("read the copy in %s: %w", dir, err)
	}
	return Checkpoint{Dir: dir, Incarnation: s.incarnation, Applied: lsn.LSN(meta.Applied), KeyFrom: meta.KeyFrom, KeyTo: meta.KeyTo}, nil
}

// readDatabase reads the meta row of a database that nobody has open.
func readDatabase(h host.Host, dir string) (meta *storedv1.Meta, err error) {
	db, err := pebble.Open(dir, &pebble.Options{FS: h.FS, ReadOnly: true, ErrorIfNotExists: true, Logger: logger{log: h.Log}})
	if err != nil {
		return nil, err
	}
	defer errs.CloseInto(&err, db)
	meta = &storedv1.Meta{}
	return meta, readMeta(db, meta)
}

// Exists tells whether there is a store in dir.
func Exists(h host.Host, dir string) (bool, error) {
	_, err := h.FS.Stat(h.FS.PathJoin(dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// DatabaseIn is where a restored database is put in the folder that Adopt takes.
func DatabaseIn(h host.Host, stage string) string { return h.FS.PathJoin(stage, folder) }

// Adopt makes a store of the database that was restored in stage, in place of the one in dir, which is not open. It
// returns what the database has applied; with less than atLeast, it is refused. The store has an incarnation of its own,
// for it will number its files as the one it was copied from does. A crash leaves the old store, none, or the new one.
func Adopt(h host.Host, stage, dir string, atLeast lsn.LSN) (lsn.LSN, error) {
	meta, err := readDatabase(h, DatabaseIn(h, stage))
	if err != nil {
		return 0, fmt.Errorf("read restored database: %w", err)
	}
	applied := lsn.LSN(meta.Applied)
	if applied < atLeast {
		return 0, errs.Newf(errs.Corrupt, "the restored database has applied %d, it should have %d", applied, atLeast)
	}
	if err := writeFormat(h.FS, stage); err != nil {
		return 0, err
	}
	if _, err := ensureIncarnation(h.FS, stage, h.Rand); err != nil {
		return 0, err
	}
	if err := h.FS.RemoveAll(dir); err != nil {
		return 0, err
	}
	if err := h.FS.Rename(stage, dir); err != nil {
		return 0, err
	}
	return applied, syncDir(h.FS, h.FS.PathDir(dir))
}

// AppliedIn reads what the store in dir has applied, which is not open.
func AppliedIn(h host.Host, dir string) (lsn.LSN, error) {
	meta, err := readDatabase(h, DatabaseIn(h, dir))
	if err != nil {
		return 0, fmt.Errorf("read partition store %s: %w", dir, err)
	}
	return lsn.LSN(meta.Applied), nil
}

// RemovedFrom is where Remove puts a store first.
func RemovedFrom(dir string) string { return dir + ".removed" }

// Remove removes the store in dir, if there is one; it is not open. A crash leaves it whole, or not there.
func Remove(h host.Host, dir string) error {
	gone := RemovedFrom(dir)
	if err := h.FS.RemoveAll(gone); err != nil {
		return err
	}
	err := h.FS.Rename(dir, gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syncDir(h.FS, h.FS.PathDir(dir)); err != nil {
		return err
	}
	return h.FS.RemoveAll(gone)
}
