//go:build duckdb_arrow && cgo

package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == query.ChildArg {
		os.Exit(duck.Main(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// partitions is a cluster without rows, unless scan is set.
type partitions struct {
	scan func(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error
}

func (p partitions) Scan(ctx context.Context, at id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
	if p.scan == nil {
		return nil
	}
	return p.scan(ctx, at, r, emit)
}

// start runs an engine until the test ends.
func start(t *testing.T, p partitions, change ...func(*query.Config)) *query.Engine {
	t.Helper()
	c := query.Default(2)
	c.Command = []string{os.Args[0], query.ChildArg}
	c.SpillDir = t.TempDir()
	for _, f := range change {
		f(&c)
	}
	registry := schema.NewRegistry(&storedv1.Schema{}, schema.Default())
	e, err := query.New(c, query.Parts{
		Partitions: p, Count: func() uint32 { return 4 }, Registry: func() *schema.Registry { return registry },
	}, hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	group := lifecycle.NewGroup(ctx)
	group.Go("engine", e.Run)
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(c.SpillDir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the spill folder: %v, %v", left, err)
		}
	})
	<-e.Ready()
	return e
}

// post sends a statement as clients do.
func post(e http.Handler, sql string) (status int, body string) {
	b, err := json.Marshal(map[string]string{"query": sql})
	if err != nil {
		return 0, err.Error()
	}
	r := httptest.NewRequest(http.MethodPost, "/query", bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// statement is one of those that clients send.
type statement struct{ label, sql string }

// statements reads testdata/statements.sql.
func statements(t *testing.T) (out []statement) {
	t.Helper()
	b, err := os.ReadFile("testdata/statements.sql")
	if err != nil {
		t.Fatal(err)
	}
	label := ""
	var sql strings.Builder
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(line, "-- "):
			label = strings.TrimSpace(line[3:])
		case strings.TrimSpace(line) == ";":
			out = append(out, statement{label, sql.String()})
			sql.Reset()
		case !strings.HasPrefix(line, "--"):
			sql.WriteString(line)
		}
	}
	if len(out) < 270 {
		t.Fatalf("%d statements", len(out))
	}
	return out
}

// Every statement that clients send is answered, and nothing is pushed into a scan, which could not do it.
func TestStatementsOfClients(t *testing.T) {
	e := start(t, partitions{})
	placeholder := regexp.MustCompile(`'inv[-_](?:ID)?([0-9a-z]*)'`) // of well-formed ids
	last := ""
	for _, s := range statements(t) {
		sql := placeholder.ReplaceAllStringFunc(s.sql, func(p string) string {
			return "'" + id.WorkflowInvocation("Flow", p).String() + "'"
		})
		status, body := post(e, sql)
		if strings.Contains(s.label, "NOT answerable") || strings.HasPrefix(s.label, "ui/metrics/") {
			if status == http.StatusOK {
				t.Errorf("%s is answered", s.label)
			}
			continue
		}
		if status != http.StatusOK {
			t.Errorf("%s: %d %s\n%s", s.label, status, body, s.sql)
			continue
		}
		first := strings.ToLower(strings.Fields(sql)[0])
		if s.label == last || first != "select" && first != "with" {
			continue
		}
		last = s.label
		status, body = post(e, "EXPLAIN "+sql)
		if status != http.StatusOK {
			t.Errorf("%s: explained: %d %s", s.label, status, body)
		}
		// What is optional may be ignored.
		if strings.Contains(body, "Projections:") || strings.Count(body, "Filters:") != strings.Count(body, "optional:") {
			t.Errorf("%s: pushed into a scan: %s", s.label, body)
		}
	}
}

var errTest = errors.New("as the test wishes")

var _ = fmt.Sprint
var _ = io.EOF
