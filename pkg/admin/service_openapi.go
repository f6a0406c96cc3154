package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/schema"
)

// serviceOpenapi describes how the public handlers of a service are called at an ingress.
func serviceOpenapi(s *schema.Service, ingress string) (string, error) {
	d := &serviceDoc{service: s, paths: object{}, schemas: object{"RestateError": json.RawMessage(restateErrorSchema)}}
	for _, h := range s.Stored.GetHandlers() {
		if !s.Public || h.GetOptions().GetIngressPrivate() {
			continue
		}
		if err := d.add(h); err != nil {
			return "", fmt.Errorf("describe %s/%s: %w", s.Name, h.GetName(), err)
		}
	}
	info := object{"title": s.Name, "version": strconv.FormatUint(uint64(s.Revision), 10)}
	if s.Stored.Documentation != nil {
		info["description"] = s.Stored.GetDocumentation()
	}
	if m := asMap(s.Stored.GetMetadata()); len(m) > 0 {
		info["x-restate-extensions"] = m
	}
	return asJSON(object{
		"openapi": openapiVersion, "info": info,
		"servers": []object{{"url": ingress, "description": "URL of the ingress"}},
		"paths":   d.paths,
		"tags": []object{
			{"name": "Request Response", "description": "Call a handler and wait for its response"},
			{"name": tagSend, "description": "Call a handler and do not wait"},
			{"name": tagAttach, "description": "Wait for the response of a call made before"},
			{"name": tagOutput, "description": "Read the response of a call made before, if there is one"},
		},
		"components": object{
			"schemas": d.schemas, "parameters": json.RawMessage(callParameters), "responses": json.RawMessage(callResponses),
		},
	})
}

// The tags of what is not a plain call.
const (
	tagSend   = "Send"
	tagAttach = "Attach"
	tagOutput = "Get Output"
)

// serviceDoc is the document of a service in the making.
type serviceDoc struct {
	service        *schema.Service
	paths, schemas object
}

func parameter(name string) object { return object{"$ref": "#/components/parameters/" + name} }

// add describes the ways to call a handler.
func (d *serviceDoc) add(h *storedv1.Handler) error {
	request, err := d.request(h)
	if err != nil {
		return err
	}
	response, err := d.response(h)
	if err != nil {
		return err
	}
	name, target := h.GetName(), d.service.Name
	keyed := d.service.Type != storedv1.ServiceType_SERVICE_TYPE_SERVICE
	workflow := d.service.Type == storedv1.ServiceType_SERVICE_TYPE_WORKFLOW
	var params []any
	if keyed {
		target += "/{key}"
		params = append(params, parameter("key"))
	}
	withKey := slices.Clone(params)
	if !workflow {
		params = append(params, parameter("idempotencyKeyHeader"))
	}
	call := operationOf(h, name, "", "Call "+d.service.Name+"/"+name+" and wait for the response", params, object{"200": response})
	send := operationOf(h, name+"Send", tagSend, "Call "+d.service.Name+"/"+name+" without waiting", append(slices.Clone(params), parameter("delay")),
		object{"200": object{"$ref": responseRef + "Send"}, "202": object{"$ref": responseRef + "Send"}})
	if request != nil {
		call["requestBody"], send["requestBody"] = request, request
	}
	d.paths["/restate/call/"+target+"/"+name] = object{"post": call}
	d.paths["/restate/send/"+target+"/"+name] = object{"post": send}
	base := "/restate/invocation/" + target + "/" + name + "/{idempotencyKey}"
	switch {
	case !workflow:
		withKey = append(withKey, parameter("idempotencyKeyPath"))
	case h.GetType() == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW:
		base = "/restate/workflow/" + target
	default:
		return nil // only the run of a workflow is one that others can find again
	}
	found := object{"200": response, "404": object{"$ref": responseRef + "InvocationNotFoundError"}}
	attach := operationOf(h, name+"Attach", tagAttach, "Wait for a call of "+d.service.Name+"/"+name+" that was made before", withKey, found)
	ready := object{"200": response, "404": found["404"], "470": object{"$ref": responseRef + "InvocationNotReadyError"}}
	output := operationOf(h, name+"Output", tagOutput, "Read the response of a call of "+d.service.Name+"/"+name, withKey, ready)
	attach["deprecated"], output["deprecated"] = true, true // there is /restate/lookup
	d.paths[base+"/attach"], d.paths[base+"/output"] = object{"get": attach}, object{"get": output}
	return nil
}

// operationOf is described by the handler's own documentation, or else by what it does.
func operationOf(h *storedv1.Handler, id, tag, does string, params []any, responses object) object {
	if h.Documentation != nil {
		does = h.GetDocumentation()
	}
	responses["default"] = object{"$ref": responseRef + "GenericError"}
	op := object{"operationId": id, "summary": h.GetName(), "description": does, "responses": responses}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if tag != "" {
		op["tags"] = []string{tag}
	}
	return op
}

// request is nil if the handler takes nothing.
func (d *serviceDoc) request(h *storedv1.Handler) (object, error) {
	in := h.GetInput()
	if in == nil {
		return object{"required": false, "content": object{anything: object{}}}, nil
	}
	if in.ContentType == nil {
		return nil, nil
	}
	body, err := d.body(h.GetName()+"Request", in.JsonSchema)
	return object{"required": in.GetRequired(), "content": object{in.GetContentType(): body}}, err
}

func (d *serviceDoc) response(h *storedv1.Handler) (object, error) {
	out := h.GetOutput()
	if out == nil {
		return object{"description": "", "content": object{contentTypeJSON: object{}}}, nil
	}
	if out.ContentType == nil {
		return object{"description": "Empty"}, nil
	}
	body, err := d.body(h.GetName()+"Response", out.JsonSchema)
	return object{"description": "", "content": object{out.GetContentType(): body}}, err
}

// body refers to a JSON schema, which becomes a component.
func (d *serviceDoc) body(name string, text *string) (object, error) {
	if text == nil {
		return object{}, nil
	}
	dec := json.NewDecoder(strings.NewReader(*text))
	dec.UseNumber() // numbers stay as they were written
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	relocate(v, schemaRef+name)
	d.schemas[name] = v
	return object{"schema": object{"$ref": schemaRef + name}}, nil
}

// relocate has references within a schema find it where it is in the document.
func relocate(v any, to string) {
	switch v := v.(type) {
	case object:
		for name, sub := range v {
			if ref, ok := sub.(string); ok && name == "$ref" && strings.HasPrefix(ref, "#") {
				v[name] = to + strings.TrimPrefix(ref, "#")
				continue
			}
			relocate(sub, to)
		}
	case []any:
		for _, sub := range v {
			relocate(sub, to)
		}
	}
}

const restateErrorSchema = `{
	"title": "RestateError", "type": "object", "additionalProperties": false, "required": ["message", "source"],
	"description": "Why a call has no response: refused by the ingress, or failed for good",
	"properties": {
		"message": {"type": "string"},
		"source": {"type": "string", "enum": ["ingress", "invocation"], "description": "Who says so: the ingress, with a status of HTTP, or the handler, with a code of its own"},
		"code": {"type": "number"},
		"stacktrace": {"type": "string"},
		"metadata": {"type": "object", "additionalProperties": {"type": "string"}}}}`

const callParameters = `{
	"delay": {"name": "delay", "in": "query", "required": false, "schema": {"type": "string"}, "example": "10s",
		"description": "How long to wait before the handler is called"},
	"key": {"name": "key", "in": "path", "required": true, "schema": {"type": "string"}},
	"idempotencyKeyHeader": {"name": "idempotency-key", "in": "header", "required": false, "schema": {"type": "string"},
		"description": "Calls with the same key are one invocation"},
	"idempotencyKeyPath": {"name": "idempotencyKey", "in": "path", "required": true, "schema": {"type": "string"},
		"description": "The key that the call was made with"}}`

const callResponses = `{
	"GenericError": {"description": "Error", "content": {"application/json": {
		"schema": {"$ref": "#/components/schemas/RestateError"}, "example": {"code": 500, "message": "out of order", "source": "invocation"}}}},
	"InvocationNotFoundError": {"description": "There is no such call", "content": {"application/json": {
		"schema": {"$ref": "#/components/schemas/RestateError"}, "example": {"message": "invocation not found", "source": "ingress"}}}},
	"InvocationNotReadyError": {"description": "There is no response yet", "content": {"application/json": {
		"schema": {"$ref": "#/components/schemas/RestateError"}, "example": {"message": "invocation not ready", "source": "ingress"}}}},
	"Send": {"description": "Accepted", "content": {"application/json": {
		"schema": {"title": "RestateSendResponse", "type": "object", "additionalProperties": false, "required": ["invocationId", "status"], "properties": {
			"invocationId": {"type": "string"},
			"status": {"type": "string", "enum": ["Accepted", "PreviouslyAccepted"]},
			"executionTime": {"type": "string", "format": "date-time", "description": "When the handler will be called, if there is a delay"}}},
		"example": {"invocationId": "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz", "status": "Accepted"}}}}}`
