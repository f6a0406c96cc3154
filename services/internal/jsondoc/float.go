package jsondoc

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// FloatForm says from which powers of ten on a number has an exponent, and how a mantissa without a fraction looks with one.
type FloatForm struct {
	from, to int
	whole    string
}

// The forms in JSON and in tables.
var (
	JSONFloats  = FloatForm{from: -6, to: 10, whole: ".0"}
	TableFloats = FloatForm{from: -6, to: 16}
)

// AppendFloat writes a number so that it is seen to be no integer.
func AppendFloat(b []byte, v float64, form FloatForm) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	power, err := strconv.Atoi(exponent)
	if err == nil && v != 0 && (power <= form.from || power >= form.to) {
		if !strings.Contains(mantissa, ".") {
			mantissa += form.whole
		}
		return append(append(b, mantissa...), "e"+strconv.Itoa(power)...)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return append(b, text...)
}

// AppendString appends a JSON string that leaves <, > and & as they are.
func AppendString(b []byte, s string) []byte {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text has a form in JSON
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}
