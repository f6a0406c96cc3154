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

func TestPatch(t *testing.T) {
	for _, row := range []struct{ doc, patch, want string }{
		{`{"a":1}`, `[{"op":"add","path":"/b","value":[1]}]`, `{"a":1,"b":[1]}`},
		{`{"a":[1,3]}`, `[{"op":"add","path":"/a/1","value":2}]`, `{"a":[1,2,3]}`},
		{`{"a":[1]}`, `[{"op":"add","path":"/a/-","value":2}]`, `{"a":[1,2]}`},
		{`{"a":[1]}`, `[{"op":"add","path":"/a/2","value":2}]`, "step 0 of the JSON patch, add '/a/2': there is no such path"},
		{`{"a":[1]}`, `[{"op":"add","path":"/a/01","value":2}]`, "step 0 of the JSON patch, add '/a/01': there is no such path"},
		{`{"a":1}`, `[{"op":"add","path":"/b/c","value":2}]`, "step 0 of the JSON patch, add '/b/c': there is no such path"},
		{`{"a":1}`, `[{"op":"add","path":"","value":{"z":null}}]`, `{"z":null}`},
		{`{"a":1,"b":2}`, `[{"op":"remove","path":"/a"}]`, `{"b":2}`},
		{`{"a":[1,2,3]}`, `[{"op":"remove","path":"/a/1"}]`, `{"a":[1,3]}`},
		{`{"a":1}`, `[{"op":"remove","path":"/b"}]`, "step 0 of the JSON patch, remove '/b': there is no such path"},
		{`{"a":[1]}`, `[{"op":"remove","path":"/a/-"}]`, "step 0 of the JSON patch, remove '/a/-': there is no such path"},
		{`{"a":1}`, `[{"op":"remove","path":""}]`, "step 0 of the JSON patch, remove '': the whole cannot be removed"},
		{`{"a":[1,2]}`, `[{"op":"replace","path":"/a/0","value":{"x":0}}]`, `{"a":[{"x":0},2]}`},
		{`{"a":1}`, `[{"op":"replace","path":"/b","value":1}]`, "step 0 of the JSON patch, replace '/b': there is no such path"},
		{`{"a":{"b":1},"c":2}`, `[{"op":"move","from":"/a/b","path":"/c"}]`, `{"a":{},"c":1}`},
		{`{"a":{"b":1}}`, `[{"op":"move","from":"/a","path":"/a/b"}]`, "step 0 of the JSON patch, move '/a/b': a value cannot be moved into itself"},
		{`{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/c/b","value":2}]`, `{"a":{"b":1},"c":{"b":2}}`},
		{`{"a/b":1,"m~n":2}`, `[{"op":"remove","path":"/a~1b"},{"op":"test","path":"/m~0n","value":2.0}]`, "step 1 of the JSON patch, test '/m~0n': the value is 2"},
		{`{"a":{"x":1,"y":[2]}}`, `[{"op":"test","path":"/a","value":{"y":[2],"x":1}}]`, `{"a":{"x":1,"y":[2]}}`},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":1},{"op":"test","path":"/a","value":2}]`, "step 1 of the JSON patch, test '/a': the value is 1"},
		{`{"a":1}`, `[{"op":"swap","path":"/a"}]`, "step 0 of the JSON patch, swap '/a': no such operation: add, remove, replace, move, copy or test"},
		{`{"a":1}`, `[{"op":"add","path":"a","value":1}]`, "step 0 of the JSON patch, add 'a': a path begins with a slash"},
		{`{"a":1}`, `[{"op":"add","path":"/a"}]`, "step 0 of the JSON patch has no value"},
		{`{"a":1}`, `[{"op":"copy","path":"/a"}]`, "step 0 of the JSON patch has no from"},
		{`{"a":1}`, `[{"op":"remove"}]`, "step 0 of the JSON patch has no path"},
	} {
		doc, err := parseJSON([]byte(row.doc))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := parsePatch(row.patch)
		if err == nil {
			doc, err = applyPatch(doc, steps)
		}
		got := string(exactJSON(doc))
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s of %s is %s, want %s", row.patch, row.doc, got, row.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", "-0": "-0.0", "2.50": "2.5", "1e3": "1000.0", "1e30": "1e+30", "1e-7": "1e-7", "0.00001": "0.00001", "1.5E+20": "1.5e+20",
		"18446744073709551615": "18446744073709551615", "18446744073709551616": "1.8446744073709552e+19", "1e999": "1e999",
	} {
		v, err := parseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(shownJSON(v)); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
		if got := string(exactJSON(v)); got != text {
			t.Errorf("%s is kept as %s", text, got)
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
