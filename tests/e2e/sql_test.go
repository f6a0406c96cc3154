package e2e

import (
	"net/http"
	"strings"
	"testing"

	"reprise/tests/e2e/harness"
)

// Whatever SQL is sent, the daemon that answers it stays the process that it was, and answers the next statement.
func TestHostileSQL(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		f := newForm(t, kind)
		c := harness.NewClient(f)
		t.Cleanup(c.Close)
		name := "standalone"
		if kind == "daemons" {
			name = "admin"
		}
		p, err := f.Process(name)
		ok(t, err)
		before := p.PID()
		ask := func(sql string) *harness.Response {
			t.Helper()
			r, err := c.Do(t.Context(), harness.Request{URL: f.Admin + "/query", Body: map[string]string{"query": sql}, Header: map[string]string{"Accept": "application/json"}})
			ok(t, err)
			return r
		}
		for _, row := range []struct {
			name, sql string
			status    []int
		}{
			{"2 MiB", "SELECT '" + strings.Repeat("x", 2<<20) + "'", []int{413}},
			{"10,000 queries in queries", strings.Repeat("SELECT (", 10_000) + "1" + strings.Repeat(")", 10_000), []int{400, 500}},
			{"a join that explodes", "SELECT count(DISTINCT a.i * 1000000 + b.i) FROM range(1000000) a(i), range(1000000) b(i)", []int{500}},
			{"a list over the limit", "SELECT list(i) FROM range(1000000000) t(i)", []int{500}},
			{"ATTACH", "ATTACH 'x' AS x", []int{400}},
			{"COPY", "COPY (SELECT 1) TO 'x'", []int{400}},
			{"CREATE", "CREATE TABLE x AS SELECT 1", []int{400}},
			{"INSTALL", "INSTALL httpfs", []int{400}},
			{"SET", "SET datafusion.execution.batch_size = 1", []int{200}},
		} {
			r := ask(row.sql)
			fits := false
			for _, s := range row.status {
				fits = fits || r.Status == s
			}
			if !fits {
				t.Errorf("%s: %d %.300s", row.name, r.Status, r.Body)
			}
			if r := ask("SELECT count(*) AS n FROM sys_invocation"); r.Status != http.StatusOK {
				t.Errorf("after %s: %d %s", row.name, r.Status, r.Body)
			}
			if p.PID() != before {
				t.Fatalf("after %s the daemon is process %d, it was %d", row.name, p.PID(), before)
			}
		}
	})
}
