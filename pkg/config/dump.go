package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Dump writes the effective settings as TOML. Secrets are masked.
func (c *Config) Dump(w io.Writer) error {
	var b strings.Builder
	dumpTable(&b, nil, reflect.ValueOf(c).Elem())
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("dump configuration: %w", err)
	}
	return nil
}

type entry struct {
	key    string
	value  reflect.Value
	secret bool
}

// entries lists the fields of a struct and of those embedded in it.
func entries(v reflect.Value) []entry {
	var out []entry
	for f, value := range v.Fields() {
		if f.Anonymous {
			out = append(out, entries(value)...)
		} else {
			out = append(out, entry{key: f.Tag.Get("toml"), value: value, secret: f.Tag.Get("secret") != ""})
		}
	}
	return out
}

// dumpTable writes the plain keys first, for in TOML those after a table header belong to it.
func dumpTable(b *strings.Builder, path []string, v reflect.Value) {
	var tables []entry
	for _, e := range entries(v) {
		_, plain := e.value.Interface().(getter)
		if !plain && e.value.Kind() == reflect.Struct {
			tables = append(tables, e)
			continue
		}
		if text, ok := literal(e.value, e.secret); ok {
			fmt.Fprintf(b, "%s = %s\n", e.key, text)
		}
	}
	for _, t := range tables {
		here := append(slices.Clip(path), t.key)
		var inner strings.Builder
		dumpTable(&inner, here, t.value)
		if inner.Len() > 0 {
			fmt.Fprintf(b, "\n[%s]\n%s", strings.Join(here, "."), inner.String())
		}
	}
}

// literal returns the TOML text of a value; false: it is not set.
func literal(v reflect.Value, secret bool) (string, bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "", false
		}
		v = v.Elem()
	}
	if secret && !v.IsZero() && v.Kind() == reflect.String {
		return `"***"`, true
	}
	if g, ok := v.Interface().(getter); ok {
		return literal(reflect.ValueOf(g.get()), false)
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String()), v.Len() > 0
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case reflect.Float64:
		s := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s, true
	case reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), true
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = quote(v.Index(i).String())
		}
		return "[" + strings.Join(parts, ", ") + "]", len(parts) > 0
	case reflect.Map:
		keys := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			keys = append(keys, k.String())
		}
		slices.Sort(keys)
		parts := make([]string, len(keys))
		for i, k := range keys {
			text, _ := literal(v.MapIndex(reflect.ValueOf(k)), secret)
			parts[i] = quote(k) + " = " + text
		}
		return "{" + strings.Join(parts, ", ") + "}", len(parts) > 0
	default:
		return "", false
	}
}

// quote writes a text as TOML does.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
