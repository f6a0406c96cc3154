package logproto

import (
	"context"

	"reprise/pkg/lsn"
)

// Receiver is called by a connection to a log-server. It must not block.
type Receiver interface {
	// Stored brings a frame back with its answers.
	Stored(f *Frame)
	// Broken says that the connection is over; the outcome of a frame under way is unknown. Once at most,
	// and nothing follows it.
	Broken(err error)
}

// Conn sends frames to one log-server, one at a time.
type Conn interface {
	// Send hands the frame and its bytes over until Stored or Broken. It does not block.
	Send(f *Frame)
	// Release hands over groups without records, which only tell the known global tail. No answer
	// comes; they may be lost. It does not block.
	Release(gs []Group)
	// Close ends the connection. A call of the Receiver may be under way.
	Close()
}

// Server is one log-server as recovery and readers see it. Every call is harmless to repeat.
type Server interface {
	Seal(ctx context.Context, ref Ref) (Info, error)
	Info(ctx context.Context, ref Ref) (Info, error)
	Records(ctx context.Context, r RecordsRequest) (RecordsAnswer, error)
	Digest(ctx context.Context, r DigestRequest) (DigestAnswer, error)
	// Repair stores a group that a recovery read from another copy.
	Repair(ctx context.Context, g Group) (Answer, error)
	Trim(ctx context.Context, ref Ref, through lsn.Offset) (Info, error)
	WaitForTail(ctx context.Context, w TailWait) (Info, error)
}
