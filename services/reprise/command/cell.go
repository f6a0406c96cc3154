package command

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// cellText is a value in a table: nothing for null.
func cellText(column arrow.Array, i int) string {
	if column.IsNull(i) {
		return ""
	}
	switch a := column.(type) {
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		items := make([]string, 0, to-from)
		for n := from; n < to; n++ {
			items = append(items, cellText(a.ListValues(), int(n)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case *array.Float64:
		return string(appendFloat(nil, a.Value(i), tableFloats))
	case *array.Float32:
		return string(appendFloat(nil, float64(a.Value(i)), tableFloats))
	default:
		if text, ok := scalarText(column, i); ok {
			return text
		}
		return column.ValueStr(i)
	}
}

// appendCell appends a value as JSON.
func appendCell(b []byte, column arrow.Array, i int) []byte {
	if column.IsNull(i) {
		return append(b, "null"...)
	}
	switch a := column.(type) {
	case array.ListLike:
		b = append(b, '[')
		from, to := a.ValueOffsets(i)
		for n := from; n < to; n++ {
			if n > from {
				b = append(b, ',')
			}
			b = appendCell(b, a.ListValues(), int(n))
		}
		return append(b, ']')
	case *array.Float64:
		return appendFloat(b, a.Value(i), jsonFloats)
	case *array.Float32:
		return appendFloat(b, float64(a.Value(i)), jsonFloats)
	case *array.Boolean, *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64,
		*array.Decimal128, *array.Decimal256:
		return append(b, column.ValueStr(i)...)
	default:
		return appendString(b, cellText(column, i))
	}
}

// scalarText is the text of the types that arrow would write in another form than the server's JSON has.
func scalarText(column arrow.Array, i int) (string, bool) {
	switch a := column.(type) {
	case *array.LargeString:
		return a.Value(i), true
	case *array.String:
		return a.Value(i), true
	case *array.Binary:
		return hex.EncodeToString(a.Value(i)), true
	case *array.LargeBinary:
		return hex.EncodeToString(a.Value(i)), true
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		text := a.Value(i).ToTime(t.Unit).Format("2006-01-02T15:04:05") + fraction(a.Value(i).ToTime(t.Unit).Nanosecond())
		if t.TimeZone != "" { // ours are in UTC
			text += "Z"
		}
		return text, true
	case *array.Duration:
		return isoDuration(time.Duration(a.Value(i)) * a.DataType().(*arrow.DurationType).Unit.Multiplier()), true
	default:
		return "", false
	}
}

// fraction is the part of a second, in groups of three digits, as few as needed.
func fraction(nanos int) string {
	switch {
	case nanos == 0:
		return ""
	case nanos%1e6 == 0:
		return fmt.Sprintf(".%03d", nanos/1e6)
	case nanos%1e3 == 0:
		return fmt.Sprintf(".%06d", nanos/1e3)
	default:
		return fmt.Sprintf(".%09d", nanos)
	}
}

// isoDuration is P0D, PT1.5S, PT86400S.
func isoDuration(d time.Duration) string {
	if d == 0 {
		return "P0D"
	}
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	part := strings.TrimRight(fraction(int(d%time.Second)), "0")
	return fmt.Sprintf("%sPT%d%sS", sign, d/time.Second, part)
}

// floatForm says from which powers of ten on a number has an exponent, and how a mantissa without a fraction looks with one.
type floatForm struct {
	from, to int
	whole    string
}

var (
	jsonFloats  = floatForm{from: -6, to: 10, whole: ".0"}
	tableFloats = floatForm{from: -6, to: 16}
)

// appendFloat writes a number so that it is seen to be no integer.
func appendFloat(b []byte, v float64, form floatForm) []byte {
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

// appendString appends a JSON string that leaves <, > and & as they are.
func appendString(b []byte, s string) []byte {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text has a form in JSON
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}
