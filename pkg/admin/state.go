package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	adminv1 "reprise/api/admin/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

func (c *calls) ModifyState(ctx context.Context, q *adminv1.ModifyStateRequest) (*adminv1.OperationResponse, error) {
	if scope := q.GetScope(); scope != "" {
		return nil, refuse(http.StatusInternalServerError, "bad scope: scopes are not enabled")
	}
	done := &adminv1.OperationResponse{UnderWay: true}
	s, ok := c.reg.Current().Service(q.Service)
	switch {
	case !ok && len(q.NewState) == 0:
		return done, nil // there is nothing to clear
	case !ok:
		return nil, refuse(http.StatusNotFound, "The requested service '%s' does not exist", q.Service)
	case s.Type == storedv1.ServiceType_SERVICE_TYPE_SERVICE:
		return nil, refuse(http.StatusBadRequest, "Cannot modify state for service type %s", serviceType(s.Type))
	}
	facts := &storedv1.PatchStateFacts{Service: q.Service, Key: q.GetObjectKey(), Version: q.Version}
	for name, value := range q.NewState {
		facts.Entries = append(facts.Entries, &storedv1.StateEntry{Name: []byte(name), Value: value})
	}
	slices.SortFunc(facts.Entries, func(a, b *storedv1.StateEntry) int { return strings.Compare(string(a.Name), string(b.Name)) })
	out, err := c.ops.propose(ctx, command.PatchState, id.NewInvocation(id.Hash(facts.Key), [16]byte{}), facts, command.WantAccepted)
	if err != nil {
		return nil, err
	}
	if out.Status == command.OutcomeQueueFull {
		return nil, refuse(http.StatusTooManyRequests, "Too many changes of the state of '%s' wait for what runs", facts.Key)
	}
	if out.Status != command.OutcomeAccepted {
		return nil, errs.Newf(errs.Internal, "the partition answered a change of state with outcome %d", out.Status)
	}
	return done, nil
}

// stateBody is the body of ModifyState; the generated message would take texts for base64.
type stateBody struct {
	Version   *string                    `json:"version"`
	ObjectKey *string                    `json:"object_key"`
	Scope     *string                    `json:"scope"`
	NewState  map[string]json.RawMessage `json:"new_state"`
}

func unmarshalState(data []byte, q *adminv1.ModifyStateRequest) error {
	var b stateBody
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if b.ObjectKey == nil {
		return fmt.Errorf("missing field `object_key`")
	}
	if b.NewState == nil {
		return fmt.Errorf("missing field `new_state`")
	}
	q.Version, q.ObjectKey, q.Scope = b.Version, b.ObjectKey, b.Scope
	q.NewState = make(map[string][]byte, len(b.NewState))
	for name, raw := range b.NewState {
		value, err := stateValue(raw)
		if err != nil {
			return fmt.Errorf("new_state.%s: a value is an array of bytes or a text", name)
		}
		q.NewState[name] = value
	}
	return nil
}

// stateValue reads an array of bytes as numbers, or a text.
func stateValue(raw json.RawMessage) ([]byte, error) {
	var text *string
	if json.Unmarshal(raw, &text) == nil && text != nil {
		return []byte(*text), nil
	}
	var numbers []uint8Number
	if err := json.Unmarshal(raw, &numbers); err != nil || numbers == nil {
		return nil, fmt.Errorf("%s is neither", raw[:min(len(raw), 32)])
	}
	value := make([]byte, len(numbers))
	for i, n := range numbers {
		value[i] = byte(n)
	}
	return value, nil
}

// uint8Number is a byte that JSON writes as a number.
type uint8Number uint8
