package table

import (
	"cmp"
	"slices"
	"testing"
	"time"

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

// The rows with the largest and smallest values are there, and what is left out is beyond them.
func TestTop(t *testing.T) {
	left := 0
	for seed := range uint64(5) {
		store, _ := random(t, seed)
		s, _ := newTestScanner(t, rows{store: store})
		for _, column := range []string{"created_at", "modified_at", "completed_at", "journal_size", "partition_key"} {
			for _, descending := range []bool{false, true} {
				q := scan.Request{Table: "sys_invocation_status", Columns: []string{"id", column}}
				all := read(t, s, &q)
				q.Top = &scan.Top{Column: column, Descending: descending, Rows: 3}
				got := read(t, s, &q)
				left += len(all) - len(got)
				known := slices.DeleteFunc(slices.Clone(all), func(r []string) bool { return r[1] == "-" })
				slices.SortFunc(known, func(a, b []string) int {
					c := cmp.Or(cmp.Compare(len(a[1]), len(b[1])), cmp.Compare(a[1], b[1])) // as numbers
					x, xerr := time.Parse(time.RFC3339Nano, a[1])
					if y, yerr := time.Parse(time.RFC3339Nano, b[1]); xerr == nil && yerr == nil {
						c = x.Compare(y)
					}
					if descending {
						return -c
					}
					return c
				})
				for i, r := range all {
					best := r[1] == "-" || slices.ContainsFunc(known[:min(3, len(known))], func(k []string) bool { return k[1] == r[1] })
					if has := slices.ContainsFunc(got, func(g []string) bool { return slices.Equal(g, all[i]) }); best && !has {
						t.Errorf("%s, descending %v: %v is missing", column, descending, r)
					}
				}
			}
		}
	}
	if left == 0 {
		t.Error("nothing was left out")
	}
}
