package h2

import (
	"fmt"

	"golang.org/x/net/http2"
)

// settings applies the peer's SETTINGS and acknowledges them.
func (r *reader) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.enc.resize(s.Val)
		case http2.SettingMaxConcurrentStreams:
			c.streamsMax = min(s.Val, c.client.cfg.StreamsMax)
		case http2.SettingMaxFrameSize:
			c.frameMax = int(min(s.Val, c.client.cfg.FrameBytesMax))
		case http2.SettingInitialWindowSize:
			return c.rewindowLocked(int64(s.Val))
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.wbuf = appendFrameHeader(c.wbuf, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	c.pumpLocked()
	return c.floodLocked()
}

// rewindowLocked moves the windows of all streams by the change of their initial size.
func (c *Conn) rewindowLocked(size int64) error {
	delta := size - c.streamWindow
	c.streamWindow = size
	for _, s := range c.streams {
		if s.window += delta; s.window > windowMax {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	}
	return nil
}

func (c *Conn) floodLocked() error {
	if len(c.wbuf) > writeBufferFatal {
		return errFlood
	}
	return nil
}

func (r *reader) windowUpdate(f *http2.WindowUpdateFrame) error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > windowMax {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.pumpLocked()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		if c.idleLocked(f.StreamID) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	if s.window += int64(f.Increment); s.window > windowMax {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
	}
	if s.queued {
		c.pumpLocked()
	}
	return nil
}

func (r *reader) rst(f *http2.RSTStreamFrame) error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.StreamID]
	if s == nil {
		if c.idleLocked(f.StreamID) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	var err error = ResetError{f.ErrCode}
	switch {
	case s.remoteEnded && f.ErrCode == http2.ErrCodeNo: // it does not want the rest of the request
		err = nil
	case f.ErrCode == http2.ErrCodeRefusedStream:
		err = ErrRefused
	}
	c.reapLocked(s, err)
	return nil
}

func (r *reader) ping(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil // that something was read is all that counts
	}
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wbuf = appendPing(c.wbuf, true, f.Data)
	return c.floodLocked()
}

// goAway stops the use of the connection for new streams; those that the peer will not process end.
func (r *reader) goAway(f *http2.GoAwayFrame) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	for id, s := range c.streams {
		if id > f.LastStreamID {
			c.reapLocked(s, fmt.Errorf("%w: goaway %s", ErrRefused, f.ErrCode))
		}
	}
}
