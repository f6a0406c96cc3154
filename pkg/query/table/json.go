package table

import (
	"strconv"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/query/render"
)

func jsonText(s string) []byte { return render.String(nil, s) }

func jsonUint(v uint64) []byte { return strconv.AppendUint(nil, v, 10) }

// object closes an object of which the members, each with a comma behind it, are given.
func object(members []byte) []byte { return enclose('{', members, '}') }

func enclose(first byte, items []byte, last byte) []byte {
	b := append(make([]byte, 0, len(items)+2), first)
	b = append(b, items...)
	if len(items) > 0 {
		b = b[:len(b)-1]
	}
	return append(b, last)
}

// jsonBytes is a list of numbers.
func jsonBytes(v []byte) []byte {
	items := make([]byte, 0, 4*len(v))
	for _, x := range v {
		items = append(strconv.AppendUint(items, uint64(x), 10), ',')
	}
	return enclose('[', items, ']')
}

func jsonKeys(keys [][]byte) []byte {
	var items []byte
	for _, k := range keys {
		items = append(render.String(items, string(k)), ',')
	}
	return enclose('[', items, ']')
}

func jsonHeaders(headers []*servicev1.Header) []byte {
	var items []byte
	for _, h := range headers {
		items = append(append(items, object(appendMember(appendMember(nil, "name", jsonText(h.Key)), "value", jsonText(h.Value)))...), ',')
	}
	return enclose('[', items, ']')
}

func jsonResult(v *servicev1.Value, f *servicev1.Failure, void bool) []byte {
	switch {
	case void:
		return []byte(`"Void"`)
	case f != nil:
		failure := appendMember(appendMember(nil, "code", jsonUint(uint64(f.Code))), "message", jsonText(f.Message))
		return object(appendMember(nil, "Failure", object(failure)))
	default:
		return object(appendMember(nil, "Success", jsonBytes(v.GetContent())))
	}
}

func jsonOutcome(failed, void bool) []byte {
	switch {
	case failed:
		return []byte(`"Failure"`)
	case void:
		return []byte(`"Void"`)
	default:
		return []byte(`"Success"`)
	}
}

func jsonSignal(m *servicev1.SendSignalCommand) []byte {
	if name, ok := m.SignalId.(*servicev1.SendSignalCommand_Name); ok {
		return object(appendMember(nil, "Name", jsonText(name.Name)))
	}
	return object(appendMember(nil, "Index", jsonUint(uint64(m.GetIdx()))))
}

// attaching is a command that names an invocation in one of three ways.
type attaching interface {
	GetInvocationId() string
	GetIdempotentRequestTarget() *servicev1.IdempotentRequestTarget
	GetWorkflowTarget() *servicev1.WorkflowTarget
}

func jsonTarget(m attaching) []byte {
	if w := m.GetWorkflowTarget(); w != nil {
		target := appendMember(appendMember(nil, "service_name", jsonText(w.WorkflowName)), "service_key", jsonText(w.WorkflowKey))
		return object(appendMember(nil, "Workflow", object(target)))
	}
	if t := m.GetIdempotentRequestTarget(); t != nil {
		target := appendMember(nil, "service_name", jsonText(t.ServiceName))
		if t.GetServiceKey() != "" {
			target = appendMember(target, "service_key", jsonText(t.GetServiceKey()))
		}
		target = appendMember(appendMember(target, "handler_name", jsonText(t.HandlerName)), "idempotency_key", jsonText(t.IdempotencyKey))
		return object(appendMember(nil, "IdempotentRequest", object(target)))
	}
	return object(appendMember(nil, "InvocationId", jsonText(m.GetInvocationId())))
}

// combinators are the names of the nodes of an await tree, by their number.
var combinators = [...]string{"Unknown", "FirstCompleted", "AllCompleted", "FirstSucceededOrAllFailed", "AllSucceededOrFirstFailed"}

// appendAwait is what a suspended invocation waits for, as a tree.
func appendAwait(b []byte, s *servicev1.Suspension) []byte {
	if s.AwaitingOn != nil {
		return appendFuture(b, s.AwaitingOn)
	}
	return appendFuture(b, &servicev1.Future{
		WaitingCompletions: s.WaitingCompletions, WaitingSignals: s.WaitingSignals, WaitingNamedSignals: s.WaitingNamedSignals,
	})
}

func appendFuture(b []byte, f *servicev1.Future) []byte {
	var items []byte
	single := func(name string, value []byte) {
		items = append(append(items, object(appendMember(nil, "Single", object(appendMember(nil, name, value))))...), ',')
	}
	for _, c := range f.WaitingCompletions {
		single("CompletionId", jsonUint(uint64(c)))
	}
	for _, s := range f.WaitingSignals {
		single("SignalIndex", jsonUint(uint64(s)))
	}
	for _, s := range f.WaitingNamedSignals {
		single("SignalName", jsonText(s))
	}
	for _, nested := range f.NestedFutures {
		items = append(appendFuture(items, nested), ',')
	}
	name := combinators[0]
	if n := int(f.CombinatorType); n < len(combinators) {
		name = combinators[n]
	}
	return append(b, object(appendMember(nil, name, enclose('[', items, ']')))...)
}

// statusName is what the contract calls some codes of failures, after a space.
func statusName(code uint32) string {
	switch code {
	case 500:
		return " Internal"
	case 570:
		return " JournalMismatch"
	case 571:
		return " ProtocolViolation"
	default:
		return ""
	}
}
