//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	duckdb "github.com/duckdb/duckdb-go/v2"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/plan"
)

// statement is one run of one.
type statement struct {
	*engine
	space
	process  *process
	question pipe.Question
	conn     *duckdb.Conn
	streams  []*stream
	clean    bool // nothing of it is left
}

func newStatement(e *engine, p *process, q pipe.Question) *statement {
	s := &statement{engine: e, space: e.user, process: p, question: q}
	if q.Cluster {
		s.space = e.cluster
	}
	return s
}

// run answers the statement. An error that is a *pipe.Failure is told as it is.
func (s *statement) run(ctx context.Context) error {
	s.clean = true // until something is run
	asked, err := classify(s.question.SQL)
	if err != nil {
		return err
	}
	p, sql, err := s.plan(ctx, asked)
	if errors.Is(err, errNothing) {
		return s.empty()
	}
	if err != nil {
		return err
	}
	s.clean = false
	// A connection of its own has what the statement may leave behind, such as the seed of random().
	if s.conn, err = s.connect(ctx); err != nil {
		return err
	}
	defer func() { _ = s.conn.Close() }()
	release, err := s.views(ctx, p)
	defer release()
	if err == nil {
		err = s.answer(ctx, asked, sql, p)
	}
	if failed := s.scanFailure(); failed != nil { // what the engine makes of it says less
		err = failed
	}
	if err != nil {
		return asked.failureOf(err, p)
	}
	s.clean = true
	return nil
}

func (s *statement) answer(ctx context.Context, asked asked, sql string, p *plan.Plan) error {
	switch {
	case s.question.Describe && asked.explain != "":
		return s.process.out.WriteJSON(pipe.Shape, 0, pipe.Description{Columns: planColumns})
	case s.question.Describe:
		return s.describe(ctx, sql)
	case asked.prepare:
		if err := s.check(ctx, sql); err != nil {
			return err
		}
		return s.empty() // the name is gone with the request
	case asked.explain != "":
		return s.explain(ctx, asked.explain+sql, p)
	default:
		return s.query(ctx, sql)
	}
}

// plan finds out what the statement reads, and what it is in DuckDB's words.
func (s *statement) plan(ctx context.Context, asked asked) (*plan.Plan, string, error) {
	if m := columnsOf.FindStringSubmatch(asked.sql); m != nil {
		where, err := s.describedIs(m[1])
		if err != nil {
			return nil, "", err
		}
		asked.sql = "SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable FROM information_schema.columns" + where
	}
	tree, err := s.tree(ctx, asked.sql)
	if err != nil {
		return nil, "", err
	}
	if failed, _ := tree["error"].(bool); failed {
		again, ok := asked.again()
		if !ok {
			return nil, "", asked.refusal(tree)
		}
		if tree, err = s.tree(ctx, again); err != nil {
			return nil, "", err
		}
		if failed, _ = tree["error"].(bool); failed {
			return nil, "", asked.refusal(tree)
		}
	}
	described, err := s.describes(tree, asked)
	if err != nil {
		return nil, "", err
	}
	if described != "" {
		if tree, err = s.tree(ctx, described); err != nil {
			return nil, "", err
		}
	}
	p, err := s.planner.Plan(tree)
	if err != nil {
		return nil, "", err
	}
	raw, err := json.Marshal(p.Tree)
	if err != nil {
		return nil, "", fmt.Errorf("encode a syntax tree: %w", err)
	}
	sql, err := s.text(ctx, string(raw))
	return p, sql, err
}

// views makes the views that the statement reads. release is to be called in any case.
func (s *statement) views(ctx context.Context, p *plan.Plan) (release func(), err error) {
	var releases []func()
	release = func() {
		// The views stay, and are of no use: the next one of its name takes the place of each, and no plan has it before.
		for _, free := range releases {
			free()
		}
		for _, x := range s.streams {
			x.close()
		}
	}
	views, err := duckdb.NewArrowFromConn(s.conn)
	if err != nil {
		return release, err
	}
	for i, q := range p.Scans {
		schema, err := s.catalog.Table(q.Table).Schema(q.Columns)
		if err != nil {
			return release, err
		}
		x := newStream(s.process, q, schema)
		s.streams = append(s.streams, x)
		name := s.viewName(p, i)
		free, err := views.RegisterView(x, name)
		if err != nil {
			return release, err
		}
		releases = append(releases, free)
		if p.Repeats {
			copied := "CREATE TEMP TABLE " + plan.ViewName(i) + " AS SELECT * FROM " + name
			if _, err := s.conn.ExecContext(ctx, copied, nil); err != nil {
				return release, err
			}
		}
	}
	return release, nil
}

// viewName is the view over the stream of a scan. The plan reads that, or a table that is made of it.
func (s *statement) viewName(p *plan.Plan, i int) string {
	if p.Repeats {
		return "stream_" + plan.ViewName(i)
	}
	return plan.ViewName(i)
}

func (s *statement) scanFailure() error {
	for _, x := range s.streams {
		if f := x.failed(); f != nil {
			return f
		}
	}
	return nil
}

// query sends the rows of a statement.
func (s *statement) query(ctx context.Context, sql string) error {
	rows, err := s.reader(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Release()
	out := newResult(s.process.out, rows.Schema())
	for rows.Next() {
		if err := out.write(rows.RecordBatch()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return out.close()
}

func (s *statement) reader(ctx context.Context, sql string) (array.RecordReader, error) {
	a, err := duckdb.NewArrowFromConn(s.conn)
	if err != nil {
		return nil, err
	}
	return a.QueryContext(ctx, sql)
}

// explain sends the plan of a statement, with what is scanned for it.
func (s *statement) explain(ctx context.Context, sql string, p *plan.Plan) error {
	rows, err := s.conn.QueryContext(ctx, sql, nil)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var physical strings.Builder
	columns := len(rows.Columns())
	for {
		values := make([]driver.Value, columns)
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		physical.WriteString(fmt.Sprint(values[len(values)-1]))
	}
	analyze := strings.Contains(sql, "ANALYZE")
	for i, q := range p.Scans {
		physical.WriteString("\n" + s.scanLine(q, s.streams[i], analyze))
	}
	kind := "physical_plan"
	if analyze {
		kind = "Plan with Metrics"
	}
	return s.texts([]string{"plan_type", "plan"}, []string{kind, physical.String()})
}

// planColumns are those of EXPLAIN.
var planColumns = []pipe.Column{{Name: "plan_type", Type: "text"}, {Name: "plan", Type: "text"}}

// texts sends one row of texts.
func (s *statement) texts(columns, row []string) error {
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		fields[i] = arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, v := range row {
		b.Field(i).(*array.StringBuilder).Append(v)
	}
	record := b.NewRecordBatch()
	defer record.Release()
	out := newResult(s.process.out, schema)
	if err := out.write(record); err != nil {
		return err
	}
	return out.close()
}

// empty sends no rows of no columns.
func (s *statement) empty() error {
	return newResult(s.process.out, arrow.NewSchema(nil, nil)).close()
}

// result writes an Arrow stream. Nothing is sent before there is a batch, or the end: until then a statement can
// fail as a whole.
type result struct {
	out    *pipe.Writer
	schema *arrow.Schema // of the engine
	shape  *shape
	enc    *ipc.Writer
	buf    pieces
}

// pieces gathers what the encoder writes.
type pieces struct{ b []byte }

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	p.b = append(p.b, b...)
	return len(b), nil
}

func newResult(out *pipe.Writer, schema *arrow.Schema) *result {
	return &result{out: out, schema: schema}
}

func (r *result) begin(first arrow.RecordBatch) {
	r.shape = newShape(r.schema, first)
	r.enc = ipc.NewWriter(&r.buf, ipc.WithSchema(r.shape.schema))
}

func (r *result) write(batch arrow.RecordBatch) error {
	if batch.NumRows() == 0 {
		return nil
	}
	if r.enc == nil {
		r.begin(batch)
	}
	shaped, err := r.shape.of(batch)
	if err != nil {
		return err
	}
	defer shaped.Release()
	if err := r.enc.Write(shaped); err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	return r.flush()
}

func (r *result) close() error {
	if r.enc == nil {
		r.begin(nil)
	}
	if err := r.enc.Close(); err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	return r.flush()
}

func (r *result) flush() error {
	if len(r.buf.b) == 0 {
		return nil
	}
	b := r.buf.b
	r.buf.b = b[:0]
	if len(b) > pipe.PayloadMax {
		return pipe.Failuref(http.StatusInternalServerError, prefix+"Resources exhausted: a batch of the result has %d bytes", len(b))
	}
	return r.out.Write(pipe.Result, 0, b)
}
