package journal

import (
	"encoding/binary"

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
		return true
	}
	return s.notificationID(payload)
}

// notificationID finds the id of a notification and whether it is a failure.
func (s *scanner) notificationID(b []byte) bool {
	s.id, s.number, s.name, s.failed = idCompletion, 0, nil, false // a completion id of 0 is not written
	for len(b) > 0 {
		field, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return s.malformed()
		}
		b = b[n:]
		var value uint64
		var bytes []byte
		switch wire {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, wire, b)
		}
		if n < 0 {
			return s.malformed()
		}
		b = b[n:]
		switch {
		case field == fieldCompletion && wire == protowire.VarintType:
			s.id, s.number = idCompletion, uint32(value)
		case field == fieldSignal && wire == protowire.VarintType:
			s.id, s.number = idSignal, uint32(value)
		case field == fieldName && wire == protowire.BytesType:
			s.id, s.name = idName, bytes
		case field == fieldFailure:
			s.failed = true
		}
	}
	return true
}

func (s *scanner) malformed() bool {
	s.err = errs.Newf(errs.Corrupt, "notification %d of a journal row is malformed", s.entries-1)
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
