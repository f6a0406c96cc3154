package serviceproto

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// reader walks the fields of a message. It stops at what is malformed and remembers that; a getter
// that does not fit the field that was read counts as malformed too.
type reader struct {
	b     []byte
	num   protowire.Number
	typ   protowire.Type
	value uint64
	bytes []byte
	bad   bool
}

// next reads one field and tells whether there was one.
func (r *reader) next() bool {
	if len(r.b) == 0 || r.bad {
		return false
	}
	num, typ, n := protowire.ConsumeTag(r.b)
	if n < 0 || num > protowire.MaxValidNumber {
		return r.fail()
	}
	r.num, r.typ, r.b = num, typ, r.b[n:]
	switch typ {
	case protowire.VarintType:
		r.value, n = protowire.ConsumeVarint(r.b)
	case protowire.BytesType:
		r.bytes, n = protowire.ConsumeBytes(r.b)
	default: // no message has such a field: unknown ones are skipped
		n = protowire.ConsumeFieldValue(num, typ, r.b)
	}
	if n < 0 {
		return r.fail()
	}
	r.b = r.b[n:]
	return true
}

func (r *reader) fail() bool {
	r.bad = true
	return false
}

func (r *reader) uint32() uint32 { return uint32(r.uint64()) }

func (r *reader) uint64() uint64 {
	if r.typ != protowire.VarintType {
		r.bad = true
		return 0
	}
	return r.value
}

// raw returns the bytes of a field, borrowed and never nil.
func (r *reader) raw() []byte {
	if r.typ != protowire.BytesType {
		r.bad = true
		return nil
	}
	return r.bytes
}

// text returns the bytes of a string field, borrowed.
func (r *reader) text() []byte {
	b := r.raw()
	if !utf8.Valid(b) {
		r.bad = true
	}
	return b
}

// millis returns a field of unsigned milliseconds; a time beyond what int64 holds is the last one.
func (r *reader) millis() int64 {
	const last = 1<<63 - 1
	return int64(min(r.uint64(), last))
}

// Writing. Fields with the default value are left out by the caller where proto3 would.

func appendVarintField(dst []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

func appendBytesField[S ~string | ~[]byte](dst []byte, num protowire.Number, v S) []byte {
	return append(appendLen(dst, num, len(v)), v...)
}

// appendLen begins a field of n bytes.
func appendLen(dst []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.BytesType), uint64(n))
}

// appendOptional leaves an empty string out.
func appendOptional[S ~string | ~[]byte](dst []byte, num protowire.Number, v S) []byte {
	if len(v) == 0 {
		return dst
	}
	return appendBytesField(dst, num, v)
}

func sizeOptional(num protowire.Number, n int) int {
	if n == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}
