package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	wire "github.com/jeroenrinzema/psql-wire"
	"github.com/jeroenrinzema/psql-wire/codes"
	psqlerr "github.com/jeroenrinzema/psql-wire/errors"
	"github.com/jeroenrinzema/psql-wire/pkg/types"

	"reprise/pkg/query"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/table"
)

// parse makes what the library runs of a text.
func (s *Server) parse(ctx context.Context, q wire.Query) (wire.PreparedStatements, error) {
	c := s.connOf(ctx)
	if c == nil {
		return nil, coded(errEnded)
	}
	texts := split(q.Query)
	if len(texts) == 0 {
		return wire.Prepared(wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error { return w.Empty() })), nil
	}
	var out wire.PreparedStatements
	for _, text := range texts {
		st, err := s.statement(ctx, c, text, q.SimpleQuery && len(texts) == 1, q.ParameterOIDs)
		if err != nil {
			return nil, coded(err)
		}
		out = append(out, st)
	}
	return out, nil
}

func (s *Server) statement(ctx context.Context, c *conn, text string, once bool, oids []uint32) (*wire.PreparedStatement, error) {
	if st, ok := s.utility(c, text); ok {
		return st, nil
	}
	sql := rewrite(text)
	if once {
		return s.runNow(ctx, c, sql)
	}
	described, err := typed(sql, oids)
	if err != nil {
		return nil, psqlerr.WithCode(err, codes.Syntax)
	}
	ctx, release := c.begin(ctx)
	d, err := s.engine.Describe(ctx, query.Postgres, described)
	release()
	if err != nil {
		return nil, err
	}
	if described != sql {
		d.Parameters = make([]string, len(oids))
	}
	columns := make(wire.Columns, len(d.Columns))
	for i, column := range d.Columns {
		columns[i] = columnOf(column.Name, table.PostgresTypeOf(column.Type))
	}
	parameters := make([]uint32, len(d.Parameters))
	for i, name := range d.Parameters {
		parameters[i] = table.PostgresTypeOf(name).OID
		if i < len(oids) && oids[i] != 0 {
			parameters[i] = oids[i]
		}
	}
	run := func(ctx context.Context, w wire.DataWriter, given []wire.Parameter) error {
		ctx, release := c.begin(ctx)
		defer release()
		return coded(s.run(ctx, w, sql, given, parameters))
	}
	return wire.NewStatement(run, wire.WithColumns(columns), wire.WithParameters(parameters)), nil
}

// typed is a statement for Describe, of whose parameters the client may have said all types.
func typed(sql string, oids []uint32) (string, error) {
	nulls := make([]string, len(oids))
	for i, oid := range oids {
		if oid == 0 {
			return sql, nil
		}
		nulls[i] = "CAST(NULL AS " + castable(table.PostgresTypeByOID(oid)) + ")"
	}
	if len(oids) == 0 {
		return sql, nil
	}
	return bind(sql, nulls)
}

// castable is a type in the engine's words.
func castable(t *table.PostgresType) string {
	switch t.Name {
	case "bytea":
		return "BLOB"
	case "numeric", "float8":
		return "DOUBLE"
	case "oid":
		return "BIGINT"
	default:
		return strings.ToUpper(t.SQL)
	}
}

func columnOf(name string, t *table.PostgresType) wire.Column {
	return wire.Column{Name: name, Oid: t.OID, Width: -1, TypeModifier: -1}
}

// run binds the parameters of a statement that was described before, and runs it.
func (s *Server) run(ctx context.Context, w wire.DataWriter, sql string, given []wire.Parameter, types []uint32) error {
	constants := make([]string, len(given))
	for i, p := range given {
		oid := table.PostgresTypeOf("text").OID
		if i < len(types) {
			oid = types[i]
		}
		var err error
		if constants[i], err = constant(p, oid); err != nil {
			return psqlerr.WithCode(err, codes.InvalidTextRepresentation)
		}
	}
	sql, err := bind(sql, constants)
	if err != nil {
		return psqlerr.WithCode(err, codes.Syntax)
	}
	rows, err := s.engine.Ask(ctx, query.Postgres, sql)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // only read
	in, err := ipc.NewReader(rows)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	defer in.Release()
	return send(w, in, rows)
}

// runNow runs a statement that is not run again: its columns are known with its first rows, and it is planned once.
func (s *Server) runNow(ctx context.Context, c *conn, sql string) (*wire.PreparedStatement, error) {
	ctx, release := c.begin(ctx)
	rows, err := s.engine.Ask(ctx, query.Postgres, sql)
	if err != nil {
		release()
		return nil, err
	}
	in, err := ipc.NewReader(rows)
	if err == nil && !c.hold(rows) {
		err = errEnded
	}
	if err != nil {
		_ = rows.Close() // only read
		release()
		return nil, fmt.Errorf("read rows: %w", err)
	}
	columns := make(wire.Columns, in.Schema().NumFields())
	for i, f := range in.Schema().Fields() {
		columns[i] = columnOf(f.Name, typeOf(f.Type))
	}
	run := func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error {
		defer release()
		defer in.Release()
		if c.fetch() == nil {
			return coded(errEnded)
		}
		defer func() { _ = rows.Close() }() // only read
		return coded(send(w, in, rows))
	}
	return wire.NewStatement(run, wire.WithColumns(columns)), nil
}

var errEnded = errors.New("the connection has ended")

// rowsMax is how many rows are handed over at a time.
const rowsMax = 256

// send writes the rows, and reads the stream to its end: only then has the statement ended well.
func send(w wire.DataWriter, in *ipc.Reader, rows io.Reader) error {
	columns := w.Columns()
	sent := 0
	chunk := make([][]any, 0, rowsMax)
	for in.Next() {
		batch := in.RecordBatch()
		if len(columns) != int(batch.NumCols()) {
			return fmt.Errorf("%d columns where %d were promised", batch.NumCols(), len(columns))
		}
		for i := range int(batch.NumRows()) {
			row := make([]any, len(columns))
			for j := range columns {
				var err error
				if row[j], err = value(batch.Column(j), i, columns[j].Oid); err != nil {
					return fmt.Errorf("column %q: %w", columns[j].Name, err)
				}
			}
			if chunk = append(chunk, row); len(chunk) < rowsMax && i+1 < int(batch.NumRows()) {
				continue
			}
			if err := wire.WriteRows(w, chunk); err != nil {
				return err
			}
			sent += len(chunk)
			chunk = chunk[:0]
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, rows); err != nil {
		return err
	}
	return w.Complete(fmt.Sprintf("SELECT %d", sent))
}

// tags are what statements are answered with that change nothing here.
var tags = map[string]string{
	"BEGIN": "BEGIN", "START": "START TRANSACTION", "COMMIT": "COMMIT", "END": "COMMIT", "ROLLBACK": "ROLLBACK", "ABORT": "ROLLBACK",
	"SET": "SET", "RESET": "RESET", "DISCARD": "DISCARD ALL", "DEALLOCATE": "DEALLOCATE", "LISTEN": "LISTEN", "UNLISTEN": "UNLISTEN",
	"SAVEPOINT": "SAVEPOINT", "RELEASE": "RELEASE",
}

// settings are those that clients ask for with SHOW.
var settings = map[string]string{
	"server_version": table.PostgresVersion, "server_version_num": "160000", "server_encoding": "UTF8", "client_encoding": "UTF8",
	"timezone": "UTC", "time zone": "UTC", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "search_path": "public",
	"transaction_isolation": "read committed", "transaction isolation level": "read committed", "transaction_read_only": "on",
	"default_transaction_read_only": "on", "standard_conforming_strings": "on", "max_identifier_length": "63", "application_name": "",
	"is_superuser": "off", "session_authorization": "reprise", "integer_datetimes": "on", "statement_timeout": "0", "lc_monetary": "C", "max_connections": "64",
}

// utility is a statement that the engine does not see.
func (s *Server) utility(c *conn, text string) (*wire.PreparedStatement, bool) {
	first, second := words(text)
	if tag := tags[first]; tag != "" {
		return wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error {
			switch first {
			case "BEGIN", "START":
				c.transact(true)
			case "COMMIT", "END", "ROLLBACK", "ABORT":
				c.transact(second == "to") // a savepoint
			}
			return w.Complete(tag)
		}), true
	}
	setting, known := settings[second]
	if first != "SHOW" || !known {
		return nil, false // the engine knows tables, columns and settings of its own
	}
	columns := wire.Columns{columnOf(strings.ReplaceAll(second, " ", ""), table.PostgresTypeOf("text"))}
	return wire.NewStatement(func(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error {
		if err := w.Row([]any{setting}); err != nil {
			return err
		}
		return w.Complete("SHOW")
	}, wire.WithColumns(columns)), true
}

// status tells whether a client is in a transaction: some drivers insist on it.
func (s *Server) status(ctx context.Context) types.ServerStatus {
	if c := s.connOf(ctx); c != nil && c.inTransaction() {
		return types.ServerTransactionBlock
	}
	return types.ServerIdle
}

// reasons are the codes of Postgres by what a message of the engine has in it, the first one first.
var reasons = []struct {
	sign string
	code codes.Code
}{
	{"ParserError", codes.Syntax}, {"not supported", codes.ReadOnlySQLTransaction}, {"No field named", codes.UndefinedColumn},
	{"Invalid function", codes.UndefinedFunction}, {"not found", codes.UndefinedTable}, {"not a variable", codes.UndefinedObject},
	{"Resources exhausted", codes.OutOfMemory}, {"Cast error", codes.InvalidTextRepresentation}, {"not implemented", codes.FeatureNotSupported},
}

// coded gives an error the code that clients tell errors by.
func coded(err error) error {
	if err == nil || psqlerr.GetCode(err) != codes.Uncategorized {
		return err
	}
	if errors.Is(err, errCancelled) {
		return psqlerr.WithCode(err, codes.QueryCanceled)
	}
	var failed *pipe.Failure
	if !errors.As(err, &failed) {
		return psqlerr.WithCode(err, codes.Internal)
	}
	text := errors.New(strings.TrimPrefix(failed.Message, "Datafusion error: "))
	for _, r := range reasons {
		if strings.Contains(failed.Message, r.sign) {
			return psqlerr.WithCode(text, r.code)
		}
	}
	if failed.Status == http.StatusBadRequest {
		return psqlerr.WithCode(text, codes.Syntax)
	}
	return psqlerr.WithCode(text, codes.Internal)
}
