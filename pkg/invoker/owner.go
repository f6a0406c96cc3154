package invoker

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/serviceproto"
)

// Owner is the loop that an Invoker works for. Propose and Post may be called by any goroutine and
// never block or call back.
type Owner interface {
	// Propose takes a finished record, copied. False: it was not taken and never will be applied.
	Propose(p id.Partition, rec []byte) bool
	// Post has the loop call Invoker.Handle(ev), after the records proposed before it were taken.
	Post(ev Event)
	// Replay is called on the loop's goroutine at the start of an attempt.
	Replay(p id.Partition, i id.Invocation, eagerLimit int) (Replay, error)
}

// StateEntry is one key of the state of an object or workflow.
type StateEntry = serviceproto.StateEntry

// Replay is what an attempt starts with: the journal and the state as they are stored now.
type Replay struct {
	Entries, Commands uint32 // of the whole journal
	LastTime          int64  // of the newest row, Unix ms
	LastAttempt       uint32 // the highest that sent a row

	// Inline: Frames is the whole journal and State what is sent eagerly. Both are borrowed until Start returns.
	Inline  bool
	Frames  []byte
	State   []StateEntry
	Partial bool

	// Reader reads the rest lazily on another goroutine, which closes it. Nil if Inline.
	Reader Reader
}

// Reader reads a journal and state as they were when it was made.
type Reader interface {
	State(limit int) (entries []StateEntry, partial bool, err error)
	// Next returns the frames of the next row, borrowed until the next call; io.EOF after the last.
	Next() (frames []byte, err error)
	Close() error
}

// close gives up what is not read.
func (r *Replay) close() {
	if r.Reader != nil {
		_ = r.Reader.Close() // nothing was read
	}
}

// Activation is an invocation that is to run until it completes, suspends or pauses. The messages are
// shared and never changed.
type Activation struct {
	Partition   id.Partition
	Partitions  uint32 // in the cluster
	ID          id.Invocation
	Incarnation lsn.LSN
	Activation  lsn.LSN
	Target      *storedv1.Target
	Pin         *storedv1.Pin // nil: not pinned yet
	// IdempotencyKey is sent to handlers of version 7.
	IdempotencyKey          *string
	TraceParent, TraceState string
	// Holding: an operator wants it paused; no attempt is made any more.
	Holding bool
}

// Event is something that happened to an attempt outside the loop.
type Event struct {
	kind    eventKind
	attempt *attempt
}

type eventKind uint8

const (
	eventFailed eventKind = iota + 1 // attempt.failure is set
	eventRoom                        // there may be tokens; no attempt
	eventOver                        // the response ended after the loop had asked to be told
)
