package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/dbstat"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

const (
	formatFile = "FORMAT"
	formatLine = "reprise log-store %d\n"
	formatNow  = 1
	formatText = "reprise log-store 1\n"
	// pebbleFormat is raised on purpose only: older binaries cannot open the store then.
	pebbleFormat = pebble.FormatWALSyncChunks
)

// Store is the log store of one log-server. Batches are for one goroutine at a time; the rest is
// safe for concurrent use.
type Store struct {
	db    *pebble.DB
	stat  *dbstat.Stat
	clock host.Clock
	cache *pebble.Cache
	fs    vfs.FS
	dir   string
}

// Open opens the store in dir, or makes an empty one.
func Open(cfg Config, h host.Host, dir string) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := h.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the log store: %w", err)
	}
	if err := checkFormat(h.FS, dir); err != nil {
		return nil, err
	}
	if cfg.WALDir != "" {
		if err := h.FS.MkdirAll(cfg.WALDir, 0o700); err != nil {
			return nil, fmt.Errorf("folder of the log store's own log: %w", err)
		}
	}
	cache := pebble.NewCache(cfg.CacheBytes)
	stat := dbstat.New(h, kindOfDB, kindOfDB, true)
	o := options(cfg, h, cache, stat)
	if cfg.WALDir != "" {
		o.WALDir, o.WALRecoveryDirs = cfg.WALDir, []wal.Dir{{FS: h.FS, Dirname: dir}}
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("open log store %s: %w", dir, err)
	}
	stat.Opened(db, cache)
	return &Store{db: db, stat: stat, clock: h.Clock, cache: cache, fs: h.FS, dir: dir}, nil
}

// kindOfDB is the label db of its metrics.
const kindOfDB = "log-server"

func options(cfg Config, h host.Host, cache *pebble.Cache, stat *dbstat.Stat) *pebble.Options {
	listener := stat.Listener()
	counts := listener.BackgroundError
	listener.BackgroundError = func(err error) {
		counts(err)
		h.Log.Error("log store background error", slog.Any(logkey.Err, err))
	}
	o := &pebble.Options{
		FS:                 h.FS,
		Cache:              cache,
		FormatMajorVersion: pebbleFormat,
		MemTableSize:       cfg.MemtableBytes,
		// The reserve of free space and the sequencers' single frame bound what comes in. A stall
		// would hold up all loglets, so its thresholds are hardly ever reached.
		MemTableStopWritesThreshold: cfg.MemtablesMax,
		L0CompactionThreshold:       32, // trims may come first, and a loglet's records are hardly read
		L0StopWritesThreshold:       1 << 20,
		LBaseMaxBytes:               256 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		BytesPerSync:                1 << 20,
		Logger:                      pebbleLog{h.Log},
		EventListener:               listener,
	}
	o.TargetFileSizes[0] = 16 << 20
	o.Levels[0].BlockSize = 32 << 10
	cfg.Tuning.apply(o)
	return o
}

// checkFormat makes the format file of a new folder and refuses one that is newer or not ours.
func checkFormat(fs vfs.FS, dir string) error {
	name := fs.PathJoin(dir, formatFile)
	f, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return makeFormat(fs, dir, name)
	}
	if err != nil {
		return fmt.Errorf("log store %s: %w", dir, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("log store %s: %w", dir, err)
	}
	if string(b) == formatText {
		return nil
	}
	var n uint32
	if _, err := fmt.Sscanf(string(b), formatLine, &n); err == nil && n > formatNow {
		return errs.Newf(errs.Unsupported, "log store %s has format %d, this binary reads up to %d: start a newer one, or change base-dir", dir, n, formatNow)
	}
	return errs.Newf(errs.Corrupt, "%s is damaged: it does not name the format of a log store: restore the folder, or start with an empty one under a new node-name", name)
}

func makeFormat(fs vfs.FS, dir, name string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("log store %s: %w", dir, err)
	}
	for _, n := range names {
		if n != formatFile+".tmp" {
			return errs.Newf(errs.Unsupported, "folder %s holds %s but no %s file: it is not a log store", dir, n, formatFile)
		}
	}
	if err := writeDurably(fs, dir, name, formatText); err != nil {
		return fmt.Errorf("log store %s: %w", dir, err)
	}
	return nil
}

func writeDurably(fs vfs.FS, dir, name, text string) error {
	f, err := fs.Create(name+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fs.Rename(name+".tmp", name); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// Close flushes nothing: the write-ahead log has all. It is idempotent.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	s.stat.Closing()
	err := s.db.Close()
	s.cache.Unref()
	s.db = nil
	if err != nil {
		return fmt.Errorf("close log store %s: %w", s.dir, err)
	}
	return nil
}

// Space is the free space and the size of the disk in bytes. ok is false if the file system cannot tell.
func (s *Store) Space() (free, total uint64, ok bool) {
	u, err := s.fs.GetDiskUsage(s.dir)
	return u.AvailBytes, u.TotalBytes, err == nil
}

// Marker says whose store this is. It is written before the first record.
type Marker struct {
	Node          id.Node
	Fingerprint   uint64
	CreatedMillis int64
}

const markerSize = 20

// Marker reads the marker. ok is false if there is none: an empty disk, or one that lost its data.
func (s *Store) Marker() (m Marker, ok bool, err error) {
	v, ok, err := s.get([]byte{kindMarker})
	if err != nil || !ok {
		return m, false, err
	}
	if len(v) != markerSize {
		return m, false, errs.Newf(errs.Corrupt, "marker of %d bytes", len(v))
	}
	le := binary.LittleEndian
	return Marker{Node: id.Node(le.Uint32(v)), Fingerprint: le.Uint64(v[4:]), CreatedMillis: int64(le.Uint64(v[12:]))}, true, nil
}

// WriteMarker writes the marker durably.
func (s *Store) WriteMarker(m Marker) error {
	le := binary.LittleEndian
	v := le.AppendUint64(le.AppendUint64(le.AppendUint32(nil, uint32(m.Node)), m.Fingerprint), uint64(m.CreatedMillis))
	if err := s.db.Set([]byte{kindMarker}, v, pebble.Sync); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	return nil
}

// get returns a copy of a value.
func (s *Store) get(key []byte) (v []byte, ok bool, err error) {
	began := s.clock.Now()
	b, closer, err := s.db.Get(key)
	s.stat.Got(len(b), s.clock.Now().Sub(began))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", KeyString(key), err)
	}
	v = append([]byte(nil), b...)
	if err := closer.Close(); err != nil {
		return nil, false, fmt.Errorf("read %s: %w", KeyString(key), err)
	}
	return v, true, nil
}

// Load reads what is stored of a loglet. One that nothing is stored of is empty.
func (s *Store) Load(l id.Loglet) (logproto.Replica, error) {
	r := logproto.NewReplica(l)
	le := binary.LittleEndian
	for kind, size := range map[byte]int{kindIdentity: 16, kindSeal: 0, kindTrim: 4, kindKnown: 4} {
		key := metaKey(nil, kind, l)
		v, ok, err := s.get(key)
		if err != nil {
			return r, err
		}
		if !ok {
			continue
		}
		if len(v) != size {
			return r, errs.Newf(errs.Corrupt, "%s has %d bytes, not %d", KeyString(key), len(v), size)
		}
		switch kind {
		case kindIdentity:
			r.Nonce, r.Identified = le.Uint64(v), true
			r.Sequencer = id.GenerationalNode{Node: id.Node(le.Uint32(v[8:])), Generation: le.Uint32(v[12:])}
		case kindSeal:
			r.Sealed = true
		case kindTrim:
			r.Trimmed = lsn.Offset(le.Uint32(v))
		case kindKnown:
			r.Known = max(r.Known, lsn.Offset(le.Uint32(v)))
		}
	}
	tail, err := s.tail(l)
	r.Tail = max(r.Tail, tail, r.Trimmed+1)
	return r, err
}

func (s *Store) tail(l id.Loglet) (lsn.Offset, error) {
	rd, err := s.Reader(l)
	if err != nil {
		return 0, err
	}
	tail := lsn.Offset(0)
	if rd.it.Last() {
		run, err := rd.run()
		if err != nil {
			return 0, errs.With(errs.CodeOf(err), errors.Join(err, rd.Close()))
		}
		tail = run.End()
	}
	return tail, rd.Close()
}

type pebbleLog struct{ log *slog.Logger }

func (pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Warn("log store", slog.String(logkey.Err, fmt.Sprintf(format, args...)))
}

// Fatalf ends the process, as Pebble asks after a write error: what is not synced is not acknowledged, so
// that is safe, and going on is not.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.log.Error("log store cannot go on; the process ends", slog.String(logkey.Err, fmt.Sprintf(format, args...)))
	os.Exit(1)
}
