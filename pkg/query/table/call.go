package table

import (
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/schema"
)

// calling is a Call or a OneWayCall.
type calling interface {
	GetServiceName() string
	GetHandlerName() string
	GetKey() string
	GetParameter() []byte
	GetHeaders() []*servicev1.Header
	GetInvocationIdNotificationIdx() uint32
	GetIdempotencyKey() string
}

// call describes a call: both forms tell whom, the full one also with what. oneWay is m if it is one.
func (r *entryRow) call(c *content, m calling, oneWay *servicev1.OneWayCallCommand) {
	c.invokedID = r.callee(m.GetInvocationIdNotificationIdx())
	c.invokedTarget = m.GetServiceName() + "/" + m.GetHandlerName()
	if m.GetKey() != "" {
		c.invokedTarget = m.GetServiceName() + "/" + m.GetKey() + "/" + m.GetHandlerName()
	}
	handler, _ := r.registry.Handler(m.GetServiceName(), m.GetHandlerName()) // nil if it is there no more
	target := jsonCallTarget(m, handler)
	c.onlyLite("invocation_id", jsonText(c.invokedID)).onlyLite("invocation_target", target)
	c.onlyFull("request", jsonRequest(m, c.invokedID, target, handler))
	if oneWay != nil {
		c.both("invoke_time", jsonUint(oneWay.InvokeTime))
	}
	c.both("invocation_id_completion_id", jsonUint(uint64(m.GetInvocationIdNotificationIdx())))
	if call, ok := m.(*servicev1.CallCommand); ok {
		c.both("result_completion_id", jsonUint(uint64(call.ResultCompletionId)))
	}
}

// targetKinds are the kinds of targets in the JSON of entries.
var targetKinds = map[storedv1.ServiceType]string{
	storedv1.ServiceType_SERVICE_TYPE_SERVICE:        "Service",
	storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT: "VirtualObject",
	storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:       "Workflow",
}

// handlerKinds are the types of handlers there; plain services' have none.
var handlerKinds = map[storedv1.HandlerType]string{
	storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE: "Exclusive",
	storedv1.HandlerType_HANDLER_TYPE_SHARED:    "Shared",
	storedv1.HandlerType_HANDLER_TYPE_WORKFLOW:  "Workflow",
}

// jsonCallTarget is whom a call is for. Of a handler that is there no more, only a key tells what it was.
func jsonCallTarget(m calling, h *schema.Handler) []byte {
	kind := targetKinds[storedv1.ServiceType_SERVICE_TYPE_SERVICE]
	if m.GetKey() != "" {
		kind = targetKinds[storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT]
	}
	if h != nil {
		kind = targetKinds[h.Service.Type]
	}
	target := appendMember(nil, "name", jsonText(m.GetServiceName()))
	if m.GetKey() != "" {
		target = appendMember(target, "key", jsonText(m.GetKey()))
	}
	target = appendMember(target, "handler", jsonText(m.GetHandlerName()))
	if h != nil && handlerKinds[h.Type] != "" {
		target = appendMember(target, "handler_ty", jsonText(handlerKinds[h.Type]))
	}
	return object(appendMember(nil, kind, object(appendMember(target, "scope", []byte("null")))))
}

// noSpan is what is told of the trace of a call. Restate's command line cannot read a request that lacks it.
const noSpan = `{"span_context":{"trace_id":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"span_id":[0,0,0,0,0,0,0,0],` +
	`"trace_flags":0,"is_remote":false,"trace_state":""},"cause":null}`

func jsonRequest(m calling, invoked string, target []byte, h *schema.Handler) []byte {
	request := appendMember(nil, "invocation_id", jsonText(invoked))
	request = appendMember(request, "invocation_target", target)
	request = appendMember(request, "span_context", []byte(noSpan))
	request = appendMember(request, "parameter", jsonBytes(m.GetParameter()))
	request = appendMember(request, "headers", jsonHeaders(m.GetHeaders()))
	key := []byte("null")
	if k := m.GetIdempotencyKey(); k != "" {
		key = jsonText(k)
	}
	request = appendMember(request, "idempotency_key", key)
	if h != nil {
		completion, journal := h.Retentions(m.GetIdempotencyKey() != "")
		request = appendMember(request, "completion_retention_duration", jsonDuration(completion))
		request = appendMember(request, "journal_retention_duration", jsonDuration(journal))
	}
	return object(request)
}

func jsonDuration(d time.Duration) []byte {
	return object(appendMember(appendMember(nil, "secs", jsonUint(uint64(d/time.Second))), "nanos", jsonUint(uint64(d%time.Second))))
}
