package table

import (
	"strings"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/query/render"
	"reprise/pkg/serviceproto"
)

// entryType is the type of an entry as it is told: Command: Run, Notification: Run.
func entryType(t serviceproto.Type) string {
	if t.IsCommand() {
		return "Command: " + t.String()
	}
	return "Notification: " + notificationName(t)
}

func notificationName(t serviceproto.Type) string {
	if t == serviceproto.TypeSignalNotification {
		return "Signal"
	}
	if t == serviceproto.TypeCallInvocationIDCompletion {
		return "CallInvocationId"
	}
	return strings.TrimSuffix(t.String(), "Completion")
}

// decoded is what the columns say of the content of an entry.
type decoded struct {
	name                     string
	invokedID, invokedTarget string
	wakeUp                   int64
	promise                  string
	full, lite               string
}

// decode reads the content of an entry. What cannot be read is left out: the raw column has it.
func (r *entryRow) decode() decoded {
	if r.frame.Type.IsNotification() {
		return decodeNotification(r.frame)
	}
	c, ok := r.command()
	if !ok {
		return decoded{}
	}
	d := c.decoded
	kind := render.String([]byte(`{"Command":{`), r.frame.Type.String())
	d.full = string(kind) + ":{" + c.members(true) + `"name":` + string(render.String(nil, d.name)) + "}}}"
	if d.name != "" {
		c.onlyLite("name", jsonText(d.name))
	}
	d.lite = string(kind) + ":{" + strings.TrimSuffix(c.members(false), ",") + "}}}"
	return d
}

// content is a command in the making: members of its JSON, each followed by a comma.
type content struct {
	decoded
	fulls, lites []byte
}

func (c *content) members(full bool) string {
	if full {
		return string(c.fulls)
	}
	return string(c.lites)
}

// both adds a member to both forms, onlyFull and onlyLite to one.
func (c *content) both(name string, value []byte) *content {
	return c.onlyFull(name, value).onlyLite(name, value)
}

func (c *content) onlyFull(name string, value []byte) *content {
	c.fulls = appendMember(c.fulls, name, value)
	return c
}

func (c *content) onlyLite(name string, value []byte) *content {
	c.lites = appendMember(c.lites, name, value)
	return c
}

func appendMember(b []byte, name string, value []byte) []byte {
	return append(append(append(render.String(b, name), ':'), value...), ',')
}

// message is a generated message.
type message interface {
	UnmarshalVT(b []byte) error
}

// command reads a command.
func (r *entryRow) command() (*content, bool) {
	var m message
	switch r.frame.Type {
	case serviceproto.TypeInput:
		m = &servicev1.InputCommand{}
	case serviceproto.TypeOutput:
		m = &servicev1.OutputCommand{}
	case serviceproto.TypeGetLazyState:
		m = &servicev1.GetLazyStateCommand{}
	case serviceproto.TypeSetState:
		m = &servicev1.SetStateCommand{}
	case serviceproto.TypeClearState:
		m = &servicev1.ClearStateCommand{}
	case serviceproto.TypeClearAllState:
		m = &servicev1.ClearAllStateCommand{}
	case serviceproto.TypeGetLazyStateKeys:
		m = &servicev1.GetLazyStateKeysCommand{}
	case serviceproto.TypeGetEagerState:
		m = &servicev1.GetEagerStateCommand{}
	case serviceproto.TypeGetEagerStateKeys:
		m = &servicev1.GetEagerStateKeysCommand{}
	case serviceproto.TypeGetPromise:
		m = &servicev1.GetPromiseCommand{}
	case serviceproto.TypePeekPromise:
		m = &servicev1.PeekPromiseCommand{}
	case serviceproto.TypeCompletePromise:
		m = &servicev1.CompletePromiseCommand{}
	case serviceproto.TypeSleep:
		m = &servicev1.SleepCommand{}
	case serviceproto.TypeCall:
		m = &servicev1.CallCommand{}
	case serviceproto.TypeOneWayCall:
		m = &servicev1.OneWayCallCommand{}
	case serviceproto.TypeSendSignal:
		m = &servicev1.SendSignalCommand{}
	case serviceproto.TypeRun:
		m = &servicev1.RunCommand{}
	case serviceproto.TypeAttachInvocation:
		m = &servicev1.AttachInvocationCommand{}
	case serviceproto.TypeGetInvocationOutput:
		m = &servicev1.GetInvocationOutputCommand{}
	case serviceproto.TypeCompleteAwakeable:
		m = &servicev1.CompleteAwakeableCommand{}
	default:
		return nil, false
	}
	if err := m.UnmarshalVT(r.frame.Payload); err != nil {
		return nil, false
	}
	c := &content{}
	r.describe(c, m)
	return c, true
}

// described are the members of a command, in the order of the contract.
func (r *entryRow) describe(c *content, m message) {
	if named, ok := m.(interface{ GetName() string }); ok {
		c.name = named.GetName()
	}
	switch m := m.(type) {
	case *servicev1.InputCommand:
		c.onlyFull("headers", jsonHeaders(m.Headers)).onlyFull("payload", jsonBytes(m.GetValue().GetContent()))
	case *servicev1.OutputCommand:
		c.result(m.GetValue(), m.GetFailure(), false)
	case *servicev1.GetLazyStateCommand:
		c.both("key", jsonText(string(m.Key))).completion(m.ResultCompletionId)
	case *servicev1.SetStateCommand:
		c.both("key", jsonText(string(m.Key))).onlyFull("value", jsonBytes(m.GetValue().GetContent()))
	case *servicev1.ClearStateCommand:
		c.both("key", jsonText(string(m.Key)))
	case *servicev1.GetLazyStateKeysCommand:
		c.completion(m.ResultCompletionId)
	case *servicev1.GetEagerStateCommand:
		c.both("key", jsonText(string(m.Key))).result(m.GetValue(), nil, m.GetVoid() != nil)
	case *servicev1.GetEagerStateKeysCommand:
		c.onlyFull("state_keys", jsonKeys(m.GetValue().GetKeys()))
	case *servicev1.GetPromiseCommand:
		c.promiseKey(m.Key).completion(m.ResultCompletionId)
	case *servicev1.PeekPromiseCommand:
		c.promiseKey(m.Key).completion(m.ResultCompletionId)
	case *servicev1.CompletePromiseCommand:
		c.promiseKey(m.Key).onlyFull("value", jsonResult(m.GetCompletionValue(), m.GetCompletionFailure(), false)).completion(m.ResultCompletionId)
	case *servicev1.SleepCommand:
		c.wakeUp = int64(min(m.WakeUpTime, 1<<63-1))
		c.both("wake_up_time", jsonUint(m.WakeUpTime)).completion(m.ResultCompletionId)
	case *servicev1.CallCommand:
		r.call(c, m, nil)
	case *servicev1.OneWayCallCommand:
		r.call(c, m, m)
	case *servicev1.SendSignalCommand:
		c.name = m.EntryName
		c.both("target_invocation_id", jsonText(m.TargetInvocationId)).both("signal_id", jsonSignal(m))
		c.result(m.GetValue(), m.GetFailure(), m.GetVoid() != nil)
	case *servicev1.RunCommand:
		c.completion(m.ResultCompletionId)
	case *servicev1.AttachInvocationCommand:
		c.both("target", jsonTarget(m)).completion(m.ResultCompletionId)
	case *servicev1.GetInvocationOutputCommand:
		c.both("target", jsonTarget(m)).completion(m.ResultCompletionId)
	case *servicev1.CompleteAwakeableCommand:
		c.both("id", jsonText(m.AwakeableId)).result(m.GetValue(), m.GetFailure(), false)
	}
}

func (c *content) completion(completion uint32) {
	c.both("completion_id", jsonUint(uint64(completion)))
}

func (c *content) promiseKey(key string) *content {
	c.promise = key
	return c.both("key", jsonText(key))
}

// result adds what a command ended with: the lite form says only how.
func (c *content) result(v *servicev1.Value, f *servicev1.Failure, void bool) {
	c.onlyFull("result", jsonResult(v, f, void)).onlyLite("result", jsonOutcome(f != nil, void))
}

func decodeNotification(f serviceproto.Frame) (d decoded) {
	var n servicev1.Notification
	if err := n.UnmarshalVT(f.Payload); err != nil {
		return decoded{}
	}
	name := notificationName(f.Type)
	outcome := jsonOutcome(n.GetFailure() != nil, n.GetVoid() != nil)
	var result []byte
	switch {
	case n.GetStateKeys() != nil:
		result, outcome = object(appendMember(nil, "StateKeys", jsonKeys(n.GetStateKeys().GetKeys()))), []byte(`"StateKeys"`)
	case n.GetInvocationId() != "":
		outcome = []byte(`"InvocationId"`)
	default:
		result = jsonResult(n.GetValue(), n.GetFailure(), n.GetVoid() != nil)
	}
	if f.Type == serviceproto.TypeSignalNotification {
		id := appendMember(nil, "Index", jsonUint(uint64(n.GetSignalId())))
		liteID := appendMember(nil, "SignalIndex", jsonUint(uint64(n.GetSignalId())))
		if n.GetSignalName() != "" {
			id, liteID = appendMember(nil, "Name", jsonText(n.GetSignalName())), appendMember(nil, "SignalName", jsonText(n.GetSignalName()))
		}
		signal := appendMember(appendMember(nil, "id", object(id)), "result", result)
		d.full = `{"Notification":{"Signal":` + string(object(signal)) + "}}"
		d.lite = `{"Notification":{"ty":"Signal","id":` + string(object(liteID)) + `,"result":` + string(outcome) + "}}"
		return d
	}
	completion := jsonUint(uint64(n.GetCompletionId()))
	members := appendMember(nil, "completion_id", completion)
	switch {
	case n.GetInvocationId() != "":
		members = appendMember(members, "invocation_id", jsonText(n.GetInvocationId()))
		d.invokedID = n.GetInvocationId()
	case f.Type != serviceproto.TypeSleepCompletion:
		members = appendMember(members, "result", result)
	}
	d.full = `{"Notification":{"Completion":` + string(object(appendMember(nil, name, object(members)))) + "}}"
	d.lite = `{"Notification":{"ty":{"Completion":` + string(jsonText(name)) + `},"id":{"CompletionId":` + string(completion) +
		`},"result":` + string(outcome) + "}}"
	return d
}
