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

// verb reads what a path asks of an invocation.
func verb(s string) (attach bool, f *failure) {
	switch s {
	case "attach":
		return true, nil
	case "output":
		return false, nil
	default:
		return false, errNotFound
	}
}

// byInvocation serves /restate/invocation/ID/VERB, SERVICE/HANDLER/IDEMPOTENCYKEY/VERB and
// OBJECT/KEY/HANDLER/IDEMPOTENCYKEY/VERB.
func (x *exchange) byInvocation(ctx context.Context, tail []string) (Response, *failure) {
	if len(tail) < 2 {
		return Response{}, errBadInvocationShape
	}
	var i id.Invocation
	last := len(tail) - 1
	if len(tail) > 2 {
		s, ok := x.reg.Service(tail[0])
		if !ok {
			return Response{}, unknownService(tail[0])
		}
		want := 3
		if keyed(s) {
			want = 4
		}
		if last != want {
			return Response{}, errBadInvocationShape
		}
	}
	attach, f := verb(tail[last])
	if f == nil && x.req.Method != methodGet {
		f = errMethod
	}
	if f != nil {
		return Response{}, f
	}
	switch last {
	case 1:
		i, f = invocationID(tail[0])
	case 3:
		i = id.IdempotentInvocation(tail[0], "", false, tail[1], tail[2])
	case 4:
		var key string
		key, f = decodeKey(tail[1])
		i = id.IdempotentInvocation(tail[0], key, true, tail[2], tail[3])
	}
	if f != nil {
		return Response{}, f
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
	attach, f := verb(tail[2])
	if f != nil {
		return Response{}, f
	}
	if x.req.Method != methodGet {
		return Response{}, errMethod
	}
	key, f := decodeKey(tail[1])
	if f != nil {
		return Response{}, f
	}
	return x.result(ctx, id.WorkflowInvocation(tail[0], key), attach)
}

// byIDOrTarget serves GET /restate/VERB/ID and POST /restate/VERB with a target in the body.
func (x *exchange) byIDOrTarget(ctx context.Context, tail []string, attach bool) (Response, *failure) {
	var i id.Invocation
	var f *failure
	switch {
	case len(tail) > 1:
		return Response{}, errBadRestateShape
	case len(tail) == 1 && x.req.Method != methodGet, len(tail) == 0 && x.req.Method != methodPost:
		return Response{}, errMethod
	case len(tail) == 1:
		i, f = invocationID(tail[0])
	default:
		i, f = x.readTarget()
	}
	if f != nil {
		return Response{}, f
	}
	return x.result(ctx, i, attach)
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

// target is the body of lookups. Which fields must be there depends on Target.
type target struct {
	Target         string  `json:"target"`
	InvocationID   *string `json:"invocationId"`
	WorkflowName   *string `json:"workflowName"`
	WorkflowKey    *string `json:"workflowKey"`
	Service        *string `json:"service"`
	Key            *string `json:"key"`
	Handler        *string `json:"handler"`
	IdempotencyKey *string `json:"idempotencyKey"`
	Scope          *string `json:"scope"`
}

func (x *exchange) readTarget() (id.Invocation, *failure) {
	defer x.req.Body.Release()
	body, f := x.body()
	if f != nil {
		return id.Invocation{}, f
	}
	var t target
	if err := json.Unmarshal(body, &t); err != nil {
		return id.Invocation{}, badTarget("it is not the JSON of a target")
	}
	if t.Scope != nil && t.Target != "invocation" {
		if f := checkScope(*t.Scope); f != nil {
			return id.Invocation{}, f
		}
		return id.Invocation{}, errScopeOff
	}
	switch {
	case t.Target == "invocation" && t.InvocationID != nil:
		return invocationID(*t.InvocationID)
	case t.Target == "workflow" && t.WorkflowName != nil && t.WorkflowKey != nil:
		return id.WorkflowInvocation(*t.WorkflowName, *t.WorkflowKey), nil
	case t.Target == "idempotentInvocation" && t.Service != nil && t.Handler != nil && t.IdempotencyKey != nil:
		key := ""
		if t.Key != nil {
			key = *t.Key
		}
		return id.IdempotentInvocation(*t.Service, key, t.Key != nil, *t.Handler, *t.IdempotencyKey), nil
	case t.Target == "invocation", t.Target == "workflow", t.Target == "idempotentInvocation":
		return id.Invocation{}, badTarget("a field of the target is missing")
	default:
		return id.Invocation{}, badTarget("its target is not known")
	}
}

func badTarget(why string) *failure {
	return failf(statusInternal, "cannot read body: invalid lookup body: %s", why)
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
