//go:build duckdb_arrow && cgo

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/pkg/query/postgres"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == query.ChildArg {
		os.Exit(duck.Main(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// partitions is a cluster without rows, whose scans the test may hold up.
type partitions struct {
	scan func(ctx context.Context) error
}

func (p partitions) Scan(ctx context.Context, _ id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
	if p.scan == nil {
		return nil
	}
	return p.scan(ctx)
}

// start serves a cluster with one service until the test ends, and returns the address.
func start(t *testing.T, p partitions, cfg postgres.Config) net.Addr {
	t.Helper()
	h := hosttest.Real(1)
	c := query.Default(2)
	c.Command, c.SpillDir = []string{os.Args[0], query.ChildArg}, t.TempDir()
	registry := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{
		Id: make([]byte, 16), Uri: "http://localhost:9080/", MinProtocolVersion: 5, MaxProtocolVersion: 6, CreatedAtMs: 1_700_000_000_500,
		Services: []*storedv1.Service{{Name: "Greeter", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1}},
	}}}, schema.Default())
	e, err := query.New(c, query.Parts{Partitions: p, Count: func() uint32 { return 1 }, Registry: func() *schema.Registry { return registry }}, h)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.New(cfg, ln, e, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	group := lifecycle.NewGroup(ctx)
	group.Go("engine", e.Run)
	group.Go("server", s.Run)
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	<-s.Ready()
	return ln.Addr()
}

func connect(t *testing.T, at net.Addr) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), "postgres://somebody@"+at.String()+"/restate?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // the server may have closed it
	return c
}

func rowsOf(r *pgconn.Result) string {
	var lines []string
	for _, row := range r.Rows {
		var cells []string
		for _, c := range row {
			if c == nil {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, string(c))
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return strings.Join(lines, "\n")
}

// Values are of the types that Postgres has for them, also through the extended protocol and with parameters.
func TestTypes(t *testing.T) {
	c := connect(t, start(t, partitions{}, postgres.Default()))
	const sql = `SELECT endpoint, min_service_protocol_version, created_at, services, id IS NOT NULL AS some, NULL AS nothing,
 CAST(18446744073709551615 AS UBIGINT) AS big, CAST('\xAB\x01' AS BLOB) AS raw, 1.5 AS half, count(*) OVER () AS n, INTERVAL '90 seconds' AS long FROM sys_deployment`
	const row = `http://localhost:9080/|5|2023-11-14 22:13:20.5+00|{Greeter}|t||18446744073709551615|\xab01|1.5|1|00:01:30.000000`
	oids := []uint32{25, 20, 1184, 1009, 16, 20, 1700, 17, 701, 20, 1186}
	check := func(how string, r *pgconn.Result) {
		t.Helper()
		if r.Err != nil || rowsOf(r) != row || r.CommandTag.String() != "SELECT 1" {
			t.Errorf("%s: %v %s\n%s", how, r.Err, r.CommandTag, rowsOf(r))
			return
		}
		for i, f := range r.FieldDescriptions {
			if f.DataTypeOID != oids[i] && f.Name != "nothing" {
				t.Errorf("%s: %s is of type %d, want %d", how, f.Name, f.DataTypeOID, oids[i])
			}
		}
	}
	simple, err := c.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	check("simple", simple[0])
	check("extended", c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read())

	several, err := c.Exec(t.Context(), "BEGIN; SELECT 1 AS one; SET x = 2; SHOW TIME ZONE; COMMIT").ReadAll()
	if err != nil || len(several) != 5 || rowsOf(several[1]) != "1" || rowsOf(several[3]) != "UTC" || c.TxStatus() != 'I' {
		t.Errorf("several: %v %v", several, err)
	}
	if _, err := c.Exec(t.Context(), "BEGIN").ReadAll(); err != nil || c.TxStatus() != 'T' {
		t.Errorf("BEGIN: %v, %c", err, c.TxStatus())
	}
	d, err := c.Prepare(t.Context(), "mine", "SELECT name, revision FROM sys_service WHERE name = $1 AND revision >= $2 LIMIT $3", nil)
	if err != nil || fmt.Sprint(d.ParamOIDs) != "[25 1700 20]" {
		t.Fatalf("%v %v", d, err)
	}
	for name, want := range map[string]string{"Greeter": "Greeter|1", "it's": ""} {
		if r := c.ExecPrepared(t.Context(), "mine", [][]byte{[]byte(name), []byte("1"), []byte("10")}, nil, nil).Read(); r.Err != nil || rowsOf(r) != want {
			t.Errorf("%s: %v %s", name, r.Err, rowsOf(r))
		}
	}
	binary := c.ExecParams(t.Context(), "SELECT $1 + 1 AS n", [][]byte{{0, 0, 0, 0, 0, 0, 0, 41}}, []uint32{20}, []int16{1}, []int16{1}).Read()
	if binary.Err != nil || rowsOf(binary) != "\x00\x00\x00\x00\x00\x00\x00\x2a" {
		t.Errorf("binary: %v %q", binary.Err, rowsOf(binary))
	}
	for sql, code := range map[string]string{
		"SELEC 1": "42601", "SELECT nope FROM state": "42703", "SELECT * FROM nope": "42P01", "SELECT nope(1)": "42883", "DROP TABLE state": "25006",
		"SELECT CAST('x' AS INT)": "22P02", "SHOW nope": "42704",
	} {
		var failed *pgconn.PgError
		if _, err := c.Exec(t.Context(), sql).ReadAll(); !errors.As(err, &failed) || failed.Code != code {
			t.Errorf("%s: %v, want %s", sql, err, code)
		}
	}
	if r := c.ExecParams(t.Context(), "SELECT 2 AS two", nil, nil, nil, nil).Read(); r.Err != nil || rowsOf(r) != "2" {
		t.Errorf("after errors: %v", r.Err)
	}
}

// What Grafana's query builder and its macros send.
func TestGrafana(t *testing.T) {
	c := connect(t, start(t, partitions{}, postgres.Default()))
	for _, row := range []struct{ sql, want string }{
		{"SELECT current_setting('server_version_num')::int/100 AS version", "1600"},
		{"SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", ""},
		{`SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
 FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) AS i,
 string_to_array(current_setting('search_path'),',') s) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
 FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema','pg_catalog') ORDER BY 1 LIMIT 2`, "state\nsys_deployment"},
		{`SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
 WHERE CASE WHEN array_length(parse_ident('sys_service'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('sys_service'))[1] AND quote_ident(table_name) = (parse_ident('sys_service'))[2]
 ELSE quote_ident(table_name) = 'sys_service' END`, "name|text\nrevision|numeric\npublic|boolean\nty|text\ndeployment_id|text"},
		{`SELECT floor(extract(epoch from created_at)/300)*300 AS "time", count(*) AS n FROM sys_deployment
 WHERE created_at BETWEEN '2023-11-14T00:00:00Z' AND '2023-11-15T00:00:00Z' GROUP BY 1 ORDER BY 1`, "1699999800|1"},
	} {
		for how, r := range map[string]*pgconn.Result{
			"extended": c.ExecParams(t.Context(), row.sql, nil, nil, nil, nil).Read(),
		} {
			if r.Err != nil || rowsOf(r) != row.want {
				t.Errorf("%s: %v\n%s\ngot %s", how, r.Err, row.sql, rowsOf(r))
			}
		}
	}
	r := c.ExecParams(t.Context(), "SELECT count(*) AS n FROM sys_deployment WHERE created_at > $1 AND created_at <= $2", [][]byte{
		[]byte("2023-11-14 00:00:00+00"), []byte("2023-11-15 00:00:00+00"),
	}, nil, nil, nil).Read()
	if r.Err != nil || rowsOf(r) != "1" {
		t.Errorf("%v %s", r.Err, rowsOf(r))
	}
}

// A client that cancels, or leaves, ends its scan.
func TestCancel(t *testing.T) {
	opened, ended := make(chan struct{}, 2), make(chan error, 2)
	at := start(t, partitions{scan: func(ctx context.Context) error {
		opened <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return context.Cause(ctx)
	}}, postgres.Default())
	c := connect(t, at)
	group := lifecycle.NewGroup(t.Context())
	group.Go("statement", func(ctx context.Context) error {
		var failed *pgconn.PgError
		if _, err := c.Exec(ctx, "SELECT count(*) FROM sys_inbox").ReadAll(); !errors.As(err, &failed) || failed.Code != "57014" {
			return fmt.Errorf("it ended with %w", err)
		}
		return nil
	})
	<-opened
	if err := c.CancelRequest(t.Context()); err != nil {
		t.Error(err)
	}
	<-ended
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	leaving := connect(t, at)
	group = lifecycle.NewGroup(t.Context())
	group.Go("statement", func(ctx context.Context) error {
		if _, err := leaving.Exec(ctx, "SELECT count(*) FROM sys_inbox").ReadAll(); err == nil {
			return errors.New("it was answered")
		}
		return nil
	})
	<-opened
	if err := leaving.Conn().Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestTooManyConnections(t *testing.T) {
	at := start(t, partitions{}, postgres.Config{ConnectionsMax: 1})
	first := connect(t, at)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := pgconn.Connect(ctx, "postgres://x@"+at.String()+"/restate?sslmode=disable"); err == nil {
		t.Error("a second client is connected")
	}
	if r := first.ExecParams(t.Context(), "SELECT 1 AS one", nil, nil, nil, nil).Read(); r.Err != nil {
		t.Error(r.Err)
	}
}

// The real psql lists, describes and reads.
func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed: apt-get install postgresql-client")
	}
	at := start(t, partitions{}, postgres.Default())
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ command, want string }{
		{`SELECT name, ty, public FROM sys_service`, "Greeter|service|t"},
		{`SELECT count(*) FROM sys_invocation`, "0"},
		{`SELECT id FROM sys_deployment WHERE 'Greeter' = ANY(services)`, "dp_1"},
		{`\d`, "public|sys_invocation|view|reprise"},
		{`\dt`, "public|sys_journal|table|reprise"},
		{`\d sys_invocation`, "created_at|timestamp with time zone|||"},
		{`\d state`, "value|bytea|||"},
		{`\dn`, "public|reprise"},
		{`\l`, "restate|reprise|UTF8"},
		{`\du`, "reprise|"},
		{`\df`, ""},
	} {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-A", "-t", "-h", host, "-p", port, "-U", "x", "-d", "restate", "-v", "ON_ERROR_STOP=1", "-c", row.command)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), row.want) {
			t.Errorf("%s: %v\n%s", row.command, err, out)
		}
	}
}
