package ingress

import (
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// bodyCopiedMax is the longest body that is copied behind its head, so that both are one packet.
	bodyCopiedMax = 8 << 10
	// outKeptMax is the largest buffer for responses that a connection keeps.
	outKeptMax = 2 * bodyCopiedMax
)

// Starts of responses: the status line of most of them, and what allows everything to browsers.
const (
	startOK   = "HTTP/1.1 200 OK\r\n"
	startCORS = "Access-Control-Allow-Credentials: true\r\nVary: " + CORSVary + "\r\n"
	startJSON = "Content-Type: " + contentTypeJSON + "\r\n"
)

// write sends a response; last says that the connection ends after it.
func (c *plainConn) write(resp *Response, last bool) error {
	b := c.appendHead(c.out[:0], resp, last)
	body := resp.Body
	if !mayHaveBody(resp.Status) {
		body = nil
	}
	if len(body) <= bodyCopiedMax {
		b = append(b, body...)
		body = nil
	}
	if c.out = b; cap(b) > outKeptMax {
		c.out = nil
	}
	if body != nil {
		both := net.Buffers{b, body}
		_, err := both.WriteTo(c.conn)
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// mayHaveBody tells whether responses of a status have one: a failure's code may be of those that have none.
func mayHaveBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

func (c *plainConn) appendHead(b []byte, resp *Response, last bool) []byte {
	b = appendStatus(b, resp.Status)
	if !resp.Bare {
		b = append(b, startCORS...)
		if origin, ok := c.req.header(headerOrigin); ok {
			b = appendHeader(b, "Access-Control-Allow-Origin: ", origin)
		}
	}
	switch {
	case resp.ContentType == "", resp.Status == http.StatusNotModified: // as net/http does
	case resp.ContentType == contentTypeJSON:
		b = append(b, startJSON...)
	default:
		b = appendHeader(b, "Content-Type: ", resp.ContentType)
	}
	if resp.Source != "" {
		b = appendHeader(b, "X-Restate-Error-Source: ", string(resp.Source))
	}
	if resp.Unread {
		b = append(b, "Www-Authenticate: Bearer\r\n"...)
	}
	if resp.HasID {
		b = append(b, "X-Restate-Id: "...)
		b = append(resp.ID.AppendText(b), "\r\n"...)
	}
	if resp.ExpiresAt != 0 {
		b = append(b, "Idempotency-Expires: "...)
		b = append(AppendExpires(b, resp.ExpiresAt), "\r\n"...)
	}
	if mayHaveBody(resp.Status) {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(resp.Body)), 10), "\r\n"...)
	}
	b = append(b, c.front.date.line(c.front.host.Clock.Now())...)
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendStatus(b []byte, status int) []byte {
	if status == statusOK {
		return append(b, startOK...)
	}
	b = append(b, "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(status), 10), ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	return append(b, "\r\n"...)
}

// appendHeader appends a header whose value was made by others: it stays one line.
func appendHeader(b []byte, name, value string) []byte {
	b = append(b, name...)
	for i := range len(value) {
		c := value[i]
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}

// dateLine is the header that tells the time, made once a second.
type dateLine struct{ made atomic.Pointer[madeDate] }

type madeDate struct {
	second int64
	line   string
}

func (d *dateLine) line(now time.Time) string {
	second := now.Unix()
	if m := d.made.Load(); m != nil && m.second == second {
		return m.line
	}
	m := &madeDate{second: second, line: "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
	d.made.Store(m)
	return m.line
}
