package logstore

import (
	"encoding/binary"
	"fmt"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

const (
	kindMarker   byte = 0x01
	kindIdentity byte = 0x10
	kindSeal     byte = 0x11
	kindTrim     byte = 0x12
	kindKnown    byte = 0x13
	kindGroup    byte = 0x20
)

const (
	metaKeySize  = 9
	groupKeySize = 13
)

func metaKey(dst []byte, kind byte, l id.Loglet) []byte {
	return binary.BigEndian.AppendUint64(append(dst, kind), uint64(l))
}

func groupKey(dst []byte, l id.Loglet, first lsn.Offset) []byte {
	return binary.BigEndian.AppendUint32(metaKey(dst, kindGroup, l), uint32(first))
}

func parseGroupKey(k []byte) (l id.Loglet, first lsn.Offset, ok bool) {
	if len(k) != groupKeySize || k[0] != kindGroup {
		return 0, 0, false
	}
	return id.Loglet(binary.BigEndian.Uint64(k[1:])), lsn.Offset(binary.BigEndian.Uint32(k[metaKeySize:])), true
}

// KeyString prints a key of the store for dumps.
func KeyString(k []byte) string {
	if l, first, ok := parseGroupKey(k); ok {
		return fmt.Sprintf("group %d_%d@%d", l.Log(), l.Segment(), first)
	}
	names := map[byte]string{kindIdentity: "identity", kindSeal: "seal", kindTrim: "trim", kindKnown: "known"}
	if len(k) == metaKeySize && names[k[0]] != "" {
		l := id.Loglet(binary.BigEndian.Uint64(k[1:]))
		return fmt.Sprintf("%s %d_%d", names[k[0]], l.Log(), l.Segment())
	}
	if len(k) == 1 && k[0] == kindMarker {
		return "marker"
	}
	return fmt.Sprintf("unknown %x", k)
}
