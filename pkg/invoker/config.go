package invoker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"reprise/pkg/identity"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/serviceproto"
)

// Config are the settings of an Invoker. Keys of the configuration file are below worker.invoker.
type Config struct {
	// ConcurrentMax bounds the attempts that run at once in a process (concurrent-invocations-limit, 1000).
	// 0 is no limit.
	ConcurrentMax int
	// MemoryBytesMax bounds the bytes of messages that all attempts of a process hold, either way
	// (memory-limit, 1.5 GiB). One that needs more than there is is tried again later. 0 is no limit.
	MemoryBytesMax int64
	// Sizes of the start.
	Sizes
	// InvocationBytesFirst come with the token to run (per-invocation-initial-memory, 32 KiB).
	InvocationBytesFirst int
	// Limits counts all that for a process. Nil: the invoker counts for itself.
	Limits *Limits
	// ProtocolMax is the highest protocol version used for new invocations: 6, or 7 with
	// experimental-enable-protocol-v7.
	ProtocolMax uint32
	// AwaitDepthMax is how deep an await tree of version 7 may be (max-awaited-future-depth, 1000). A deeper
	// one pauses its invocation.
	AwaitDepthMax int
	// AdditionalHeaders go with each request (additional-request-headers); wire adds x-restate-cluster-name.
	// Names are lower case.
	AdditionalHeaders []h2.Field
	// Identity signs requests. Nil: they are not signed.
	Identity *identity.Signer
	// Lambda calls functions. Nil: attempts at them fail.
	Lambda Functions
	// HTTP2 are the parameters of the HTTP/2 client.
	HTTP2 h2.Config
	// Connect opens connections to endpoints (http-proxy, no-proxy). Nil: plain TCP.
	Connect h2.Connect
	// TLS is of https endpoints. Nil: the certificates of the system.
	TLS *tls.Config
	// Dial replaces how HTTP/2 connections are opened. Nil: Connect and TLS.
	Dial h2.Dial
}

// Sizes are what attempts may send and hold. They may change while an Invoker runs, and bind the attempts that begin from then on.
type Sizes struct {
	// MessageBytesMax is the largest message that a handler may send (message-size-limit, 32 MiB); it
	// gets 256 KiB of slack.
	MessageBytesMax uint32
	// MessageWarnBytes: a message of that size is logged (message-size-warning, 10 MiB).
	MessageWarnBytes int
	// EagerStateBytesMax is how much state is sent with Start (eager-state-size-limit, 32 MiB); 0 sends none.
	EagerStateBytesMax int
	// InvocationBytesMax bounds the bytes of messages that one attempt holds, which may have 2 MiB besides
	// (per-invocation-memory-limit, 32 MiB). One that needs more is paused.
	InvocationBytesMax int
}

// Default returns the defaults of the contract.
func Default() Config {
	return Config{
		Sizes: Sizes{MessageBytesMax: 32 << 20, MessageWarnBytes: 10 << 20, EagerStateBytesMax: 32 << 20, InvocationBytesMax: 32 << 20},

		ConcurrentMax:        1000,
		MemoryBytesMax:       1536 << 20,
		InvocationBytesFirst: 32 << 10,
		ProtocolMax:          serviceproto.DefaultVersion,
		HTTP2:                h2.Default(),
		AwaitDepthMax:        1000,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.ConcurrentMax < 0 {
		all = append(all, fmt.Errorf("concurrent-invocations-limit %d is negative", c.ConcurrentMax))
	}
	if c.InvocationBytesMax < 1<<10 || c.InvocationBytesFirst < 0 || c.InvocationBytesFirst > c.InvocationBytesMax {
		all = append(all, fmt.Errorf("per-invocation-memory-limit %d and per-invocation-initial-memory %d: the first is below 1 KiB or the second is not below it",
			c.InvocationBytesMax, c.InvocationBytesFirst))
	}
	if c.MemoryBytesMax != 0 && c.MemoryBytesMax < int64(c.InvocationBytesMax)+holdSlackBytes+holdStepBytes {
		all = append(all, fmt.Errorf("memory-limit %d does not hold one invocation: per-invocation-memory-limit is %d, and 2 MiB come besides",
			c.MemoryBytesMax, c.InvocationBytesMax))
	}
	if c.MessageBytesMax < 1<<10 || c.MessageBytesMax > 1<<30 {
		all = append(all, fmt.Errorf("message-size-limit %d is not between 1 KiB and 1 GiB", c.MessageBytesMax))
	}
	if c.EagerStateBytesMax < 0 || c.EagerStateBytesMax > 1<<30 {
		all = append(all, fmt.Errorf("eager-state-size-limit %d is not between 0 and 1 GiB", c.EagerStateBytesMax))
	}
	if c.ProtocolMax < serviceproto.MinVersion || c.ProtocolMax > serviceproto.MaxVersion {
		all = append(all, fmt.Errorf("protocol version %d is not between %d and %d", c.ProtocolMax, serviceproto.MinVersion, serviceproto.MaxVersion))
	}
	if c.AwaitDepthMax < 1 || c.AwaitDepthMax > serviceproto.MaxAwaitDepth {
		all = append(all, fmt.Errorf("max-awaited-future-depth %d is not between 1 and %d", c.AwaitDepthMax, serviceproto.MaxAwaitDepth))
	}
	return errors.Join(append(all, c.HTTP2.Validate())...)
}

// Limits that are not configurable.
const (
	// messageSlackBytes is added to MessageBytesMax: what wraps a payload must fit too.
	messageSlackBytes = 256 << 10
	// drainMax is how long the response of an attempt that is over is read before it is reset.
	drainMax = 5 * time.Second
	// stepBytesMax: frames that arrived together become one record unless they are more than this.
	stepBytesMax = 1 << 20
	// stepLookupsMax is how many commands of one record may be answered at once with something that is
	// stored: the answers are part of the journal row, and each may be as large as a message.
	stepLookupsMax = 16
	// forwardBytesMax bounds what waits for a handler that does not read. Above, its request body is
	// ended, and the next attempt replays what it missed.
	forwardBytesMax = 1 << 20
	// replayAheadBytes is how much of a journal may wait in the stream while the next row is read.
	replayAheadBytes = 64 << 10
	// keptBytes: a larger buffer of an attempt is not kept for the next one.
	keptBytes = 16 << 10
	// runsKept bounds the memory kept for further activations.
	runsKept = 1024
	// refusalsMax is how often in a row an endpoint may refuse a stream before that counts as a failure.
	refusalsMax = 10
	// refusalDelay is the pause after a refusal.
	refusalDelay = 100 * time.Millisecond
	// tickMillis is the time between two calls of Tick.
	tickMillis = 100
)
