package ingress

import (
	"bytes"
	"encoding/json"
	"io"

	"reprise/pkg/id"
)

// target is the body of lookups: text by field. Which fields must be there depends on the first.
type target map[string]string

// Fields of a target, and what the first may hold.
const (
	targetKind           = "target"
	targetInvocationID   = "invocationId"
	targetWorkflow       = "workflowName"
	targetWorkflowKey    = "workflowKey"
	targetService        = "service"
	targetKey            = "key"
	targetHandler        = "handler"
	targetIdempotencyKey = "idempotencyKey"
	targetScope          = "scope"

	targetIsInvocation = "invocation"
	targetIsWorkflow   = "workflow"
	targetIsIdempotent = "idempotentInvocation"
)

var (
	errTargetJSON    = badTarget("it is not the JSON of a target")
	errTargetTwice   = badTarget("a field stands in it twice")
	errTargetMissing = badTarget("a field of the target is missing")
	errTargetKind    = badTarget("its target is not known")
)

func badTarget(why string) *failure {
	return failf(statusInternal, "cannot read body: invalid lookup body: %s", why)
}

// readTarget reads the body of a lookup.
func (x *exchange) readTarget() (id.Invocation, *failure) {
	defer x.req.Body.Release()
	body, f := x.body()
	if f != nil {
		return id.Invocation{}, f
	}
	t, f := parseTarget(body)
	if f != nil {
		return id.Invocation{}, f
	}
	return t.invocation()
}

// parseTarget is stricter than encoding/json: names are compared with case, and stand once.
func parseTarget(body []byte) (target, *failure) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errTargetJSON
	}
	t := target{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errTargetJSON
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errTargetJSON
		}
		field := name.(string) // the decoder lets nothing else be a name
		if !knownField(field) {
			continue
		}
		if _, twice := t[field]; twice {
			return nil, errTargetTwice
		}
		var text *string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, errTargetJSON
		}
		if text != nil { // null is as if it were not there
			t[field] = *text
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errTargetJSON
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errTargetJSON // something follows
	}
	return t, nil
}

func knownField(name string) bool {
	switch name {
	case targetKind, targetInvocationID, targetWorkflow, targetWorkflowKey, targetService, targetKey, targetHandler, targetIdempotencyKey, targetScope:
		return true
	default:
		return false
	}
}

// has tells whether all fields are there.
func (t target) has(fields ...string) bool {
	for _, f := range fields {
		if _, ok := t[f]; !ok {
			return false
		}
	}
	return true
}

// invocation returns the id of the target. A scope takes part in it, although nothing can be invoked in one.
func (t target) invocation() (i id.Invocation, f *failure) {
	scope, scoped := t[targetScope]
	key, keyed := t[targetKey]
	switch t[targetKind] {
	case targetIsInvocation:
		if !t.has(targetInvocationID) {
			return i, errTargetMissing
		}
		return invocationID(t[targetInvocationID])
	case targetIsWorkflow:
		if !t.has(targetWorkflow, targetWorkflowKey) {
			return i, errTargetMissing
		}
		if !scoped {
			return id.WorkflowInvocation(t[targetWorkflow], t[targetWorkflowKey]), nil
		}
		return id.ScopedWorkflowInvocation(scope, t[targetWorkflow], t[targetWorkflowKey]), checkScope(scope)
	case targetIsIdempotent:
		if !t.has(targetService, targetHandler, targetIdempotencyKey) {
			return i, errTargetMissing
		}
		if !scoped {
			return id.IdempotentInvocation(t[targetService], key, keyed, t[targetHandler], t[targetIdempotencyKey]), nil
		}
		return id.ScopedIdempotentInvocation(scope, t[targetService], key, keyed, t[targetHandler], t[targetIdempotencyKey]), checkScope(scope)
	default:
		return i, errTargetKind
	}
}
