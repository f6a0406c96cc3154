package serviceproto

import "fmt"

// Documentation codes of what can be wrong with an attempt.
const (
	DocAbortTimeout    = "RT0001"
	DocMessageTooLarge = "RT0003"
	DocInternal        = "RT0006" // ours
	DocHandler         = "RT0007"
	DocUnreachable     = "RT0010" // network or gateway
	DocNoDeployment    = "RT0011"
	DocProtocol        = "RT0012"
	DocNoCommonVersion = "RT0013"
	DocCannotResume    = "RT0014" // with the pinned version
	DocVersionRefused  = "RT0015" // by the SDK
	DocJournalMismatch = "RT0016"
	DocPrecondition    = "RT0017" // of a command
	DocUnknownCallee   = "RT0018"
	DocContentTooLarge = "RT0019" // says the endpoint
	DocDeprecated      = "RT0020"
	DocRateLimited     = "RT0023"
	DocFlowControl     = "RT0024"
	DocAwaitTooDeep    = "RT0025"
)

// Codes that an Error message may bring beside HTTP's.
const (
	CodeJournalMismatch   = 570
	CodeProtocolViolation = 571
)

const codeInternal uint32 = 500 // of all that we find wrong ourselves

// ProtocolError fails the attempt of an invocation, never more than that.
type ProtocolError struct {
	Doc     string // RT0012
	Code    uint32 // HTTP-like
	Message string
}

func (e *ProtocolError) Error() string { return "[" + e.Doc + "] " + e.Message }

// Unexpected refuses a message that a service may not send, and tells one that nobody knows from one that the
// engine alone sends.
func Unexpected(t Type) *ProtocolError {
	if t.Known() {
		return violation("unexpected message %s from the service: only the engine sends it", t)
	}
	return violation("unknown message type 0x%04x from the service", uint16(t))
}

func violation(format string, args ...any) *ProtocolError {
	return docError(DocProtocol, format, args...)
}

func docError(doc, format string, args ...any) *ProtocolError {
	return &ProtocolError{Doc: doc, Code: codeInternal, Message: fmt.Sprintf(format, args...)}
}
