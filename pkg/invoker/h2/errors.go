package h2

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

// What ends a stream. Test with errors.Is.
var (
	// ErrRefused: the peer has not processed the request; it may be sent again.
	ErrRefused = errors.New("stream refused by the endpoint")
	// ErrBusy: there are as many connections to the target as may be.
	ErrBusy = errors.New("no free stream on any connection to the endpoint")
	// ErrReset: we reset the stream.
	ErrReset = errors.New("stream reset")
	// ErrStopped: the client ends.
	ErrStopped = errors.New("http/2 client stopped")
	// ErrNotHTTP2: what came first was not HTTP/2.
	ErrNotHTTP2 = errors.New("the endpoint does not answer in HTTP/2 (does it support HTTP/1.1 only? register it with use_http_11)")
)

var (
	errKeepAlive = errors.New("no answer to the keep-alive ping")
	errIdle      = errors.New("connection was idle")
	errFlood     = errors.New("endpoint sends control frames and does not read the answers")
)

// ResetError is a RST_STREAM from the peer.
type ResetError struct{ Code http2.ErrCode }

func (e ResetError) Error() string { return fmt.Sprintf("stream reset by the endpoint: %s", e.Code) }
