package partitionstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/dbstat"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Store is the state of one partition. Its owner's goroutine calls everything but Flush, Checkpoint,
// Unflushed, Held, TableBytes, DurableLSN and what Snapshot returned.
type Store struct {
	cfg         Config
	host        host.Host
	db          *pebble.DB
	stat        *dbstat.Stat
	incarnation uint64

	meta     storedv1.Meta // of the owner; changed by the open view
	view     View
	cache    cache
	fresh    fresh
	locks    locks
	window   window
	outbox   map[id.Partition]*lane
	sources  map[id.Partition]uint64
	err      error // why the store is of no use any more
	closed   bool
	unpolled int // bytes committed since Pebble was last asked for its state
	credit   bool

	applied atomic.Uint64  // LSN of the last committed batch
	readers sync.WaitGroup // snapshots that are not closed
	flushes atomic.Uint64  // flushes that ended
	durable atomic.Uint64  // LSN below which everything is flushed, inclusive
	known   atomic.Uint64  // flushes when durable was read
	tally   tally          // bytes that are not flushed
}

// lane is what is known of the outbox rows for one target.
type lane struct {
	first uint64 // oldest row; above last if there is none
	last  uint64 // newest ever put
}

// Open opens the store in dir, or makes a new one. shared outlives it.
func Open(cfg Config, h host.Host, dir string, shared *Shared) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ensureFormat(h.FS, dir); err != nil {
		return nil, fmt.Errorf("partition store %s: %w", dir, err)
	}
	incarnation, err := ensureIncarnation(h.FS, dir, h.Rand)
	if err != nil {
		return nil, fmt.Errorf("partition store %s: %w", dir, err)
	}
	s := &Store{
		cfg: cfg, host: h, incarnation: incarnation, outbox: map[id.Partition]*lane{}, sources: map[id.Partition]uint64{}, credit: true,
		cache: newCache(cfg), locks: newLocks(), stat: dbstat.New(h, kindOfDB, "partition-"+h.FS.PathBase(dir), false),
	}
	db, err := pebble.Open(h.FS.PathJoin(dir, folder), s.options(h, shared))
	if errors.Is(err, fs.ErrPermission) {
		return nil, errs.Newf(errs.Invalid, "partition store %s: %w: change its permissions", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("partition store %s: %w", dir, err)
	}
	s.db = db
	if err := s.load(); err != nil {
		_ = db.Close() // the first error is the one to show
		return nil, fmt.Errorf("partition store %s: %w", dir, err)
	}
	s.stat.Opened(db, shared.blocks)
	s.view = View{s: s, rows: db.NewBatch(), committed: s.meta.Applied}
	return s, nil
}

// kindOfDB is the label db of what the stores of a process share, such as their cache.
const kindOfDB = "partitions"

const (
	// Stalls are set out of reach: Credit says when to wait, before a commit would block its loop.
	stallMemTables = 1 << 16
	stallL0Files   = 1 << 20

	bloomBitsPerKey = 10

	// Flushes are small and frequent; few layers at a time would be merged into all of the next level.
	l0CompactionLayers = 16
)

func (s *Store) options(h host.Host, shared *Shared) *pebble.Options {
	listener := s.stat.Listener()
	counts := listener.FlushEnd
	listener.FlushEnd = func(i pebble.FlushInfo) {
		s.flushes.Add(1)
		counts(i)
	}
	o := &pebble.Options{
		FS: h.FS, Cache: shared.blocks, FileCache: shared.files, DisableWAL: true,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                s.cfg.MemTableBytes,
		MemTableStopWritesThreshold: stallMemTables,
		L0StopWritesThreshold:       stallL0Files,
		L0CompactionThreshold:       l0CompactionLayers,
		Logger:                      logger{log: h.Log},
		EventListener:               listener,
	}
	o.Experimental.SpanPolicyFunc = tableSpan
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey) // most new invocations ask for an id that is not there
	}
	s.cfg.Tuning.apply(o)
	return o
}

// tableSpan has Pebble cut files where the rows of lives begin and end. They grow at their end alone, so
// their files move down the levels without being written again, if nothing else is in them.
func tableSpan(start []byte) (pebble.SpanPolicy, []byte, error) {
	for _, end := range []byte{kindLife, kindLife + 1} {
		if len(start) == 0 || start[0] < end {
			return pebble.SpanPolicy{}, []byte{end}, nil
		}
	}
	return pebble.SpanPolicy{}, nil, nil
}

// load reads what is kept in memory.
func (s *Store) load() error {
	if err := readMeta(s.db, &s.meta); err != nil {
		return err
	}
	s.applied.Store(s.meta.Applied)
	s.durable.Store(s.meta.Applied) // without a log of its own, what was found was flushed
	if err := s.loadFresh(); err != nil {
		return err
	}
	if err := s.loadLocks(); err != nil {
		return err
	}
	if err := s.loadWindow(); err != nil {
		return err
	}
	return s.loadPeers()
}

// readMeta reads the meta row; it is empty in a new store.
func readMeta(r pebble.Reader, meta *storedv1.Meta) error {
	value, closer, err := r.Get(appendMetaKey(nil))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = meta.UnmarshalVT(value)
	if cerr := closer.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errs.With(errs.Corrupt, fmt.Errorf("meta row: %w", err))
	}
	return nil
}

func (s *Store) loadPeers() error {
	err := scan(s.db, []byte{kindOutboxSeq}, func(k, v []byte) error {
		target, ok := parsePeerKey(k)
		last, vok := parseUint64(v)
		if !ok || !vok {
			return malformed(k)
		}
		s.outbox[target] = &lane{first: last + 1, last: last}
		return nil
	})
	if err != nil {
		return err
	}
	for target, l := range s.outbox {
		err := scan(s.db, appendPeerKey(nil, kindOutbox, target), func(k, _ []byte) error {
			_, seq, ok := parseOutboxKey(k)
			if !ok {
				return malformed(k)
			}
			l.first = seq
			return errStopScan
		})
		if err != nil {
			return err
		}
	}
	return scan(s.db, []byte{kindSource}, func(k, v []byte) error {
		source, ok := parsePeerKey(k)
		seq, vok := parseUint64(v)
		if !ok || !vok {
			return malformed(k)
		}
		s.sources[source] = seq
		return nil
	})
}

// Meta is the row of the partition as the last command left it.
func (s *Store) Meta() *storedv1.Meta { return &s.meta }

// SourceSeq is the sequence of the last message taken from another partition.
func (s *Store) SourceSeq(source id.Partition) (uint64, error) { return s.sources[source], nil }

// AppliedLSN returns the position up to which everything is committed here. Any goroutine may ask.
func (s *Store) AppliedLSN() lsn.LSN { return lsn.LSN(s.applied.Load()) }

// Unflushed returns how many commands a restart would have to apply again. Any goroutine may ask.
func (s *Store) Unflushed() int64 {
	durable, err := s.DurableLSN()
	if err != nil {
		durable = lsn.LSN(s.durable.Load())
	}
	return int64(s.applied.Load()) - int64(durable)
}

// Held returns how many bytes of rows are in memory alone. Any goroutine may ask.
func (s *Store) Held() int64 {
	durable, err := s.DurableLSN()
	if err != nil {
		durable = lsn.LSN(s.durable.Load())
	}
	return s.tally.held(uint64(durable))
}

// TableBytes is how large the memtables are, however full. Any goroutine may ask.
func (s *Store) TableBytes() int64 {
	m := s.db.Metrics()
	return int64(m.MemTable.Size + m.MemTable.ZombieSize)
}

// KnownDurable is DurableLSN as somebody saw it last. It reads nothing.
func (s *Store) KnownDurable() lsn.LSN { return lsn.LSN(s.durable.Load()) }

// DurableLSN returns the position up to which everything is flushed. Any goroutine may ask.
func (s *Store) DurableLSN() (lsn.LSN, error) {
	flushes := s.flushes.Load()
	if s.known.Load() == flushes {
		return lsn.LSN(s.durable.Load()), nil
	}
	durable, err := s.readDurable()
	if err != nil {
		return 0, fmt.Errorf("read durable position: %w", err)
	}
	for {
		was := s.durable.Load()
		if durable <= was || s.durable.CompareAndSwap(was, durable) {
			break
		}
	}
	s.known.Store(flushes)
	return lsn.LSN(s.durable.Load()), nil
}

// readDurable reads the meta row as flushed data alone has it.
func (s *Store) readDurable() (applied uint64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{kindMeta}, UpperBound: []byte{kindMeta + 1}, OnlyReadGuaranteedDurable: true,
	})
	if err != nil {
		return 0, err
	}
	defer errs.CloseInto(&err, it)
	if !it.First() {
		return 0, it.Error()
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, err
	}
	var meta storedv1.Meta
	if err := meta.UnmarshalVT(value); err != nil {
		return 0, errs.With(errs.Corrupt, err)
	}
	return meta.Applied, nil
}

// Flush makes everything committed before the call durable. Any goroutine may call it.
func (s *Store) Flush(ctx context.Context) error {
	done, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush partition store: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// creditEvery is after how many committed bytes Pebble is asked again how it stands.
const creditEvery = 1 << 20

// Credit tells whether a batch may be committed without piling up what Pebble cannot flush or compact in time.
func (s *Store) Credit() bool {
	if s.credit && s.unpolled < creditEvery {
		return true
	}
	m := s.db.Metrics()
	s.unpolled = 0
	// Their bytes count, not their number: Pebble begins with small memtables, has one for each large batch,
	// and flushes nothing before half the size of a memtable waits.
	s.credit = m.MemTable.Size <= uint64(s.cfg.MemTablesMax)*s.cfg.MemTableBytes && int(m.Levels[0].Sublevels) <= s.cfg.L0FilesMax
	return s.credit
}

// Fail gives the store up: a command could not be applied, or left half of what it does. What was not
// committed is dropped, and applied again from the log when the store is opened next.
func (s *Store) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Close flushes and closes the store, when all snapshots are closed; what is not committed is dropped. It is idempotent.
func (s *Store) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.view.discard()
	s.readers.Wait()
	s.stat.Closing()
	err := s.db.Flush() // Close does not, without a log of its own
	if cerr := s.db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close partition store: %w", err)
	}
	return nil
}
