package partitionstore

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/errs"
	"reprise/pkg/host"
)

const (
	formatFile   = "FORMAT"
	formatPrefix = "reprise partitionstore "
	formatNow    = 1
	formatMax    = 64 // bytes of the file
	folder       = "db"

	incarnationFile = "INCARNATION"
)

// ensureFormat checks the format of a store's folder, or sets it in a new one.
func ensureFormat(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Or a crash takes the folder away with what was synced in it, or that of all stores, which the first of them made.
	for _, parent := range []string{fs.PathDir(dir), fs.PathDir(fs.PathDir(dir))} {
		if err := syncDir(fs, parent); err != nil {
			return err
		}
	}
	path := fs.PathJoin(dir, formatFile)
	f, err := fs.Open(path)
	if err != nil {
		if _, serr := fs.Stat(path); serr == nil {
			return err // it is there, and cannot be read
		}
		if _, derr := fs.Stat(fs.PathJoin(dir, folder)); derr == nil {
			return errs.Newf(errs.Corrupt, "%s has a database but no %s file: restore the folder, or remove it to have it built again from the log", dir, formatFile)
		}
		return writeFormat(fs, dir)
	}
	text, err := readSmall(f)
	if err != nil {
		return err
	}
	return checkFormat(path, text)
}

func readSmall(f vfs.File) (string, error) {
	text, err := io.ReadAll(io.LimitReader(f, formatMax))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return string(text), err
}

func checkFormat(path, text string) error {
	number, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), formatPrefix)
	n, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || n < 1:
		return errs.Newf(errs.Corrupt, "%s is damaged: it does not name the format of a partition store: restore the folder, or remove it to have it built again from the log", path)
	case n > formatNow:
		return errs.Newf(errs.Unsupported, "%s says format %d, this binary reads up to %d: start a newer one, or change base-dir", path, n, formatNow)
	default:
		return nil
	}
}

func writeFormat(fs vfs.FS, dir string) error {
	return writeSmall(fs, dir, formatFile, fmt.Sprintf("%s%d\n", formatPrefix, formatNow))
}

// ensureIncarnation reads the number that tells this store from others that number their files alike, or chooses it. One
// that cannot be read is replaced: then a snapshot has nothing in common with the one before.
func ensureIncarnation(fs vfs.FS, dir string, rand host.Rand) (uint64, error) {
	if f, err := fs.Open(fs.PathJoin(dir, incarnationFile)); err == nil {
		text, err := readSmall(f)
		if err != nil {
			return 0, err
		}
		if n, err := strconv.ParseUint(strings.TrimSuffix(text, "\n"), 16, 64); err == nil && n != 0 {
			return n, nil
		}
	}
	n := rand.Uint64() | 1 // never 0
	return n, writeSmall(fs, dir, incarnationFile, fmt.Sprintf("%016x\n", n))
}

// writeSmall creates or replaces a file so that a crash leaves it whole or as it was.
func writeSmall(fs vfs.FS, dir, name, text string) (err error) {
	path := fs.PathJoin(dir, name)
	temp := path + ".tmp"
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fs.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) (err error) {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, d)
	return d.Sync()
}
