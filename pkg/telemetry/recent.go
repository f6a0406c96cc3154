package telemetry

import (
	"bytes"
	"io"
	"sync"
)

// recentBytesMax is how much of the log is kept in memory.
const recentBytesMax = 512 << 10

// Recent keeps the last lines of a log that it passes on. It is safe for concurrent use.
type Recent struct {
	to io.Writer

	// mu guards what follows. Never held across a write to the outside.
	mu   sync.Mutex
	ring []byte // grows to recentBytesMax
	next int    // where the next byte goes, once it has
}

// NewRecent passes what it is written on to w.
func NewRecent(w io.Writer) *Recent { return &Recent{to: w} }

// Write keeps p and passes it on.
func (r *Recent) Write(p []byte) (int, error) {
	r.keep(p)
	return r.to.Write(p)
}

func (r *Recent) keep(p []byte) {
	p = p[max(0, len(p)-recentBytesMax):]
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := min(len(p), recentBytesMax-len(r.ring)); n > 0 {
		r.ring = append(r.ring, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(r.ring[r.next:], p)
		p = p[n:]
		r.next = (r.next + n) % recentBytesMax
	}
}

// Lines returns a copy of the whole lines that are kept, oldest first.
func (r *Recent) Lines() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append(bytes.Clone(r.ring[r.next:]), r.ring[:r.next]...)
	if len(out) < recentBytesMax {
		return out
	}
	return out[bytes.IndexByte(out, '\n')+1:] // the first may lack its begin
}
