package serviceproto

import "encoding/binary"

// FrameHeaderSize is the length of what precedes a payload.
const FrameHeaderSize = 8

// FlagRequestedAck asks for an ack of a command or a run proposal. All other flags mean nothing.
const FlagRequestedAck uint16 = 0x8000

// Frame is one message. It borrows from the bytes it was cut from.
type Frame struct {
	Type    Type
	Flags   uint16
	Payload []byte
	Raw     []byte // header and payload
}

// NextFrame cuts the first frame off b. ok is false if b holds only a part of it; then err tells
// whether there is any use in waiting for the rest: a declared length of limit or more is refused
// (RT0003) as soon as the header is there.
func NextFrame(b []byte, limit uint32) (f Frame, rest []byte, ok bool, err error) {
	if len(b) < FrameHeaderSize {
		return Frame{}, b, false, nil
	}
	n := binary.BigEndian.Uint32(b[4:])
	f.Type = Type(binary.BigEndian.Uint16(b))
	if n >= limit {
		return Frame{}, b, false, docError(DocMessageTooLarge, "message %s of %d bytes, the limit is %d", f.Type, n, limit)
	}
	end := FrameHeaderSize + uint64(n)
	if uint64(len(b)) < end {
		return Frame{}, b, false, nil
	}
	f.Flags = binary.BigEndian.Uint16(b[2:])
	f.Payload = b[FrameHeaderSize:end:end]
	f.Raw = b[:end:end]
	return f, b[end:], true, nil
}

// AppendFrame appends a frame without flags.
func AppendFrame(dst []byte, t Type, payload []byte) []byte {
	dst, at := begin(dst)
	return finish(append(dst, payload...), at, t)
}

// PutFrameHeader writes the header of a frame without flags over the first FrameHeaderSize bytes of b.
func PutFrameHeader(b []byte, t Type, payloadLen int) {
	binary.BigEndian.PutUint16(b, uint16(t))
	binary.BigEndian.PutUint16(b[2:], 0)
	binary.BigEndian.PutUint32(b[4:], uint32(payloadLen))
}

// begin makes room for a header; finish fills it when the payload stands behind it.
func begin(dst []byte) (grown []byte, at int) {
	var header [FrameHeaderSize]byte
	return append(dst, header[:]...), len(dst)
}

func finish(dst []byte, at int, t Type) []byte {
	PutFrameHeader(dst[at:], t, len(dst)-at-FrameHeaderSize)
	return dst
}
