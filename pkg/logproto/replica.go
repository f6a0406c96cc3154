package logproto

import (
	"math"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Replica is what a log-server knows of one loglet, and its rules. The engine keeps two: one that
// runs ahead with the batch that is being written, and one that others see, replaced after the sync.
//
// Rule numbers are those of the protocol's section on Store.
type Replica struct {
	Ref                   // Nonce and Sequencer are zero until something was stored or sealed
	Identified bool       // Ref is set; no other life of the loglet is served any more
	Tail       lsn.Offset // first offset after all that is stored
	Known      lsn.Offset // known global tail
	Trimmed    lsn.Offset // all offsets up to it are trimmed
	Sealed     bool
}

// NewReplica returns the replica of a loglet that nothing is known of.
func NewReplica(l id.Loglet) Replica {
	return Replica{Ref: Ref{Loglet: l}, Tail: lsn.FirstOffset, Known: lsn.FirstOffset}
}

// Knows tells whether a request is about the life of the loglet that is stored here.
func (r *Replica) Knows(ref Ref) bool { return !r.Identified || r.Ref == ref }

// Store decides about a group that the node from sent. With Ok, the records [write.From, write.To) are
// to be written if that is not empty (of a repair: those of them that are not there yet), and the
// answer Ok may leave only after they are synced.
func (r *Replica) Store(g *Group, from id.GenerationalNode) (s Status, write Range) {
	if g.Count == 0 || g.First == 0 || uint64(g.First)+uint64(g.Count) > math.MaxUint32 || len(g.Records) == 0 {
		return Malformed, write // rule 1
	}
	if !r.Knows(g.Ref) {
		return SequencerMismatch, write // rule 4, and nothing of another life is believed, not even Known
	}
	if !g.Repair && from != g.Sequencer {
		return SequencerMismatch, write // rule 5, and more: only the sequencer itself appends
	}
	if r.Sealed && !g.Repair {
		r.raise(g.Known)
		return Sealed, write // rule 2
	}
	nextOK := max(r.Tail, r.Known, g.Known)
	if g.First > nextOK {
		r.raise(g.Known)
		return OutOfBounds, write // rule 6
	}
	end := g.End()
	write = Range{From: g.First, To: end}
	if !g.Repair {
		write.From = max(g.First, r.Tail) // rule 8: what is below the tail is here or was committed without us
	}
	write.From = max(write.From, r.Trimmed+1)
	write.From = min(write.From, end)
	r.Ref, r.Identified = g.Ref, true // rule 10
	r.Tail = max(r.Tail, end)
	r.raise(g.Known)
	return Ok, write
}

// Release raises the known global tail. A replica that holds nothing does not know whom to believe.
func (r *Replica) Release(ref Ref, known lsn.Offset) {
	if r.Identified && r.Ref == ref {
		r.raise(known)
	}
}

func (r *Replica) raise(known lsn.Offset) { r.Known = max(r.Known, known) }

// Seal ends normal stores for ever. changed tells that the seal is to be written.
func (r *Replica) Seal(ref Ref) (s Status, changed bool) {
	if !r.Knows(ref) {
		return SequencerMismatch, false
	}
	if r.Sealed {
		return Ok, false
	}
	r.Ref, r.Identified, r.Sealed = ref, true, true
	return Ok, true
}

// Trim drops the offsets up to through. changed tells that the trim point is to be written.
func (r *Replica) Trim(ref Ref, through lsn.Offset) (s Status, changed bool) {
	if !r.Knows(ref) {
		return SequencerMismatch, false
	}
	if through < lsn.FirstOffset || through >= max(r.Known, r.Tail) {
		return Malformed, false
	}
	through = min(through, r.Tail-1)
	if through <= r.Trimmed {
		return Ok, false
	}
	r.Trimmed = through
	return Ok, true
}

// Info is the answer to a question about a loglet.
func (r *Replica) Info(ref Ref) Info {
	if !r.Knows(ref) {
		return Info{Status: SequencerMismatch, Tail: lsn.FirstOffset}
	}
	return Info{Status: Ok, Sealed: r.Sealed, Tail: r.Tail, Known: r.Known, Trimmed: r.Trimmed}
}

// Answer is the answer to a group.
func (r *Replica) Answer(s Status) Answer {
	return Answer{Status: s, Sealed: r.Sealed, Tail: r.Tail, Known: r.Known}
}
