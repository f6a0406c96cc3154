package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// node is an object of a syntax tree.
type node = map[string]any

// Parse reads what json_serialize_sql returned.
func Parse(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // identifiers of 64 bits stay exact
	var tree node
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("syntax tree: %w", err)
	}
	return tree, nil
}

func text(n node, key string) string {
	s, _ := n[key].(string)
	return s
}

func child(n node, key string) node {
	c, _ := n[key].(node)
	return c
}

func list(n node, key string) []any {
	l, _ := n[key].([]any)
	return l
}

func nodes(n node, key string) (out []node) {
	for _, x := range list(n, key) {
		if c, ok := x.(node); ok {
			out = append(out, c)
		}
	}
	return out
}

// clone copies a tree, so that it may be changed.
func clone(v any) any {
	switch v := v.(type) {
	case node:
		c := make(node, len(v))
		for k, x := range v {
			c[k] = clone(x)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = clone(x)
		}
		return c
	default:
		return v
	}
}

// each calls f with every object in v, parents first, until f says not to go into one. The order is always the same.
func each(v any, f func(node) (into bool)) {
	switch v := v.(type) {
	case node:
		if !f(v) {
			return
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			each(v[k], f)
		}
	case []any:
		for _, x := range v {
			each(x, f)
		}
	}
}

// columnOf returns the parts of the name of a column, lower case, if n is one.
func columnOf(n node) []string {
	if text(n, "class") != "COLUMN_REF" {
		return nil
	}
	var parts []string
	for _, p := range list(n, "column_names") {
		if s, ok := p.(string); ok {
			parts = append(parts, strings.ToLower(s))
		}
	}
	return parts
}

// limitOf returns a constant that is no negative number.
func limitOf(n node) (uint64, bool) {
	s, kind := constant(n)
	if kind != number {
		return 0, false
	}
	var v uint64
	if _, err := fmt.Sscanf(s, "%d", &v); err != nil {
		return 0, false
	}
	return v, true
}

// constantKind is what a constant is.
type constantKind uint8

const (
	other constantKind = iota
	literal
	number // not negative
)

// constant returns the text of a constant, or its decimal digits.
func constant(n node) (string, constantKind) {
	if text(n, "class") != "CONSTANT" {
		return "", other
	}
	v := child(n, "value")
	if null, _ := v["is_null"].(bool); null {
		return "", other
	}
	switch x := v["value"].(type) {
	case string:
		if text(child(v, "type"), "id") == "VARCHAR" {
			return x, literal
		}
	case json.Number:
		if !strings.ContainsAny(x.String(), "-.eE") {
			return x.String(), number
		}
	case node: // of 128 bits, in halves
		upper, ok := x["upper"].(json.Number)
		lower, lok := x["lower"].(json.Number)
		if lok && (!ok || upper.String() == "0") {
			return lower.String(), number
		}
	}
	return "", other
}
