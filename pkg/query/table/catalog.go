package table

import (
	_ "embed" // the catalogs
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// Kind is the type of a column.
type Kind uint8

// The kinds.
const (
	Text Kind = iota + 1
	Bytes
	Bool
	Uint32
	Uint64
	Time     // milliseconds since the Unix epoch, UTC
	Duration // milliseconds
	Uint32s
	Texts
	ShortText // with 32-bit offsets, else like Text
	ShortTexts
)

// kindNames are the kinds by their names in columns.tsv and in information_schema.
var kindNames = map[string]Kind{
	"LargeUtf8": Text, "LargeBinary": Bytes, "Boolean": Bool, "UInt32": Uint32, "UInt64": Uint64, `Timestamp(ms, "+00:00")`: Time,
	"Duration(ms)": Duration, "List(UInt32)": Uint32s, "List(LargeUtf8)": Texts, "Utf8": ShortText,
	"List(Utf8)": ShortTexts,
}

// Zone is that of all times.
const Zone = "+00:00"

// Arrow returns the Arrow type of a kind.
func (k Kind) Arrow() arrow.DataType {
	switch k {
	case Text:
		return arrow.BinaryTypes.LargeString
	case Bytes:
		return arrow.BinaryTypes.LargeBinary
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Uint32:
		return arrow.PrimitiveTypes.Uint32
	case Uint64:
		return arrow.PrimitiveTypes.Uint64
	case Time:
		return &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: Zone}
	case Duration:
		return arrow.FixedWidthTypes.Duration_ms
	case Uint32s:
		return arrow.ListOf(arrow.PrimitiveTypes.Uint32)
	case Texts:
		return arrow.ListOf(arrow.BinaryTypes.LargeString)
	case ShortTexts:
		return arrow.ListOf(arrow.BinaryTypes.String)
	default:
		return arrow.BinaryTypes.String
	}
}

// Column is a column of a table.
type Column struct {
	Name     string
	Kind     Kind
	Type     string // name of the kind in the contract
	Required bool   // never NULL
}

// Table is a table of the catalog.
type Table struct {
	Name    string // with its schema, unless that is public
	Columns []Column
}

// View is the table that is a view of others.
const View = "sys_invocation"

// informationSchema is what the names of its tables begin with.
const informationSchema = "information_schema."

// Column returns a column by name, or nil.
func (t *Table) Column(name string) *Column {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Columns[i]
}

// Schema is the Arrow schema of some columns of t.
func (t *Table) Schema(columns []string) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		c := t.Column(name)
		if c == nil {
			return nil, fmt.Errorf("table %s has no column %q", t.Name, name)
		}
		fields[i] = arrow.Field{Name: name, Type: c.Kind.Arrow(), Nullable: !c.Required}
	}
	return arrow.NewSchema(fields, nil), nil
}

// Catalog is all tables.
type Catalog struct {
	Tables []*Table // in the order of their names
	byName map[string]*Table
}

// Each of these has headings, then a column in each line: table, column, type, nullable.
var (
	//go:embed columns.tsv
	userTSV string
	//go:embed cluster.tsv
	clusterTSV string
	//go:embed schema.tsv
	schemaTSV string
	//go:embed postgres.tsv
	postgresTSV string
)

// PostgresSchema holds tables that clients of Postgres look things up in.
const PostgresSchema = "pg_catalog"

// NewCatalog reads the catalog of users.
func NewCatalog() (*Catalog, error) { return newCatalog(userTSV, schemaTSV, postgresTSV) }

// NewClusterCatalog reads the catalog of those who operate the cluster.
func NewClusterCatalog() (*Catalog, error) { return newCatalog(clusterTSV, schemaTSV) }

func newCatalog(parts ...string) (*Catalog, error) {
	c := &Catalog{byName: map[string]*Table{}}
	for _, part := range parts {
		if err := c.read(part); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.Tables, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

func (c *Catalog) read(tsv string) error {
	for i, line := range strings.Split(strings.TrimSpace(tsv), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 {
			continue // headings
		}
		if len(f) != 4 || kindNames[f[2]] == 0 {
			return fmt.Errorf("line %d of a catalog: %q", i+1, line)
		}
		t := c.byName[f[0]]
		if t == nil {
			t = &Table{Name: f[0]}
			c.byName[t.Name] = t
			c.Tables = append(c.Tables, t)
		}
		t.Columns = append(t.Columns, Column{Name: f[1], Kind: kindNames[f[2]], Type: f[2], Required: f[3] == "NO"})
	}
	return nil
}

// Table returns a table by name, or nil.
func (c *Catalog) Table(name string) *Table { return c.byName[name] }
