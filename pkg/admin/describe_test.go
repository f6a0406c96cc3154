package admin

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
)

func TestDescriptions(t *testing.T) {
	const object = `{"type":"object","title":"Foo"}`
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	for _, row := range []struct{ contentType, schema, input, output, always string }{
		{"", "", "none", "none", "none"},
		{"", object, "none", "none", "none"},
		{"*/*", "", "*/*", "*/*", "optional */*"},
		{"image/*", "", "image/*", "image/*", "optional image/*"},
		{"application/json", "", "application/json", "application/json", "optional application/json"},
		{"application/json", object, "JSON 'Foo'", "JSON 'Foo'", "JSON 'Foo'"},
		{"application/json", `{"type":"string"}`, "JSON string", "JSON string", "JSON string"},
		{"application/json", `{"type":["string","null"]}`, "application/json", "application/json", "optional application/json"},
		{"application/json", "true", "application/json", "application/json", "optional application/json"},
	} {
		in := &storedv1.Input{ContentType: text(row.contentType), JsonSchema: text(row.schema)}
		out := &storedv1.Output{ContentType: text(row.contentType), JsonSchema: text(row.schema)}
		always := proto.CloneOf(out)
		always.SetContentTypeIfEmpty = true
		if i, o, a := describeInput(in), describeOutput(out), describeOutput(always); i != row.input || o != row.output || a != row.always {
			t.Errorf("%q %s: %q, %q, %q", row.contentType, row.schema, i, o, a)
		}
	}
	if i, o := describeInput(nil), describeOutput(nil); i != "*/*" || o != "application/json" {
		t.Errorf("absent: %q, %q", i, o)
	}
}
