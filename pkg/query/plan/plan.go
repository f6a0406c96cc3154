package plan

import (
	"fmt"
	"net/http"
	"strings"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// prefix is what all messages begin with.
const prefix = "Datafusion error: "

// refuse is the answer to a statement that cannot be planned.
func refuse(status int, format string, args ...any) error {
	return pipe.Failuref(status, prefix+format, args...)
}

// Bounds of a statement.
const (
	depthMax = 64  // of queries in queries
	scansMax = 128 // references to tables
)

// ViewName is the name of the view that a scan is read through.
func ViewName(i int) string { return fmt.Sprintf("scan_%d", i) }

// Plan is what a statement reads.
type Plan struct {
	Tree map[string]any // in the engine's words: table references are those of Scans
	// Scans are the requests, each with a view of the name ViewName(index).
	Scans []*scan.Request
	// Fields are the columns that the statement can mean, with the names of their tables in it.
	Fields []string
	// Repeats says that a scan may be read more than once: the views must be tables.
	Repeats bool
}

// Planner makes plans.
type Planner struct {
	catalog  *table.Catalog
	viewTree node
	scanTree node
}

// Serializer makes the syntax tree of statements.
type Serializer func(sql string) (map[string]any, error)

// barrier keeps the engine from pushing filters into a scan: it would take it for granted that they are applied. The
// scans of Arrow streams apply nothing.
const barrier = "SELECT * FROM scan LIMIT 9223372036854775807"

// New returns a Planner.
func New(c *table.Catalog, serialize Serializer) (*Planner, error) {
	p := &Planner{catalog: c}
	own := map[string]*node{barrier: &p.scanTree}
	if c.Table(table.View) != nil {
		own[ViewSQL(c)] = &p.viewTree
	}
	for sql, to := range own {
		tree, err := serialize(sql)
		if err != nil {
			return nil, fmt.Errorf("own statement: %w", err)
		}
		statements := nodes(tree, "statements")
		if len(statements) != 1 {
			return nil, fmt.Errorf("own statement %q: %v", sql, tree["error_message"])
		}
		*to = child(statements[0], "node")
	}
	return p, nil
}

// planning is one statement.
type planning struct {
	*Planner
	plan  *Plan
	depth int
}

// Plan plans a tree, which it changes. An error is a *pipe.Failure.
func (p *Planner) Plan(tree map[string]any) (*Plan, error) {
	statements := nodes(tree, "statements")
	switch len(statements) {
	case 0:
		return nil, refuse(http.StatusBadRequest, "Error during planning: No SQL statements were provided in the query string")
	case 1:
	default:
		return nil, refuse(http.StatusInternalServerError, "This feature is not implemented: The context currently only supports a single SQL statement")
	}
	root := child(statements[0], "node")
	heading(root)
	translate(tree)
	x := &planning{Planner: p, plan: &Plan{Tree: tree}}
	if err := x.query(root, nil, demand{all: true}); err != nil {
		return nil, err
	}
	return x.plan, nil
}

// demand is which columns of a query are used by the one around it.
type demand struct {
	all   bool
	names map[string]bool
}

// common is a common table expression.
type common struct {
	name  string
	entry node
	uses  int
	outer *common
}

func (c *common) find(name string) *common {
	for ; c != nil; c = c.outer {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return nil
}

// query plans a query in which the expressions of ctes are visible.
func (x *planning) query(n node, ctes *common, d demand) error {
	if x.depth++; x.depth > depthMax {
		return refuse(http.StatusBadRequest, "Error during planning: queries are nested more than %d deep", depthMax)
	}
	defer func() { x.depth-- }()
	outer := ctes
	for _, entry := range nodes(child(n, "cte_map"), "map") {
		value := child(entry, "value")
		ctes = &common{name: text(entry, "key"), entry: value, outer: ctes}
		inner := ctes.outer
		q := child(child(value, "query"), "node")
		if text(q, "type") == "RECURSIVE_CTE_NODE" {
			inner = ctes
		}
		if err := x.query(q, inner, demand{all: true}); err != nil {
			return err
		}
	}
	var err error
	switch kind := text(n, "type"); kind {
	case "SELECT_NODE":
		err = x.selectNode(n, ctes, d)
	case "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE":
		x.plan.Repeats = x.plan.Repeats || kind == "RECURSIVE_CTE_NODE"
		for _, side := range x.sides(n) {
			if err = x.query(side, ctes, demand{all: true}); err != nil {
				return err
			}
		}
	default:
		err = refuse(http.StatusBadRequest, "Error during planning: unsupported query of type %s", kind)
	}
	for c := ctes; c != outer; c = c.outer {
		if c.uses > 1 { // else its scans would be read once for each use
			c.entry["materialized"] = "CTE_MATERIALIZE_ALWAYS"
		}
	}
	return err
}

func (x *planning) sides(n node) []node {
	if l := nodes(n, "children"); len(l) > 0 {
		return l
	}
	return []node{child(n, "left"), child(n, "right")}
}

// selectNode plans one SELECT.
func (x *planning) selectNode(n node, ctes *common, d demand) error {
	s := &scope{names: map[string]bool{}, stars: map[string]bool{}}
	if err := s.collect(n); err != nil {
		return err
	}
	for i := range s.refs {
		if r := &s.refs[i]; text(r.node, "type") == "BASE_TABLE" && x.common(r.node, ctes) == nil {
			if r.table = x.resolve(r.node); r.table == nil {
				return refuse(http.StatusInternalServerError, "Error during planning: table '%s' not found", qualified(r.node))
			}
		}
	}
	s.read(n, d)
	s.conjuncts(child(n, "where_clause"))
	for i := range s.refs {
		if err := x.reference(n, s, &s.refs[i], ctes); err != nil {
			return err
		}
	}
	var err error
	for _, key := range []string{"select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers"} {
		x.subqueries(n[key], ctes, &err)
	}
	for _, on := range s.conditions {
		x.subqueries(on, ctes, &err)
	}
	return err
}

// subqueries plans the queries in an expression.
func (x *planning) subqueries(v any, ctes *common, err *error) {
	each(v, func(n node) bool {
		if *err != nil {
			return false
		}
		if text(n, "class") != "SUBQUERY" {
			return true
		}
		d := demand{all: text(n, "subquery_type") != "EXISTS"}
		*err = x.query(child(child(n, "subquery"), "node"), ctes, d)
		x.subqueries(n["child"], ctes, err) // the left side of IN
		return false
	})
}

// common returns the common table expression that a reference means, or nil.
func (x *planning) common(n node, ctes *common) *common {
	if text(n, "schema_name") != "" || text(n, "catalog_name") != "" {
		return nil
	}
	return ctes.find(text(n, "table_name"))
}

// tableFunctions are those that read nothing but their arguments.
var tableFunctions = map[string]bool{"range": true, "generate_series": true, "unnest": true, "json_each": true}

// reference plans one table of a FROM.
func (x *planning) reference(n node, s *scope, r *ref, ctes *common) error {
	switch kind := text(r.node, "type"); kind {
	case "BASE_TABLE":
		if c := x.common(r.node, ctes); c != nil {
			c.uses++
			return nil
		}
		return x.table(n, s, r)
	case "SUBQUERY":
		inner := demand{all: s.wantsAll(r), names: s.wanted(r)}
		return x.query(child(child(r.node, "subquery"), "node"), ctes, inner)
	case "TABLE_FUNCTION":
		name := strings.ToLower(text(child(r.node, "function"), "function_name"))
		if !tableFunctions[name] {
			return refuse(http.StatusInternalServerError, "Error during planning: table function '%s' not found", name)
		}
		var err error
		x.subqueries(r.node["function"], ctes, &err)
		return err
	case "EMPTY", "EXPRESSION_LIST":
		var err error
		x.subqueries(r.node["values"], ctes, &err)
		return err
	default:
		return refuse(http.StatusBadRequest, "Error during planning: unsupported table reference of type %s", kind)
	}
}

// table plans a reference to a table of the catalog.
func (x *planning) table(n node, s *scope, r *ref) error {
	t := r.table
	filters, err := x.filters(s, r)
	if err != nil {
		return err
	}
	limit := uint64(0)
	if len(s.refs) == 1 && len(s.all) == 0 {
		limit = pushableLimit(n)
	}
	top := x.topOf(n, s, r, filters)
	alias := r.name
	for _, c := range t.Columns {
		x.plan.Fields = append(x.plan.Fields, alias+"."+c.Name)
	}
	if t.Name != table.View {
		return x.scan(r, alias, &scan.Request{Table: t.Name, Columns: s.columns(r, t), Filters: filters, Limit: limit, Top: top})
	}
	wanted := s.wanted(r)
	tree, live := x.view(func(name string) bool { return s.wantsAll(r) || wanted[name] })
	inner := &scope{names: map[string]bool{}, stars: map[string]bool{}}
	if err := inner.collect(tree); err != nil {
		return err
	}
	inner.read(tree, demand{all: true})
	var stored, onLive []scan.Filter
	onlyLive := false // rows without a live side are not wanted
	for _, f := range filters {
		a, b := x.intoView(f)
		stored, onLive = append(stored, a...), append(onLive, b...)
		onlyLive = onlyLive || len(b) > 0 && x.isLive(t, f.Column)
	}
	if onlyLive {
		stored = append(stored, notCompleted)
	}
	for i := range inner.refs {
		side := &inner.refs[i]
		q := &scan.Request{Table: text(side.node, "table_name"), Filters: stored}
		q.Columns = inner.columns(side, x.catalog.Table(q.Table))
		if q.Table == storedTable {
			q.Top = top
		}
		if q.Table == liveTable {
			q.Filters = onLive
		} else if !live || limit > 0 {
			q.Limit = limit // each stored row makes one row of the view
		}
		if err := x.scan(side, side.name, q); err != nil {
			return err
		}
	}
	become(r.node, subquery(tree, alias))
	return nil
}

// scan makes a reference one to a view of its own.
func (x *planning) scan(r *ref, alias string, q *scan.Request) error {
	if len(x.plan.Scans) == scansMax {
		return refuse(http.StatusBadRequest, "Error during planning: more than %d table references", scansMax)
	}
	tree, _ := clone(x.scanTree).(node)
	child(tree, "from_table")["table_name"] = ViewName(len(x.plan.Scans))
	x.plan.Scans = append(x.plan.Scans, q)
	aliases := r.node["column_name_alias"]
	become(r.node, subquery(tree, alias))
	if aliases != nil {
		r.node["column_name_alias"] = aliases
	}
	return nil
}

// become gives a node the content of another one: whoever holds it sees that.
func become(n, m node) {
	clear(n)
	for k, v := range m {
		n[k] = v
	}
}

func subquery(tree node, alias string) node {
	return node{"type": "SUBQUERY", "alias": alias, "sample": nil, "column_name_alias": []any{}, "subquery": node{"node": tree, "named_param_map": []any{}}}
}

// resolve finds the table of a reference.
func (p *Planner) resolve(n node) *table.Table {
	name := strings.ToLower(text(n, "table_name"))
	schema, catalog := strings.ToLower(text(n, "schema_name")), strings.ToLower(text(n, "catalog_name"))
	if catalog != "" && catalog != "restate" {
		return nil
	}
	switch schema {
	case "", "public":
	case "restate": // the parser takes catalog.table for schema.table
	default:
		name = schema + "." + name
	}
	if t := p.catalog.Table(name); t != nil || schema != "" {
		return t
	}
	return p.catalog.Table(table.PostgresSchema + "." + name) // as Postgres would find it
}

// qualified is the full name of what a reference means.
func qualified(n node) string {
	catalog, schema := text(n, "catalog_name"), text(n, "schema_name")
	if catalog == "" {
		catalog = "restate"
	}
	if schema == "" {
		schema = "public"
	}
	return strings.ToLower(catalog + "." + schema + "." + text(n, "table_name"))
}

// pushableLimit is how many rows of its only table a query needs; 0 if that is not plain to see.
func pushableLimit(n node) uint64 {
	modifiers := nodes(n, "modifiers")
	if n["where_clause"] != nil || !plainSelect(n) || len(modifiers) != 1 || text(modifiers[0], "type") != "LIMIT_MODIFIER" {
		return 0
	}
	rows, _ := constantRows(modifiers[0])
	return rows // 0: the engine knows that nothing is wanted
}

// plainSelect tells whether a query makes of each row of its tables one row.
func plainSelect(n node) bool {
	if n["having"] != nil || n["qualify"] != nil || n["sample"] != nil || len(list(n, "group_expressions")) > 0 {
		return false
	}
	for _, item := range nodes(n, "select_list") {
		switch text(item, "class") {
		case "STAR", "COLUMN_REF", "CONSTANT":
		default:
			return false
		}
	}
	return true
}

// constantRows is the sum of LIMIT and OFFSET.
func constantRows(modifier node) (uint64, bool) {
	limit, ok := limitOf(child(modifier, "limit"))
	if !ok {
		return 0, false
	}
	offset := uint64(0)
	if o := child(modifier, "offset"); o != nil {
		if offset, ok = limitOf(o); !ok {
			return 0, false
		}
	}
	if limit > 1<<40 || offset > 1<<40 {
		return 0, false
	}
	return limit + offset, true
}
