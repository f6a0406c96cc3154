package h2

import (
	"bufio"
	"errors"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/pkg/host"
)

// reader reads the frames of one connection. It belongs to the connection's goroutine.
type reader struct {
	c       *Conn
	fr      *http2.Framer
	dec     *hpack.Decoder
	touched []*Stream // got something since the last drain
	closing []reaped  // scratch of drain

	// The header block that is being read.
	resp        Response
	headID      uint32
	headEnd     bool // END_STREAM
	headBytes   int  // encoded
	headFrames  int
	fieldBytes  int // decoded
	fieldsOver  bool
	firstFrame  bool
	firstRead   bool
	windowQuart int64
}

func newReader(c *Conn) *reader {
	r := &reader{c: c, windowQuart: int64(c.client.cfg.ConnWindowBytes) / 4}
	r.fr = http2.NewFramer(nil, bufio.NewReaderSize(r, readBufferBytes))
	r.fr.SetReuseFrames()
	r.fr.SetMaxReadFrameSize(c.client.cfg.FrameBytesMax)
	r.dec = hpack.NewDecoder(headTableBytes, r.field)
	r.dec.SetMaxStringLength(headerBlockMax)
	return r
}

// Read feeds the buffer of the framer. Nothing is at hand when it is called.
func (r *reader) Read(p []byte) (int, error) {
	r.drain()
	n, err := r.c.nc.Read(p)
	if n > 0 {
		r.c.lastRead.Store(host.Millis(r.c.client.host.Clock))
		r.firstRead = true
	}
	return n, err
}

// drain tells handlers that what had arrived was handed over, and wakes the flusher.
func (r *reader) drain() {
	for i, s := range r.touched {
		s.touched = false
		s.handler.Drained()
		r.c.mu.Lock()
		ended := s.remoteEnded
		r.c.mu.Unlock()
		if ended {
			s.handler.Ended()
		}
		r.touched[i] = nil
	}
	r.touched = r.touched[:0]
	c := r.c
	c.mu.Lock()
	r.closing, c.reaped = c.reaped, r.closing[:0]
	write := len(c.wbuf) > 0
	c.mu.Unlock()
	for i := range r.closing {
		r.closing[i].s.handler.Closed(r.closing[i].err)
		r.closing[i] = reaped{}
	}
	if write {
		c.wake()
	}
}

// loop reads until the connection ends. A fault of one stream ends that stream only.
func (r *reader) loop() error {
	for {
		f, err := r.fr.ReadFrame()
		if err == nil {
			err = r.frame(f)
		}
		if err == nil {
			r.firstFrame = true
			continue
		}
		var se http2.StreamError
		if !errors.As(err, &se) {
			r.drain() // frames that came before are valid
			return r.explain(err)
		}
		r.resetStream(se)
	}
}

func (r *reader) explain(err error) error {
	if r.firstRead && !r.firstFrame {
		return fmt.Errorf("%w: %w", ErrNotHTTP2, err)
	}
	return fmt.Errorf("read from %s: %w", r.c.key.Authority, err)
}

func (r *reader) resetStream(se http2.StreamError) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[se.StreamID]; s != nil {
		c.wbuf = appendReset(c.wbuf, s.id, se.Code)
		c.reapLocked(s, se)
	}
}

func (r *reader) frame(f http2.Frame) error {
	if _, settings := f.(*http2.SettingsFrame); !settings && !r.firstFrame {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return r.data(f)
	case *http2.HeadersFrame:
		r.headID, r.headEnd, r.headBytes, r.headFrames = f.StreamID, f.StreamEnded(), 0, 0
		r.resp.Status, r.resp.Fields = 0, r.resp.Fields[:0]
		r.fieldBytes, r.fieldsOver = 0, false
		return r.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return r.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.SettingsFrame:
		return r.settings(f)
	case *http2.WindowUpdateFrame:
		return r.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return r.rst(f)
	case *http2.PingFrame:
		return r.ping(f)
	case *http2.GoAwayFrame:
		r.goAway(f)
		return nil
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	default: // PRIORITY and what we do not know
		return nil
	}
}

// idleLocked tells whether a stream id was never opened.
func (c *Conn) idleLocked(id uint32) bool { return id%2 == 0 || id >= c.nextID }

func (r *reader) data(f *http2.DataFrame) error {
	c, n := r.c, int64(f.Length)
	c.mu.Lock()
	c.allowed -= n
	c.credit += n
	if c.allowed < 0 {
		c.mu.Unlock()
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.credit >= r.windowQuart {
		c.wbuf = appendWindowUpdate(c.wbuf, 0, uint32(c.credit))
		c.allowed += c.credit
		c.credit = 0
	}
	s := c.streams[f.StreamID]
	if s == nil {
		idle := c.idleLocked(f.StreamID)
		c.mu.Unlock()
		if idle {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	s.allowed -= n
	var fault http2.ErrCode
	switch {
	case s.remoteEnded:
		fault = http2.ErrCodeStreamClosed
	case s.allowed < 0:
		fault = http2.ErrCodeFlowControl
	case !s.headed:
		fault = http2.ErrCodeProtocol
	}
	s.credit += n - int64(len(f.Data())) // padding
	c.mu.Unlock()
	if fault != 0 {
		return http2.StreamError{StreamID: f.StreamID, Code: fault}
	}
	r.touch(s)
	if len(f.Data()) > 0 {
		s.handler.Data(f.Data())
	}
	if f.StreamEnded() {
		r.ended(s)
	}
	return nil
}

func (r *reader) touch(s *Stream) {
	if !s.touched {
		s.touched = true
		r.touched = append(r.touched, s)
	}
}

func (r *reader) ended(s *Stream) {
	r.touch(s)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	s.remoteEnded = true
	r.c.settleLocked(s)
}

// field collects one decoded header field.
func (r *reader) field(f hpack.HeaderField) {
	r.fieldBytes += int(f.Size())
	if r.fieldBytes > headerBytesMax {
		r.fieldsOver = true
		return
	}
	if f.Name == ":status" {
		r.resp.Status = status(f.Value)
		return
	}
	r.resp.Fields = append(r.resp.Fields, f)
}

// status parses a three-digit status; 0 if it is none.
func status(s string) (n int) {
	if len(s) != 3 {
		return 0
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0
		}
		n = n*10 + int(d)
	}
	return n
}

func (r *reader) fragment(b []byte, last bool) error {
	r.headBytes += len(b)
	if r.headFrames++; r.headBytes > headerBlockMax || r.headFrames > headerFramesMax {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if _, err := r.dec.Write(b); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if !last {
		return nil
	}
	if r.dec.Close() != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return r.headers()
}

// headers handles a complete header block.
func (r *reader) headers() error {
	c := r.c
	c.mu.Lock()
	s, idle := c.streams[r.headID], c.idleLocked(r.headID)
	var trailers, ended bool
	if s != nil {
		trailers, ended = s.headed, s.remoteEnded
		s.headed = s.headed || r.resp.Status >= 200
	}
	c.mu.Unlock()
	switch {
	case s == nil && idle:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case s == nil:
		return nil
	case ended:
		return http2.StreamError{StreamID: r.headID, Code: http2.ErrCodeStreamClosed}
	case r.fieldsOver,
		trailers && !r.headEnd,
		!trailers && r.resp.Status < 100,
		!trailers && r.resp.Status < 200 && r.headEnd:
		return http2.StreamError{StreamID: r.headID, Code: http2.ErrCodeProtocol}
	case !trailers && r.resp.Status < 200:
		return nil // informational
	case !trailers:
		s.handler.Header(&r.resp)
	}
	if r.headEnd {
		r.ended(s)
	}
	return nil
}
