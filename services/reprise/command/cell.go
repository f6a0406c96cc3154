package command

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"reprise/services/internal/jsondoc"
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
		return string(jsondoc.AppendFloat(nil, a.Value(i), jsondoc.TableFloats))
	case *array.Float32:
		return string(jsondoc.AppendFloat(nil, float64(a.Value(i)), jsondoc.TableFloats))
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
		return jsondoc.AppendFloat(b, a.Value(i), jsondoc.JSONFloats)
	case *array.Float32:
		return jsondoc.AppendFloat(b, float64(a.Value(i)), jsondoc.JSONFloats)
	case *array.Boolean, *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64,
		*array.Decimal128, *array.Decimal256:
		return append(b, column.ValueStr(i)...)
	default:
		return jsondoc.AppendString(b, cellText(column, i))
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
