package span

import (
	"encoding/binary"
	"encoding/hex"

	"reprise/pkg/id"
)

// parentLen is the length of version 00 of the W3C header traceparent: 00-<32 hex>-<16 hex>-<2 hex>.
const parentLen = 55

// TraceID names a trace. Zero is none.
type TraceID [16]byte

// ID names a span in a trace. Zero is none.
type ID [8]byte

// Context is the place of a span. The zero value is nowhere.
type Context struct {
	Trace   TraceID
	Span    ID
	Sampled bool
	State   string // tracestate, passed on as it came
}

// Valid tells whether there is such a place.
func (c Context) Valid() bool { return c.Trace != TraceID{} && c.Span != ID{} }

// Parse reads a traceparent of version 00; false if it is none.
func Parse(text, state string) (c Context, ok bool) {
	if len(text) != parentLen || text[:3] != "00-" || text[35] != '-' || text[52] != '-' {
		return Context{}, false
	}
	var flags [1]byte
	if !decode(c.Trace[:], text[3:35]) || !decode(c.Span[:], text[36:52]) || !decode(flags[:], text[53:]) || !c.Valid() {
		return Context{}, false
	}
	c.Sampled, c.State = flags[0]&1 != 0, state
	return c, true
}

// decode reads lower-case digits.
func decode(to []byte, text string) bool {
	for i := range text {
		if 'A' <= text[i] && text[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(text))
	return err == nil
}

// String is the traceparent.
func (c Context) String() string {
	b := make([]byte, 0, parentLen)
	b = hex.AppendEncode(append(b, "00-"...), c.Trace[:])
	b = hex.AppendEncode(append(b, '-'), c.Span[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// NewID is a random span; random is any number.
func NewID(random uint64) (s ID) {
	binary.LittleEndian.PutUint64(s[:], max(random, 1))
	return s
}

// OfInvocation is the place of an invocation whose row holds traceparent and tracestate: in the trace of who began it, else in one that is
// made of its id, sampled at ratio. Every process finds the same. parent is invalid if there is none.
func OfInvocation(i id.Invocation, traceparent, state string, ratio float64) (c, parent Context) {
	parent, ok := Parse(traceparent, state)
	if ok {
		c = parent
	} else {
		copy(c.Trace[:], i[8:])
		c.Sampled = sampled(c.Trace, ratio)
	}
	copy(c.Span[:], i[16:])
	if c.Span == (ID{}) {
		c.Span[0] = 1
	}
	return c, parent
}

// sampled decides by the trace alone, so that all who ask agree.
func sampled(t TraceID, ratio float64) bool {
	return float64(binary.BigEndian.Uint64(t[8:])>>11) < ratio*(1<<53)
}
