package h2

// Field is a header field. Names are lower case.
type Field struct {
	Name, Value string
	// Secret is sent as a literal that is never indexed.
	Secret bool
}

// Head is what the requests to one path have in common. It is immutable; connections cache its encoding.
type Head struct{ fields []Field }

// NewHead returns the head of POST requests to a path.
func NewHead(scheme, authority, path string, fields []Field) *Head {
	h := &Head{fields: make([]Field, 0, 4+len(fields))}
	h.fields = append(h.fields,
		Field{Name: ":method", Value: "POST"},
		Field{Name: ":scheme", Value: scheme},
		Field{Name: ":authority", Value: authority},
		Field{Name: ":path", Value: path})
	h.fields = append(h.fields, fields...)
	return h
}

// block is the encoding of a Head at one state of the header table.
type block struct {
	bytes   []byte
	version uint32
}

// encoder encodes header blocks for one connection (RFC 7541). It inserts into the peer's table while
// there is room and never evicts, so an encoding stays valid until the next insertion.
type encoder struct {
	entries []Field // oldest first
	bytes   int
	max     int
	version uint32 // counts insertions and resets
	update  int    // table size to announce before the next block; -1: none
	shrunk  bool   // the table must be announced as empty first
	heads   map[*Head]block
}

func newEncoder() encoder {
	return encoder{max: headTableBytes, update: -1, heads: map[*Head]block{}}
}

// resize follows the peer's SETTINGS_HEADER_TABLE_SIZE.
func (e *encoder) resize(bytes uint32) {
	size := int(min(bytes, headTableBytes))
	if size == e.max {
		return
	}
	e.max, e.update, e.shrunk = size, size, true
	e.entries, e.bytes = e.entries[:0], 0
	e.version++
}

// append appends the header block of a request.
func (e *encoder) append(dst []byte, h *Head, extra []Field) []byte {
	if e.shrunk {
		dst = appendInt(dst, 0x20, 5, 0)
		e.shrunk = false
	}
	if e.update >= 0 {
		dst = appendInt(dst, 0x20, 5, uint64(e.update))
		e.update = -1
	}
	if b, ok := e.heads[h]; ok && b.version == e.version {
		dst = append(dst, b.bytes...)
	} else {
		dst = e.encode(dst, h)
	}
	for i := range extra {
		dst = appendLiteral(dst, &extra[i], 0)
	}
	return dst
}

// encode encodes a head that is not cached, and caches what did not change the table.
func (e *encoder) encode(dst []byte, h *Head) []byte {
	start, before := len(dst), e.version
	for _, f := range h.fields {
		dst = e.appendField(dst, f)
	}
	if e.version != before {
		return dst
	}
	if len(e.heads) >= headsMax {
		clear(e.heads)
	}
	e.heads[h] = block{bytes: append([]byte(nil), dst[start:]...), version: e.version}
	return dst
}

func (e *encoder) appendField(dst []byte, f Field) []byte {
	if f.Secret {
		return appendLiteral(dst, &f, 0)
	}
	index, exact := e.find(f)
	if exact {
		return appendInt(dst, 0x80, 7, index)
	}
	size := len(f.Name) + len(f.Value) + 32
	if e.bytes+size > e.max {
		return appendLiteral(dst, &f, index)
	}
	dst = appendInt(dst, 0x40, 6, index)
	if index == 0 {
		dst = appendString(dst, f.Name)
	}
	e.entries = append(e.entries, f)
	e.bytes += size
	e.version++
	return appendString(dst, f.Value)
}

// appendLiteral appends a field that does not enter the table; index may name it.
func appendLiteral(dst []byte, f *Field, index uint64) []byte {
	first := byte(0x00)
	if f.Secret {
		first = 0x10
	}
	dst = appendInt(dst, first, 4, index)
	if index == 0 {
		dst = appendString(dst, f.Name)
	}
	return appendString(dst, f.Value)
}

// find returns the index of the field, or of its name, or 0.
func (e *encoder) find(f Field) (index uint64, exact bool) {
	switch f.Name {
	case ":method": // POST is all we send
		return 3, f.Value == "POST"
	case ":scheme":
		if f.Value == "https" {
			return 7, true
		}
		return 6, f.Value == "http"
	case ":authority":
		index = 1
	case ":path":
		index = 4
	case "accept":
		index = 19
	case "content-type":
		index = 31
	}
	for i := range e.entries {
		if at := &e.entries[i]; at.Name == f.Name {
			dynamic := uint64(61 + len(e.entries) - i)
			if at.Value == f.Value {
				return dynamic, true
			}
			if index == 0 {
				index = dynamic
			}
		}
	}
	return index, false
}

// appendInt appends an integer with a prefix of n bits (RFC 7541, 5.1).
func appendInt(dst []byte, first byte, n uint, v uint64) []byte {
	limit := uint64(1)<<n - 1
	if v < limit {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(limit))
	for v -= limit; v >= 0x80; v >>= 7 {
		dst = append(dst, 0x80|byte(v))
	}
	return append(dst, byte(v))
}

func appendString(dst []byte, s string) []byte {
	dst = appendInt(dst, 0, 7, uint64(len(s)))
	return append(dst, s...)
}
