//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/plan"
	"reprise/pkg/query/table"
)

// engine is a DuckDB with an empty catalog.
type engine struct {
	connector *duckdb.Connector
	conn      *duckdb.Conn // for syntax trees, by these two
	parse     driver.Stmt
	write     driver.Stmt
	user      space
	cluster   space
}

// space is a catalog with what plans statements over it.
type space struct {
	catalog *table.Catalog
	planner *plan.Planner
}

// catalogs are those of users and of the cluster.
type catalogs struct{ user, cluster *table.Catalog }

func newCatalogs() (c catalogs, err error) {
	if c.user, err = table.NewCatalog(); err == nil {
		c.cluster, err = table.NewClusterCatalog()
	}
	return c, err
}

// spillFactor is how many times the memory the spill folder may hold.
const spillFactor = 4

// settings are those of each engine, and then nobody changes them.
//
// disabled_optimizers: see doc.go for the first; the rest would guess at how many rows a stream has. So the
// right side of a join is the one that is kept in memory, as it is written.
func settings(c pipe.Config) string {
	quoted := strings.ReplaceAll(c.SpillDir, "'", "''")
	return fmt.Sprintf(`SET memory_limit='%d B'; SET threads=%d; SET temp_directory='%s'; SET max_temp_directory_size='%d B';
SET disabled_optimizers='unused_columns,join_order,build_side_probe_side,join_filter_pushdown,late_materialization';
SET GLOBAL preserve_insertion_order=false; SET GLOBAL TimeZone='UTC'; SET GLOBAL arrow_large_buffer_size=true;
SET GLOBAL default_null_order='nulls_last_on_asc_first_on_desc';
SET autoinstall_known_extensions=false; SET autoload_known_extensions=false; SET allow_community_extensions=false;
SET enable_external_access=false`, c.MemoryBytes, c.Threads, quoted, spillFactor*c.MemoryBytes)
}

func open(ctx context.Context, c pipe.Config, all catalogs) (e *engine, err error) {
	e = &engine{user: space{catalog: all.user}, cluster: space{catalog: all.cluster}}
	if e.connector, err = duckdb.NewConnector("", nil); err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	if e.conn, err = e.connect(ctx); err != nil {
		return nil, errors.Join(err, e.connector.Close())
	}
	script := settings(c) + ";\n" + strings.Join(plan.Macros, ";\n") + ";\nSET lock_configuration=true"
	_, err = e.conn.ExecContext(ctx, script, nil)
	if err == nil {
		e.parse, err = e.conn.PrepareContext(ctx, "SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)")
	}
	if err == nil {
		e.write, err = e.conn.PrepareContext(ctx, "SELECT json_deserialize_sql(CAST(? AS JSON))")
	}
	for _, s := range []*space{&e.user, &e.cluster} {
		if err == nil {
			s.planner, err = plan.New(s.catalog, func(sql string) (map[string]any, error) { return e.tree(ctx, sql) })
		}
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("set DuckDB up: %w", err)
	}
	return e, nil
}

func (e *engine) connect(ctx context.Context) (*duckdb.Conn, error) {
	c, err := e.connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to DuckDB: %w", err)
	}
	conn, ok := c.(*duckdb.Conn)
	if !ok {
		return nil, fmt.Errorf("connection of type %T", c)
	}
	return conn, nil
}

// close gives the engine up; nothing in it is kept.
func (e *engine) close() {
	for _, s := range []driver.Stmt{e.parse, e.write} {
		if s != nil {
			_ = s.Close()
		}
	}
	_ = e.conn.Close()
	_ = e.connector.Close()
}

// ask returns the text that a statement with one argument answers with.
func (e *engine) ask(ctx context.Context, prepared driver.Stmt, arg string) (answer string, err error) {
	s, ok := prepared.(driver.StmtQueryContext)
	if !ok {
		return "", fmt.Errorf("prepared statement of type %T", prepared)
	}
	rows, err := s.QueryContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: arg}})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	into := make([]driver.Value, 1)
	if err := rows.Next(into); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	if answer, ok = into[0].(string); !ok {
		return "", fmt.Errorf("answer of type %T", into[0])
	}
	return answer, nil
}

// tree is the syntax tree of a text, or what is wrong with it.
func (e *engine) tree(ctx context.Context, sql string) (map[string]any, error) {
	t, err := e.ask(ctx, e.parse, sql)
	if err != nil {
		return nil, fmt.Errorf("make a syntax tree: %w", err)
	}
	return plan.Parse(t)
}

// text is the statement that a syntax tree stands for.
func (e *engine) text(ctx context.Context, tree string) (string, error) {
	t, err := e.ask(ctx, e.write, tree)
	if err != nil {
		return "", fmt.Errorf("write a syntax tree: %w", err)
	}
	return t, nil
}
