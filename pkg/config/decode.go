package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// setter is a value with a syntax of its own. v is a string, int64, float64, bool, []any or map[string]any.
type setter interface{ set(v any) error }

// getter is the way back, for the dump.
type getter interface{ get() any }

// decoder lays one source over a tree.
type decoder struct {
	source  string
	unknown []string          // keys that nobody knows
	inert   map[string]string // keys that are not in the tree and have no effect, with the reason
	errs    []error
	secret  bool // what is read now is not to be shown
}

func (d *decoder) fail(path []string, err error) {
	if d.secret {
		err = errors.New("the value, which is secret, cannot be read")
	}
	d.errs = append(d.errs, fmt.Errorf("%s in %s: %w", strings.Join(path, "."), d.source, err))
}

// table lays v over the struct.
func (d *decoder) table(path []string, v any, into reflect.Value) {
	if s, ok := v.(string); ok { // a whole table in one environment variable
		literal, err := parseLiteral(s)
		if err != nil {
			d.fail(path, err)
			return
		}
		v = literal
	}
	m, ok := v.(map[string]any)
	if !ok {
		d.fail(path, fmt.Errorf("%v is no table", v))
		return
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		here := append(slices.Clip(path), name)
		if tag, field, ok := fieldOf(into, name); ok {
			d.secret = tag.Get("secret") != ""
			d.value(here, m[name], field)
			d.secret = false
			continue
		}
		key := strings.Join(here, ".")
		if why, ok := isInert(key); ok {
			d.inert[key] = why
			continue
		}
		d.unknown = append(d.unknown, key)
	}
}

// fieldOf finds the field with the key, also in embedded structs.
func fieldOf(v reflect.Value, key string) (reflect.StructTag, reflect.Value, bool) {
	for f, value := range v.Fields() {
		if f.Anonymous {
			if tag, found, ok := fieldOf(value, key); ok {
				return tag, found, true
			}
		} else if f.Tag.Get("toml") == key {
			return f.Tag, value, true
		}
	}
	return "", reflect.Value{}, false
}

func (d *decoder) value(path []string, v any, into reflect.Value) {
	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		before := len(d.errs)
		d.value(path, v, fresh.Elem())
		if len(d.errs) == before {
			into.Set(fresh)
		}
		return
	}
	if s, ok := into.Addr().Interface().(setter); ok {
		if err := s.set(v); err != nil {
			d.fail(path, err)
		}
		return
	}
	if into.Kind() == reflect.Struct {
		d.table(path, v, into)
		return
	}
	if err := setPlain(v, into); err != nil {
		d.fail(path, err)
	}
}

func setPlain(v any, into reflect.Value) error {
	s, isText := v.(string)
	switch into.Kind() {
	case reflect.String:
		switch v.(type) {
		case string, int64, bool, float64:
			into.SetString(fmt.Sprint(v))
			return nil
		}
		return fmt.Errorf("%v is no text", v)
	case reflect.Bool:
		if isText {
			b, err := strconv.ParseBool(s)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", s)
			}
			v = b
		}
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("%v is neither true nor false", v)
		}
		into.SetBool(b)
		return nil
	case reflect.Float64:
		return setFloat(v, into)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return setUint(v, into)
	case reflect.Slice:
		return setList(v, into)
	case reflect.Map:
		return setMap(v, into)
	default:
		return fmt.Errorf("no syntax for %s", into.Type())
	}
}

func setFloat(v any, into reflect.Value) error {
	switch x := v.(type) {
	case float64:
		into.SetFloat(x)
		return nil
	case int64:
		into.SetFloat(float64(x))
		return nil
	case string:
		if f, err := strconv.ParseFloat(x, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			into.SetFloat(f)
			return nil
		}
	}
	return fmt.Errorf("%v is no number", v)
}

func setUint(v any, into reflect.Value) error {
	if s, ok := v.(string); ok {
		n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		v = n
	}
	n, ok := v.(int64)
	if !ok || n < 0 || into.OverflowUint(uint64(n)) {
		return fmt.Errorf("%v is not a whole number from 0 to %d", v, uint64(math.MaxUint64)>>(64-into.Type().Bits()))
	}
	into.SetUint(uint64(n))
	return nil
}

// setList takes an array, or a text: an array literal or one or more elements with commas.
func setList(v any, into reflect.Value) error {
	if s, ok := v.(string); ok {
		if !strings.HasPrefix(strings.TrimSpace(s), "[") {
			var out []string
			for part := range strings.SplitSeq(s, ",") {
				if part = strings.TrimSpace(part); part != "" {
					out = append(out, part)
				}
			}
			into.Set(reflect.ValueOf(out))
			return nil
		}
		literal, err := parseLiteral(s)
		if err != nil {
			return err
		}
		v = literal
	}
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%v is no list", v)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return fmt.Errorf("%v in the list is no text", e)
		}
	}
	into.Set(reflect.ValueOf(out))
	return nil
}

func setMap(v any, into reflect.Value) error {
	if s, ok := v.(string); ok {
		literal, err := parseLiteral(s)
		if err != nil {
			return err
		}
		v = literal
	}
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is no table", v)
	}
	out := make(map[string]string, len(m))
	for k, e := range m {
		switch e.(type) {
		case string, int64, bool, float64:
			out[k] = fmt.Sprint(e)
		default:
			return fmt.Errorf("%s is no text", k)
		}
	}
	into.Set(reflect.ValueOf(out))
	return nil
}

// parseLiteral reads a TOML or JSON array or table.
func parseLiteral(s string) (any, error) {
	var doc map[string]any
	if err := toml.Unmarshal([]byte("v = "+s), &doc); err == nil && len(doc) == 1 {
		return doc["v"], nil
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("%q is neither a TOML nor a JSON value", s)
	}
	return fromJSON(v), nil
}

// fromJSON turns JSON numbers into those of TOML.
func fromJSON(v any) any {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, _ := x.Float64() // the decoder checked it
		return f
	case []any:
		for i := range x {
			x[i] = fromJSON(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = fromJSON(x[k])
		}
	}
	return v
}
