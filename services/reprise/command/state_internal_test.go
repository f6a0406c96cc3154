package command

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestEtag(t *testing.T) {
	for want, state := range map[string]map[string][]byte{
		"S6MyUcVGhqv_Nm54F5guL_XKfJMeFCOXIi7QEc5GZZA": {"count": []byte("5")},
		"tDqA04Lj3_qJ-PgNPTecXDGZgpwy6jm2Ni2BYqJIthM": {"name": []byte("bob")},
	} {
		if got := etag(state); got != want {
			t.Errorf("%s is %s, want %s", state, got, want)
		}
	}
}

// Values of each type of the catalog, in tables and as JSON, as the reference's command line writes them.
func TestCells(t *testing.T) {
	utc := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "+00:00"}
	for _, row := range []struct {
		name        string
		kind        arrow.DataType
		fill        func(array.Builder)
		table, json string
	}{
		{"null", arrow.BinaryTypes.LargeString, func(b array.Builder) { b.AppendNull() }, "", "null"},
		{"text", arrow.BinaryTypes.LargeString, func(b array.Builder) { b.(*array.LargeStringBuilder).Append(`a"<b`) }, `a"<b`, `"a\"<b"`},
		{"short text", arrow.BinaryTypes.String, func(b array.Builder) { b.(*array.StringBuilder).Append("x") }, "x", `"x"`},
		{"bytes", arrow.BinaryTypes.LargeBinary, func(b array.Builder) { b.(*array.BinaryBuilder).Append([]byte{1, 0xab}) }, "01ab", `"01ab"`},
		{"unsigned", arrow.PrimitiveTypes.Uint64, func(b array.Builder) { b.(*array.Uint64Builder).Append(1<<64 - 1) }, "18446744073709551615", "18446744073709551615"},
		{"flag", arrow.FixedWidthTypes.Boolean, func(b array.Builder) { b.(*array.BooleanBuilder).Append(true) }, "true", "true"},
		{"small", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(1e-6) }, "1e-6", "1.0e-6"},
		{"whole", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(1e9) }, "1000000000.0", "1000000000.0"},
		{"large", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(1e10) }, "10000000000.0", "1.0e10"},
		{"zero", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(0) }, "0.0", "0.0"},
		{"time", utc, func(b array.Builder) { b.(*array.TimestampBuilder).Append(1_795_815_316_120) }, "2026-11-27T21:35:16.120Z", `"2026-11-27T21:35:16.120Z"`},
		{"whole second", utc, func(b array.Builder) { b.(*array.TimestampBuilder).Append(1_795_815_316_000) }, "2026-11-27T21:35:16Z", `"2026-11-27T21:35:16Z"`},
		{"local time", &arrow.TimestampType{Unit: arrow.Nanosecond}, func(b array.Builder) { b.(*array.TimestampBuilder).Append(1) }, "1970-01-01T00:00:00.000000001", `"1970-01-01T00:00:00.000000001"`},
		{"day", arrow.FixedWidthTypes.Duration_ms, func(b array.Builder) { b.(*array.DurationBuilder).Append(86_400_000) }, "PT86400S", `"PT86400S"`},
		{"no time", arrow.FixedWidthTypes.Duration_ms, func(b array.Builder) { b.(*array.DurationBuilder).Append(0) }, "P0D", `"P0D"`},
		{"moment", arrow.FixedWidthTypes.Duration_ms, func(b array.Builder) { b.(*array.DurationBuilder).Append(-1500) }, "-PT1.5S", `"-PT1.5S"`},
		{"date", arrow.FixedWidthTypes.Date32, func(b array.Builder) { b.(*array.Date32Builder).Append(20455) }, "2026-01-02", `"2026-01-02"`},
		{"list", arrow.ListOf(arrow.BinaryTypes.LargeString), func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.LargeStringBuilder).AppendValues([]string{"a", "b"}, nil)
		}, "[a, b]", `["a","b"]`},
	} {
		b := array.NewBuilder(memory.DefaultAllocator, row.kind)
		row.fill(b)
		a := b.NewArray()
		if got := cellText(a, 0); got != row.table {
			t.Errorf("%s is %s in a table, want %s", row.name, got, row.table)
		}
		if got := string(appendCell(nil, a, 0)); got != row.json {
			t.Errorf("%s is %s as JSON, want %s", row.name, got, row.json)
		}
		a.Release()
		b.Release()
	}
}
