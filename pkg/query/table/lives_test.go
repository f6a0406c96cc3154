package table

import (
	"slices"
	"testing"

	"reprise/pkg/query/scan"
)

// A column that is asked for alone, or filtered by, has what it has among all: the fields that it needs are read.
func TestFieldsOfColumns(t *testing.T) {
	for seed := range uint64(5) {
		store, _ := random(t, seed)
		s, c := newTestScanner(t, rows{store: store})
		columns := c.Table("sys_invocation_status").Columns
		names := make([]string, len(columns))
		for i := range columns {
			names[i] = columns[i].Name
		}
		all := read(t, s, &scan.Request{Table: "sys_invocation_status", Columns: names})
		if len(all) == 0 {
			t.Fatal("no invocations")
		}
		for i, name := range names {
			alone := read(t, s, &scan.Request{Table: "sys_invocation_status", Columns: []string{name}})
			if len(alone) != len(all) {
				t.Fatalf("%s: %d rows of %d", name, len(alone), len(all))
			}
			for r := range all {
				if alone[r][0] != all[r][i] {
					t.Fatalf("%s: %q alone, %q among all", name, alone[r][0], all[r][i])
				}
			}
			if !columns[i].Kind.Filterable() {
				continue
			}
			for _, negated := range []bool{false, true} {
				null := scan.Filter{Column: name, Null: true, Not: negated}
				got := read(t, s, &scan.Request{Table: "sys_invocation_status", Columns: []string{"id"}, Filters: []scan.Filter{null}})
				want := slices.DeleteFunc(slices.Clone(all), func(r []string) bool { return (r[i] == "-") == negated })
				if len(got) != len(want) {
					t.Errorf("%s is null, %v: %d rows, want %d", name, negated, len(got), len(want))
				}
			}
		}
		for name := range statusFields {
			if !slices.Contains(names, name) {
				t.Errorf("no column %s", name)
			}
		}
	}
}
