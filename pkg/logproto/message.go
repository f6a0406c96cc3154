package logproto

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Ref names a loglet of one life: metadata restored from an old backup may give an id twice, but not
// with the same nonce. Every request carries it.
type Ref struct {
	Loglet    id.Loglet
	Sequencer id.GenerationalNode
	Nonce     uint64
}

// RefOf returns the Ref of a loglet.
func RefOf(l *storedv1.Loglet) Ref {
	return Ref{
		Loglet:    id.Loglet(l.Id),
		Sequencer: id.GenerationalNode{Node: id.Node(l.SequencerNode), Generation: l.SequencerGeneration},
		Nonce:     l.Nonce,
	}
}

// NodesetOf returns the nodeset of a loglet; members describes its nodes as the metadata knows them now.
func NodesetOf(l *storedv1.Loglet, members func([]id.Node) []quorum.Member) (*quorum.Nodeset, error) {
	property, err := quorum.Parse(l.Replication)
	if err != nil {
		return nil, err
	}
	nodes := make([]id.Node, len(l.Nodeset))
	for i, n := range l.Nodeset {
		nodes[i] = id.Node(n)
	}
	return quorum.NewNodeset(property, members(nodes))
}

// Status is how a log-server answered. Numbers cross the wire.
type Status uint8

// The statuses. All but Ok promise that nothing was stored.
const (
	Ok                Status = 1
	Disabled          Status = 2 // the store takes no writes
	Dropped           Status = 3 // shed before it was looked at
	Sealed            Status = 4
	SequencerMismatch Status = 5 // another sequencer, or another life of the loglet
	OutOfBounds       Status = 6 // would leave a hole that nobody has committed
	Malformed         Status = 7
)

var statusNames = [...]string{"unspecified", "ok", "disabled", "dropped", "sealed", "sequencer mismatch", "out of bounds", "malformed"}

// String returns the words of the status.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// Err is the status as an error with the code that tells what to do; nil for Ok.
func (s Status) Err() error {
	code := errs.Internal
	switch s {
	case Ok:
		return nil
	case Disabled, Dropped:
		code = errs.Unavailable
	case Sealed, OutOfBounds:
		code = errs.Conflict
	case SequencerMismatch:
		code = errs.Fenced
	case Malformed:
		code = errs.Invalid
	}
	return errs.Newf(code, "log-server answered %s", s)
}

// Group is consecutive records of one loglet, stored together.
type Group struct {
	Ref
	First   lsn.Offset
	Count   uint32 // 0: no records, only Known (a release)
	Known   lsn.Offset
	Repair  bool   // from a recovery: allowed after the seal and below the tail
	Records []byte // Count records back to back
}

// End is the first offset after the group.
func (g *Group) End() lsn.Offset { return g.First + lsn.Offset(g.Count) }

// Answer answers a group.
type Answer struct {
	Status Status
	Sealed bool
	Tail   lsn.Offset // first offset after what this log-server has synced
	Known  lsn.Offset
}

// Frame is all that a log writer has for one log-server at a moment. Answers has one Answer for each
// group, in their order, when the frame comes back.
type Frame struct {
	Groups  []Group
	Answers []Answer
}

// Info is what a log-server knows of a loglet. One it never heard of is empty and unsealed.
type Info struct {
	Status  Status
	Sealed  bool
	Tail    lsn.Offset
	Known   lsn.Offset
	Trimmed lsn.Offset // all offsets up to it are trimmed; 0 = none
}

// RecordsRequest asks for records [From, To). At least one comes, even above BytesMax.
type RecordsRequest struct {
	Ref
	From, To lsn.Offset
	BytesMax int
}

// RecordsAnswer has what is there, in order. A gap between groups is a hole: no copy here. What lies
// between the last group and Next is a hole as well; go on asking from Next.
type RecordsAnswer struct {
	Status  Status
	Tail    lsn.Offset
	Known   lsn.Offset
	Trimmed lsn.Offset // if >= From: offsets up to it are gone for ever
	Next    lsn.Offset
	Groups  []Run
}

// Run is consecutive records in an answer.
type Run struct {
	First   lsn.Offset
	Count   uint32
	Records []byte
}

// End is the first offset after the run.
func (r *Run) End() lsn.Offset { return r.First + lsn.Offset(r.Count) }

// Range is offsets [From, To).
type Range struct{ From, To lsn.Offset }

// DigestRequest asks which of the offsets [From, To) are there.
type DigestRequest struct {
	Ref
	From, To lsn.Offset
}

// DigestAnswer has what is there: Exists in order, without overlap.
type DigestAnswer struct {
	Status  Status
	Tail    lsn.Offset
	Known   lsn.Offset
	Trimmed lsn.Offset
	Exists  []Range
}

// TailWait waits until the loglet is sealed, the local tail reaches Tail (0 = never) or the known
// global tail reaches Known (0 = never).
type TailWait struct {
	Ref
	Tail, Known lsn.Offset
}
