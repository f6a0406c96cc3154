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
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/pkg/query/pipe"
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
	}
}

// A scan that never ends is opened by the statement that the test cancels.
func blocked(opened chan<- struct{}) partitions {
	return partitions{scan: func(ctx context.Context, _ id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
		select {
		case opened <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
}

func TestCancel(t *testing.T) {
	opened := make(chan struct{}, 1)
	e := start(t, blocked(opened), func(c *query.Config) { c.ConcurrentMax = 1 })
	ctx, cancel := context.WithCancelCause(context.Background())
	group := lifecycle.NewGroup(context.Background())
	group.Go("statement", func(context.Context) error {
		_, err := e.Query(ctx, "SELECT count(*) FROM sys_journal")
		return err
	})
	<-opened
	cancel(errTest)
	if err := group.Wait(); !errors.Is(err, errTest) {
		t.Errorf("the statement ended with %v", err)
	}
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK { // the slot is free again
		t.Errorf("the next one: %d %s", status, body)
	}
}

// children are the query processes of this test.
func children(t *testing.T) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(tasks) == 0 {
		t.Skip("this system does not tell which processes there are")
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// A process that dies costs its statement; one that dies while it waits costs nothing.
func TestProcessDies(t *testing.T) {
	opened := make(chan struct{}, 1)
	e := start(t, blocked(opened))
	group := lifecycle.NewGroup(context.Background())
	group.Go("statement", func(context.Context) error {
		_, err := e.Query(context.Background(), "SELECT count(*) FROM sys_journal")
		return err
	})
	<-opened
	for _, pid := range children(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	var failed *pipe.Failure
	if err := group.Wait(); !errors.As(err, &failed) || failed.Status != http.StatusInternalServerError || !strings.Contains(failed.Message, "killed") {
		t.Errorf("the statement ended with %v", err)
	}
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK {
		t.Fatalf("the next one: %d %s", status, body)
	}
	waiting := children(t) // for a statement
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK || len(waiting) != 1 || !slices.Equal(waiting, children(t)) {
		t.Errorf("it is not used again: %d %s, %v then %v", status, body, waiting, children(t))
	}
	for _, pid := range waiting {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := post(e, "SELECT 2 AS two"); status != http.StatusOK || body != `{"rows":[{"two":2}]}` {
		t.Errorf("the one after that: %d %s", status, body)
	}
}

// A statement that wants more than its share fails alone.
func TestMemory(t *testing.T) {
	e := start(t, partitions{}, func(c *query.Config) { c.MemoryBytes, c.ConcurrentMax = 64<<20, 1 })
	status, body := post(e, "SELECT list(i) FROM range(100000000) t(i)")
	if status != http.StatusInternalServerError || !strings.Contains(body, "Resources exhausted") {
		t.Errorf("%d %.300s", status, body)
	}
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK {
		t.Errorf("the next one: %d %s", status, body)
	}
}

// What fails after the first rows leaves no document that looks whole.
func TestFailureAfterRows(t *testing.T) {
	e := start(t, partitions{})
	server := httptest.NewServer(e)
	defer server.Close()
	sql := `{"query": "SELECT CASE WHEN i < 9000000 THEN 1 ELSE CAST('x' AS INT) END AS v FROM range(10000000) t(i)"}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(sql))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusOK && (err == nil || strings.HasSuffix(string(b), "]}")) {
		t.Errorf("status %d, %d bytes, error %v", resp.StatusCode, len(b), err)
	}
	server.Client().CloseIdleConnections()
}

func TestScanFails(t *testing.T) {
	e := start(t, partitions{scan: func(context.Context, id.Partition, *scan.Request, func(scan.Batch) error) error { return errTest }})
	status, body := post(e, "SELECT count(*) FROM sys_inbox")
	if status != http.StatusInternalServerError || !strings.Contains(body, errTest.Error()) {
		t.Errorf("%d %s", status, body)
	}
}

// What a scan is asked for, and that it is asked for no more than that.
func TestScanIsAskedFor(t *testing.T) {
	asked := make(chan string, 100)
	e := start(t, partitions{scan: func(_ context.Context, p id.Partition, r *scan.Request, _ func(scan.Batch) error) error {
		asked <- fmt.Sprint(p, " ", r.Table, r.Columns)
		return nil
	}})
	one := id.WorkflowInvocation("Flow", "k")
	status, body := post(e, "SELECT status FROM sys_invocation WHERE id = '"+one.String()+"'")
	if status != http.StatusOK || body != `{"rows":[]}` {
		t.Fatalf("%d %s", status, body)
	}
	close(asked)
	var got []string
	for a := range asked {
		got = append(got, a)
	}
	slices.Sort(got)
	at := id.PartitionOf(one.PartitionKey(), 4)
	stored := fmt.Sprintf("%d sys_invocation_status[id status]", at)
	if len(got) == 0 || got[len(got)-1] != stored || len(got) > 2 {
		t.Errorf("asked for %q", got)
	}
}

func TestAnswers(t *testing.T) {
	e := start(t, partitions{})
	for _, row := range []struct {
		sql    string
		status int
		body   string // begins so
	}{
		{"SELECT 1 AS one, NULL AS nothing, 'x' AS text", 200, `{"rows":[{"one":1,"text":"x"}]}`},
		{"SELECT 18446744073709551615 AS big, 1.5 AS half, true AS yes", 200, `{"rows":[{"big":18446744073709551615,"half":1.5,"yes":true}]}`},
		{`SELECT CAST('\xAB\x01' AS BLOB) AS raw, [1, NULL, 3] AS list`, 200, `{"rows":[{"raw":"ab01","list":[1,null,3]}]}`},
		{"SELECT TIMESTAMPTZ '2026-11-22 00:45:47.728Z' AS at, DATE '2026-01-01' AS day", 200, `{"rows":[{"at":"2026-11-22T00:45:47.728Z","day":"2026-01-01"}]}`},
		{"SELECT TIMESTAMPTZ '2026-11-22 00:00:01Z' - TIMESTAMPTZ '2026-11-21 00:00:00.5Z' AS d", 200, `{"rows":[{"d":"PT86400.5S"}]}`},
		{"SELECT count(*), 7 / 2 AS q, sum(i) FROM range(4) t(i)", 200, `{"rows":[{"count(*)":4,"q":3,"sum(t.i)":6}]}`},
		{"SELECT to_unixtime(date_bin(INTERVAL '60 seconds', TIMESTAMPTZ '1970-01-01 00:02:03Z', TIMESTAMP '1970-01-01T00:00:00')) AS b", 200, `{"rows":[{"b":120}]}`},
		{"SELECT j ->> 'a' AS a, json_get_int(j, 'b') AS b, json_get_str(j, 'b') AS s FROM (VALUES ('{\"a\":\"x\",\"b\":5}'), ('no json')) t(j)", 200, `{"rows":[{"a":"x","b":5},{}]}`},
		{"SELECT x FROM (VALUES (2), (NULL), (1)) t(x) ORDER BY x DESC", 200, `{"rows":[{},{"x":2},{"x":1}]}`},
		{"SET x = 1", 200, `{"rows":[]}`},
		{"SELECT name FROM sys_service", 200, `{"rows":[]}`},
		{"SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 'state'", 200, `{"rows":[{"n":9}]}`},
		{"SELECT nope FROM state", 500, `{"message":"Datafusion error: Schema error: No field named nope.`},
		{"SELECT nope(1)", 500, `{"message":"Datafusion error: Error during planning: Invalid function 'nope'.`},
		{"SELECT CAST('x' AS INT)", 500, `{"message":"Datafusion error: Arrow error: Cast error:`},
		{"SELECT * FROM nope", 500, `{"message":"Datafusion error: Error during planning: table 'restate.public.nope' not found"}`},
		{"", 400, `{"message":"Datafusion error: Error during planning: No SQL statements were provided in the query string"}`},
		{"SELEC 1", 400, `{"message":"Datafusion error: SQL error: ParserError(`},
		{"DROP TABLE state", 400, `{"message":"Datafusion error: Error during planning: DDL not supported: DROP"}`},
		{"SELECT " + strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000), 200, `{"rows":[{"Int64(1)":1}]}`},
		{strings.Repeat("SELECT * FROM (", 100) + "SELECT 1" + strings.Repeat(")", 100), 400, `{"message":"Datafusion error: Error during planning: queries are nested more than 64 deep"}`},
		{"SELECT CAST(7 AS INT UNSIGNED) / 2 AS a, CAST(7 AS DOUBLE) / 2 AS b, -7 / 2 AS c", 200, `{"rows":[{"a":3,"b":3.5,"c":-3}]}`},
	} {
		if status, body := post(e, row.sql); status != row.status || !strings.HasPrefix(body, row.body) {
			t.Errorf("%.100s: %d %.300s, want %d %s", row.sql, status, body, row.status, row.body)
		}
	}
}

// What is wrong with the request itself is told in plain text.
func TestRequests(t *testing.T) {
	e := start(t, partitions{})
	for _, row := range []struct {
		method, kind, body string
		status             int
		answer             string
	}{
		{http.MethodGet, "", "", 405, ""},
		{http.MethodPost, "", `{"query":"SELECT 1"}`, 415, "Expected request with `Content-Type: application/json`"},
		{http.MethodPost, "text/plain", `{"query":"SELECT 1"}`, 415, "Expected request with `Content-Type: application/json`"},
		{http.MethodPost, "application/json", `nope`, 400, "Failed to parse the request body as JSON"},
		{http.MethodPost, "application/json", `{}`, 422, "Failed to deserialize the JSON body into the target type: missing field `query`"},
		{http.MethodPost, "application/json", `{"query":1}`, 422, "Failed to deserialize the JSON body into the target type"},
		{http.MethodPost, "application/json", `{"query":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "Failed to buffer the request body"},
		{http.MethodPost, "application/json; charset=utf-8", `{"query":"SELECT 1","more":2}`, 200, "\xff\xff\xff\xff"},
	} {
		r := httptest.NewRequest(row.method, "/query", strings.NewReader(row.body))
		if row.kind != "" {
			r.Header.Set("Content-Type", row.kind)
		}
		r.Header.Set("Accept", "application/json, */*") // which is not the one that asks for JSON
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != row.status || !strings.HasPrefix(w.Body.String(), row.answer) {
			t.Errorf("%s %q %.40s: %d %.100q", row.method, row.kind, row.body, w.Code, w.Body.String())
		}
	}
}

var errTest = errors.New("as the test wishes")
