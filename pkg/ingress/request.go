package ingress

import (
	"errors"

	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// ErrBodyTooLarge is returned by a Body that grew past Config.RequestBytesMax.
var ErrBodyTooLarge = errors.New("length limit exceeded")

// Header is a header of a request: the name in lower case, of a repeated one the first value.
type Header = serviceproto.Header

// Request is one HTTP request without the types of any server. It is borrowed until Serve returns.
type Request struct {
	Method        string
	Target        string   // path and query as received
	Headers       []Header // one for each name
	ContentLength int64    // declared; below 0 if unknown
	Body          Body
}

// Body is the body of a request.
type Body interface {
	// Bytes reads the whole body; it is borrowed until Release. Err ErrBodyTooLarge above the limit.
	Bytes() ([]byte, error)
	// Release gives the memory back: the request may go on to wait for hours.
	Release()
}

// header returns the value of a header given in lower case.
func (r *Request) header(name string) (string, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value, true
		}
	}
	return "", false
}

// source tells who made an error.
type source string

const (
	fromIngress    source = "ingress"
	fromInvocation source = "invocation"
)

// Response is the answer to a Request. Body is immutable.
type Response struct {
	Status      int
	Source      source // of an error; else empty
	ContentType string // empty: no such header
	ID          id.Invocation
	HasID       bool
	ExpiresAt   int64 // Unix milliseconds; 0: no such header
	Body        []byte
	Preflight   bool // answers OPTIONS: the requested method and headers are allowed
	Bare        bool // no CORS headers: the request was refused before they are looked at
	Unread      bool // of a stranger: its body is not to be read, and the connection ends
}

// Names and values of headers that a front writes.
const (
	HeaderID          = "x-restate-id"
	HeaderSource      = "x-restate-error-source"
	HeaderExpires     = "idempotency-expires"
	HeaderIngressPath = "x-restate-ingress-path"
	CORSVary          = "origin, access-control-request-method, access-control-request-headers"
)

// Names of headers that mean something to the ingress.
const (
	headerIdempotencyKey     = "idempotency-key"
	headerIdempotencyExpires = "idempotency-expires"
	headerContentType        = "content-type"
	headerLimitKey           = "x-restate-limit-key"
	headerTraceParent        = "traceparent"
	headerTraceState         = "tracestate"
	headerConnection         = "connection"
	headerHost               = "host"
	headerOrigin             = "origin"
	headerAuthorization      = "authorization"
	headerRequestMethod      = "access-control-request-method"
	headerRequestHeaders     = "access-control-request-headers"
)
