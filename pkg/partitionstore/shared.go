package partitionstore

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Shared is what all stores of a process share: the cache of blocks and the open files.
//
// Pebble takes memtables out of the size of the cache. So that many of them leave blocks their part, and few of them do not have blocks
// take all, the cache is as large as both together, and what memtables do not take now is held back.
type Shared struct {
	blocks *pebble.Cache
	files  *pebble.FileCache

	// mu guards what follows. It is a leaf.
	mu         sync.Mutex
	blockBytes int64  // what blocks may take; 0: all that memtables leave
	tableBytes int64  // what memtables take
	held       int64  // bytes that are held back
	giveBack   func() // or nil
}

const (
	fileCacheShards = 4
	openFilesMax    = 2000
)

// NewShared returns what stores share, with a cache of that size. Close it after them.
func NewShared(cacheBytes int64) *Shared {
	return &Shared{blocks: pebble.NewCache(cacheBytes), files: pebble.NewFileCache(fileCacheShards, openFilesMax)}
}

// KeepBlocks says how much of the cache blocks may take, at most and also while memtables take the rest.
func (s *Shared) KeepBlocks(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blockBytes = bytes
	s.holdBackLocked()
}

// TablesTake says how much the memtables of all stores take now.
func (s *Shared) TablesTake(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tableBytes = bytes
	s.holdBackLocked()
}

// holdBackLocked leaves blocks what they may take, beside the memtables.
func (s *Shared) holdBackLocked() {
	bytes := max(s.blocks.MaxSize()-s.blockBytes-s.tableBytes, 0)
	if s.blockBytes == 0 {
		bytes = 0
	}
	if bytes == s.held {
		return
	}
	if s.giveBack != nil { // first: with both, the cache would be empty for a moment
		s.giveBack()
		s.giveBack = nil
	}
	if s.held = bytes; bytes > 0 {
		s.giveBack = s.blocks.Reserve(int(bytes))
	}
}

// Close gives the caches back.
func (s *Shared) Close() error {
	s.files.Unref()
	s.blocks.Unref()
	return nil
}
