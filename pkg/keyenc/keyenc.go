package keyenc

import (
	"bytes"
	"encoding/binary"
)

const (
	escape     = 0x00
	escapedNul = 0xFF // escape escapedNul = a 00 in the string
	terminator = 0x01 // escape terminator = its end
)

// AppendUint16 appends v.
func AppendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendUint32 appends v.
func AppendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendUint64 appends v.
func AppendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// AppendBytes appends s escaped and terminated.
func AppendBytes[S ~string | ~[]byte](dst []byte, s S) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, s[i])
		if s[i] == escape {
			dst = append(dst, escapedNul)
		}
	}
	return append(dst, escape, terminator)
}

// CutUint16 takes an integer off the front of key; ok is false if key is too short.
func CutUint16(key []byte) (v uint16, rest []byte, ok bool) {
	if len(key) < 2 {
		return 0, key, false
	}
	return binary.BigEndian.Uint16(key), key[2:], true
}

// CutUint32 takes an integer off the front of key; ok is false if key is too short.
func CutUint32(key []byte) (v uint32, rest []byte, ok bool) {
	if len(key) < 4 {
		return 0, key, false
	}
	return binary.BigEndian.Uint32(key), key[4:], true
}

// CutUint64 takes an integer off the front of key; ok is false if key is too short.
func CutUint64(key []byte) (v uint64, rest []byte, ok bool) {
	if len(key) < 8 {
		return 0, key, false
	}
	return binary.BigEndian.Uint64(key), key[8:], true
}

// CutBytes takes an escaped string off the front of key and appends it to dst.
// ok is false if the string does not end or holds an unknown escape.
func CutBytes(dst, key []byte) (s, rest []byte, ok bool) {
	for {
		at := bytes.IndexByte(key, escape)
		if at < 0 || at+1 >= len(key) {
			return dst, key, false
		}
		dst = append(dst, key[:at]...)
		code := key[at+1]
		key = key[at+2:]
		switch code {
		case terminator:
			return dst, key, true
		case escapedNul:
			dst = append(dst, escape)
		default:
			return dst, key, false
		}
	}
}

// PrefixEnd returns the smallest key above all keys that begin with prefix, nil if there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}
