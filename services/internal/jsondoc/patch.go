package jsondoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Step is a step of a JSON patch (RFC 6902).
type Step struct {
	Op    string           `json:"op"`
	Path  *string          `json:"path"`
	From  *string          `json:"from"`
	Value *json.RawMessage `json:"value"`
}

// ParsePatch reads a JSON patch.
func ParsePatch(text string) (steps []Step, err error) {
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		return nil, fmt.Errorf("the JSON patch cannot be read: %w", err)
	}
	for i, s := range steps {
		switch {
		case s.Path == nil:
			return nil, fmt.Errorf("step %d of the JSON patch has no path", i)
		case (s.Op == "add" || s.Op == "replace" || s.Op == "test") && s.Value == nil:
			return nil, fmt.Errorf("step %d of the JSON patch has no value", i)
		case (s.Op == "move" || s.Op == "copy") && s.From == nil:
			return nil, fmt.Errorf("step %d of the JSON patch has no from", i)
		}
	}
	return steps, nil
}

// Apply returns what the steps make of a document, which may be changed. On an error nothing is meant to be used.
func Apply(doc any, steps []Step) (any, error) {
	for i, s := range steps {
		var err error
		if doc, err = s.apply(doc); err != nil {
			return nil, fmt.Errorf("step %d of the JSON patch, %s '%s': %w", i, s.Op, *s.Path, err)
		}
	}
	return doc, nil
}

var errNoPath = errors.New("there is no such path")

func (s Step) apply(doc any) (any, error) {
	path, err := pointer(*s.Path)
	if err != nil {
		return nil, err
	}
	var value any
	if s.Value != nil {
		if value, err = Parse(*s.Value); err != nil {
			return nil, err
		}
	}
	switch s.Op {
	case "add":
		return put(doc, path, value)
	case "remove":
		return drop(doc, path)
	case "replace":
		if _, err := lookAt(doc, path); err != nil {
			return nil, err
		}
		if len(path) == 0 {
			return value, nil
		}
		if doc, err = drop(doc, path); err != nil {
			return nil, err
		}
		return put(doc, path, value)
	case "test":
		got, err := lookAt(doc, path)
		if err == nil && !same(got, value) {
			err = fmt.Errorf("the value is %s", Shown(got))
		}
		return doc, err
	case "move", "copy":
		return s.transfer(doc, path)
	default:
		return nil, errors.New("no such operation: add, remove, replace, move, copy or test")
	}
}

// transfer moves or copies.
func (s Step) transfer(doc any, path []string) (any, error) {
	from, err := pointer(*s.From)
	if err != nil {
		return nil, err
	}
	value, err := lookAt(doc, from)
	if err != nil {
		return nil, err
	}
	if s.Op == "move" {
		if len(path) > len(from) && slices.Equal(path[:len(from)], from) {
			return nil, errors.New("a value cannot be moved into itself")
		}
		if doc, err = drop(doc, from); err != nil {
			return nil, err
		}
	} else if value, err = Parse(Exact(value)); err != nil { // a copy of its own
		return nil, err
	}
	return put(doc, path, value)
}

// pointer reads a JSON pointer (RFC 6901).
func pointer(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, errors.New("a path begins with a slash")
	}
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts, nil
}

// at reads an index of an array with n items, or n itself where end is allowed.
func at(part string, n int, end bool) (int, error) {
	if part == "-" && end {
		return n, nil
	}
	i, err := strconv.Atoi(part)
	if err != nil || i < 0 || i > n || i == n && !end || part != strconv.Itoa(i) {
		return 0, errNoPath
	}
	return i, nil
}

func lookAt(doc any, path []string) (any, error) {
	for _, part := range path {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				return nil, errNoPath
			}
			doc = next
		case []any:
			i, err := at(part, len(v), false)
			if err != nil {
				return nil, err
			}
			doc = v[i]
		default:
			return nil, errNoPath
		}
	}
	return doc, nil
}

// put adds a value, in an array before what is there.
func put(doc any, path []string, value any) (any, error) {
	return changed(doc, path, value, true)
}

// drop removes what is at a path.
func drop(doc any, path []string) (any, error) {
	if len(path) == 0 {
		return nil, errors.New("the whole cannot be removed")
	}
	if _, err := lookAt(doc, path); err != nil {
		return nil, err
	}
	return changed(doc, path, nil, false)
}

// changed adds or removes at the end of a path, and returns the whole.
func changed(doc any, path []string, value any, add bool) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch v := doc.(type) {
	case map[string]any:
		if len(path) == 1 {
			if add {
				v[path[0]] = value
			} else {
				delete(v, path[0])
			}
			return v, nil
		}
		next, ok := v[path[0]]
		if !ok {
			return nil, errNoPath
		}
		next, err := changed(next, path[1:], value, add)
		v[path[0]] = next
		return v, err
	case []any:
		i, err := at(path[0], len(v), add && len(path) == 1)
		if err != nil {
			return nil, err
		}
		switch {
		case len(path) == 1 && add:
			return slices.Insert(v, i, value), nil
		case len(path) == 1:
			return slices.Delete(v, i, i+1), nil
		}
		v[i], err = changed(v[i], path[1:], value, add)
		return v, err
	default:
		return nil, errNoPath
	}
}
