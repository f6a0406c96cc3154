package journal

import (
	"encoding/binary"

	"reprise/pkg/errs"
)

// RowHeaderSize is the length of what precedes the frames in a row's value.
const RowHeaderSize = 8 + 4 + 4

// Row is one journal row: entries [First, First+Entries) of the journal.
type Row struct {
	First   uint32
	Entries uint32
	Time    int64  // of the record, Unix milliseconds
	Attempt uint32 // that sent it; 0 if no attempt did
	Frames  []byte // whole frames: 8-byte header and payload each, flags zero
}

// AppendValue appends the row's value (without the key) to dst:
// time u64, attempt u32, entries u32 (little endian), frames.
func (r Row) AppendValue(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Time))
	dst = binary.LittleEndian.AppendUint32(dst, r.Attempt)
	dst = binary.LittleEndian.AppendUint32(dst, r.Entries)
	return append(dst, r.Frames...)
}

// ParseRow decodes a value. Frames borrow from it.
func ParseRow(first uint32, value []byte) (Row, error) {
	if len(value) < RowHeaderSize {
		return Row{}, errs.Newf(errs.Corrupt, "journal row of %d bytes", len(value))
	}
	le := binary.LittleEndian
	return Row{
		First: first, Time: int64(le.Uint64(value)), Attempt: le.Uint32(value[8:]),
		Entries: le.Uint32(value[12:]), Frames: value[RowHeaderSize:],
	}, nil
}
