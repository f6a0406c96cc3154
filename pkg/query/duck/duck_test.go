//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/plan"
)

func openTest(t testing.TB) *engine {
	t.Helper()
	all, err := newCatalogs()
	if err != nil {
		t.Fatal(err)
	}
	e, err := open(context.Background(), pipe.Config{MemoryBytes: 256 << 20, SpillDir: t.TempDir(), Threads: 2}, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

func testStatement(e *engine, sql string) *statement {
	p := &process{out: pipe.NewWriter(io.Discard), scans: map[uint32]*stream{}}
	return newStatement(e, p, pipe.Question{SQL: sql, Partitions: 24})
}

// What is scanned for a statement: columns, filters, limits. testdata/plan tells it by examples.
func TestPlan(t *testing.T) {
	e := openTest(t)
	datadriven.RunTest(t, "testdata/plan", func(t *testing.T, d *datadriven.TestData) string {
		s := testStatement(e, d.Input)
		asked, err := classify(d.Input)
		var p *plan.Plan
		var sql string
		if err == nil {
			p, sql, err = s.plan(context.Background(), asked)
		}
		if errors.Is(err, errNothing) {
			return "no rows\n"
		}
		if err != nil {
			var f *pipe.Failure
			if errors.As(err, &f) {
				return fmt.Sprintf("%d %s\n", f.Status, f.Message)
			}
			return err.Error() + "\n"
		}
		if d.Cmd == "sql" {
			return sql + "\n"
		}
		var b strings.Builder
		for i, q := range p.Scans {
			fmt.Fprintf(&b, "%s: %s(%s)", plan.ViewName(i), q.Table, strings.Join(q.Columns, " "))
			for _, f := range q.Filters {
				fmt.Fprintf(&b, " [%s]", filterText(f))
			}
			if q.Limit > 0 {
				fmt.Fprintf(&b, " limit %d", q.Limit)
			}
			if q.Top != nil {
				fmt.Fprintf(&b, " top %d by %s", q.Top.Rows, q.Top.Column)
				if q.Top.Descending {
					b.WriteString(" desc")
				}
			}
			b.WriteString("\n")
		}
		if p.Repeats {
			b.WriteString("read more than once\n")
		}
		return b.String()
	})
}

// operator is a node of a plan.
type operator struct {
	Name     string         `json:"name"`
	Extra    map[string]any `json:"extra_info"`
	Children []operator     `json:"children"`
}

func (o operator) scans(f func(operator)) {
	if strings.TrimSpace(o.Name) == "ARROW_SCAN" {
		f(o)
	}
	for _, c := range o.Children {
		c.scans(f)
	}
}

// Scans of Arrow streams apply neither filters nor projections, and the engine must not count on it: rows would pass
// that must not, columns would have those of others. A filter that is optional may be ignored.
func TestNothingIsPushedIntoScans(t *testing.T) {
	e := openTest(t)
	b, err := os.ReadFile("../testdata/statements.sql")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, sql := range append(strings.Split(string(b), "\n;\n"),
		"SELECT value_length FROM state WHERE value_length > 3 AND key LIKE 'a%' AND service_name IS NOT NULL",
		"SELECT a.id FROM sys_journal a JOIN sys_invocation_status b ON a.id = b.id WHERE b.status = 'x' AND a.name > 'y' ORDER BY a.index LIMIT 3",
		"SELECT id FROM sys_journal WHERE id IN (SELECT id FROM sys_inbox WHERE sequence_number BETWEEN 1 AND 2)",
		"WITH x AS (SELECT id, name FROM sys_journal) SELECT a.name FROM x a JOIN x b USING (id) WHERE b.name = 'n'",
		"SELECT count(*) FROM sys_journal WHERE version = 2 AND raw_length IN (1, 2, 3)",
		"SELECT max(created_at) FROM sys_invocation_status WHERE created_at > now() - INTERVAL '1 hour'",
	) {
		s := testStatement(e, sql)
		asked, err := classify(sql)
		if err != nil {
			continue
		}
		p, out, err := s.plan(context.Background(), asked)
		if err != nil {
			continue // what cannot be planned is another test's
		}
		explainJSON(t, s, p, out, func(o operator) {
			seen++
			filters := fmt.Sprint(o.Extra["Filters"])
			projections, _ := o.Extra["Projections"].(string)
			if projections != "" || o.Extra["Filters"] != nil && !strings.HasPrefix(filters, "optional:") {
				t.Errorf("pushed into a scan: %v\n%.300s", o.Extra, sql)
			}
		})
	}
	if seen < 250 {
		t.Errorf("only %d scans were seen", seen)
	}
}

func explainJSON(t *testing.T, s *statement, p *plan.Plan, sql string, scan func(operator)) {
	t.Helper()
	ctx := context.Background()
	var err error
	if s.conn, err = s.connect(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.conn.Close() }()
	release, err := s.views(ctx, p)
	defer release()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{conn: s.conn}
	text, err := e.explained(ctx, sql)
	if err != nil {
		t.Errorf("%v\n%s", err, sql)
		return
	}
	var plans []operator
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, o := range plans {
		o.scans(scan)
	}
}

func (e *engine) explained(ctx context.Context, sql string) (string, error) {
	rows, err := e.conn.QueryContext(ctx, "EXPLAIN (FORMAT json) "+sql, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	values := make([]driver.Value, 2)
	if err := rows.Next(values); err != nil {
		return "", err
	}
	return fmt.Sprint(values[1]), nil
}
