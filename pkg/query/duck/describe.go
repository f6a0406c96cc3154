//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"reprise/pkg/query/pipe"
)

// prepared lends a prepared statement to f.
func (s *statement) prepared(ctx context.Context, sql string, f func(*duckdb.Stmt) error) (err error) {
	p, err := s.conn.PrepareContext(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	stmt, ok := p.(*duckdb.Stmt)
	if !ok {
		return fmt.Errorf("prepared statement of type %T", p)
	}
	return f(stmt)
}

// check finds out whether a statement could be run.
func (s *statement) check(ctx context.Context, sql string) error {
	return s.prepared(ctx, sql, func(*duckdb.Stmt) error { return nil })
}

// describe tells what a statement takes and gives. Nothing is scanned.
func (s *statement) describe(ctx context.Context, sql string) error {
	var d pipe.Description
	err := s.prepared(ctx, sql, func(p *duckdb.Stmt) error {
		for i := range p.NumInput() {
			t, err := p.ParamType(i + 1)
			if err != nil { // nothing in the statement says what it is
				t = duckdb.TYPE_VARCHAR
			}
			d.Parameters = append(d.Parameters, postgresType(t))
		}
		columns, err := p.ColumnCount()
		if err != nil {
			return err
		}
		for i := range columns {
			name, err := p.ColumnName(i)
			if err != nil {
				return err
			}
			column, err := columnType(p, i)
			if err != nil {
				return err
			}
			d.Columns = append(d.Columns, pipe.Column{Name: name, Type: column})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.process.out.WriteJSON(pipe.Shape, 0, d)
}

func columnType(p *duckdb.Stmt, i int) (string, error) {
	t, err := p.ColumnType(i)
	if err != nil || t != duckdb.TYPE_LIST {
		return postgresType(t), err
	}
	info, err := p.ColumnTypeInfo(i)
	if err != nil {
		return "", err
	}
	if list, ok := info.Details().(*duckdb.ListDetails); ok {
		switch postgresType(list.Child.InternalType()) {
		case "int8", "numeric":
			return "_int8", nil
		}
	}
	return "_text", nil
}

// postgresTypes are the types of the engine by the names of those that its values are sent as.
var postgresTypes = map[duckdb.Type]string{
	duckdb.TYPE_BOOLEAN: "bool", duckdb.TYPE_BLOB: "bytea", duckdb.TYPE_FLOAT: "float8", duckdb.TYPE_DOUBLE: "float8", duckdb.TYPE_DECIMAL: "float8",
	duckdb.TYPE_TINYINT: "int8", duckdb.TYPE_SMALLINT: "int8", duckdb.TYPE_INTEGER: "int8", duckdb.TYPE_BIGINT: "int8",
	duckdb.TYPE_UTINYINT: "int8", duckdb.TYPE_USMALLINT: "int8", duckdb.TYPE_UINTEGER: "int8",
	duckdb.TYPE_UBIGINT: "numeric", duckdb.TYPE_HUGEINT: "numeric", duckdb.TYPE_UHUGEINT: "numeric",
	duckdb.TYPE_DATE: "date", duckdb.TYPE_TIME: "time", duckdb.TYPE_INTERVAL: "interval", duckdb.TYPE_TIMESTAMP_TZ: "timestamptz",
	duckdb.TYPE_TIMESTAMP: "timestamp", duckdb.TYPE_TIMESTAMP_S: "timestamp", duckdb.TYPE_TIMESTAMP_MS: "timestamp", duckdb.TYPE_TIMESTAMP_NS: "timestamp",
}

func postgresType(t duckdb.Type) string {
	if name := postgresTypes[t]; name != "" {
		return name
	}
	return "text"
}

var _ driver.Stmt = (*duckdb.Stmt)(nil)
