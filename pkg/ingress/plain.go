package ingress

import "bytes"

// Plain requests are those that the front reads itself: POST or GET of HTTP/1.1 with a target in origin form,
// each line ended by CR LF, a body of declared and moderate length, and none of the headers that change how a
// message is framed or answered. Everything else is for net/http. To misread a request would let one client
// smuggle another past whoever stands before us, so what is not certainly plain is not plain.
const (
	// plainHeadMax is the longest head of a plain request.
	plainHeadMax = 8 << 10
	// plainHeadersMax is how many header lines it has at most.
	plainHeadersMax = 64
	// plainBodyMax is its longest body. Any of them may be read to its end to keep a connection.
	plainBodyMax = 256 << 10
)

// verdict is what the first bytes of a connection, or those after a request, are.
type verdict uint8

const (
	isIncomplete verdict = iota // so far they may be the head of a plain request
	isPlain
	isOther // for net/http
)

// part is a range of the head's bytes.
type part struct{ from, to int }

func (p part) of(s string) string { return s[p.from:p.to] }

type plainHeader struct{ name, value part }

// plainHead is the head of a plain request.
type plainHead struct {
	size       int // of the head, with the empty line
	bodyLength int
	post       bool
	closes     bool // the client wants the connection to end
	target     part
	headers    []plainHeader // the first of each name, as received
}

// parse reads the head at the start of b and writes names of headers in lower case into b.
func (h *plainHead) parse(b []byte) verdict {
	h.size, h.bodyLength, h.closes, h.headers = 0, 0, false, h.headers[:0]
	line, v := h.line(b)
	if v == isIncomplete && !mayBePlain(b) {
		return isOther
	}
	if v != isPlain {
		return v
	}
	if !h.requestLine(b, line) {
		return isOther
	}
	seen := fields(0)
	for lines := 0; ; lines++ {
		if line, v = h.line(b); v != isPlain {
			return v
		}
		if line.from == line.to {
			break
		}
		if lines == plainHeadersMax || !h.header(b, line, &seen) {
			return isOther
		}
	}
	if seen&fieldHost == 0 {
		return isOther
	}
	return isPlain
}

// line cuts the next line off, without its end.
func (h *plainHead) line(b []byte) (part, verdict) {
	n := bytes.IndexByte(b[h.size:], '\n')
	switch {
	case n < 0 && len(b) >= plainHeadMax, n == 0, n > 0 && b[h.size+n-1] != '\r', h.size+n >= plainHeadMax:
		return part{}, isOther
	case n < 0:
		return part{}, isIncomplete
	}
	l := part{h.size, h.size + n - 1}
	h.size += n + 1
	return l, isPlain
}

const (
	plainPost    = "POST "
	plainGet     = "GET "
	plainVersion = " HTTP/1.1"
)

// mayBePlain tells whether what came of the first line can become a plain one.
func mayBePlain(b []byte) bool {
	return hasStart(b, plainPost) || hasStart(b, plainGet)
}

// hasStart tells whether b begins with s, as far as b goes.
func hasStart(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

func (h *plainHead) requestLine(b []byte, l part) bool {
	switch text := b[l.from:l.to]; {
	case bytes.HasPrefix(text, []byte(plainPost)):
		h.post, h.target.from = true, l.from+len(plainPost)
	case bytes.HasPrefix(text, []byte(plainGet)):
		h.post, h.target.from = false, l.from+len(plainGet)
	default:
		return false
	}
	h.target.to = l.to - len(plainVersion)
	if h.target.to <= h.target.from || string(b[h.target.to:l.to]) != plainVersion || b[h.target.from] != '/' {
		return false
	}
	for _, c := range b[h.target.from:h.target.to] {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// fields are headers that a request has once at most.
type fields uint8

const (
	fieldHost fields = 1 << iota
	fieldLength
	fieldConnection
)

// header takes one line; false if it is not one of a plain request.
func (h *plainHead) header(b []byte, l part, seen *fields) bool {
	colon := bytes.IndexByte(b[l.from:l.to], ':')
	if colon < 1 {
		return false
	}
	name, value := part{l.from, l.from + colon}, part{l.from + colon + 1, l.to}
	for i := name.from; i < name.to; i++ {
		c := b[i]
		if c >= byte(len(tokenBytes)) || !tokenBytes[c] {
			return false
		}
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	for value.from < value.to && isBlank(b[value.from]) {
		value.from++
	}
	for value.from < value.to && isBlank(b[value.to-1]) {
		value.to--
	}
	for _, c := range b[value.from:value.to] {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	if !h.special(b[name.from:name.to], b[value.from:value.to], seen) {
		return false
	}
	for _, other := range h.headers { // the first of a name counts
		if other.name.to-other.name.from == colon && bytes.Equal(b[other.name.from:other.name.to], b[name.from:name.to]) {
			return true
		}
	}
	h.headers = append(h.headers, plainHeader{name, value})
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// special looks at the headers that decide whether a request is plain.
func (h *plainHead) special(name, value []byte, seen *fields) bool {
	once := func(f fields) bool {
		first := *seen&f == 0
		*seen |= f
		return first
	}
	switch string(name) {
	case "host":
		return once(fieldHost) && plainHost(value)
	case "content-length":
		return once(fieldLength) && h.length(value)
	case "connection":
		h.closes = bytes.EqualFold(value, []byte("close"))
		return once(fieldConnection) && (h.closes || bytes.EqualFold(value, []byte("keep-alive")))
	case "transfer-encoding", "expect", "upgrade", "trailer", "http2-settings", "pragma":
		return false // net/http makes something of each of them
	default:
		return true
	}
}

func plainHost(value []byte) bool {
	for _, c := range value {
		if !isDigit(c) && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && c != '.' && c != '-' && c != ':' && c != '[' && c != ']' && c != '_' {
			return false
		}
	}
	return true
}

func (h *plainHead) length(value []byte) bool {
	if len(value) == 0 || len(value) > len("000262144") {
		return false
	}
	for _, c := range value {
		if !isDigit(c) {
			return false
		}
		h.bodyLength = h.bodyLength*10 + int(c-'0')
	}
	return h.bodyLength <= plainBodyMax
}

// tokenBytes are those of which names of headers consist.
var tokenBytes = func() (t [128]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()
