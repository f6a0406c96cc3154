package admin

import (
	"encoding/json"

	storedv1 "reprise/api/stored/v1"
)

// The bodies of a handler in a word, for people.
const (
	nothing  = "none"
	anything = "*/*"
)

// describeInput says what a handler takes.
func describeInput(in *storedv1.Input) string {
	switch {
	case in == nil:
		return anything
	case in.ContentType == nil:
		return nothing
	}
	return describeBody(in.GetContentType(), in.GetJsonSchema())
}

// describeOutput says what a handler answers.
func describeOutput(out *storedv1.Output) string {
	switch {
	case out == nil:
		return contentTypeJSON
	case out.ContentType == nil:
		return nothing
	}
	body := describeBody(out.GetContentType(), out.GetJsonSchema())
	if out.GetSetContentTypeIfEmpty() && body == out.GetContentType() {
		return "optional " + body
	}
	return body
}

// describeBody prefers what a JSON schema says of itself.
func describeBody(contentType, jsonSchema string) string {
	var s struct {
		Title string `json:"title"`
		Type  any    `json:"type"`
	}
	if jsonSchema == "" || json.Unmarshal([]byte(jsonSchema), &s) != nil { // `true` is a schema, too
		return contentType
	}
	if s.Title != "" {
		return "JSON '" + s.Title + "'"
	}
	if t, ok := s.Type.(string); ok {
		return "JSON " + t
	}
	return contentType
}
