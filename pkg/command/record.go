package command

import (
	"encoding/binary"
	"hash/crc32"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Kind says what a record asks for. Numbers are stored and never reused.
type Kind uint8

// The kinds.
const (
	Announce       Kind = 1  // a leader's first record of its epoch; facts Announcement
	Invoke         Kind = 2  // create an invocation; facts InvokeFacts, body its Input frame
	Step           Kind = 3  // what an attempt sent; facts StepFacts or none, body frames
	Fire           Kind = 4  // a timer is due; facts TimerFacts
	Respond        Kind = 5  // a callee ended: body is the completion for the caller, or for who attached
	Signal         Kind = 6  // body is a SignalNotification frame for the invocation
	TruncateOutbox Kind = 7  // what the target has taken is dropped; facts TruncateOutbox
	Read           Kind = 8  // changes nothing; whoever proposed it learns what is known then
	Pause          Kind = 9  // retries are exhausted; facts PauseFacts
	Fail           Kind = 10 // end the invocation with a failure; facts FailFacts
	Attach         Kind = 11 // an invocation of another partition asks for the result of this one; facts AttachFacts
	Share          Kind = 12 // as Respond, for several who wait for the same; facts ShareFacts
	Cancel         Kind = 16 // ask the invocation to end; one that has not begun ends at once
	Kill           Kind = 17 // end the invocation now, and those that it called
	Hold           Kind = 18 // an operator wants the invocation paused
	Resume         Kind = 19 // go on with a paused invocation, or try again now; facts ResumeFacts
	Restart        Kind = 20 // repeat a completed invocation as a new one; facts RestartFacts
	Purge          Kind = 21 // forget a completed invocation
	PurgeJournal   Kind = 22 // forget its journal
	PatchState     Kind = 23 // replace the user state of a key; facts PatchStateFacts
	Expire         Kind = 24 // forget what was kept long enough; facts ExpireFacts
	Event          Kind = 25 // an attempt failed and is tried again; facts EventFacts
	Barrier        Kind = 32 // what follows has the meaning of a version; facts BarrierFacts
)

// HeaderSize is the length of a record's header.
const HeaderSize = 120

const format = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the decoded header of a record.
type Header struct {
	Kind        Kind
	Flags       uint16
	Frames      uint32
	LSN         lsn.LSN
	Loglet      id.Loglet
	Epoch       lsn.Epoch
	Seq         uint64
	Time        int64 // Unix milliseconds
	Incarnation lsn.LSN
	Activation  lsn.LSN
	Attempt     uint32
	SourceSeq   uint64 // 0: proposed here; else numbered by the partition Source for this target
	Source      id.Partition
	ID          id.Invocation
}

// Record is a decoded record. Facts and Body borrow from the bytes it was parsed from.
type Record struct {
	Header
	Facts []byte
	Body  []byte
	Raw   []byte
}

// Facts is a message of api/stored with the generated fast encoding.
type Facts interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
}

// Append appends a finished, unnumbered record to dst. facts may be nil.
// It fails only if facts cannot be encoded.
func Append(dst []byte, h Header, facts Facts, frames ...[]byte) ([]byte, error) {
	factsLen := 0
	if facts != nil {
		factsLen = facts.SizeVT()
	}
	bodyLen := 0
	for _, f := range frames {
		bodyLen += len(f)
	}
	start := len(dst)
	total := HeaderSize + factsLen + bodyLen
	dst = grow(dst, total)
	b := dst[start : start+total]
	putHeader(b, h, uint32(total), uint32(factsLen))
	if facts != nil {
		if _, err := facts.MarshalToSizedBufferVT(b[HeaderSize : HeaderSize+factsLen]); err != nil {
			return dst[:start], err
		}
	}
	at := HeaderSize + factsLen
	for _, f := range frames {
		at += copy(b[at:], f)
	}
	return dst, nil
}

func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	bigger := make([]byte, len(dst)+n, max(2*cap(dst), len(dst)+n))
	copy(bigger, dst)
	return bigger
}

func putHeader(b []byte, h Header, total, factsLen uint32) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], total)
	le.PutUint32(b[4:], 0)
	b[8], b[9] = format, byte(h.Kind)
	le.PutUint16(b[10:], h.Flags)
	le.PutUint32(b[12:], h.Frames)
	le.PutUint64(b[16:], uint64(h.LSN))
	le.PutUint64(b[24:], uint64(h.Loglet))
	le.PutUint64(b[32:], uint64(h.Epoch))
	le.PutUint64(b[40:], h.Seq)
	le.PutUint64(b[48:], uint64(h.Time))
	le.PutUint64(b[56:], uint64(h.Incarnation))
	le.PutUint64(b[64:], uint64(h.Activation))
	le.PutUint32(b[72:], h.Attempt)
	le.PutUint32(b[76:], factsLen)
	le.PutUint64(b[80:], h.SourceSeq)
	le.PutUint16(b[88:], uint16(h.Source))
	clear(b[90:96])
	copy(b[96:HeaderSize], h.ID[:])
}

// Stamp numbers the finished record that rec holds exactly, in place, and sets its checksum.
func Stamp(rec []byte, loglet id.Loglet, at lsn.LSN, epoch lsn.Epoch, seq uint64, timeMillis int64) {
	le := binary.LittleEndian
	le.PutUint64(rec[16:], uint64(at))
	le.PutUint64(rec[24:], uint64(loglet))
	le.PutUint64(rec[32:], uint64(epoch))
	le.PutUint64(rec[40:], seq)
	le.PutUint64(rec[48:], uint64(timeMillis))
	le.PutUint32(rec[4:], crc32.Checksum(rec[8:], castagnoli))
}

// SetSource numbers a record for a target partition, before it is stamped there.
func SetSource(rec []byte, source id.Partition, seq uint64) {
	binary.LittleEndian.PutUint64(rec[80:], seq)
	binary.LittleEndian.PutUint16(rec[88:], uint16(source))
}

// Next cuts the first record off b, which holds whole records back to back.
func Next(b []byte) (rec, rest []byte, err error) {
	if len(b) < HeaderSize {
		return nil, nil, errs.Newf(errs.Corrupt, "record of %d bytes is shorter than its header", len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	if n < HeaderSize || uint64(n) > uint64(len(b)) {
		return nil, nil, errs.Newf(errs.Corrupt, "record says %d bytes, %d are there", n, len(b))
	}
	return b[:n:n], b[n:], nil
}

// Verify checks the checksum of one whole record, as read from disk or network.
func Verify(rec []byte) error {
	if got, want := crc32.Checksum(rec[8:], castagnoli), binary.LittleEndian.Uint32(rec[4:]); got != want {
		return errs.Newf(errs.Corrupt, "checksum of record %d is %08x, not %08x", binary.LittleEndian.Uint64(rec[16:]), got, want)
	}
	return nil
}

// Parse decodes one whole record. It does not verify the checksum.
func Parse(rec []byte) (r Record, err error) {
	if len(rec) < HeaderSize {
		return r, errs.Newf(errs.Corrupt, "record of %d bytes is shorter than its header", len(rec))
	}
	if rec[8] != format {
		return r, errs.Newf(errs.Unsupported, "record format %d; this binary reads %d", rec[8], format)
	}
	le := binary.LittleEndian
	factsLen := le.Uint32(rec[76:])
	if uint64(HeaderSize)+uint64(factsLen) > uint64(len(rec)) {
		return r, errs.Newf(errs.Corrupt, "facts of %d bytes in a record of %d", factsLen, len(rec))
	}
	r.Kind = Kind(rec[9])
	r.Flags = le.Uint16(rec[10:])
	r.Frames = le.Uint32(rec[12:])
	r.LSN = lsn.LSN(le.Uint64(rec[16:]))
	r.Loglet = id.Loglet(le.Uint64(rec[24:]))
	r.Epoch = lsn.Epoch(le.Uint64(rec[32:]))
	r.Seq = le.Uint64(rec[40:])
	r.Time = int64(le.Uint64(rec[48:]))
	r.Incarnation = lsn.LSN(le.Uint64(rec[56:]))
	r.Activation = lsn.LSN(le.Uint64(rec[64:]))
	r.Attempt = le.Uint32(rec[72:])
	r.SourceSeq = le.Uint64(rec[80:])
	r.Source = id.Partition(le.Uint16(rec[88:]))
	copy(r.ID[:], rec[96:HeaderSize])
	r.Facts = rec[HeaderSize : HeaderSize+factsLen]
	r.Body = rec[HeaderSize+factsLen:]
	r.Raw = rec
	return r, nil
}

// Source returns the sequence that another partition gave the record, and that partition; 0 if none did.
func Source(rec []byte) (seq uint64, source id.Partition) {
	return binary.LittleEndian.Uint64(rec[80:]), id.Partition(binary.LittleEndian.Uint16(rec[88:]))
}

// KindOf is the kind of a finished record.
func KindOf(rec []byte) Kind { return Kind(rec[9]) }
