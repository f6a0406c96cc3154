package plan

import (
	"slices"
	"strings"

	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// topMax is how many rows a scan keeps account of.
const topMax = 10_000

// topOf is which rows of its only table a query with ORDER BY and LIMIT needs; nil if that is not plain to see. All of
// WHERE must be in the filters, for a row that is dropped later makes room for one that the scan would have left out.
func (p *Planner) topOf(n node, s *scope, r *ref, filters []scan.Filter) *scan.Top {
	modifiers := nodes(n, "modifiers")
	if len(s.refs) != 1 || len(s.all) != len(filters) || !plainSelect(n) || len(modifiers) != 2 ||
		text(modifiers[0], "type") != "ORDER_MODIFIER" || text(modifiers[1], "type") != "LIMIT_MODIFIER" {
		return nil
	}
	if slices.ContainsFunc(s.all, func(c conjunct) bool { return c.weak }) {
		return nil
	}
	rows, ok := constantRows(modifiers[1])
	orders := nodes(modifiers[0], "orders")
	if !ok || rows == 0 || rows > topMax || len(orders) == 0 {
		return nil
	}
	name := columnOf(child(orders[0], "expression"))
	if name == nil || !s.meaning(name, r) || renames(n, name[len(name)-1]) {
		return nil
	}
	column := r.table.Column(name[len(name)-1])
	if column.Kind != table.Time && column.Kind != table.Uint64 && column.Kind != table.Uint32 {
		return nil
	}
	if r.table.Name == table.View && !p.storedOnly(column.Name, filters) {
		return nil
	}
	return &scan.Top{Column: column.Name, Descending: text(orders[0], "type") == "DESCENDING", Rows: uint32(rows)}
}

// storedOnly tells whether the stored side of the view alone decides about a column and these filters, and does so
// exactly.
func (p *Planner) storedOnly(column string, filters []scan.Filter) bool {
	stored := p.catalog.Table(storedTable)
	if stored.Column(column) == nil {
		return false
	}
	for _, f := range filters {
		if stored.Column(f.Column) == nil {
			return false
		}
		if f.Column != "status" {
			continue
		}
		if f.Null || slices.ContainsFunc(f.Values, func(v string) bool { return storedOf[v] == "invoked" }) {
			return false // several statuses come from that
		}
	}
	return true
}

// renames tells whether the query gives the name of a column to something else, which ORDER BY would then mean.
func renames(n node, column string) bool {
	return slices.ContainsFunc(nodes(n, "select_list"), func(item node) bool {
		own := columnOf(item)
		return strings.EqualFold(text(item, "alias"), column) && (len(own) == 0 || own[len(own)-1] != column)
	})
}
