package plan

import (
	"slices"
	"strings"

	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// The view is status left, state right, so that the engine keeps the few live rows and streams the many stored ones.
const (
	storedTable = "sys_invocation_status"
	liveTable   = "sys_invocation_state"
	storedAlias = "ss"
	liveAlias   = "sis"
)

// derivedStatus is the status that people see, of what is stored and what is live.
const derivedStatus = `CASE WHEN ss.status = 'inboxed' THEN 'pending'
 WHEN ss.status IN ('scheduled', 'completed', 'suspended', 'paused') THEN ss.status
 WHEN sis.in_flight THEN 'running'
 WHEN ss.status = 'invoked' AND sis.retry_count > 0 THEN 'backing-off'
 ELSE 'ready' END`

// ViewSQL is the view over invocations as a statement.
func ViewSQL(c *table.Catalog) string {
	var items []string
	for _, column := range c.Table(table.View).Columns {
		switch {
		case column.Name == "status":
			items = append(items, derivedStatus+" AS status")
		case c.Table(storedTable).Column(column.Name) != nil:
			items = append(items, storedAlias+"."+column.Name)
		default:
			items = append(items, liveAlias+"."+column.Name)
		}
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM " + storedTable + " AS " + storedAlias +
		" LEFT JOIN " + liveTable + " AS " + liveAlias + " ON ss.id = sis.id"
}

// storedOf are the stored statuses that a derived one can come from.
var storedOf = map[string]string{
	"pending": "inboxed", "scheduled": "scheduled", "completed": "completed", "suspended": "suspended", "paused": "paused",
	"running": "invoked", "backing-off": "invoked", "ready": "invoked",
}

// notCompleted passes the stored rows that can have a live one: their scan goes by an index of those.
var notCompleted = scan.Filter{Column: "status", Values: []string{"completed"}, Not: true}

// intoView turns a filter on the view into filters on its two sides.
func (p *Planner) intoView(f scan.Filter) (stored, live []scan.Filter) {
	switch {
	case f.Column == "id":
		if f.Not || f.Null {
			return []scan.Filter{f}, nil
		}
		return []scan.Filter{f}, []scan.Filter{f}
	case f.Column == "status":
		if g, ok := storedStatus(f); ok {
			return []scan.Filter{g}, nil
		}
	case p.catalog.Table(storedTable).Column(f.Column) != nil:
		return []scan.Filter{f}, nil
	case !f.Null || f.Not: // NULL is what the join makes of what is not live
		return nil, []scan.Filter{f}
	}
	return nil, nil
}

// storedStatus is a filter on the stored status that keeps all that a filter on the derived one keeps.
func storedStatus(f scan.Filter) (scan.Filter, bool) {
	if f.Null {
		return f, false
	}
	g := scan.Filter{Column: f.Column, Not: f.Not}
	for _, v := range f.Values {
		s, known := storedOf[v]
		switch {
		case !known: // nothing has it
		case f.Not && s == "invoked": // others come from invoked, too
		case !slices.Contains(g.Values, s):
			g.Values = append(g.Values, s)
		}
	}
	return g, !g.Not || len(g.Values) > 0
}

// view returns the tree of the view with the columns that are wanted, and whether it reads the live side.
func (p *Planner) view(wanted func(string) bool) (tree node, live bool) {
	tree, _ = clone(p.viewTree).(node)
	var kept []any
	for _, item := range nodes(tree, "select_list") {
		name := text(item, "alias")
		if column := columnOf(item); name == "" && len(column) > 0 {
			name = column[len(column)-1]
		}
		if !wanted(name) {
			continue
		}
		kept = append(kept, item)
		each(item, func(n node) bool {
			if c := columnOf(n); len(c) > 1 && c[0] == liveAlias {
				live = true
			}
			return true
		})
	}
	if len(kept) == 0 {
		for _, item := range nodes(tree, "select_list") { // only how many rows there are
			if column := columnOf(item); len(column) > 0 && column[len(column)-1] == "completion_retention" {
				kept = []any{item}
			}
		}
	}
	tree["select_list"] = kept
	if !live {
		tree["from_table"] = child(child(tree, "from_table"), "left")
	}
	return tree, live
}
