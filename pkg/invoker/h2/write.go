package h2

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
)

const frameHeaderBytes = 9

// putFrameHeader fills the 9 bytes of a frame header.
func putFrameHeader(b []byte, length int, t http2.FrameType, flags http2.Flags, id uint32) {
	_ = b[8]
	b[0], b[1], b[2] = byte(length>>16), byte(length>>8), byte(length)
	b[3], b[4] = byte(t), byte(flags)
	binary.BigEndian.PutUint32(b[5:], id)
}

func appendFrameHeader(dst []byte, length int, t http2.FrameType, flags http2.Flags, id uint32) []byte {
	var h [frameHeaderBytes]byte
	putFrameHeader(h[:], length, t, flags, id)
	return append(dst, h[:]...)
}

func appendSettings(dst []byte, settings ...http2.Setting) []byte {
	dst = appendFrameHeader(dst, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Val)
	}
	return dst
}

func appendWindowUpdate(dst []byte, id, increment uint32) []byte {
	dst = appendFrameHeader(dst, 4, http2.FrameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(dst, increment)
}

func appendPing(dst []byte, ack bool, data [8]byte) []byte {
	var flags http2.Flags
	if ack {
		flags = http2.FlagPingAck
	}
	return append(appendFrameHeader(dst, len(data), http2.FramePing, flags, 0), data[:]...)
}

// appendGoAway says that we leave; no stream of the peer was processed, as it has none.
func appendGoAway(dst []byte) []byte {
	dst = appendFrameHeader(dst, 8, http2.FrameGoAway, 0, 0)
	return append(dst, 0, 0, 0, 0, 0, 0, 0, byte(http2.ErrCodeNo))
}

func appendReset(dst []byte, id uint32, code http2.ErrCode) []byte {
	dst = appendFrameHeader(dst, 4, http2.FrameRSTStream, 0, id)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// finishHeaders turns a frame header's room at start, and the block after it, into HEADERS and, if it is
// large, CONTINUATION frames.
func finishHeaders(b []byte, start int, id uint32) []byte {
	block := b[start+frameHeaderBytes:]
	if len(block) <= frameBytesMin {
		putFrameHeader(b[start:], len(block), http2.FrameHeaders, http2.FlagHeadersEndHeaders, id)
		return b
	}
	rest := slices.Clone(block[frameBytesMin:])
	putFrameHeader(b[start:], frameBytesMin, http2.FrameHeaders, 0, id)
	b = b[:start+frameHeaderBytes+frameBytesMin]
	for len(rest) > 0 {
		n := min(len(rest), frameBytesMin)
		var flags http2.Flags
		if n == len(rest) {
			flags = http2.FlagContinuationEndHeaders
		}
		b = appendFrameHeader(b, n, http2.FrameContinuation, flags, id)
		b = append(b, rest[:n]...)
		rest = rest[n:]
	}
	return b
}

// sendLocked appends DATA as far as windows and the write buffer allow, and the end with the last of it.
// It returns how much of b was taken.
func (c *Conn) sendLocked(s *Stream, b []byte, end bool) (n int) {
	for {
		took, more := c.sendFrameLocked(s, b[n:], end)
		n += took
		if !more {
			return n
		}
	}
}

// sendFrameLocked appends at most one DATA frame. more tells that another may follow.
func (c *Conn) sendFrameLocked(s *Stream, b []byte, end bool) (n int, more bool) {
	if len(b) == 0 {
		if end && !s.endSent {
			s.endSent = true
			c.wbuf = appendFrameHeader(c.wbuf, 0, http2.FrameData, http2.FlagDataEndStream, s.id)
		}
		return 0, false
	}
	room := min(s.window, c.window, int64(c.frameMax), int64(len(b)))
	if room <= 0 || len(c.wbuf) >= writeBufferMax {
		return 0, false
	}
	n = int(room)
	var flags http2.Flags
	if end && n == len(b) {
		flags = http2.FlagDataEndStream
		s.endSent = true
	}
	c.wbuf = appendFrameHeader(c.wbuf, n, http2.FrameData, flags, s.id)
	c.wbuf = append(c.wbuf, b[:n]...)
	s.window -= room
	c.window -= room
	return n, n < len(b)
}

// blockLocked queues a stream that has something pending.
func (c *Conn) blockLocked(s *Stream) {
	if !s.queued {
		s.queued = true
		c.blocked = append(c.blocked, s)
	}
}

// pumpLocked sends what is pending, one frame of each stream in turn.
func (c *Conn) pumpLocked() {
	for progress := true; progress; {
		progress = false
		kept := c.blocked[:0]
		for _, s := range c.blocked {
			if c.pumpOneLocked(s) {
				progress = true
			}
			if s.done || (s.sent == len(s.pending) && !s.endPending) {
				s.queued = false
				continue
			}
			kept = append(kept, s)
		}
		clear(c.blocked[len(kept):])
		c.blocked = kept
	}
}

func (c *Conn) pumpOneLocked(s *Stream) bool {
	if s.done {
		return false
	}
	n, _ := c.sendFrameLocked(s, s.pending[s.sent:], s.endPending)
	s.sent += n
	if s.sent == len(s.pending) {
		s.pending, s.sent = s.pending[:0], 0
		if cap(s.pending) > writeBufferKept {
			s.pending = nil
		}
	}
	if s.endSent {
		s.endPending, s.queued = false, false // the caller takes it out of the queue
		c.settleLocked(s)
	}
	s.signalSpareLocked()
	return n > 0
}

// settleLocked takes a stream out that both sides have ended.
func (c *Conn) settleLocked(s *Stream) {
	if s.endSent && s.remoteEnded {
		c.reapLocked(s, nil)
	}
}

// resetLocked drops a stream with RST_STREAM.
func (c *Conn) resetLocked(s *Stream, code http2.ErrCode) {
	if s.done {
		return
	}
	if c.err == nil {
		c.wbuf = appendReset(c.wbuf, s.id, code)
	}
	c.reapLocked(s, ErrReset)
}

// reapLocked takes a stream out; the reader calls its Closed.
func (c *Conn) reapLocked(s *Stream, err error) {
	if s.done {
		return
	}
	s.done = true
	if s.queued {
		c.blocked = slices.DeleteFunc(c.blocked, func(b *Stream) bool { return b == s })
		s.queued = false
	}
	s.pending, s.sent = s.pending[:0], 0
	if cap(s.pending) > writeBufferKept {
		s.pending = nil
	}
	delete(c.streams, s.id)
	c.client.streamsClosed.Add(1)
	c.reaped = append(c.reaped, reaped{s, err})
	s.signalSpareLocked()
}
