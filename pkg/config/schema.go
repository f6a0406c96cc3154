package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Schema is the JSON schema of a configuration file, for editors and for checks of one before it is used. Keys that it does not
// know are allowed, as they are in a file.
func Schema() ([]byte, error) {
	keys, err := Keys()
	if err != nil {
		return nil, err
	}
	defaults := Default()
	leaves := settings(&defaults)
	root := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of Reprise",
		"type": "object", "properties": map[string]any{}, "$defs": schemaTypes(),
	}
	for i, k := range keys {
		at := root
		path := strings.Split(k.Name, ".")
		for _, section := range path[:len(path)-1] {
			properties := at["properties"].(map[string]any)
			if properties[section] == nil {
				properties[section] = map[string]any{"type": "object", "properties": map[string]any{}}
			}
			at = properties[section].(map[string]any)
		}
		at["properties"].(map[string]any)[path[len(path)-1]] = k.schema(leaves[i])
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of the configuration: %w", err)
	}
	return append(text, '\n'), nil
}

// schemaTypes are the values with a syntax of their own.
func schemaTypes() map[string]any {
	text := func(pattern, meaning string) map[string]any {
		return map[string]any{"type": "string", "pattern": pattern, "description": meaning}
	}
	whole := map[string]any{"type": "integer", "minimum": 0}
	either := func(a ...any) map[string]any { return map[string]any{"anyOf": a} }
	const length = `\s*(0|[Pp].+|([0-9.]+ *[a-zµμ]+,?\s*)+)\s*`
	return map[string]any{
		"duration": either(text("^"+length+"$", "1m, 1s 500ms, 1 day, PT1M30S"), map[string]any{"const": 0}),
		"range":    text("^"+length+`(\.\.`+length+")?$", "250ms..1m"),
		"size":     either(text(`^\s*[0-9._]+\s*([KkMmGgTt]?[Ii]?[Bb]?|bytes?)\s*$`, "2.0 GiB (of 1024), 64MB (of 1000), a number of bytes"), whole),
		"limit":    either(map[string]any{"type": "integer", "minimum": 1}, map[string]any{"enum": []string{"unlimited", "inf"}}),
		"rate":     text(`^\s*[0-9.]+\s*/\s*(s|sec|m|min|h|hr)\s*$`, "10/s, 600/min, 100/h"),
		"replication": either(map[string]any{"type": "integer", "minimum": 1, "maximum": 128},
			text(`^\s*([0-9]+|\{.*\})\s*$`, "2, {node: 2}, {zone: 2, node: 3}"), map[string]any{"type": "object"}),
		"filter": text("", "warn,restate=info,processor=debug"),
	}
}

// schema of one setting.
func (k Key) schema(s setting) map[string]any {
	t := s.value.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	out := map[string]any{}
	named := map[string]string{
		"duration": "duration", "range of durations": "range", "size": "size", "number or unlimited": "limit", "rate": "rate",
		"replication": "replication", "filter": "filter",
	}
	switch name := named[k.Type]; {
	case name != "":
		out["$ref"] = "#/$defs/" + name
	case k.Type == "whole number":
		out["type"], out["minimum"] = "integer", 0
		out["maximum"] = uint64(1)<<t.Bits() - 1 // of 64 bits it wraps around to all of them
	default:
		out["type"] = map[string]string{
			"number": "number", "true or false": "boolean", "text": "string", "list of texts": "array", "table of texts": "object",
		}[k.Type]
	}
	if k.Type == "list of texts" {
		out["items"] = map[string]any{"type": "string"}
	}
	if k.Enum != nil {
		out["enum"] = k.Enum
	}
	k.bounds(out, s)
	out["description"] = k.describe()
	if v, ok := k.defaultJSON(s); ok {
		out["default"] = v
	}
	return out
}

// bounds adds those of numbers; those of durations and sizes are in words.
func (k Key) bounds(out map[string]any, s setting) {
	if k.Type != "whole number" && k.Type != "number" {
		return
	}
	if n, err := strconv.ParseFloat(k.Min, 64); err == nil {
		out["minimum"] = n
	}
	if n, err := strconv.ParseFloat(k.Max, 64); err == nil {
		out["maximum"] = n
	}
	if s.tag.Get("ratio") != "" {
		out["exclusiveMinimum"], out["maximum"] = 0, 1
	}
}

// defaultJSON is the default as JSON has it.
func (k Key) defaultJSON(s setting) (any, bool) {
	if k.Default == "" || k.Secret {
		return nil, false
	}
	v := s.value
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if g, ok := v.Interface().(getter); ok {
		return g.get(), true
	}
	return v.Interface(), true
}

// describe is what people read about a setting, in sentences.
func (k Key) describe() string {
	parts := []string{strings.ToUpper(k.Meaning[:1]) + k.Meaning[1:]}
	if bounds := k.allowed(); bounds != "" {
		parts = append(parts, bounds)
	}
	if k.Ours {
		parts = append(parts, "Not a key of the contract")
	}
	if k.Inert != "" {
		parts = append(parts, "Accepted, no effect: "+k.Inert)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ". ")
}

// allowed says in words which values there are.
func (k Key) allowed() string {
	switch {
	case k.Enum != nil:
		return "One of " + strings.Join(k.Enum, ", ")
	case k.Min != "" && k.Max != "":
		return "From " + k.Min + " to " + k.Max
	case k.Min != "":
		return "At least " + k.Min
	case k.Max != "":
		return "At most " + k.Max
	default:
		return ""
	}
}
