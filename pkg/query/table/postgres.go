package table

// Clients of Postgres look up in pg_catalog what there is. Of its many tables (postgres.tsv) these have rows; the
// others are there and empty, as they are in a database that has no indexes, triggers or extensions.

// Object ids, as Postgres gives them.
const (
	catalogSpace = 11
	publicSpace  = 2200
	schemaSpace  = 13000
	ownerOID     = 10
	databaseOID  = 5
	firstTable   = 16384 // of the catalog's tables, in their order
)

// owner is whom everything belongs to.
const owner = "reprise"

// PostgresType is a type as Postgres knows it.
type PostgresType struct {
	OID      uint32
	Name     string // in pg_type
	SQL      string // as people write it
	category string
	array    uint32
	element  uint32
}

// PostgresTypes are those that columns and results have.
var PostgresTypes = []PostgresType{
	{OID: 16, Name: "bool", SQL: "boolean", category: "B"},
	{OID: 17, Name: "bytea", SQL: "bytea", category: "U"},
	{OID: 20, Name: "int8", SQL: "bigint", category: "N", array: 1016},
	{OID: 23, Name: "int4", SQL: "integer", category: "N"},
	{OID: 25, Name: "text", SQL: "text", category: "S", array: 1009},
	{OID: 26, Name: "oid", SQL: "oid", category: "N"},
	{OID: 701, Name: "float8", SQL: "double precision", category: "N"},
	{OID: 1009, Name: "_text", SQL: "text[]", category: "A", element: 25},
	{OID: 1016, Name: "_int8", SQL: "bigint[]", category: "A", element: 20},
	{OID: 1043, Name: "varchar", SQL: "character varying", category: "S"},
	{OID: 1082, Name: "date", SQL: "date", category: "D"},
	{OID: 1083, Name: "time", SQL: "time without time zone", category: "D"},
	{OID: 1114, Name: "timestamp", SQL: "timestamp without time zone", category: "D"},
	{OID: 1184, Name: "timestamptz", SQL: "timestamp with time zone", category: "D"},
	{OID: 1186, Name: "interval", SQL: "interval", category: "T"},
	{OID: 1700, Name: "numeric", SQL: "numeric", category: "N"},
}

// PostgresTypeOf finds a type by its name; text if there is none.
func PostgresTypeOf(name string) *PostgresType {
	text := 0
	for i := range PostgresTypes {
		switch PostgresTypes[i].Name {
		case name:
			return &PostgresTypes[i]
		case "text":
			text = i
		}
	}
	return &PostgresTypes[text]
}

// Postgres is the name of the type of a kind's values. A number of 64 bits without sign may be too large for int8.
func (k Kind) Postgres() string {
	switch k {
	case Bytes:
		return "bytea"
	case Bool:
		return "bool"
	case Uint32:
		return "int8"
	case Uint64:
		return "numeric"
	case Time:
		return "timestamptz"
	case Duration:
		return "interval"
	case Uint32s:
		return "_int8"
	case Texts, ShortTexts:
		return "_text"
	default:
		return "text"
	}
}

// space is the object id of the schema that a table is in.
func (t *Table) space() uint64 {
	switch in, _ := t.split(); in {
	case PostgresSchema:
		return catalogSpace
	case schemaName:
		return publicSpace
	default:
		return schemaSpace
	}
}

// relation is a table with its object id.
type relation struct {
	*Table
	oid uint64
}

func (s *Static) relations(_ *input, yield func(*relation) error) error {
	for i, t := range s.catalog.Tables {
		if err := yield(&relation{t, uint64(firstTable + i)}); err != nil {
			return err
		}
	}
	return nil
}

func always[R any](name, text string) cell[R] { return textOf(name, func(*R) string { return text }) }

func never[R any](names ...string) (out []cell[R]) {
	for _, name := range names {
		out = append(out, flagOf(name, func(*R) bool { return false }))
	}
	return out
}

func number[R any](v uint64, names ...string) (out []cell[R]) {
	for _, name := range names {
		out = append(out, numberOf(name, func(*R) uint64 { return v }))
	}
	return out
}

func joined[R any](parts ...[]cell[R]) (out []cell[R]) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// relationKinds are v for views and r for tables.
func relationKind(r *relation) string {
	if tableType(r.Table) == "VIEW" {
		return "v"
	}
	return "r"
}

var relationCells = joined([]cell[relation]{
	numberOf("oid", func(r *relation) uint64 { return r.oid }),
	textOf("relname", func(r *relation) string {
		_, name := r.split()
		return name
	}),
	numberOf("relnamespace", func(r *relation) uint64 { return r.space() }),
	textOf("relkind", relationKind),
	numberOf("relnatts", func(r *relation) uint64 { return uint64(len(r.Columns)) }),
	always[relation]("relpersistence", "p"), always[relation]("relreplident", "n"),
	flagOf("relispopulated", func(*relation) bool { return true }),
}, number[relation](ownerOID, "relowner"),
	number[relation](0, "reltype", "reloftype", "relam", "relfilenode", "reltablespace", "relpages", "reltoastrelid", "relchecks"),
	never[relation]("relhasindex", "relisshared", "relhasrules", "relhastriggers", "relhassubclass", "relrowsecurity", "relforcerowsecurity", "relispartition"))

// attribute is a column with the object id of its table.
type attribute struct {
	*Column
	table   uint64
	ordinal int // from 1
}

func (s *Static) attributes(in *input, yield func(*attribute) error) error {
	return s.relations(in, func(r *relation) error {
		for i := range r.Columns {
			if err := yield(&attribute{&r.Columns[i], r.oid, i + 1}); err != nil {
				return err
			}
		}
		return nil
	})
}

var attributeCells = joined([]cell[attribute]{
	numberOf("attrelid", func(a *attribute) uint64 { return a.table }),
	textOf("attname", func(a *attribute) string { return a.Name }),
	numberOf("atttypid", func(a *attribute) uint64 { return uint64(PostgresTypeOf(a.Kind.Postgres()).OID) }),
	numberOf("attnum", func(a *attribute) uint64 { return uint64(a.ordinal) }),
	flagOf("attnotnull", func(a *attribute) bool { return a.Required }),
	flagOf("attislocal", func(*attribute) bool { return true }),
	always[attribute]("attidentity", ""), always[attribute]("attgenerated", ""), always[attribute]("attcompression", ""), always[attribute]("attstorage", "p"),
}, number[attribute](0, "attndims", "attinhcount", "attcollation"), never[attribute]("atthasdef", "attisdropped", "atthasmissing"))

var typeCells = joined([]cell[PostgresType]{
	numberOf("oid", func(t *PostgresType) uint64 { return uint64(t.OID) }),
	textOf("typname", func(t *PostgresType) string { return t.Name }),
	textOf("typcategory", func(t *PostgresType) string { return t.category }),
	numberOf("typarray", func(t *PostgresType) uint64 { return uint64(t.array) }),
	numberOf("typelem", func(t *PostgresType) uint64 { return uint64(t.element) }),
	textOf("typinput", func(t *PostgresType) string {
		if t.element != 0 {
			return "array_in"
		}
		return t.Name + "in"
	}),
	always[PostgresType]("typtype", "b"), always[PostgresType]("typdelim", ","),
	flagOf("typisdefined", func(*PostgresType) bool { return true }),
}, number[PostgresType](catalogSpace, "typnamespace"), number[PostgresType](ownerOID, "typowner"),
	number[PostgresType](0, "typrelid", "typbasetype", "typndims", "typcollation"), never[PostgresType]("typnotnull", "typispreferred", "typbyval"))

func types(_ *input, yield func(*PostgresType) error) error {
	for i := range PostgresTypes {
		if err := yield(&PostgresTypes[i]); err != nil {
			return err
		}
	}
	return nil
}

// named is a thing that has a name and an object id, and for settings a value.
type named struct {
	name  string
	oid   uint64
	value string
}

// all makes rows of some things.
func all(things ...named) func(*input, func(*named) error) error {
	return func(_ *input, yield func(*named) error) error {
		for i := range things {
			if err := yield(&things[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

var (
	namespaceCells = joined([]cell[named]{
		numberOf("oid", func(n *named) uint64 { return n.oid }), textOf("nspname", func(n *named) string { return n.name }),
	}, number[named](ownerOID, "nspowner"))
	databaseCells = joined([]cell[named]{
		numberOf("oid", func(n *named) uint64 { return n.oid }), textOf("datname", func(n *named) string { return n.name }),
		always[named]("datlocprovider", "c"), always[named]("datcollate", "C.UTF-8"), always[named]("datctype", "C.UTF-8"),
		flagOf("datallowconn", func(*named) bool { return true }),
	}, number[named](ownerOID, "datdba"), number[named](6, "encoding"), number[named](0, "dattablespace"), never[named]("datistemplate"))
	roleCells = joined([]cell[named]{
		numberOf("oid", func(n *named) uint64 { return n.oid }), textOf("rolname", func(n *named) string { return n.name }),
		flagOf("rolcanlogin", func(*named) bool { return true }),
	}, never[named]("rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls"))
	settingCells = []cell[named]{
		textOf("name", func(n *named) string { return n.name }), textOr("setting", func(n *named) string { return n.value }),
	}
	ourSettingCells = []cell[named]{
		textOf("name", func(n *named) string { return n.name }), textOr("value", func(n *named) string { return n.value }),
	}
	namespaces = all(named{name: PostgresSchema, oid: catalogSpace}, named{name: schemaName, oid: publicSpace},
		named{name: informationSchema[:len(informationSchema)-1], oid: schemaSpace})
	// settings are what SHOW tells: nothing that anybody can change.
	settings = all(named{name: "datafusion.catalog.default_catalog", value: catalogName}, named{name: "datafusion.catalog.default_schema", value: schemaName},
		named{name: "datafusion.catalog.information_schema", value: "true"}, named{name: "datafusion.execution.time_zone"},
		named{name: "datafusion.sql_parser.dialect", value: "PostgreSQL"})
	postgresSettings = all(named{name: "server_version", value: PostgresVersion}, named{name: "search_path", value: schemaName},
		named{name: "TimeZone", value: "UTC"}, named{name: "default_transaction_read_only", value: "on"})
)

// PostgresVersion is the version whose catalog this one resembles.
const PostgresVersion = "16.0"

// relationRow shows a relation in pg_tables and pg_views.
func relationRows(kind string, name string) []cell[relation] {
	return joined([]cell[relation]{
		textOf("schemaname", func(r *relation) string {
			in, _ := r.split()
			return in
		}),
		textOf(name, func(r *relation) string {
			_, name := r.split()
			return name
		}),
		always[relation](kind+"owner", owner),
	}, never[relation]("hasindexes", "hasrules", "hastriggers", "rowsecurity"))
}

func (s *Static) relationsOf(kind string) func(*input, func(*relation) error) error {
	return func(in *input, yield func(*relation) error) error {
		return s.relations(in, func(r *relation) error {
			if relationKind(r) != kind {
				return nil
			}
			return yield(r)
		})
	}
}

// postgres are the tables of pg_catalog that have rows.
func (s *Static) postgres() map[string]func(*input) error {
	return map[string]func(*input) error{
		PostgresSchema + ".pg_class":     rowsOf(relationCells, s.relations),
		PostgresSchema + ".pg_attribute": rowsOf(attributeCells, s.attributes),
		PostgresSchema + ".pg_type":      rowsOf(typeCells, types),
		PostgresSchema + ".pg_namespace": rowsOf(namespaceCells, namespaces),
		PostgresSchema + ".pg_database":  rowsOf(databaseCells, all(named{name: catalogName, oid: databaseOID})),
		PostgresSchema + ".pg_roles":     rowsOf(roleCells, all(named{name: owner, oid: ownerOID})),
		PostgresSchema + ".pg_settings":  rowsOf(settingCells, postgresSettings),
		PostgresSchema + ".pg_tables":    rowsOf(relationRows("table", "tablename"), s.relationsOf("r")),
		PostgresSchema + ".pg_views":     rowsOf(relationRows("view", "viewname"), s.relationsOf("v")),
	}
}

// PostgresTypeByOID finds a type; text if there is none.
func PostgresTypeByOID(oid uint32) *PostgresType {
	for i := range PostgresTypes {
		if PostgresTypes[i].OID == oid {
			return &PostgresTypes[i]
		}
	}
	return PostgresTypeOf("text")
}
