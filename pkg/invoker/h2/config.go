package h2

import (
	"errors"
	"fmt"
	"time"
)

// Config are the parameters of the HTTP/2 client. Keys of the configuration file are below worker.invoker.
type Config struct {
	// ConnectTimeout bounds the dial with its TLS handshake (connect-timeout, 10 s).
	ConnectTimeout time.Duration
	// KeepAliveInterval: a connection that was silent for so long gets a PING (http2-keep-alive-interval, 40 s).
	KeepAliveInterval time.Duration
	// KeepAliveTimeout: silence after the PING that ends the connection (http2-keep-alive-timeout, 20 s).
	KeepAliveTimeout time.Duration
	// KeepAliveJitter spreads the interval, as a fraction of it (http2-keep-alive-jitter, 0.2).
	KeepAliveJitter float64
	// StreamsMax bounds the streams of one connection; more connections are opened after that
	// (http2-streams-per-connection-limit, 128).
	StreamsMax uint32
	// IdleTimeout: a connection without streams is closed after it (http2-idle-connection-timeout, 5 min).
	IdleTimeout time.Duration
	// StreamWindowBytes is the receive window of a stream (http2-initial-stream-window-size, 2 MiB).
	StreamWindowBytes uint32
	// ConnWindowBytes is the receive window of a connection (http2-initial-connection-window-size, 5 MiB).
	ConnWindowBytes uint32
	// FrameBytesMax is the largest frame that a peer may send and that we send (http2-max-frame-size, 16 KiB).
	FrameBytesMax uint32
}

// Default returns the defaults of the contract.
func Default() Config {
	return Config{
		ConnectTimeout:    10 * time.Second,
		KeepAliveInterval: 40 * time.Second,
		KeepAliveTimeout:  20 * time.Second,
		KeepAliveJitter:   0.2,
		StreamsMax:        128,
		IdleTimeout:       5 * time.Minute,
		StreamWindowBytes: 2 << 20,
		ConnWindowBytes:   5 << 20,
		FrameBytesMax:     16 << 10,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	bad(c.ConnectTimeout > 0, "connect-timeout %s is not positive", c.ConnectTimeout)
	bad(c.KeepAliveInterval > 0, "http2-keep-alive-interval %s is not positive", c.KeepAliveInterval)
	bad(c.KeepAliveTimeout > 0, "http2-keep-alive-timeout %s is not positive", c.KeepAliveTimeout)
	bad(c.KeepAliveJitter >= 0 && c.KeepAliveJitter <= 1, "http2-keep-alive-jitter %g is not between 0 and 1", c.KeepAliveJitter)
	bad(c.StreamsMax > 0, "http2-streams-per-connection-limit is 0")
	bad(c.IdleTimeout > 0, "http2-idle-connection-timeout %s is not positive", c.IdleTimeout)
	bad(c.StreamWindowBytes >= windowDefault && c.StreamWindowBytes <= windowMax,
		"http2-initial-stream-window-size %d is not between %d and %d", c.StreamWindowBytes, windowDefault, windowMax)
	bad(c.ConnWindowBytes >= windowDefault && c.ConnWindowBytes <= windowMax,
		"http2-initial-connection-window-size %d is not between %d and %d", c.ConnWindowBytes, windowDefault, windowMax)
	bad(c.FrameBytesMax >= frameBytesMin && c.FrameBytesMax <= frameBytesCeil,
		"http2-max-frame-size %d is not between %d and %d", c.FrameBytesMax, frameBytesMin, frameBytesCeil)
	return errors.Join(all...)
}

// Limits that are not configurable.
const (
	windowDefault  = 65535     // of every window until SETTINGS or WINDOW_UPDATE change it
	windowMax      = 1<<31 - 1 // RFC 9113, 6.9.1
	frameBytesMin  = 16 << 10
	frameBytesCeil = 1<<24 - 1

	// writeBufferMax: DATA waits in its stream while so much waits for the socket.
	writeBufferMax = 1 << 20
	// writeBufferKept: a larger write buffer is not kept for reuse.
	writeBufferKept = 256 << 10
	// writeBufferFatal: a peer that makes us answer so much without reading it is cut off.
	writeBufferFatal = 16 << 20
	readBufferBytes  = 32 << 10
	// headerBytesMax bounds the fields of one header block: above, its stream is reset.
	headerBytesMax = 64 << 10
	// headerBlockMax bounds a block as it is encoded, and one string: above, the connection ends, since what
	// is not decoded is missing in the header table. headerFramesMax bounds its frames.
	headerBlockMax  = 1 << 20
	headerFramesMax = 128
	// headTableBytes is the size of the header table that we use of the peer (the protocol's default).
	headTableBytes = 4096
	// headsMax bounds the cached header blocks of a connection.
	headsMax = 1024
	// connsMax bounds the connections to one target.
	connsMax = 256
	// streamIDMax: a connection that has used it takes no more streams.
	streamIDMax = 1<<31 - 1
	// spareBytes: pending bytes at or below which a writer that waits is woken.
	spareBytes = 16 << 10
)
