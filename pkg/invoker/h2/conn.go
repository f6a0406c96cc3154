package h2

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"

	"reprise/pkg/host"
)

// Conn is one connection. Requests may be opened before it is established; they wait in its write buffer.
type Conn struct {
	client   *Client
	key      Key
	kick     chan struct{} // room for one; wakes the flusher
	stopped  chan struct{} // closed by fail
	interval int64         // of keep-alive, ms, with its jitter

	touchedByLoop bool // loop only

	lastRead atomic.Int64 // Unix ms

	// mu guards what follows. Never held while the socket is used or a Handler is called.
	mu           sync.Mutex
	nc           net.Conn // nil until connected, then fixed
	err          error    // why it is dead
	draining     bool     // takes no new streams
	settled      bool     // the peer's SETTINGS came
	closeFlushed bool     // the flusher closes it when all is written
	streams      map[uint32]*Stream
	reaped       []reaped // done; the reader calls Closed
	nextID       uint32
	enc          encoder
	wbuf         []byte
	spareBuf     []byte
	blocked      []*Stream // have something pending, oldest first
	window       int64     // what the peer allows us to send
	streamWindow int64     // the same for a new stream
	frameMax     int       // of DATA that we send
	streamsMax   uint32
	allowed      int64 // what the peer may send
	credit       int64 // to be given back
	pingSent     int64 // Unix ms, 0 if none is out
	idleSince    int64 // Unix ms, 0 if not idle
}

type reaped struct {
	s   *Stream
	err error
}

type openResult uint8

const (
	opened openResult = iota
	connFull
	connDead
)

const clientPreface = http2.ClientPreface

func newConn(client *Client, key Key) *Conn {
	cfg := &client.cfg
	c := &Conn{
		client: client, key: key,
		kick: make(chan struct{}, 1), stopped: make(chan struct{}),
		streams: map[uint32]*Stream{}, nextID: 1, enc: newEncoder(),
		window: windowDefault, streamWindow: windowDefault,
		frameMax: int(cfg.FrameBytesMax), streamsMax: cfg.StreamsMax,
		allowed: int64(cfg.ConnWindowBytes),
	}
	if c.frameMax > frameBytesMin { // until the peer's SETTINGS allow more
		c.frameMax = frameBytesMin
	}
	spread := float64(client.host.Rand.Uint64()>>11) / (1 << 53)
	c.interval = int64(float64(cfg.KeepAliveInterval.Milliseconds()) * (1 - cfg.KeepAliveJitter*spread))
	c.wbuf = append(c.wbuf, clientPreface...)
	c.wbuf = appendSettings(c.wbuf,
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: cfg.StreamWindowBytes},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: cfg.FrameBytesMax},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: headerBytesMax})
	if more := cfg.ConnWindowBytes - windowDefault; more > 0 {
		c.wbuf = appendWindowUpdate(c.wbuf, 0, more)
	}
	return c
}

// run is the goroutine of the connection: it dials, reads, and at the end closes all streams.
func (c *Conn) run(ctx context.Context) error {
	connected := false
	nc, err := c.connect(ctx)
	if err != nil {
		c.fail(fmt.Errorf("connect to %s: %w", c.key.Authority, err))
	} else if connected = c.adopt(nc); connected {
		c.client.spawnFlusher(c)
		c.wake()
		c.fail(newReader(c).loop())
	} else {
		_ = nc.Close() // failed meanwhile; nothing was sent
	}
	c.teardown()
	c.client.gone(c, connected)
	return nil // one connection's end is not the client's
}

func (c *Conn) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.client.cfg.ConnectTimeout)
	defer cancel()
	return c.client.dial(ctx, c.key.Authority, c.key.Secure)
}

func (c *Conn) adopt(nc net.Conn) bool {
	c.lastRead.Store(host.Millis(c.client.host.Clock))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.nc = nc
	return true
}

// teardown tells every stream. It runs on the reader's goroutine, after the reader.
func (c *Conn) teardown() {
	c.mu.Lock()
	for id, s := range c.streams {
		s.done = true
		s.signalSpareLocked()
		c.reaped = append(c.reaped, reaped{s, c.err})
		delete(c.streams, id)
		c.client.streamsClosed.Add(1)
	}
	all := c.reaped
	c.reaped, c.blocked, c.wbuf, c.spareBuf = nil, nil, nil, nil
	c.mu.Unlock()
	for _, r := range all {
		r.s.handler.Closed(r.err)
	}
}

// fail ends the connection; the first cause wins.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	nc := c.nc
	c.mu.Unlock()
	close(c.stopped)
	if nc != nil {
		_ = nc.Close() // the cause is known
	}
}

func (c *Conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

func (c *Conn) closedToStreams() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled && c.streamsMax == 0 && !c.draining
}

// open gives s the next stream id and appends its HEADERS.
func (c *Conn) open(s *Stream, head *Head, extra []Field) openResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return connDead
	}
	if c.draining || uint32(len(c.streams)) >= c.streamsMax {
		return connFull
	}
	if c.nextID > streamIDMax {
		c.draining = true
		return connFull
	}
	id := c.nextID
	c.nextID += 2
	s.reset(c, id, c.streamWindow, int64(c.client.cfg.StreamWindowBytes))
	c.streams[id] = s
	start := len(c.wbuf)
	c.wbuf = append(c.wbuf, make([]byte, frameHeaderBytes)...)
	c.wbuf = c.enc.append(c.wbuf, head, extra)
	c.wbuf = finishHeaders(c.wbuf, start, id)
	return opened
}

func (c *Conn) wake() {
	select {
	case c.kick <- struct{}{}:
	default: // a wake-up is on its way already
	}
}

// flushLoop is the goroutine that writes the socket.
func (c *Conn) flushLoop(context.Context) error {
	for {
		select {
		case <-c.kick:
		case <-c.stopped:
			return nil
		}
		for c.flush() {
		}
	}
}

// flush writes what is there; true if streams that had waited for room gave more.
func (c *Conn) flush() (more bool) {
	c.mu.Lock()
	buf := c.wbuf
	if len(buf) == 0 || c.err != nil {
		c.mu.Unlock()
		return false
	}
	c.wbuf, c.spareBuf = c.spareBuf[:0], nil
	closing := c.closeFlushed
	c.mu.Unlock()

	_, err := c.nc.Write(buf)
	if err != nil {
		c.fail(fmt.Errorf("write to %s: %w", c.key.Authority, err))
		return false
	}
	if closing {
		c.fail(errIdle)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cap(buf) <= writeBufferKept {
		c.spareBuf = buf[:0]
	}
	if len(c.blocked) == 0 {
		return false
	}
	before := len(c.wbuf)
	c.pumpLocked()
	return len(c.wbuf) > before
}

// tick does keep-alive and idle closing.
func (c *Conn) tick(nowMillis int64) {
	cfg := &c.client.cfg
	last := c.lastRead.Load()
	dead := false
	c.mu.Lock()
	if c.err != nil || c.nc == nil || c.closeFlushed {
		c.mu.Unlock()
		return
	}
	switch {
	case len(c.streams) > 0:
		c.idleSince = 0
	case c.idleSince == 0 && !c.draining:
		c.idleSince = nowMillis
	case c.draining || nowMillis-c.idleSince > cfg.IdleTimeout.Milliseconds():
		c.draining, c.closeFlushed = true, true
		c.wbuf = appendGoAway(c.wbuf)
	}
	switch {
	case c.closeFlushed:
	case c.pingSent != 0 && last >= c.pingSent:
		c.pingSent = 0
	case c.pingSent != 0:
		dead = nowMillis-c.pingSent > cfg.KeepAliveTimeout.Milliseconds()
	case nowMillis-last > c.interval:
		c.pingSent = nowMillis
		c.wbuf = appendPing(c.wbuf, false, [8]byte{})
	}
	write := len(c.wbuf) > 0
	c.mu.Unlock()
	if dead {
		c.fail(errKeepAlive)
		return
	}
	if write {
		c.wake()
	}
}
