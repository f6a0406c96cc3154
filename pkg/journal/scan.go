package journal

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"reprise/pkg/errs"
)

// What the index must know of the frames of the service protocol. serviceproto has the rest of it, and
// cannot be asked: it stands on this package.
const (
	frameHeader       = 8      // type u16, flags u16, length u32, big endian
	firstCommand      = 0x0400 // types below are control frames, which no journal holds
	firstNotification = 0x8000

	fieldCompletion = 1
	fieldSignal     = 2
	fieldName       = 3
	fieldFailure    = 6

	kindSleep   = 0x040c
	fieldWakeUp = 1
	fieldResult = 11
)

type idKind uint8

const (
	idNone idKind = iota
	idCompletion
	idSignal
	idName
)

// scanner walks the frames of a row.
type scanner struct {
	rest     []byte
	entries  uint32
	commands uint32
	err      error

	// Of the present frame.
	isSleep      bool
	sleep        Sleep
	notification bool
	id           idKind
	number       uint32
	name         []byte // borrowed
	failed       bool
}

func (s *scanner) next() bool {
	if len(s.rest) == 0 || s.err != nil {
		return false
	}
	if len(s.rest) < frameHeader {
		s.err = errs.Newf(errs.Corrupt, "journal entry of %d bytes", len(s.rest))
		return false
	}
	kind := binary.BigEndian.Uint16(s.rest)
	size := uint64(binary.BigEndian.Uint32(s.rest[4:])) + frameHeader
	if size > uint64(len(s.rest)) {
		s.err = errs.Newf(errs.Corrupt, "journal entry says %d bytes, %d are there", size, len(s.rest))
		return false
	}
	if kind < firstCommand {
		s.err = errs.Newf(errs.Corrupt, "frame %#04x in a journal", kind)
		return false
	}
	payload := s.rest[frameHeader:size]
	s.rest = s.rest[size:]
	s.entries++
	s.notification = kind >= firstNotification
	if !s.notification {
		s.commands++
		if s.isSleep = kind == kindSleep; s.isSleep {
			return s.sleepFields(payload)
		}
		return true
	}
	return s.notificationID(payload)
}

// nextField takes the first field off a message.
func nextField(b []byte) (f field, rest []byte, ok bool) {
	num, wire, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, false
	}
	f.num, f.wire, b = num, wire, b[n:]
	switch wire {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(num, wire, b)
	}
	if n < 0 {
		return f, nil, false
	}
	return f, b[n:], true
}

type field struct {
	num   protowire.Number
	wire  protowire.Type
	value uint64 // of a varint
	bytes []byte // borrowed
}

func (f *field) isVarint(num protowire.Number) bool {
	return f.num == num && f.wire == protowire.VarintType
}

// notificationID finds the id of a notification and whether it is a failure.
func (s *scanner) notificationID(b []byte) bool {
	s.id, s.number, s.name, s.failed = idCompletion, 0, nil, false // a completion id of 0 is not written
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return s.malformed()
		}
		b = rest
		switch {
		case f.isVarint(fieldCompletion):
			s.id, s.number = idCompletion, uint32(f.value)
		case f.isVarint(fieldSignal):
			s.id, s.number = idSignal, uint32(f.value)
		case f.num == fieldName && f.wire == protowire.BytesType:
			s.id, s.name = idName, f.bytes
		case f.num == fieldFailure:
			s.failed = true
		}
	}
	return true
}

// sleepFields finds when a sleep ends and what completes it.
func (s *scanner) sleepFields(b []byte) bool {
	s.sleep = Sleep{}
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return s.malformed()
		}
		b = rest
		switch {
		case f.isVarint(fieldWakeUp):
			s.sleep.Due = int64(min(f.value, math.MaxInt64))
		case f.isVarint(fieldResult):
			s.sleep.Completion = uint32(f.value)
		}
	}
	return true
}

func (s *scanner) malformed() bool {
	s.err = errs.Newf(errs.Corrupt, "entry %d of a journal row is malformed", s.entries-1)
	return false
}

func (s *scanner) check(row Row) error {
	if s.err != nil {
		return s.err
	}
	if s.entries != row.Entries {
		return errs.Newf(errs.Corrupt, "journal row at %d says %d entries, %d are there", row.First, row.Entries, s.entries)
	}
	return nil
}
