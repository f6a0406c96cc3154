package partitionstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"reprise/pkg/errs"
	"reprise/pkg/keyenc"
	"reprise/pkg/logkey"
)

// errStopScan ends a scan early.
var errStopScan = errors.New("stop")

func malformed(key []byte) error {
	return errs.Newf(errs.Corrupt, "malformed row: %s", KeyString(key))
}

func parseUint64(v []byte) (uint64, bool) {
	if len(v) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}

func bounds(prefix []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: prefix, UpperBound: keyenc.PrefixEnd(prefix)}
}

// scan calls f with each row whose key begins with prefix, in order; both are borrowed.
func scan(r pebble.Reader, prefix []byte, f func(k, v []byte) error) error {
	return scanRange(r, prefix, keyenc.PrefixEnd(prefix), f)
}

// scanRange does it for the rows from one key up to another.
func scanRange(r pebble.Reader, from, to []byte, f func(k, v []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, it)
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(it.Key(), v); err != nil {
			if errors.Is(err, errStopScan) {
				return nil
			}
			return err
		}
	}
	return it.Error()
}

// get copies the value of a key.
func get(r pebble.Reader, key []byte) (value []byte, found bool, err error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte{}, v...)
	return value, true, closer.Close()
}

// logger takes what Pebble says of errors; the rest is not ours to show.
type logger struct{ log *slog.Logger }

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("storage engine error", slog.String(logkey.Err, fmt.Sprintf(format, args...)))
}

// Fatalf ends the process: Pebble cannot go on after a failed write. Nothing is lost, for the log has it.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("storage engine failed, the process ends", slog.String(logkey.Err, fmt.Sprintf(format, args...)))
	os.Exit(1)
}
