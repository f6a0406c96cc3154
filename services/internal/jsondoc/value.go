package jsondoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Parse reads one JSON value; numbers stay as they are written.
func Parse(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("there is no value")
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the value")
	}
	return v, nil
}

// Shown is a value that Parse read, to be looked at: keys sorted, numbers and texts in one form.
func Shown(v any) []byte { return appendTree(nil, v, appendNumber) }

// Exact is a value to be kept: numbers with all their digits.
func Exact(v any) []byte {
	return appendTree(nil, v, func(b []byte, n json.Number) []byte { return append(b, n...) })
}

func appendTree(b []byte, v any, number func([]byte, json.Number) []byte) []byte {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTree(append(AppendString(b, key), ':'), v[key], number)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTree(b, item, number)
		}
		return append(b, ']')
	case json.Number:
		return number(b, v)
	case string:
		return AppendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	default:
		return append(b, "null"...)
	}
}

// appendNumber appends an integer as it is, as far as it has 64 bits, and any other number as the shortest of its double.
func appendNumber(b []byte, n json.Number) []byte {
	text := n.String()
	if _, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
		return append(b, text...)
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return append(b, text...)
	}
	v, err := n.Float64()
	if err != nil || math.IsInf(v, 0) {
		return append(b, text...) // too large for a double
	}
	number := string(AppendFloat(nil, v, TableFloats))
	if mantissa, exponent, ok := strings.Cut(number, "e"); ok && !strings.HasPrefix(exponent, "-") {
		number = mantissa + "e+" + exponent
	}
	return append(b, number...)
}

// Indented is a value over several lines.
func Indented(v any) string {
	var out bytes.Buffer
	if err := json.Indent(&out, Shown(v), "", "  "); err != nil {
		return string(Shown(v))
	}
	return out.String()
}

// same tells whether two values are the same but for the order of keys.
func same(a, b any) bool { return bytes.Equal(Shown(a), Shown(b)) }
