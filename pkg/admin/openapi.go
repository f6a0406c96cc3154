package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "reprise/api/admin/v1"
)

// object is a JSON object of a document.
type object = map[string]any

const (
	openapiVersion = "3.1.0"
	schemaRef      = "#/components/schemas/"
	responseRef    = "#/components/responses/"
	errorSchema    = "ErrorDescriptionResponse"
)

// newOpenapi describes this API by its declarations.
func newOpenapi() (string, error) {
	d := &openapi{schemas: object{errorSchema: object{
		"type": "object", "required": []string{"message"},
		"properties": object{"message": object{"type": "string"}, "restate_code": object{"type": []string{"string", "null"}}},
	}}, responses: object{}, paths: object{}}
	for _, call := range allCalls() {
		if err := d.add(call); err != nil {
			return "", fmt.Errorf("describe %s: %w", call.FullName(), err)
		}
	}
	return asJSON(object{
		"openapi": openapiVersion,
		"info": object{
			"title": "Admin API", "version": contractVersion,
			"description": "Registers deployments, shows and changes services, operates invocations, asks in SQL.",
		},
		"paths":      d.paths,
		"components": object{"schemas": d.schemas, "responses": d.responses},
	})
}

// asJSON is without the HTML escapes that encoding/json adds by default.
func asJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// openapi is a document in the making.
type openapi struct{ schemas, responses, paths object }

// add describes a call, if it is to be.
func (d *openapi) add(call protoreflect.MethodDescriptor) error {
	op, _ := proto.GetExtension(call.Options(), adminv1.E_Operation).(*adminv1.Operation)
	if op.GetName() == "" {
		return nil
	}
	at, err := bindingOf(call)
	if err != nil {
		return err
	}
	out := object{"operationId": op.GetName(), "summary": op.GetSummary(), "responses": d.answers(call, op)}
	inPath, params := at.params(), []any{}
	fields := call.Input().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := string(f.Name())
		switch {
		case inPath[name]:
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		case at.body == "":
			params = append(params, object{"name": name, "in": "query", "required": false, "schema": d.field(f)})
		}
	}
	if len(params) > 0 {
		out["parameters"] = params
	}
	if at.body != "" {
		content := d.requestOf(call.Input(), at)
		out["requestBody"] = object{"required": true, "content": object{contentTypeJSON: object{"schema": content}}}
	}
	path, ok := d.paths[at.path].(object)
	if !ok {
		path = object{}
		d.paths[at.path] = path
	}
	path[strings.ToLower(at.method)] = out
	return nil
}

func (d *openapi) requestOf(m protoreflect.MessageDescriptor, at binding) object {
	if at.body == "*" {
		return d.message(m, true, at.params())
	}
	return d.field(m.Fields().ByName(protoreflect.Name(at.body)))
}

// answers describes what a call answers.
func (d *openapi) answers(call protoreflect.MethodDescriptor, op *adminv1.Operation) object {
	out := object{}
	for _, status := range op.GetStatuses() {
		text := http.StatusText(int(status))
		if status >= http.StatusBadRequest {
			name := strings.ReplaceAll(text, " ", "")
			d.responses[name] = object{"description": text, "content": object{contentTypeJSON: object{"schema": object{"$ref": schemaRef + errorSchema}}}}
			out[strconv.Itoa(int(status))] = object{"$ref": responseRef + name}
			continue
		}
		answer := object{"description": text}
		if hasContent(call.Output().Fields()) {
			schema := d.message(call.Output(), false, nil)
			content := object{contentTypeJSON: object{"schema": schema}}
			for _, other := range op.GetProduces() {
				if other != contentTypeJSON {
					content[other] = object{}
				}
			}
			answer["content"] = content
		}
		if op.GetName() == "create_deployment" || status == http.StatusCreated {
			answer["headers"] = object{"Location": object{"schema": object{"type": "string"}}}
		}
		out[strconv.Itoa(int(status))] = answer
	}
	return out
}

// message refers to the schema of a message, which it makes if there is none yet. skip are fields that are
// elsewhere in the request.
func (d *openapi) message(m protoreflect.MessageDescriptor, request bool, skip map[string]bool) object {
	fields := m.Fields()
	if f, ok := wholeOf(fields); ok {
		if f.IsList() {
			return d.field(f)
		}
		return object{"type": "object"}
	}
	name := string(m.Name())
	if other, _ := proto.GetExtension(m.Options(), adminv1.E_Schema).(string); other != "" {
		name = other
	}
	ref := object{"$ref": schemaRef + name}
	if d.schemas[name] != nil {
		return ref
	}
	s := object{"type": "object"}
	d.schemas[name] = s // before its fields, which may refer to it
	properties, required := object{}, []string{}
	for i := range fields.Len() {
		f := fields.Get(i)
		how, _ := proto.GetExtension(f.Options(), adminv1.E_Json).(adminv1.Json)
		if how == adminv1.Json_JSON_HIDDEN || skip[string(f.Name())] {
			continue
		}
		properties[string(f.Name())] = d.field(f)
		always := !request && !f.HasPresence() && !f.IsMap() && how != adminv1.Json_JSON_OMIT_EMPTY
		if always || fieldOf(f).GetRequired() {
			required = append(required, string(f.Name()))
		}
	}
	s["properties"] = properties
	if len(required) > 0 {
		s["required"] = required
	}
	return ref
}

func fieldOf(f protoreflect.FieldDescriptor) *adminv1.Field {
	o, _ := proto.GetExtension(f.Options(), adminv1.E_Field).(*adminv1.Field)
	return o
}

// field is the schema of a field.
func (d *openapi) field(f protoreflect.FieldDescriptor) object {
	how, _ := proto.GetExtension(f.Options(), adminv1.E_Json).(adminv1.Json)
	switch {
	case how == adminv1.Json_JSON_RAW:
		return object{} // any JSON
	case f.IsMap():
		return object{"type": "object", "additionalProperties": d.value(f.MapValue())}
	case f.IsList():
		return object{"type": "array", "items": d.value(f)}
	}
	s := d.value(f)
	if kind, ok := s["type"].(string); ok && f.HasPresence() && !fieldOf(f).GetRequired() {
		s["type"] = []string{kind, "null"}
		if values, ok := s["enum"].([]any); ok {
			s["enum"] = append(values, nil)
		}
	}
	return s
}

// value is the schema of one value of a field.
func (d *openapi) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return d.message(f.Message(), false, nil)
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Uint32Kind:
		return object{"type": "integer", "format": "int32", "minimum": 0}
	case protoreflect.Uint64Kind:
		return object{"type": "integer", "format": "int64", "minimum": 0}
	case protoreflect.FloatKind:
		return object{"type": "number", "format": "float"}
	case protoreflect.BytesKind:
		return object{"type": []string{"array", "string"}, "items": object{"type": "integer", "minimum": 0, "maximum": 255}}
	}
	s := object{"type": "string"}
	if o := fieldOf(f); o.GetFormat() != "" {
		s["format"] = o.GetFormat()
	} else if len(o.GetOneOf()) > 0 {
		var values []any
		for _, v := range o.GetOneOf() {
			values = append(values, v)
		}
		s["enum"] = values
	}
	return s
}
