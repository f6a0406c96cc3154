package invoker

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/serviceproto"
)

// failure is why an attempt failed. It is immutable.
type failure struct {
	serviceproto.Error        // code, message and what is related; behavior and delay decide what follows
	doc                string // RT0007
	// uncounted: caused by wrong versions, a missing deployment or storage; the handler is not told
	// (retry_count_since_last_stored_entry).
	uncounted bool
	// refused: the endpoint has not seen the request.
	refused bool
}

const codeInternal = 500

func failuref(doc, format string, args ...any) *failure {
	return &failure{doc: doc, Error: serviceproto.Error{Code: codeInternal, Message: fmt.Sprintf(format, args...)}}
}

// ours is a failure that is not the handler's.
func ours(doc, format string, args ...any) *failure {
	f := failuref(doc, format, args...)
	f.uncounted = true
	return f
}

// violation is what the checks of the protocol found.
func violation(err error) *failure {
	var pe *serviceproto.ProtocolError
	if !errors.As(err, &pe) {
		return failuref(serviceproto.DocProtocol, "%v", err)
	}
	f := &failure{doc: pe.Doc, Error: serviceproto.Error{Code: pe.Code, Message: pe.Message}}
	if f.doc == serviceproto.DocAwaitTooDeep {
		f.Behavior = serviceproto.BehaviorPause
	}
	return f
}

// handlerError is an Error message.
func handlerError(e serviceproto.Error) *failure { return &failure{doc: e.Doc(), Error: e} }

// unreachable is the end of a stream for a cause of transport.
func unreachable(err error) *failure {
	f := failuref(serviceproto.DocUnreachable, "%v", err)
	f.refused = errors.Is(err, h2.ErrRefused) || errors.Is(err, h2.ErrBusy) || errors.Is(err, h2.ErrStopped)
	return f
}

// badResponse judges response headers; nil if they are good.
func badResponse(r *h2.Response, contentType string, clock host.Clock) *failure {
	switch {
	case r.Status >= 200 && r.Status <= 299:
		if got := r.Get("content-type"); got != contentType {
			return failuref(serviceproto.DocProtocol, "the endpoint answered with content-type %q, not %q", got, contentType)
		}
		return nil
	case r.Status == http.StatusBadGateway || r.Status == http.StatusGatewayTimeout:
		return failuref(serviceproto.DocUnreachable, "the endpoint is unavailable: status %d", r.Status)
	case r.Status == http.StatusServiceUnavailable || r.Status == http.StatusTooManyRequests:
		f := failuref(serviceproto.DocRateLimited, "the endpoint limits its rate: status %d", r.Status)
		f.NextRetryDelay = retryAfter(r.Get("retry-after"), clock.Now())
		return f
	case r.Status == http.StatusUnsupportedMediaType:
		f := failuref(serviceproto.DocVersionRefused, "the SDK does not support the protocol version agreed on at discovery: status %d", r.Status)
		f.Code, f.uncounted = http.StatusUnsupportedMediaType, true
		return f
	case r.Status == http.StatusRequestEntityTooLarge:
		return failuref(serviceproto.DocContentTooLarge, "the endpoint says that the request is too large: status %d", r.Status)
	default:
		return failuref(serviceproto.DocProtocol, "unexpected status %d from the endpoint", r.Status)
	}
}

// retryAfterMax bounds what an endpoint may ask for.
const retryAfterMax = 365 * 24 * time.Hour

// retryAfter reads seconds or a date in the future; nil if there is neither.
func retryAfter(s string, now time.Time) *time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(s, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(s); err == nil && at.After(now) {
		d = at.Sub(now)
	} else {
		return nil
	}
	d = min(d, retryAfterMax)
	return &d
}

// stored is the failure as it is kept with a paused invocation.
func (f *failure) stored() *storedv1.AttemptFailure {
	return &storedv1.AttemptFailure{
		Code: f.Code, Message: f.Message, Stacktrace: f.Stacktrace, DocCode: f.doc,
		RelatedCommandIndex: f.RelatedCommandIndex, RelatedCommandName: f.RelatedCommandName, RelatedCommandType: f.RelatedCommandType,
	}
}

// What an event repeats of a handler's texts.
const (
	eventMessageMax = 4 << 10
	eventStackMax   = 16 << 10
)

// event is the failure as it is kept when the attempt is followed by another.
func (f *failure) event() *storedv1.AttemptFailure {
	e := f.stored()
	e.Message, e.Stacktrace = clip(e.Message, eventMessageMax), clip(e.Stacktrace, eventStackMax)
	return e
}

// clip cuts a text without cutting a character.
func clip(s string, bytesMax int) string {
	if len(s) <= bytesMax {
		return s
	}
	for bytesMax > 0 && !utf8.RuneStart(s[bytesMax]) {
		bytesMax--
	}
	return s[:bytesMax]
}

// same tells whether two failures are one for people: same code, text and command.
func (f *failure) same(o *failure) bool {
	return f.Code == o.Code && f.Message == o.Message && equal(f.RelatedCommandIndex, o.RelatedCommandIndex) &&
		equal(f.RelatedCommandName, o.RelatedCommandName) && equal(f.RelatedCommandType, o.RelatedCommandType)
}

func equal[T comparable](x, y *T) bool {
	return x == y || x != nil && y != nil && *x == *y
}

// result is the failure that ends an invocation.
func (f *failure) result() *storedv1.Failure {
	return &storedv1.Failure{Code: f.Code, Message: f.Message}
}
