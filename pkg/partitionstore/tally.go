package partitionstore

import "sync"

// tally knows how many bytes of rows are in memtables alone: those that were written behind the position that is durable. Pebble
// tells only how large its memtables are, however empty.
type tally struct {
	mu      sync.Mutex // guards what follows; a leaf
	written int64      // since the mark that was dropped last, from which the others count as well
	applied uint64     // at the last batch
	step    int64      // bytes from one mark to the next
	marks   []mark     // oldest first, by both
}

// mark says how much had been written when a position was committed.
type mark struct {
	applied uint64
	written int64
}

const (
	marksMax  = 64
	markBytes = 32 << 10
	// rowBytes is what a row takes in a memtable besides its key and value.
	rowBytes = 48
)

// wrote adds a batch with which the position became applied.
func (t *tally) wrote(bytes int64, applied uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written += bytes
	t.applied = applied
	n := len(t.marks)
	if n > 0 && (applied == t.marks[n-1].applied || t.written-t.marks[n-1].written < max(t.step, markBytes)) {
		return
	}
	if n == marksMax { // every other one does: a little less counts as flushed than is
		for i := range marksMax / 2 {
			t.marks[i] = t.marks[2*i+1]
		}
		t.marks = t.marks[:marksMax/2]
		t.step = 2 * max(t.step, markBytes)
	}
	t.marks = append(t.marks, mark{applied, t.written})
}

// held returns how many bytes are not flushed, or a little more, when all is flushed up to durable.
func (t *tally) held(durable uint64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if durable >= t.applied {
		t.written, t.marks, t.step = 0, t.marks[:0], markBytes
		return 0
	}
	flushed := 0
	for flushed < len(t.marks) && t.marks[flushed].applied <= durable {
		flushed++
	}
	if flushed == 0 {
		return t.written
	}
	base := t.marks[flushed-1].written
	t.marks = append(t.marks[:0], t.marks[flushed:]...)
	for i := range t.marks {
		t.marks[i].written -= base
	}
	t.written -= base
	if len(t.marks) < marksMax/4 {
		t.step = markBytes
	}
	return t.written
}
