package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// What paths ask of an invocation.
const (
	verbAttach = "attach"
	verbOutput = "output"
)

// verb reads what a path asks of an invocation.
func verb(s string) (attach bool, f *failure) {
	switch s {
	case verbAttach:
		return true, nil
	case verbOutput:
		return false, nil
	default:
		return false, errNotFound
	}
}

// byInvocation serves /restate/invocation/ID/VERB, SERVICE/HANDLER/IDEMPOTENCYKEY/VERB and
// OBJECT/KEY/HANDLER/IDEMPOTENCYKEY/VERB; what follows is ignored.
func (x *exchange) byInvocation(ctx context.Context, tail []string) (Response, *failure) {
	switch {
	case len(tail) < 2:
		return Response{}, errBadInvocationShape
	case len(tail) == 2:
		return x.byID(ctx, tail[0], tail[1])
	}
	s, ok := x.reg.Service(tail[0])
	if !ok {
		return Response{}, unknownService(tail[0])
	}
	if !keyed(s) {
		if len(tail) < 4 {
			return Response{}, errBadInvocationShape
		}
		return x.byVerb(ctx, id.IdempotentInvocation(tail[0], "", false, tail[1], tail[2]), tail[3])
	}
	if len(tail) < 5 {
		return Response{}, errBadInvocationShape
	}
	key, f := decodeKey(tail[1])
	if f != nil {
		return Response{}, f
	}
	return x.byVerb(ctx, id.IdempotentInvocation(tail[0], key, true, tail[2], tail[3]), tail[4])
}

// byID reads an invocation by its id, which is looked at after the verb and before the method.
func (x *exchange) byID(ctx context.Context, text, what string) (Response, *failure) {
	if _, f := verb(what); f != nil {
		return Response{}, f
	}
	i, f := invocationID(text)
	if f != nil {
		return Response{}, f
	}
	return x.byVerb(ctx, i, what)
}

// byVerb does what a path asks of an invocation.
func (x *exchange) byVerb(ctx context.Context, i id.Invocation, what string) (Response, *failure) {
	attach, f := verb(what)
	if f != nil {
		return Response{}, f
	}
	if x.req.Method != methodGet {
		return Response{}, errMethod
	}
	return x.result(ctx, i, attach)
}

func invocationID(s string) (id.Invocation, *failure) {
	i, err := id.ParseInvocation(s)
	if err != nil {
		return i, failf(statusBadRequest, "bad invocation id '%s': %s", s, err)
	}
	return i, nil
}

// byWorkflow serves /restate/workflow/WORKFLOW/KEY/VERB; what follows is ignored.
func (x *exchange) byWorkflow(ctx context.Context, tail []string) (Response, *failure) {
	if len(tail) < 3 {
		return Response{}, errBadWorkflowShape
	}
	key, f := decodeKey(tail[1])
	if f != nil {
		return Response{}, f
	}
	return x.byVerb(ctx, id.WorkflowInvocation(tail[0], key), tail[2])
}

// byIDOrTarget serves GET /restate/VERB/ID and POST /restate/VERB with a target in the body.
func (x *exchange) byIDOrTarget(ctx context.Context, tail []string, what string) (Response, *failure) {
	switch {
	case len(tail) > 1:
		return Response{}, errBadRestateShape
	case len(tail) == 1:
		return x.byID(ctx, tail[0], what)
	case x.req.Method != methodPost:
		return Response{}, errMethod
	}
	i, f := x.readTarget()
	if f != nil {
		return Response{}, f
	}
	return x.result(ctx, i, what == verbAttach)
}

// lookup serves POST /restate/lookup: the id of a target, whether or not it exists.
func (x *exchange) lookup(tail []string) (Response, *failure) {
	if len(tail) > 0 {
		return Response{}, errBadRestateShape
	}
	if x.req.Method != methodPost {
		return Response{}, errMethod
	}
	i, f := x.readTarget()
	if f != nil {
		return Response{}, f
	}
	return jsonReply(struct {
		InvocationID string `json:"invocationId"`
	}{i.String()})
}

// result reads an invocation: now, or when it has completed.
func (x *exchange) result(ctx context.Context, i id.Invocation, attach bool) (Response, *failure) {
	rec, err := command.Append(nil, command.Header{Kind: command.Read, ID: i}, nil)
	if err != nil {
		return Response{}, errOutcome
	}
	want := command.WantNow
	if attach {
		want = command.WantCompleted
	}
	o, f := x.g.do(ctx, command.Request{ID: i, Record: rec, Want: want}, retryRead)
	if f != nil {
		return Response{}, f
	}
	switch {
	case o.Status == command.OutcomeNotFound && attach:
		return failed(i, &storedv1.Failure{Code: statusNotFound, Message: "not found"}), nil
	case o.Status == command.OutcomeNotFound:
		return Response{}, errNoInvocation
	case o.Status == command.OutcomeCompleted:
		return x.resultOf(i, o)
	case !attach:
		return withID(i, refuse(errNotReady)), nil
	default:
		return Response{}, errOutcome
	}
}

// resultOf takes the content-type from the latest revision of the handler, which may have gone.
func (x *exchange) resultOf(i id.Invocation, o *command.Outcome) (Response, *failure) {
	h, err := x.g.parts.Schema().Handler(o.Target.GetService(), o.Target.GetHandler())
	if err != nil {
		return Response{}, errNotFound
	}
	return completed(i, h, o), nil
}

// completed is the response for an invocation that has ended.
func completed(i id.Invocation, h *schema.Handler, o *command.Outcome) Response {
	var resp Response
	if f := o.Result.GetFailure(); f != nil {
		resp = failed(i, f)
	} else {
		resp = Response{Status: statusOK, ID: i, HasID: true, Body: o.Result.GetValue()}
		resp.ContentType, _ = h.OutputContentType(len(resp.Body) == 0)
	}
	if o.Stored {
		resp.ExpiresAt = o.ExpiresAt
	}
	return resp
}

func jsonReply(v any) (Response, *failure) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // plain strings: cannot fail
	return Response{Status: statusOK, ContentType: contentTypeJSON, Body: bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})}, nil
}

func bodyFailure(err error) *failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrBodyTooLarge):
		return errBodyTooLarge413
	default:
		return failf(statusInternal, "cannot read body: %s", err)
	}
}
