package ingress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

const contentTypeJSON = "application/json"

// Statuses that net/http has no name for, or that are used often.
const (
	statusOK           = 200
	statusAccepted     = 202
	statusBadRequest   = 400
	statusNotFound     = 404
	statusMethod       = 405
	statusConflict     = 409
	statusTooLarge     = 413
	statusTooMany      = 429
	statusUnauthorized = 401
	statusNotReady     = 470
	statusInternal     = 500
	statusUnavailable  = 503
)

// A failure's code is the status of its response if a response may end with that status.
const (
	finalStatusMin = 200
	finalStatusMax = 999
)

// failure is an error that the ingress answers with. It is a plain value: errors of requests are
// part of the contract, not faults.
type failure struct {
	status  int
	message string
}

func (f *failure) Error() string { return f.message }

func failf(status int, format string, args ...any) *failure {
	return &failure{status: status, message: fmt.Sprintf(format, args...)}
}

var (
	errNotFound        = &failure{statusNotFound, "not found"}
	errStranger        = &failure{statusUnauthorized, "send the header 'authorization: Bearer <token>' with a token that the ingress knows"}
	errNoInvocation    = &failure{statusNotFound, "invocation not found"}
	errMethod          = &failure{statusMethod, "method not allowed"}
	errOverloaded      = &failure{statusTooMany, "too many requests, the ingress is overloaded. Retry later."}
	errNotReady        = &failure{statusNotReady, "the invocation exists but has not completed yet"}
	errNotPublic       = &failure{statusBadRequest, "the invoked service is not public"}
	errWorkflowKey     = &failure{statusBadRequest, "cannot use the idempotency key with workflow handlers: the workflow key makes the invocation idempotent already"}
	errScopeOff        = &failure{statusBadRequest, "scoped invocations require vqueues to be enabled"}
	errLimitScope      = &failure{statusBadRequest, "limit-key requires a scope to be set"}
	errDelayOnCall     = &failure{statusBadRequest, "cannot use the delay query parameter with calls. The delay is supported only with sends"}
	errDelayFar        = &failure{statusBadRequest, "bad delay query parameter, the time of execution is too far away"}
	errBodyTooLarge413 = &failure{statusTooLarge, "cannot read body: length limit exceeded"}
	errBadKey          = &failure{statusBadRequest, "bad path, cannot decode key: it is not UTF-8"}
	errClientGone      = &failure{statusUnavailable, "the client has gone"}
	errBadShape        = &failure{statusBadRequest, "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler"}
	errBadRestateShape = &failure{statusBadRequest, "bad path, expected /restate/call/:service/:handler, /restate/send/:service/:handler, " +
		"/restate/attach/:invocation_id, /restate/output/:invocation_id, or /restate/lookup"}
	errBadInvocationShape = &failure{statusBadRequest, "bad path, expected either /restate/invocation/:invocation_id/output or /restate/invocation/:invocation_id/attach, " +
		"or the same with :service/:handler/:idempotency_key or :object/:key/:handler/:idempotency_key"}
	errBadWorkflowShape  = &failure{statusBadRequest, "bad path, expected either /restate/workflow/:workflow_name/:workflow_key/output or /restate/workflow/:workflow_name/:workflow_key/attach"}
	errBadAwakeableShape = &failure{statusBadRequest, "bad path, expected either /restate/awakeables/:id/resolve or /restate/awakeables/:id/reject"}
)

// errorBody is the shape of every error.
type errorBody struct {
	Code     uint32            `json:"code"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Source   source            `json:"source"`
}

func errorJSON(b errorBody) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(b) // strings and numbers: cannot fail
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
}

// refuse is the response of an error that the ingress itself made.
func refuse(f *failure) Response {
	return Response{
		Status: f.status, Source: fromIngress, ContentType: contentTypeJSON,
		Body: errorJSON(errorBody{Code: uint32(f.status), Message: f.message, Source: fromIngress}),
	}
}

// failed is the response for an invocation that ended with a failure.
func failed(i id.Invocation, f *storedv1.Failure) Response {
	status := statusInternal
	if c := f.GetCode(); c >= finalStatusMin && c <= finalStatusMax {
		status = int(c)
	}
	b := errorBody{Code: f.GetCode(), Message: f.GetMessage(), Source: fromInvocation}
	if len(f.GetMetadata()) > 0 {
		b.Metadata = make(map[string]string, len(f.GetMetadata()))
		for _, m := range f.GetMetadata() {
			b.Metadata[m.GetKey()] = m.GetValue()
		}
	}
	return Response{Status: status, Source: fromInvocation, ContentType: contentTypeJSON, ID: i, HasID: true, Body: errorJSON(b)}
}

// withID ties a response to an invocation.
func withID(i id.Invocation, r Response) Response {
	r.ID, r.HasID = i, true
	return r
}

// Texts of times in responses.
const (
	executionTimeLayout = "2006-01-02T15:04:05.000000000Z"
	expiresLayout       = "2006-01-02T15:04:05.000-07:00"
)

// AppendExpires appends the value of the idempotency-expires header.
func AppendExpires(dst []byte, millis int64) []byte {
	return time.UnixMilli(millis).UTC().AppendFormat(dst, expiresLayout)
}

// sent is the response to a send. executeAt 0 leaves the time out.
func sent(i id.Invocation, executeAt int64, previously bool) Response {
	b := make([]byte, 0, 160)
	b = append(b, `{"invocationId":"`...)
	b = i.AppendText(b)
	if executeAt != 0 {
		b = append(b, `","executionTime":"`...)
		b = time.UnixMilli(executeAt).UTC().AppendFormat(b, executionTimeLayout)
	}
	if previously {
		b = append(b, `","status":"PreviouslyAccepted"}`...)
	} else {
		b = append(b, `","status":"Accepted"}`...)
	}
	return Response{Status: statusAccepted, ContentType: contentTypeJSON, ID: i, HasID: true, Body: b}
}
