package table

import (
	"reprise/pkg/errs"
	"reprise/pkg/query/scan"
)

// Bounds of a request, which comes from SQL.
const (
	columnsMax = 256
	filtersMax = 64
	valuesMax  = 1 << 20 // of all filters
	topRowsMax = 1 << 16
)

// Check refuses a request that its table cannot answer.
func (c *Catalog) Check(r *scan.Request) (*Table, error) {
	t := c.Table(r.Table)
	if t == nil || r.Table == View {
		return nil, errs.Newf(errs.Invalid, "no table %q to scan", r.Table)
	}
	if len(r.Columns) > columnsMax || len(r.Filters) > filtersMax {
		return nil, errs.Newf(errs.Invalid, "%d columns and %d filters", len(r.Columns), len(r.Filters))
	}
	if r.Top != nil && (t.Column(r.Top.Column) == nil || r.Top.Rows == 0 || r.Top.Rows > topRowsMax) {
		return nil, errs.Newf(errs.Invalid, "the first %d rows by %q", r.Top.Rows, r.Top.Column)
	}
	values := 0
	for _, f := range r.Filters {
		values += len(f.Values)
		if column := t.Column(f.Column); column == nil || !column.Kind.Filterable() {
			return nil, errs.Newf(errs.Invalid, "table %s cannot be filtered by %q", r.Table, f.Column)
		}
	}
	if values > valuesMax {
		return nil, errs.Newf(errs.Invalid, "%d values in filters", values)
	}
	if _, err := t.Schema(r.Columns); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	return t, nil
}

// Filterable tells whether a scan can filter by columns of this kind.
func (k Kind) Filterable() bool {
	return k == Text || k == ShortText || k == Uint64 || k == Uint32 || k == Bool
}
