package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/errs"
)

// Format is the newest format of a data folder that this binary reads and the one it writes.
const Format = 1

// identityBytesMax bounds what is read: a longer file is not ours.
const identityBytesMax = 64 << 10

// Identity is what a data folder remembers of its owner.
type Identity struct {
	Format      uint32 `json:"format"`
	Cluster     string `json:"cluster"`
	Fingerprint string `json:"fingerprint"` // 16 hex digits
	Node        string `json:"node"`        // name
	ID          uint32 `json:"id"`
	Generation  uint32 `json:"generation"` // of the newest process that joined with this folder
}

// whole tells what is missing in an identity that was read. Of a newer format only that is known.
func (i Identity) whole() error {
	switch {
	case i.Format > Format:
		return nil
	case i.Format == 0:
		return errors.New("no format")
	case i.Cluster == "" || i.Node == "" || i.ID == 0:
		return errors.New("no cluster, node or id")
	case i.Generation == 0 || i.Generation == math.MaxUint32:
		return fmt.Errorf("generation %d", i.Generation)
	}
	if _, err := strconv.ParseUint(i.Fingerprint, 16, 64); err != nil || len(i.Fingerprint) != 16 {
		return fmt.Errorf("fingerprint %q", i.Fingerprint)
	}
	return nil
}

// Folder is a data folder that this process has for itself.
type Folder struct {
	fs    vfs.FS
	dir   string
	lock  io.Closer
	ident Identity // zero: never joined
}

// OpenFolder creates the folder if need be and locks it. It refuses one that another process uses, that
// belongs to another cluster or node, or that a newer binary wrote.
func OpenFolder(fsys vfs.FS, dir, cluster, node string) (_ *Folder, err error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, errs.Newf(errs.Invalid, "data folder %s can not be created (%w): change base-dir or its permissions", dir, err)
	}
	f := &Folder{fs: fsys, dir: dir}
	// Reading comes first: a folder of another cluster gets that answer also while it is in use.
	if err := f.read(); err != nil {
		return nil, err
	}
	if err := f.check(cluster, node); err != nil {
		return nil, err
	}
	if f.lock, err = fsys.Lock(fsys.PathJoin(dir, "LOCK")); err != nil {
		if errors.Is(err, fs.ErrPermission) || readOnly(err) {
			return nil, errs.Newf(errs.Invalid, "data folder %s can not be written (%w): change base-dir or its permissions", dir, err)
		}
		return nil, errs.Newf(errs.Invalid, "data folder %s is in use by another process (%w): stop it, or change base-dir or node-name", dir, err)
	}
	if err := f.read(); err != nil { // its owner may have written until now
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// makeDir creates the folder and makes its entry, and those of parents it had to create, durable: what
// is synced in a folder that a crash forgets is lost with it.
func makeDir(fsys vfs.FS, dir string) error {
	var parents []string
	for at := dir; ; at = fsys.PathDir(at) {
		if _, err := fsys.Stat(at); err == nil || at == fsys.PathDir(at) {
			break
		}
		parents = append(parents, fsys.PathDir(at))
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range parents {
		if err := syncDir(fsys, p); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Dir is the path of the folder.
func (f *Folder) Dir() string { return f.dir }

// Identity returns what the folder remembers; false: no process has joined a cluster with it.
func (f *Folder) Identity() (Identity, bool) { return f.ident, f.ident.Format != 0 }

// Close lets another process have the folder.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

func (f *Folder) path() string { return f.fs.PathJoin(f.dir, "identity") }

func (f *Folder) read() (err error) {
	file, err := f.fs.Open(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "data folder %s can not be read (%w): change base-dir or its permissions", f.dir, err)
	}
	defer errs.CloseInto(&err, file)
	b, err := io.ReadAll(io.LimitReader(file, identityBytesMax))
	if err != nil {
		return fmt.Errorf("read identity of data folder: %w", err)
	}
	var i Identity
	err = json.Unmarshal(b, &i)
	if err == nil {
		err = i.whole()
	}
	if err != nil {
		return errs.Newf(errs.Corrupt, "%s is damaged (%w): restore it, or start with an empty folder under a new node-name", f.path(), err)
	}
	f.ident = i
	return nil
}

func (f *Folder) check(cluster, node string) error {
	i := f.ident
	switch {
	case i.Format == 0:
		return nil
	case i.Format > Format:
		return errs.Newf(errs.Unsupported, "data folder %s has format %d, this binary reads up to %d: upgrade it, or change base-dir", f.dir, i.Format, Format)
	case i.Cluster != cluster:
		return errs.Newf(errs.Invalid, "data folder %s belongs to cluster %q, not %q: change base-dir or cluster-name", f.dir, i.Cluster, cluster)
	case i.Node != node:
		return errs.Newf(errs.Invalid, "data folder %s belongs to node %q, not %q: change base-dir or node-name", f.dir, i.Node, node)
	}
	return nil
}

// write replaces the identity durably.
func (f *Folder) write(i Identity) error {
	i.Format = Format
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return errs.With(errs.Internal, err)
	}
	if err := f.replace(append(b, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", f.path(), err)
	}
	f.ident = i
	return nil
}

func (f *Folder) replace(b []byte) error {
	tmp := f.path() + ".tmp"
	file, err := f.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.fs.Rename(tmp, f.path()); err != nil {
		return err
	}
	return syncDir(f.fs, f.dir)
}
