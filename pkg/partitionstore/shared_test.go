package partitionstore

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// fill reads more blocks through the cache than it can hold, and returns how many bytes of them it keeps.
func fill(t *testing.T, db *pebble.DB, s *Shared) int64 {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return s.blocks.Size()
}

// Blocks have their part of the cache, whether memtables take theirs or not, and another one when that changes.
func TestBlocksHaveTheirPartOfTheCache(t *testing.T) {
	const table, blocks = 1 << 20, 2 << 20
	s := NewShared(blocks + 16*table)
	db, err := pebble.Open("db", &pebble.Options{FS: vfs.NewMem(), Cache: s.blocks, MemTableSize: table, DisableWAL: true, Logger: logger{log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // rows that do not compress
	for i := range 24 << 10 {
		value := make([]byte, 1<<10)
		for j := 0; j < len(value); j += 8 {
			binary.LittleEndian.PutUint64(value[j:], random.Uint64())
		}
		if err := db.Set(binary.BigEndian.AppendUint64(nil, uint64(i)), value, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	tables := int64(db.Metrics().MemTable.Size + db.Metrics().MemTable.ZombieSize)
	near := func(what string, want int64) {
		t.Helper()
		if got := fill(t, db, s); got > want+want/50 || got < want/2 {
			t.Errorf("%s: %d bytes of blocks, want %d", what, got, want)
		}
	}
	near("nothing is said", blocks+16*table-tables)
	s.TablesTake(tables)
	s.KeepBlocks(blocks)
	near("few memtables", blocks)
	taken := s.blocks.Reserve(15*table - int(tables)) // as other stores do
	s.TablesTake(15 * table)
	near("many memtables", blocks)
	s.KeepBlocks(blocks / 2) // the total was lowered
	near("half of it", blocks/2)
	taken()
	s.TablesTake(tables)
	s.KeepBlocks(2 * blocks)
	near("twice as much", 2*blocks)
}
