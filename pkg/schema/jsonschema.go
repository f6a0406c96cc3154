package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// schemaDepthMax is how deep a JSON schema may nest.
const schemaDepthMax = 200

// checkJSONSchema tells what is wrong with a JSON schema: keywords with values that they cannot have,
// and references to elsewhere. Requests are never held against a schema, it is documentation, so
// this looks at its form and no further.
func checkJSONSchema(text string) error {
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return errors.New("not JSON")
	}
	c := schemaChecker{root: root}
	c.collect(root, 0)
	return c.schema(root, "#", 0)
}

type schemaChecker struct {
	root any
	ids  []string // what $id names in this document
}

// collect gathers the names that references may use.
func (c *schemaChecker) collect(v any, depth int) {
	if depth > schemaDepthMax {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["$id"].(string); ok {
			c.ids = append(c.ids, strings.TrimSuffix(name, "#"))
		}
		for _, sub := range v {
			c.collect(sub, depth+1)
		}
	case []any:
		for _, sub := range v {
			c.collect(sub, depth+1)
		}
	default:
	}
}

// keywordCheck is how the value of a keyword has to look.
type keywordCheck func(c *schemaChecker, v any, at string, depth int) error

func checkOf(keyword string) keywordCheck {
	switch keyword {
	case "not", "if", "then", "else", "contains", "propertyNames", "additionalProperties", "additionalItems",
		"unevaluatedItems", "unevaluatedProperties":
		return (*schemaChecker).schema
	case "items":
		return (*schemaChecker).schemaOrList
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return (*schemaChecker).list
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		return (*schemaChecker).named
	case "$ref", "$dynamicRef", "$recursiveRef":
		return (*schemaChecker).reference
	case "type":
		return (*schemaChecker).typeNames
	case "required":
		return (*schemaChecker).strings
	case "enum":
		return (*schemaChecker).array
	case "minimum", "maximum":
		return (*schemaChecker).number
	case "multipleOf":
		return (*schemaChecker).positive
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		return (*schemaChecker).count
	case "uniqueItems":
		return (*schemaChecker).boolean
	case "pattern", "format", "$schema", "$id", "title", "description", "$comment":
		return (*schemaChecker).text
	default:
		return nil // an annotation, or a keyword of somebody's own
	}
}

func (c *schemaChecker) schema(v any, at string, depth int) error {
	if depth > schemaDepthMax {
		return errors.New("it nests too deep")
	}
	if _, ok := v.(bool); ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is neither an object nor true or false", at)
	}
	keywords := make([]string, 0, len(m))
	for k := range m {
		keywords = append(keywords, k)
	}
	slices.Sort(keywords) // the same fault is reported every time
	for _, k := range keywords {
		check := checkOf(k)
		if check == nil {
			continue
		}
		if err := check(c, m[k], at+"/"+k, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *schemaChecker) schemaOrList(v any, at string, depth int) error {
	if _, ok := v.([]any); ok {
		return c.list(v, at, depth)
	}
	return c.schema(v, at, depth)
}

func (c *schemaChecker) list(v any, at string, depth int) error {
	l, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s is not an array", at)
	}
	for i, sub := range l {
		if err := c.schema(sub, fmt.Sprintf("%s/%d", at, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *schemaChecker) named(v any, at string, depth int) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is not an object", at)
	}
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := c.schema(m[n], at+"/"+n, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// reference allows what points into the document.
func (c *schemaChecker) reference(v any, at string, _ int) error {
	ref, ok := v.(string)
	if !ok {
		return fmt.Errorf("%s is not a string", at)
	}
	document, fragment, _ := strings.Cut(ref, "#")
	if document != "" {
		if slices.Contains(c.ids, document) {
			return nil
		}
		return fmt.Errorf("%s points to another document, %q", at, ref)
	}
	if fragment != "" && strings.HasPrefix(fragment, "/") && !c.exists(fragment) {
		return fmt.Errorf("%s points to nothing, %q", at, ref)
	}
	return nil
}

// exists follows a JSON pointer from the root.
func (c *schemaChecker) exists(pointer string) bool {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	v := c.root
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = unescape.Replace(step)
		switch at := v.(type) {
		case map[string]any:
			sub, ok := at[step]
			if !ok {
				return false
			}
			v = sub
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return false
			}
			v = at[i]
		default:
			return false
		}
	}
	return true
}

var schemaTypes = []string{"null", "boolean", "object", "array", "number", "string", "integer"}

func (c *schemaChecker) typeNames(v any, at string, _ int) error {
	l, ok := v.([]any)
	if !ok {
		l = []any{v}
	}
	for _, one := range l {
		if name, ok := one.(string); !ok || !slices.Contains(schemaTypes, name) {
			return fmt.Errorf("%s is not the name of a type", at)
		}
	}
	return nil
}

func (c *schemaChecker) strings(v any, at string, _ int) error {
	l, ok := v.([]any)
	for _, one := range l {
		if _, is := one.(string); !is {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%s is not an array of strings", at)
	}
	return nil
}

func (c *schemaChecker) array(v any, at string, _ int) error {
	if _, ok := v.([]any); !ok {
		return fmt.Errorf("%s is not an array", at)
	}
	return nil
}

func (c *schemaChecker) number(v any, at string, _ int) error {
	if _, ok := v.(float64); !ok {
		return fmt.Errorf("%s is not a number", at)
	}
	return nil
}

func (c *schemaChecker) positive(v any, at string, _ int) error {
	if f, ok := v.(float64); !ok || f <= 0 {
		return fmt.Errorf("%s is not a positive number", at)
	}
	return nil
}

func (c *schemaChecker) count(v any, at string, _ int) error {
	if f, ok := v.(float64); !ok || f < 0 || f != math.Trunc(f) {
		return fmt.Errorf("%s is not a count", at)
	}
	return nil
}

func (c *schemaChecker) boolean(v any, at string, _ int) error {
	if _, ok := v.(bool); !ok {
		return fmt.Errorf("%s is not true or false", at)
	}
	return nil
}

func (c *schemaChecker) text(v any, at string, _ int) error {
	if _, ok := v.(string); !ok {
		return fmt.Errorf("%s is not a string", at)
	}
	return nil
}
