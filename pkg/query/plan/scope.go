package plan

import (
	"net/http"
	"slices"
	"strings"

	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// ref is one table, or what stands for one, of a FROM.
type ref struct {
	node  node
	name  string       // alias, else the name; lower case
	table *table.Table // nil: it is none of the catalog
}

// scope is what the names in one SELECT mean.
type scope struct {
	refs       []ref
	conditions []any // ON
	using      []string
	outer      bool // some join keeps rows without a partner

	demand demand
	names  map[string]bool // of columns, used anywhere in the query
	stars  map[string]bool // names of refs of which all that is demanded is selected; "" is all refs
	whole  bool            // all columns of all refs are used

	all []conjunct
}

// collect finds the refs of a FROM.
func (s *scope) collect(n node) error { return s.from(child(n, "from_table")) }

func (s *scope) from(n node) error {
	if text(n, "type") != "JOIN" {
		r := ref{node: n, name: strings.ToLower(text(n, "alias"))}
		if r.name == "" {
			r.name = strings.ToLower(text(n, "table_name"))
		}
		if r.name == "" {
			s.lend(&r)
		}
		s.refs = append(s.refs, r)
		return nil
	}
	switch text(n, "join_type") {
	case "INNER":
	case "LEFT", "RIGHT", "OUTER", "FULL", "SEMI", "ANTI", "MARK", "SINGLE":
		s.outer = true
	default:
		return refuse(http.StatusBadRequest, "Error during planning: unsupported join %s", text(n, "join_type"))
	}
	if text(n, "ref_type") == "NATURAL" {
		s.whole = true // which columns are joined depends on all there are
	}
	for _, u := range list(n, "using_columns") {
		if name, ok := u.(string); ok {
			s.using = append(s.using, strings.ToLower(name))
		}
	}
	if on := n["condition"]; on != nil {
		s.conditions = append(s.conditions, on)
	}
	if err := s.from(child(n, "left")); err != nil {
		return err
	}
	return s.from(child(n, "right"))
}

// lend gives a derived table without a name that of the table in it: clients use the inner name outside.
func (s *scope) lend(r *ref) {
	inner := child(child(child(r.node, "subquery"), "node"), "from_table")
	name := text(inner, "alias")
	if name == "" {
		name = text(inner, "table_name")
	}
	if text(r.node, "type") != "SUBQUERY" || name == "" {
		return
	}
	r.name = strings.ToLower(name)
	r.node["alias"] = name
}

// read finds which columns a query uses.
func (s *scope) read(n node, d demand) {
	s.demand = d
	for _, u := range s.using {
		s.names[u] = true
	}
	each(n, func(c node) bool {
		for _, name := range columnOf(c) {
			s.names[name] = true
		}
		return true
	})
	for _, m := range nodes(n, "modifiers") {
		if text(m, "type") == "DISTINCT_MODIFIER" {
			s.demand.all = true // what is left out would change which rows are distinct
		}
	}
	plain := map[string]bool{} // places of stars that select columns and do no more
	for _, item := range nodes(n, "select_list") {
		if columns, _ := item["columns"].(bool); text(item, "class") != "STAR" || columns || item["expr"] != nil {
			continue
		}
		relation := strings.ToLower(text(item, "relation_name"))
		for _, changes := range []string{"exclude_list", "replace_list", "rename_list", "qualified_exclude_list"} {
			s.demand.all = s.demand.all || len(list(item, changes)) > 0
		}
		s.stars[relation] = true
		plain[relation] = true
	}
	for _, key := range []string{"where_clause", "group_expressions", "having", "qualify", "modifiers"} {
		each(n[key], func(c node) bool {
			s.whole = s.whole || text(c, "class") == "STAR"
			return text(c, "class") != "SUBQUERY"
		})
	}
	for _, item := range nodes(n, "select_list") { // stars in functions, COLUMNS(*), and positions such as #1
		each(item, func(c node) bool {
			class := text(c, "class")
			s.whole = s.whole || class == "POSITIONAL_REFERENCE" ||
				class == "STAR" && (!plain[strings.ToLower(text(c, "relation_name"))] || c["expr"] != nil)
			return class != "SUBQUERY"
		})
	}
}

func (s *scope) starred(r *ref) bool { return s.stars[""] || s.stars[r.name] }

// wantsAll tells whether all columns of r are used.
func (s *scope) wantsAll(r *ref) bool {
	return s.whole || len(list(r.node, "column_name_alias")) > 0 || s.demand.all && s.starred(r)
}

// wanted are the names that may mean columns of r.
func (s *scope) wanted(r *ref) map[string]bool {
	if !s.starred(r) {
		return s.names
	}
	names := make(map[string]bool, len(s.names)+len(s.demand.names))
	for _, from := range []map[string]bool{s.names, s.demand.names} {
		for name := range from {
			names[name] = true
		}
	}
	return names
}

// columns are those of t that a scan for r must bring, in the order of the table; at least one, for the engine must
// see how many rows there are.
func (s *scope) columns(r *ref, t *table.Table) (columns []string) {
	all, wanted := s.wantsAll(r), s.wanted(r)
	for _, c := range t.Columns {
		if all || wanted[c.Name] {
			columns = append(columns, c.Name)
		}
	}
	if len(columns) == 0 {
		columns = append(columns, t.Columns[0].Name)
	}
	return columns
}

// conjunct is a condition that a row must meet: a filter on a column, or that two columns are equal.
type conjunct struct {
	column []string
	equal  []string // another column; then there is no filter
	filter scan.Filter
	kind   constantKind // of the values
	weak   bool         // the condition says more than the filter, which is that the column is not NULL
}

// conjuncts takes a WHERE apart.
func (s *scope) conjuncts(where node) {
	if where == nil {
		return
	}
	if text(where, "type") == "CONJUNCTION_AND" {
		for _, c := range nodes(where, "children") {
			s.conjuncts(c)
		}
		return
	}
	if c, ok := conjunctOf(where); ok {
		s.all = append(s.all, c)
		return
	}
	s.all = append(s.all, conjunct{}) // something that says nothing of one column
}

func conjunctOf(n node) (c conjunct, ok bool) {
	switch kind := text(n, "type"); kind {
	case "COMPARE_EQUAL", "COMPARE_NOTEQUAL":
		return comparison(n, kind == "COMPARE_NOTEQUAL")
	case "COMPARE_IN", "COMPARE_NOT_IN":
		return inList(n, kind == "COMPARE_NOT_IN")
	case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
		children := nodes(n, "children")
		if len(children) != 1 {
			return c, false
		}
		c.column = columnOf(children[0])
		c.filter = scan.Filter{Null: true, Not: kind == "OPERATOR_IS_NOT_NULL"}
		return c, c.column != nil
	case "COMPARE_GREATERTHAN", "COMPARE_LESSTHAN", "COMPARE_GREATERTHANOREQUALTO", "COMPARE_LESSTHANOREQUALTO":
		return known(child(n, "left"), child(n, "right"))
	case "COMPARE_BETWEEN":
		return known(child(n, "input"))
	case "COLUMN_REF":
		return known(n)
	case "CONJUNCTION_OR":
		return alternatives(n)
	default:
		return c, false
	}
}

// known says of a condition that is never true where a column is NULL that it is not. The column is the first of the
// sides that is one.
func known(sides ...node) (c conjunct, ok bool) {
	for _, side := range sides {
		if c.column = columnOf(side); c.column != nil {
			c.weak, c.filter = true, scan.Filter{Null: true, Not: true}
			return c, true
		}
	}
	return c, false
}

func comparison(n node, not bool) (c conjunct, ok bool) {
	left, right := child(n, "left"), child(n, "right")
	if columnOf(left) == nil {
		left, right = right, left
	}
	if c.column = columnOf(left); c.column == nil {
		return c, false
	}
	if c.equal = columnOf(right); c.equal != nil {
		return c, !not
	}
	value, kind := constant(right)
	if kind == other {
		return known(left)
	}
	c.kind, c.filter = kind, scan.Filter{Values: []string{value}, Not: not}
	return c, true
}

func inList(n node, not bool) (c conjunct, ok bool) {
	children := nodes(n, "children")
	if len(children) < 2 {
		return c, false
	}
	c.column, c.filter.Not = columnOf(children[0]), not
	for i, x := range children[1:] {
		value, kind := constant(x)
		if kind == other || i > 0 && kind != c.kind {
			return c, false
		}
		c.kind = kind
		c.filter.Values = append(c.filter.Values, value)
	}
	return c, c.column != nil
}

// alternatives is a column that equals one of several values, written with OR.
func alternatives(n node) (c conjunct, ok bool) {
	for i, x := range nodes(n, "children") {
		one, ok := conjunctOf(x)
		if !ok || one.equal != nil || one.filter.Not || one.filter.Null || one.weak {
			return c, false
		}
		if i == 0 {
			c = one
			continue
		}
		if !slices.Equal(c.column, one.column) || c.kind != one.kind {
			return c, false
		}
		c.filter.Values = append(slices.Clone(c.filter.Values), one.filter.Values...)
	}
	return c, c.column != nil
}

// meaning tells whether a name may only mean a column of r, which is one of the refs.
func (s *scope) meaning(name []string, r *ref) bool {
	column := name[len(name)-1]
	if r.table == nil || r.table.Column(column) == nil || len(list(r.node, "column_name_alias")) > 0 {
		return false
	}
	if len(name) == 2 {
		return name[0] == r.name
	}
	if len(name) != 1 {
		return false
	}
	if slices.Contains(s.using, column) {
		return true
	}
	for i := range s.refs {
		if o := &s.refs[i]; o != r && o.table != nil && o.table.Column(column) != nil {
			return false
		}
	}
	return true
}
