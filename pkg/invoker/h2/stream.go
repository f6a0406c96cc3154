package h2

import (
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Handler is told what happens on a stream. The connection's reader calls it, one call at a time; what
// it is given is borrowed until it returns. It must not block.
type Handler interface {
	// Header brings the response headers (not those of 1xx).
	Header(r *Response)
	// Data brings bytes of the response body, in order. The window of the stream is not given back for
	// them before Stream.Credit.
	Data(b []byte)
	// Drained follows Data calls once the reader has nothing more at hand.
	Drained()
	// Ended: the response is complete.
	Ended()
	// Closed is the last call, exactly one: nil if both sides had ended.
	Closed(err error)
}

// Response is what the response headers say.
type Response struct {
	Status int
	Fields []hpack.HeaderField
}

// Get returns the first field of a name.
func (r *Response) Get(name string) string {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i].Value
		}
	}
	return ""
}

// Stream is one request. Its methods may be called by any goroutine, until Closed was called.
type Stream struct {
	conn    *Conn
	handler Handler
	id      uint32

	// The conn's mu guards what follows.
	window      int64  // what the peer allows us to send
	pending     []byte // accepted, not sent for lack of window
	sent        int    // of pending
	endPending  bool   // the body ends after pending
	endSent     bool
	remoteEnded bool
	headed      bool // response headers came
	done        bool // no longer among the conn's streams
	queued      bool // in conn.blocked
	spare       chan<- struct{}
	credit      int64 // to be given back
	allowed     int64 // what the peer may still send

	touched bool // reader only: got Data since Drained
}

// reset makes the memory usable for another request.
func (s *Stream) reset(c *Conn, id uint32, window, allowed int64) {
	*s = Stream{conn: c, handler: s.handler, id: id, window: window, allowed: allowed, pending: s.pending[:0]}
	if cap(s.pending) > writeBufferKept {
		s.pending = nil
	}
}

// Write appends to the request body, and ends it if end is set. b is copied. What the peer does not
// take yet waits in the stream; the caller bounds that (see Pending). After the end, and when the
// stream is done, it does nothing.
func (s *Stream) Write(b []byte, end bool) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.done || s.endSent || s.endPending {
		return
	}
	if s.sent == len(s.pending) {
		n := c.sendLocked(s, b, end)
		b = b[n:]
		if len(b) == 0 && (!end || s.endSent) {
			c.settleLocked(s)
			return
		}
		s.pending, s.sent = s.pending[:0], 0
	} else if s.sent > len(s.pending)/2 {
		s.pending, s.sent = s.pending[:copy(s.pending, s.pending[s.sent:])], 0
	}
	s.pending = append(s.pending, b...)
	s.endPending = end
	c.blockLocked(s)
}

// Pending returns how many bytes wait in the stream.
func (s *Stream) Pending() int {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return len(s.pending) - s.sent
}

// NotifySpare makes the connection send to ch, without blocking, when few bytes are pending or the
// stream is done; at once if it is so now. ch has room for one.
func (s *Stream) NotifySpare(ch chan<- struct{}) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.spare = ch
	s.signalSpareLocked()
}

func (s *Stream) signalSpareLocked() {
	if s.spare == nil || (!s.done && len(s.pending)-s.sent > spareBytes) {
		return
	}
	select {
	case s.spare <- struct{}{}:
	default: // it was told already
	}
}

// Finish ends the request body now: what is pending is dropped.
func (s *Stream) Finish() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.done || s.endSent {
		return
	}
	s.pending, s.sent, s.endPending = s.pending[:0], 0, false
	c.sendLocked(s, nil, true)
	c.settleLocked(s)
	s.signalSpareLocked()
}

// Reset drops the stream: RST_STREAM with CANCEL. Data that arrives later is discarded.
func (s *Stream) Reset() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked(s, http2.ErrCodeCancel)
}

// Credit gives the peer n bytes of the stream's window back.
func (s *Stream) Credit(n int) {
	if n <= 0 {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.done || s.remoteEnded {
		return
	}
	s.credit += int64(n)
	if s.credit >= int64(c.client.cfg.StreamWindowBytes)/4 {
		c.wbuf = appendWindowUpdate(c.wbuf, s.id, uint32(s.credit))
		s.allowed += s.credit
		s.credit = 0
	}
}

// Flush wakes the connection's flusher. A Handler need not: the reader does it after Drained.
func (s *Stream) Flush() { s.conn.wake() }
