package table

import (
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
)

// Static makes the rows of tables that are not in partitions.
type Static struct {
	catalog  *Catalog
	registry func() *schema.Registry
}

// NewStatic returns what makes the rows of the registry, and of information_schema.
func NewStatic(c *Catalog, registry func() *schema.Registry) *Static {
	return &Static{catalog: c, registry: registry}
}

// Scan emits the rows that a request wants. Tables that nothing makes rows for have none.
func (s *Static) Scan(r *scan.Request, emit func(scan.Batch) error) error {
	t, err := s.catalog.Check(r)
	if err != nil {
		return err
	}
	in := &input{request: r, table: t, emit: emit}
	switch r.Table {
	case "sys_deployment":
		return rowsOf(deploymentCells, s.deployments)(in)
	case "sys_service":
		return rowsOf(serviceCells, s.services)(in)
	case informationSchema + "tables":
		return rowsOf(tableCells, s.tables)(in)
	case informationSchema + "views":
		return rowsOf(tableCells, s.views)(in)
	case informationSchema + "columns":
		return rowsOf(columnCells, s.columns)(in)
	case informationSchema + "schemata":
		return rowsOf(schemaCells, schemata)(in)
	}
	return nil
}

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
	if len(t.Name) > len(informationSchema) && t.Name[:len(informationSchema)] == informationSchema {
		return informationSchema[:len(informationSchema)-1], t.Name[len(informationSchema):]
	}
	return schemaName, t.Name
}

func tableType(t *Table) string {
	if in, _ := t.split(); t.Name == View || in != schemaName {
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
		if err := yield(&t); err != nil {
			return err
		}
	}
	return nil
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
