package jsondoc_test

import (
	"testing"

	"reprise/services/internal/jsondoc"
)

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
		doc, err := jsondoc.Parse([]byte(row.doc))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := jsondoc.ParsePatch(row.patch)
		if err == nil {
			doc, err = jsondoc.Apply(doc, steps)
		}
		got := string(jsondoc.Exact(doc))
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
		v, err := jsondoc.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(jsondoc.Shown(v)); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
		if got := string(jsondoc.Exact(v)); got != text {
			t.Errorf("%s is kept as %s", text, got)
		}
	}
}
