package table

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
)

// Static makes the rows of tables that are not in partitions.
type Static struct {
	catalog  *Catalog
	registry func() *schema.Registry
	sources  map[string]func(*input) error
}

// NewStatic returns what makes the rows of the registry, of information_schema, and of pg_catalog.
func NewStatic(c *Catalog, registry func() *schema.Registry) *Static {
	s := &Static{catalog: c, registry: registry}
	s.sources = s.postgres()
	s.sources["sys_deployment"] = rowsOf(deploymentCells, s.deployments)
	s.sources["sys_service"] = rowsOf(serviceCells, s.services)
	s.describe()
	return s
}

// ForPostgres shows the same, with the names that Postgres has for types.
func (s *Static) ForPostgres() *Static {
	cells := slices.Clone(columnCells)
	at := slices.IndexFunc(cells, func(c cell[columnRow]) bool { return c.name == "data_type" })
	cells[at] = textOf("data_type", func(r *columnRow) string { return PostgresTypeOf(r.Kind.Postgres()).SQL })
	p := &Static{catalog: s.catalog, registry: s.registry, sources: maps.Clone(s.sources)}
	p.sources[informationSchema+"columns"] = rowsOf(cells, p.columns)
	return p
}

// describe adds the tables that tell of tables.
func (s *Static) describe() {
	s.sources[informationSchema+"tables"] = rowsOf(tableCells, s.tables)
	s.sources[informationSchema+"views"] = rowsOf(tableCells, s.views)
	s.sources[informationSchema+"columns"] = rowsOf(columnCells, s.columns)
	s.sources[informationSchema+"schemata"] = rowsOf(schemaCells, schemata)
	s.sources[informationSchema+"df_settings"] = rowsOf(ourSettingCells, settings)
}

// Scan emits the rows that a request wants. Tables that nothing makes rows for have none.
func (s *Static) Scan(ctx context.Context, r *scan.Request, emit func(scan.Batch) error) error {
	t, err := s.catalog.Check(r)
	if err != nil {
		return err
	}
	source := s.sources[r.Table]
	if source == nil {
		return nil
	}
	return source(&input{ctx: ctx, request: r, table: t, emit: emit})
}

// Has tells whether anything makes rows of a table.
func (s *Static) Has(name string) bool { return s.sources[name] != nil }

var deploymentCells = []cell[*storedv1.Deployment]{
	{name: "id", text: func(d **storedv1.Deployment) (string, bool) { return deploymentText((*d).Id) }},
	textOf("ty", func(**storedv1.Deployment) string { return "http" }),
	textOf("endpoint", func(d **storedv1.Deployment) string { return (*d).Uri }),
	millisOr("created_at", func(d **storedv1.Deployment) int64 { return (*d).CreatedAtMs }),
	numberOf("min_service_protocol_version", func(d **storedv1.Deployment) uint64 { return uint64((*d).MinProtocolVersion) }),
	numberOf("max_service_protocol_version", func(d **storedv1.Deployment) uint64 { return uint64((*d).MaxProtocolVersion) }),
	{name: "services", texts: func(d **storedv1.Deployment) (names []string, ok bool) {
		for _, s := range (*d).Services {
			names = append(names, s.Name)
		}
		return names, true
	}},
}

func (s *Static) deployments(_ *input, yield func(**storedv1.Deployment) error) error {
	for _, d := range s.registry().Deployments() {
		if err := yield(&d); err != nil {
			return err
		}
	}
	return nil
}

var serviceCells = []cell[*schema.Service]{
	textOf("name", func(r **schema.Service) string { return (*r).Name }),
	numberOf("revision", func(r **schema.Service) uint64 { return uint64((*r).Revision) }),
	flagOf("public", func(r **schema.Service) bool { return (*r).Public }),
	textOr("ty", func(r **schema.Service) string { return serviceTypes[(*r).Type] }),
	textOf("deployment_id", func(r **schema.Service) string { return (*r).Deployment.String() }),
}

func (s *Static) services(_ *input, yield func(**schema.Service) error) error {
	for _, service := range s.registry().Services() {
		if err := yield(&service); err != nil {
			return err
		}
	}
	return nil
}

// catalogName and schemaName are what the catalog says of itself.
const (
	catalogName = "restate"
	schemaName  = "public"
)

// split takes the schema off a name.
func (t *Table) split() (in, name string) {
	if in, name, ok := strings.Cut(t.Name, "."); ok {
		return in, name
	}
	return schemaName, t.Name
}

func tableType(t *Table) string {
	if in, _ := t.split(); t.Name == View || t.Name == tailView || in == informationSchema[:len(informationSchema)-1] {
		return "VIEW"
	}
	return "BASE TABLE"
}

var tableCells = []cell[*Table]{
	textOf("table_catalog", func(**Table) string { return catalogName }),
	textOf("table_schema", func(t **Table) string {
		in, _ := (*t).split()
		return in
	}),
	textOf("table_name", func(t **Table) string {
		_, name := (*t).split()
		return name
	}),
	textOf("table_type", func(t **Table) string { return tableType(*t) }),
}

func (s *Static) tables(_ *input, yield func(**Table) error) error {
	for _, t := range s.catalog.Tables {
		if t.unseen() {
			continue
		}
		if err := yield(&t); err != nil {
			return err
		}
	}
	return nil
}

// unseen tables are not told of: clients other than those of Postgres would be surprised.
func (t *Table) unseen() bool {
	in, _ := t.split()
	return in == PostgresSchema
}

func (s *Static) views(in *input, yield func(**Table) error) error {
	return s.tables(in, func(t **Table) error {
		if tableType(*t) != "VIEW" {
			return nil
		}
		return yield(t)
	})
}

// columnRow is a column of a table.
type columnRow struct {
	*Column
	table   *Table
	ordinal int // from 0
}

var columnCells = []cell[columnRow]{
	textOf("table_catalog", func(*columnRow) string { return catalogName }),
	textOf("table_schema", func(r *columnRow) string {
		in, _ := r.table.split()
		return in
	}),
	textOf("table_name", func(r *columnRow) string {
		_, name := r.table.split()
		return name
	}),
	textOf("column_name", func(r *columnRow) string { return r.Name }),
	numberOf("ordinal_position", func(r *columnRow) uint64 { return uint64(r.ordinal) }),
	textOf("is_nullable", func(r *columnRow) string {
		if r.Required {
			return "NO"
		}
		return "YES"
	}),
	textOf("data_type", func(r *columnRow) string { return r.Type }),
}

func (s *Static) columns(_ *input, yield func(*columnRow) error) error {
	for _, t := range s.catalog.Tables {
		if t.unseen() {
			continue
		}
		for i := range t.Columns {
			if err := yield(&columnRow{Column: &t.Columns[i], table: t, ordinal: i}); err != nil {
				return err
			}
		}
	}
	return nil
}

var schemaCells = []cell[string]{
	textOf("catalog_name", func(*string) string { return catalogName }),
	textOf("schema_name", func(s *string) string { return *s }),
}

func schemata(_ *input, yield func(*string) error) error {
	for _, name := range []string{informationSchema[:len(informationSchema)-1], schemaName} {
		if err := yield(&name); err != nil {
			return fmt.Errorf("schemata: %w", err)
		}
	}
	return nil
}
