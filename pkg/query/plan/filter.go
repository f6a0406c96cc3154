package plan

import (
	"net/http"

	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// filters are the conjuncts that a scan of r's table can apply before the engine does. They come from WHERE, so that a
// row which one of them drops could only have made rows that WHERE drops, whatever the joins are. The exception is IS
// NULL: an outer join makes what it looks for.
func (p *Planner) filters(s *scope, r *ref) (out []scan.Filter, err error) {
	t := r.table
	for _, x := range s.all {
		if x.column == nil || x.equal != nil || x.filter.Null && !x.filter.Not && s.outer {
			continue
		}
		name, ok := s.reaches(x.column, r, x.filter)
		if !ok {
			continue
		}
		column := t.Column(name)
		f := x.filter
		f.Column = name
		switch {
		case column == nil || !column.Kind.Filterable():
			continue
		case x.weak && !p.isLive(t, name):
			continue // most rows pass
		case f.Null:
		case x.kind == literal && column.Kind != table.Text && column.Kind != table.ShortText,
			x.kind == number && column.Kind != table.Uint64 && column.Kind != table.Uint32:
			continue // the engine converts
		case !f.Not && isID(t, name):
			for _, v := range f.Values {
				if scan.CheckID(v) != nil {
					return nil, refuse(http.StatusInternalServerError, "External error: non valid invocation id")
				}
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// isLive tells whether a column of the view is NULL unless an invocation is live.
func (p *Planner) isLive(t *table.Table, column string) bool {
	return t.Name == table.View && p.catalog.Table(storedTable).Column(column) == nil
}

func isID(t *table.Table, column string) bool {
	return t.Name == table.View && column == "id" || scan.ShardIDs(t.Name, column)
}

// reaches tells which column of r a filter on a column must hold for: that column itself, or one that the query says
// is equal to it. What is equal to a value has a partner with that value only.
func (s *scope) reaches(column []string, r *ref, f scan.Filter) (name string, ok bool) {
	if s.meaning(column, r) {
		return column[len(column)-1], true
	}
	if f.Not || f.Null {
		return "", false
	}
	for _, e := range s.equalities() {
		for _, pair := range [][2][]string{{e.column, e.equal}, {e.equal, e.column}} {
			if s.same(pair[0], column) && s.meaning(pair[1], r) {
				return pair[1][len(pair[1])-1], true
			}
		}
	}
	return "", false
}

// same tells whether two names mean the same column of the same ref.
func (s *scope) same(a, b []string) bool {
	if a[len(a)-1] != b[len(b)-1] {
		return false
	}
	for i := range s.refs {
		if s.meaning(a, &s.refs[i]) && s.meaning(b, &s.refs[i]) {
			return true
		}
	}
	return false
}

// equalities are the pairs of columns that WHERE or an ON says are equal.
func (s *scope) equalities() (out []conjunct) {
	for _, c := range s.all {
		if c.equal != nil {
			out = append(out, c)
		}
	}
	joined := scope{}
	for _, on := range s.conditions {
		if n, ok := on.(node); ok {
			joined.conjuncts(n)
		}
	}
	for _, c := range joined.all {
		if c.equal != nil {
			out = append(out, c)
		}
	}
	return out
}
