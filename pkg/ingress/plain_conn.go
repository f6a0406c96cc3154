package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// longAgo as a deadline ends a read that is under way.
var longAgo = time.Unix(1, 0)

// errGone is the cause with which a client that closed its connection ends its request.
var errGone = errors.New("the client has closed the connection")

// plainConn is a connection whose requests were plain so far. One goroutine owns it: what mu does not guard is
// its own. It is the Body of the request that it serves.
type plainConn struct {
	front *plainFront
	conn  net.Conn

	buf        []byte // of plainHeadMax bytes
	start, end int    // of what was read into buf and not used yet
	head       plainHead
	req        Request

	body     []byte // of the request, in buf or in long
	long     []byte
	bodyRead bool
	bodyErr  error

	out []byte

	leave context.CancelCauseFunc // ends the request that is served

	// mu guards what follows. Never held across I/O other than setting a deadline.
	mu       sync.Mutex
	since    time.Time     // the head is awaited since; zero: none has begun, or it is there
	serving  bool          // a request is
	quiet    bool          // and all of it was read: the next bytes are news of the client
	watched  bool          // a sweep saw this request
	watch    chan struct{} // closed when the goroutine that reads meanwhile has ended; nil: there is none
	draining bool

	peek   [1]byte // what that goroutine read; the owner's when it has ended
	peeked bool
}

func newPlainConn(f *plainFront, conn net.Conn, leave context.CancelCauseFunc) *plainConn {
	return &plainConn{front: f, conn: conn, leave: leave, buf: make([]byte, plainHeadMax), since: f.host.Clock.Now()}
}

// serve answers requests until the connection ends. It returns true when the rest, which is in buf, is for net/http.
func (c *plainConn) serve(ctx context.Context) (other bool) {
	for {
		switch c.await() {
		case isOther:
			return true
		case isIncomplete:
			return false
		case isPlain:
		}
		if !c.answer(ctx) {
			return false
		}
	}
}

// await reads until a head is complete; isIncomplete means that the connection has ended.
func (c *plainConn) await() verdict {
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
	for {
		if c.start < c.end {
			if v := c.head.parse(c.buf[c.start:c.end]); v != isIncomplete {
				return v
			}
			c.begun()
			if c.end == len(c.buf) && c.start > 0 {
				c.end = copy(c.buf, c.buf[c.start:c.end])
				c.start = 0
			}
		}
		n, err := c.conn.Read(c.buf[c.end:])
		c.end += n
		if err != nil && n == 0 {
			return isIncomplete
		}
	}
}

// begun notes when the first bytes of a head came.
func (c *plainConn) begun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		c.since = c.front.host.Clock.Now()
	}
}

// answer serves the request whose head was read. It returns false when the connection is to be closed.
func (c *plainConn) answer(ctx context.Context) bool {
	text := string(c.buf[c.start : c.start+c.head.size])
	c.start += c.head.size
	c.req.Method = methodGet
	if c.head.post {
		c.req.Method = methodPost
	}
	c.req.Target, c.req.ContentLength, c.req.Body = c.head.target.of(text), int64(c.head.bodyLength), c
	c.req.Headers = c.req.Headers[:0]
	for _, h := range c.head.headers {
		c.req.Headers = append(c.req.Headers, Header{Key: h.name.of(text), Value: h.value.of(text)})
	}
	c.body, c.bodyRead, c.bodyErr = nil, false, nil
	c.enter()
	resp := c.front.core.Serve(ctx, &c.req)
	if resp.Unread {
		c.head.closes = true
	} else if _, err := c.Bytes(); err != nil {
		c.head.closes = true
	}
	gone := errors.Is(context.Cause(ctx), errGone)
	last := c.exit() || c.head.closes
	if gone {
		return false
	}
	err := c.write(&resp, last)
	clear(c.req.Headers)
	c.req.Target = ""
	c.Release()
	if err == nil && resp.Unread {
		c.linger()
	}
	return err == nil && !last
}

const (
	lingerTime     = 500 * time.Millisecond
	lingerBytesMax = 256 << 10
)

// linger lets a client that still sends read the answer: closing at once would reset the connection under it.
func (c *plainConn) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.conn.SetReadDeadline(c.front.host.Clock.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, lingerBytesMax)) // the client has gone, or had its time
}

// enter begins to serve a request.
func (c *plainConn) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.serving, c.watched = time.Time{}, true, false
	c.quiet = c.start+c.head.bodyLength == c.end
	if c.draining { // its read may have been ended while the request came
		_ = c.conn.SetReadDeadline(time.Time{}) // else the next read fails, which is noticed
	}
}

// exit ends what enter began. It returns true if no further request is taken.
func (c *plainConn) exit() (last bool) {
	c.mu.Lock()
	w, last := c.watch, c.draining
	c.serving, c.quiet, c.watch = false, false, nil
	c.mu.Unlock()
	if w == nil {
		return last
	}
	_ = c.conn.SetReadDeadline(longAgo) // an error means that the connection is closed: the read has ended
	<-w
	if c.peeked {
		c.peeked = false
		if c.start == c.end {
			c.start, c.end = 0, 0
		}
		c.buf[c.end] = c.peek[0] // there is room: all of the last request was used
		c.end++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining {
		_ = c.conn.SetReadDeadline(time.Time{}) // likewise
	}
	return last || c.draining
}

// sweep looks whether the client takes too long with a head, and whether one that waits is still there. It
// returns the reader that finds out.
func (c *plainConn) sweep(now time.Time) (read func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.serving && !c.since.IsZero() && now.Sub(c.since) >= headerTimeout:
		_ = c.conn.SetReadDeadline(longAgo) // likewise
	case c.serving && c.quiet && !c.watched:
		c.watched = true // most are answered before the next sweep
	case c.serving && c.quiet && c.watch == nil:
		w := make(chan struct{})
		c.watch = w
		return func() {
			defer close(w)
			n, err := c.conn.Read(c.peek[:])
			c.peeked = n > 0
			if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				c.leave(errGone)
			}
		}
	}
	return nil
}

// drain lets the request that is served be the last.
func (c *plainConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if !c.serving {
		_ = c.conn.SetReadDeadline(longAgo) // likewise
	}
}

// bodyKeptMax is the largest buffer for bodies that a connection keeps.
const bodyKeptMax = 64 << 10

// Bytes reads the body. A client that announces much and sends little gets little memory.
func (c *plainConn) Bytes() ([]byte, error) {
	want := c.head.bodyLength
	if c.bodyRead || want == 0 {
		return c.body, c.bodyErr
	}
	c.bodyRead = true
	have := min(want, c.end-c.start)
	from := c.start
	c.start += have
	if have == want {
		c.body = c.buf[from:c.start:c.start]
		return c.body, nil
	}
	c.long = append(c.long[:0], c.buf[from:c.start]...)
	for len(c.long) < want {
		if len(c.long) == cap(c.long) {
			c.long = slices.Grow(c.long, min(want-len(c.long), max(len(c.long), plainHeadMax)))
		}
		n, err := c.conn.Read(c.long[len(c.long):min(cap(c.long), want)])
		c.long = c.long[:len(c.long)+n]
		if err != nil && len(c.long) < want {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			c.bodyErr = err
			return nil, err
		}
	}
	c.body = c.long
	c.mu.Lock()
	c.quiet = c.start == c.end
	c.mu.Unlock()
	return c.body, nil
}

// Release gives the body's memory back.
func (c *plainConn) Release() {
	c.body = nil
	if cap(c.long) > bodyKeptMax {
		c.long = nil
	}
}
