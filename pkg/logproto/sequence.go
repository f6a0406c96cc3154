package logproto

import (
	"reprise/pkg/errs"
	"reprise/pkg/invariant"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Why a sequence ends.
var (
	ErrSealed   = errs.Newf(errs.Conflict, "the loglet is sealed")
	ErrNotEmpty = errs.Newf(errs.Fenced, "a log-server holds another life of the loglet")
	ErrStuck    = errs.Newf(errs.Unavailable, "no write quorum answers")
)

// Sequence is the sequencer's side of one loglet: which groups wait, who has them, what is committed.
//
// Groups are numbered from 0 in their order. Of each member the sequence knows up to which group it
// has all that was not committed when it began; so a write quorum of "up to g" commits all below g,
// and commits are a prefix.
type Sequence struct {
	Ref
	set     *quorum.Nodeset
	members []member
	next    lsn.Offset // of the next append
	known   lsn.Offset // all below are committed
	groups  []queued   // those that are not committed
	done    uint64     // number of groups[0]
	bytes   int        // of groups
	total   uint64     // bytes committed
	end     error
}

type queued struct {
	first   lsn.Offset
	count   uint32
	records []byte
}

type member struct {
	writeable bool
	acked     uint64 // has all groups below, of those not committed before it took part
	sent      uint64 // the next one to send
}

// NewSequence returns the sequence of an empty loglet.
func NewSequence(ref Ref, set *quorum.Nodeset) *Sequence {
	s := &Sequence{Ref: ref, set: set, next: lsn.FirstOffset, known: lsn.FirstOffset, members: make([]member, set.Len())}
	for i := range s.members {
		s.members[i].writeable = set.Member(i).Writeable()
	}
	return s
}

// Set is the nodeset.
func (s *Sequence) Set() *quorum.Nodeset { return s.set }

// Known is the global tail: all offsets below it are committed.
func (s *Sequence) Known() lsn.Offset { return s.known }

// Next is the offset of the next append.
func (s *Sequence) Next() lsn.Offset { return s.next }

// Waiting is how many groups and bytes are not committed.
func (s *Sequence) Waiting() (groups, bytes int) { return len(s.groups), s.bytes }

// CommittedBytes is how many bytes were committed in all.
func (s *Sequence) CommittedBytes() uint64 { return s.total }

// Ended is why nothing is committed any more, or nil.
func (s *Sequence) Ended() error { return s.end }

// End ends the sequence: no answer commits anything any more.
func (s *Sequence) End(why error) {
	if s.end == nil {
		s.end = why
		s.groups, s.bytes = nil, 0
	}
}

// Append adds a group; first must be Next. The bytes stay as they are until they are committed.
func (s *Sequence) Append(first lsn.Offset, count uint32, records []byte) {
	if first != s.next || count == 0 { // the arguments of That would be allocated each time
		invariant.That(false, "append of %d records at %d to loglet %s, next is %d", count, first, s.Loglet, s.next)
	}
	s.next += lsn.Offset(count)
	if s.end != nil {
		return
	}
	s.groups = append(s.groups, queued{first: first, count: count, records: records})
	s.bytes += len(records)
}

// HasFor tells whether a group waits to be sent to member i.
func (s *Sequence) HasFor(i int) bool {
	m := &s.members[i]
	return m.writeable && s.end == nil && max(m.sent, s.done) < s.done+uint64(len(s.groups))
}

// Take returns the next group to send to member i. What the member missed while others committed it
// is not sent any more: the known global tail that goes along explains the hole.
func (s *Sequence) Take(i int) (g Group, number uint64, ok bool) {
	if !s.HasFor(i) {
		return g, 0, false
	}
	m := &s.members[i]
	m.sent = max(m.sent, s.done)
	q := &s.groups[m.sent-s.done]
	number = m.sent
	m.sent++
	return Group{Ref: s.Ref, First: q.first, Count: q.count, Known: s.known, Records: q.records}, number, true
}

// Answered takes the answer of member i to a group. It tells whether the global tail advanced. When
// it returns, Ended may be set; what advanced before that is committed all the same.
func (s *Sequence) Answered(i int, number uint64, a Answer) (advanced bool) {
	if s.end != nil {
		return false
	}
	m := &s.members[i]
	switch a.Status {
	case Ok:
		if a.Tail > s.next {
			s.End(ErrNotEmpty)
			return false
		}
		if number <= max(m.acked, s.done) { // without a gap
			m.acked = max(m.acked, number+1)
			advanced = s.advance()
		}
	case Sealed:
		s.End(ErrSealed)
		return false
	case SequencerMismatch:
		s.End(ErrNotEmpty)
		return false
	case OutOfBounds: // it lost what it had
		m.acked = 0
		m.sent = s.done
	case Malformed:
		s.End(errs.Newf(errs.Internal, "loglet %d: a log-server calls a group malformed", s.Loglet))
		return false
	default: // not stored
		s.Lost(i)
	}
	if a.Sealed {
		s.End(ErrSealed)
	}
	return advanced
}

// Lost says that the outcome of what was sent to member i is unknown, or that it was not stored: it is
// sent again.
func (s *Sequence) Lost(i int) {
	m := &s.members[i]
	m.sent = m.acked
}

// advance commits what a write quorum has.
func (s *Sequence) advance() bool {
	upTo := s.quorumAcked()
	if upTo <= s.done {
		return false
	}
	n := int(upTo - s.done)
	for i := range n {
		s.bytes -= len(s.groups[i].records)
		s.total += uint64(len(s.groups[i].records))
	}
	last := s.groups[n-1]
	s.known = last.first + lsn.Offset(last.count)
	left := copy(s.groups, s.groups[n:])
	clear(s.groups[left:])
	s.groups = s.groups[:left]
	s.done = upTo
	return true
}

// quorumAcked is the highest number that a write quorum has acknowledged up to.
func (s *Sequence) quorumAcked() uint64 {
	if len(s.members) == 1 && s.set.Flat() && s.set.Property().Copies() == 1 {
		return s.members[0].acked
	}
	best := s.done
	for i := range s.members {
		up := s.members[i].acked
		if up <= best {
			continue
		}
		var have quorum.Set
		for k := range s.members {
			if s.members[k].acked >= up {
				have.Add(k)
			}
		}
		if s.set.WriteQuorum(have) {
			best = up
		}
	}
	return best
}
