//go:build duckdb_arrow && cgo

package query_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query"
	"reprise/pkg/query/render"
	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
	"reprise/pkg/schema"
)

// startAt is start with a clock that the test moves, and with a cluster.
func startAt(t *testing.T, clock *hosttest.Clock, p partitions, cluster func() table.Cluster, change ...func(*query.Config)) *query.Engine {
	t.Helper()
	c := query.Default(2)
	c.Command, c.SpillDir = []string{os.Args[0], query.ChildArg}, t.TempDir()
	for _, f := range change {
		f(&c)
	}
	registry := schema.NewRegistry(&storedv1.Schema{}, schema.Default())
	e, err := query.New(c, query.Parts{
		Partitions: p, Count: func() uint32 { return 4 }, Registry: func() *schema.Registry { return registry },
		Node: func(p id.Partition) id.Node { return id.Node(p % 2) }, Cluster: cluster,
		Chains: func(_ context.Context, p id.Partition) (*storedv1.Chain, error) {
			l := &storedv1.Loglet{Id: uint64(p)<<32 | 1, SequencerNode: 1, SequencerGeneration: 3, Replication: "{node: 2}", Nodeset: []uint32{1, 2}}
			return &storedv1.Chain{Segments: []*storedv1.Segment{{Index: 0, Base: 1, Loglet: l}, {Index: 1, Base: 77, Loglet: l}}}, nil
		},
	}, hosttest.New(clock, 1))
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
	})
	<-e.Ready()
	return e
}

// More statements than the configured rate are refused, with the time after which there is room for one.
func TestRateLimit(t *testing.T) {
	clock := hosttest.NewClock()
	e := startAt(t, clock, partitions{}, nil, func(c *query.Config) { c.RatePerSecond, c.BurstMax = 0.25, 2 })
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/query", strings.NewReader(`{"query":"SELECT 1 AS one"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w
	}
	for i := range 2 {
		if w := ask(); w.Code != http.StatusOK {
			t.Fatalf("statement %d: %d %s", i, w.Code, w.Body)
		}
	}
	for _, row := range []struct {
		advance time.Duration
		status  int
		after   string
	}{{0, 429, "4"}, {2500 * time.Millisecond, 429, "2"}, {time.Second, 429, "1"}, {500 * time.Millisecond, 200, ""}, {0, 429, "4"}, {time.Hour, 200, ""}, {0, 200, ""}, {0, 429, "4"}} {
		clock.Advance(row.advance)
		w := ask()
		if w.Code != row.status || w.Header().Get("Retry-After") != row.after {
			t.Errorf("after %s: %d, Retry-After %q, want %+v", row.advance, w.Code, w.Header().Get("Retry-After"), row)
		}
		if w.Code == 429 && w.Body.String() != `{"message":"Rate limited"}` {
			t.Errorf("%s", w.Body)
		}
	}
}

// admin.query-engine.rate-limiting may change while an engine runs.
func TestRateIsLive(t *testing.T) {
	clock := hosttest.NewClock()
	c := query.Default(2)
	e := startAt(t, clock, partitions{}, nil)
	taken := func() (n int) {
		for n < 5 {
			if status, _ := post(e, "SELECT 1 AS one"); status != http.StatusOK {
				break
			}
			n++
		}
		return n
	}
	for _, row := range []struct {
		rate    float64
		burst   uint32
		advance time.Duration
		want    int
	}{{0, 0, 0, 5}, {1, 2, 0, 2}, {1, 4, time.Hour, 4}, {1, 3, 0, 0}, {1, 3, 2 * time.Second, 2}, {0, 0, 0, 5}} {
		e.SetLimits(c.MemoryBytes, row.rate, row.burst)
		clock.Advance(row.advance)
		if n := taken(); n != row.want {
			t.Errorf("%d statements were taken, want %+v", n, row)
		}
	}
}

// admin.query-engine.memory-size may change while an engine runs: the next statement has the new share.
func TestMemoryIsLive(t *testing.T) {
	e := start(t, partitions{}, func(c *query.Config) { c.MemoryBytes, c.ConcurrentMax = 8<<30, 1 })
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK { // its process waits for the next one
		t.Fatalf("%d %s", status, body)
	}
	e.SetLimits(64<<20, 0, 0)
	if status, body := post(e, "SELECT list(i) FROM range(30000000) t(i)"); status != http.StatusInternalServerError || !strings.Contains(body, "Resources exhausted") {
		t.Errorf("%d %.300s", status, body)
	}
}

// leaderless is a partition that has no leader for the first times it is asked.
type leaderless struct {
	mu    sync.Mutex
	asked int
	until int
	err   error
}

func (l *leaderless) scan(_ context.Context, p id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p != 2 {
		return nil
	}
	if l.asked++; l.asked <= l.until {
		return l.err
	}
	return nil
}

// A scan waits for a new leader, but not for ever, and not for what waiting does not mend.
func TestScanWaitsForALeader(t *testing.T) {
	for _, row := range []struct {
		name   string
		l      *leaderless
		waits  int
		status int
		answer string
	}{
		{"soon", &leaderless{until: 4, err: errs.Newf(errs.NotLeader, "not here")}, 4, 200, `{"rows":[{"n":0}]}`},
		{"unreachable for a while", &leaderless{until: 2, err: errs.Newf(errs.Unavailable, "no leader")}, 2, 200, `{"rows":[{"n":0}]}`},
		{"never", &leaderless{until: 1 << 30, err: errs.Newf(errs.Unavailable, "gone for good")}, 20, 500, "partition 2 had no leader for 10s: gone for good"},
		{"broken", &leaderless{until: 1 << 30, err: errs.Newf(errs.Corrupt, "bad bytes")}, 0, 500, "bad bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			clock := hosttest.NewClock()
			e := startAt(t, clock, partitions{scan: row.l.scan}, nil, func(c *query.Config) { c.QuickTime = 0 })
			armed := clock.Armed() // the engine's own
			type outcome struct {
				status int
				body   string
			}
			done := make(chan outcome, 1)
			group := lifecycle.NewGroup(context.Background())
			group.Go("statement", func(context.Context) error {
				status, body := post(e, "SELECT count(*) AS n FROM sys_inbox")
				done <- outcome{status, body}
				return nil
			})
			for range row.waits {
				clock.Await(armed + 1)
				clock.Advance(500 * time.Millisecond)
			}
			got := <-done
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			if got.status != row.status || !strings.Contains(got.body, row.answer) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// priorities are the different ones of the threads of a process.
func priorities(t *testing.T, pid int) (out []string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		out = append(out, strings.Fields(rest)[16])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A statement that takes long gives way with all of its threads; the next one does not pay for that.
func TestLongStatementGivesWay(t *testing.T) {
	clock := hosttest.NewClock()
	opened, goOn := make(chan struct{}), make(chan struct{})
	e := startAt(t, clock, partitions{scan: func(_ context.Context, p id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
		if p == 0 {
			opened <- struct{}{}
			<-goOn
		}
		return nil
	}}, nil)
	for range 2 {
		group := lifecycle.NewGroup(context.Background())
		group.Go("statement", func(context.Context) error {
			if status, body := post(e, "SELECT count(*) AS n FROM sys_journal"); status != http.StatusOK {
				return fmt.Errorf("%d %s", status, body)
			}
			return nil
		})
		<-opened
		pids := children(t)
		if len(pids) != 1 {
			t.Fatalf("%d processes", len(pids))
		}
		quick := priorities(t, pids[0])
		if len(quick) != 1 {
			t.Fatalf("it begins with priorities %v", quick)
		}
		base, err := strconv.Atoi(quick[0])
		if err != nil {
			t.Fatal(err)
		}
		want := quick
		if base < 10 { // else it cannot have its priority back here, so that it gives way always
			want = []string{strconv.Itoa(base + 10)}
			clock.Await(2) // that of the engine and that of the statement
			clock.Advance(100 * time.Millisecond)
		}
		for !slices.Equal(priorities(t, pids[0]), want) {
			runtime.Gosched() // until the timer was seen
		}
		goOn <- struct{}{}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// Rows that were sent cannot be taken back: a leader that is lost then is an error of the statement.
func TestLeaderLostAfterRows(t *testing.T) {
	asked := 0
	e := start(t, partitions{scan: func(_ context.Context, p id.Partition, _ *scan.Request, emit func(scan.Batch) error) error {
		if p != 0 {
			return nil
		}
		asked++
		if err := emit(scan.Batch{Rows: 1, Data: inboxBatch(t)}); err != nil {
			return err
		}
		return errs.Newf(errs.NotLeader, "moved away")
	}})
	status, body := post(e, "SELECT service_name FROM sys_inbox")
	if status != http.StatusInternalServerError || !strings.Contains(body, "moved away") || asked != 1 {
		t.Errorf("%d %s, asked %d times", status, body, asked)
	}
}

// inboxBatch is a row of sys_inbox with its service_name alone.
func inboxBatch(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "service_name", Type: arrow.BinaryTypes.LargeString, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.LargeStringBuilder).Append("Counter")
	record := b.NewRecordBatch()
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := errors.Join(w.Write(record), w.Close()); err != nil {
		t.Error(err) // of a goroutine that is not the test's
	}
	return out.Bytes()
}

// EXPLAIN ANALYZE tells of each scan what it brought, from where, in which time.
func TestExplainAnalyze(t *testing.T) {
	e := startAt(t, hosttest.NewClock(), partitions{scan: func(_ context.Context, _ id.Partition, _ *scan.Request, emit func(scan.Batch) error) error {
		return emit(scan.Batch{Rows: 1, Data: inboxBatch(t)})
	}}, nil)
	status, body := post(e, "EXPLAIN ANALYZE SELECT service_name FROM sys_inbox")
	for _, want := range []string{
		`"plan_type":"Plan with Metrics"`, `table_name: \"sys_inbox\"`, "partitions=4", "projection=[service_name]",
		"metrics=[output_rows=4, output_bytes=", "output_batches=4, elapsed=0s, remote_nodes=1]",
	} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: no %s in %s", status, want, body)
		}
	}
	one := id.WorkflowInvocation("Flow", "k").String()
	if _, body := post(e, "EXPLAIN SELECT status FROM sys_invocation_status WHERE id = '"+one+"' LIMIT 50"); !strings.Contains(body, "partitions=1, projection=[id, status], predicate=id IN ("+one+")") {
		t.Errorf("%s", body)
	}
	if status, body := post(e, "EXPLAIN ANALYZE FORMAT TREE SELECT 1"); status != http.StatusBadRequest || !strings.Contains(body, "EXPLAIN ANALYZE with FORMAT is not supported") {
		t.Errorf("%d %s", status, body)
	}
}

// What is known of the cluster, and what is not yet.
func TestCluster(t *testing.T) {
	e := startAt(t, hosttest.NewClock(), partitions{}, func() table.Cluster {
		return table.Cluster{
			Nodes: []*storedv1.Node{
				{Id: 1, Generation: 3, Name: "a", Roles: []string{"worker", "admin"}, WorkerState: storedv1.WorkerState_WORKER_STATE_ACTIVE, Version: "0.1.0"},
				{Id: 2, Generation: 1, Name: "b", Roles: []string{"log-server"}, StorageState: storedv1.StorageState_STORAGE_STATE_READ_WRITE},
			},
			Alive:   map[uint32]uint32{1: 3},
			Epochs:  []*storedv1.Epoch{{Epoch: 5, Node: 1, Generation: 3, Replicas: []uint32{1, 2}}, {Replicas: []uint32{2}, Next: []uint32{2, 1}}},
			Self:    id.GenerationalNode{Node: 1, Generation: 3},
			Setting: []table.Setting{{Key: "admin.bind-port", Value: "9070"}},
		}
	})
	for _, row := range []struct {
		sql, rows string
		warning   string
	}{
		{"SELECT plain_node_id, gen_node_id, state, name, has_worker_role, has_log_server_role, storage_state, worker_state, binary_version FROM nodes", `{"rows":[` +
			`{"plain_node_id":"N1","gen_node_id":"N1:3","state":"alive","name":"a","has_worker_role":true,"has_log_server_role":false,"worker_state":"active","binary_version":"0.1.0"},` +
			`{"plain_node_id":"N2","gen_node_id":"N2:1","state":"dead","name":"b","has_worker_role":false,"has_log_server_role":true,"storage_state":"read-write"}]}`, ""},
		{"SELECT partition_id, start_key, end_key, log_id, leader_gen_node_id, leader_epoch, current_replica_set FROM partitions", `{"rows":[` +
			`{"partition_id":0,"start_key":0,"end_key":9223372036854775807,"log_id":0,"leader_gen_node_id":"N1:3","leader_epoch":"e5","current_replica_set":"N1, N2"},` +
			`{"partition_id":1,"start_key":9223372036854775808,"end_key":18446744073709551615,"log_id":1,"current_replica_set":"N2"}]}`, ""},
		{"SELECT plain_node_id, alive_gen_node_id, is_leader, leader_epoch FROM partition_replica_set WHERE partition_id = 0", `{"rows":[` +
			`{"plain_node_id":"N1","alive_gen_node_id":"N1:3","is_leader":true,"leader_epoch":"e5"},{"plain_node_id":"N2"}]}`, ""},
		{"SELECT next_replica_set FROM partitions WHERE partition_id = 1", `{"rows":[{"next_replica_set":"N2, N1"}]}`, ""},
		{"SELECT plain_node_id, membership FROM partition_replica_set WHERE partition_id = 1", `{"rows":[` +
			`{"plain_node_id":"N2","membership":"current"},{"plain_node_id":"N1","membership":"next"}]}`, ""},
		{"SELECT segment_index, base_lsn, kind, loglet_id, sequencer, replication, nodeset FROM logs WHERE log_id = 1 AND segment_index = 1", `{"rows":[` +
			`{"segment_index":1,"base_lsn":77,"kind":"replicated","loglet_id":"1_1","sequencer":"N1:3","replication":"{node: 2}","nodeset":"[N1, N2]"}]}`, ""},
		{"SELECT log_id, segment_index FROM logs_tail_segments", `{"rows":[{"log_id":0,"segment_index":1},{"log_id":1,"segment_index":1}]}`, ""},
		{"SELECT plain_node_id, key, value FROM config", `{"rows":[{"plain_node_id":"N1","key":"admin.bind-port","value":"9070"}]}`, "only this node"},
		{"SELECT count(*) AS n FROM partition_state", `{"rows":[{"n":0}]}`, "no node reports such rows yet"},
	} {
		rows, err := e.Ask(t.Context(), query.Cluster, row.sql)
		if err != nil {
			t.Errorf("%s: %v", row.sql, err)
			continue
		}
		var b bytes.Buffer
		if err := render.JSON(&b, rows, func() error { return nil }); err != nil || b.String() != row.rows {
			t.Errorf("%s: %v\n got %s\nwant %s", row.sql, err, b.String(), row.rows)
		}
		if got := strings.Join(rows.Warnings(), "\n"); (row.warning == "") != (got == "") || !strings.Contains(got, row.warning) {
			t.Errorf("%s: warning %q, want %q", row.sql, got, row.warning)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	for sql, d := range map[string]query.Dialect{"SELECT 1 FROM sys_invocation": query.Cluster, "SELECT 1 FROM nodes": query.Users} {
		if _, err := e.Ask(t.Context(), d, sql); err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	var pieces bytes.Buffer
	warnings, err := e.Cluster(t.Context(), "SELECT key FROM config", func(b []byte) error {
		_, err := pieces.Write(b)
		return err
	})
	if err != nil || len(warnings) != 1 || pieces.Len() == 0 {
		t.Errorf("%d bytes, %q, %v", pieces.Len(), warnings, err)
	}
	if _, err := e.Cluster(t.Context(), "SELEC", nil); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

// What a statement takes and gives is told without running it.
func TestDescribe(t *testing.T) {
	e := start(t, partitions{scan: func(context.Context, id.Partition, *scan.Request, func(scan.Batch) error) error {
		return errors.New("it is scanned")
	}})
	for _, row := range []struct{ sql, want string }{
		{"SELECT id, partition_key, created_at, retry_count > 3 AS often, journal_size, completion_retention FROM sys_invocation_status JOIN sys_invocation_state USING (id, partition_key)",
			"[{id text} {partition_key numeric} {created_at timestamptz} {often bool} {journal_size int8} {completion_retention interval}] []"},
		{"SELECT value, count(*) AS n, sum(value_length) AS s, avg(key_length) AS a FROM state GROUP BY value", "[{value bytea} {n int8} {s numeric} {a float8}] []"},
		{"SELECT services FROM sys_deployment", "[{services _text}] []"},
		{"SELECT id FROM sys_journal WHERE id = $1 AND index > $2 AND appended_at < $3 LIMIT $4", "[{id text}] [text int8 timestamptz int8]"},
		{"SET x = 1", "[] []"},
		{"EXPLAIN SELECT 1", "[{plan_type text} {plan text}] []"},
	} {
		d, err := e.Describe(t.Context(), query.Postgres, row.sql)
		if got := fmt.Sprint(d.Columns, d.Parameters); err != nil || got != row.want {
			t.Errorf("%s: %v\n got %s\nwant %s", row.sql, err, got, row.want)
		}
	}
	if _, err := e.Describe(t.Context(), query.Users, "SELECT nope FROM state"); err == nil || !strings.Contains(err.Error(), "No field named nope") {
		t.Error(err)
	}
	if got := children(t); len(got) > 1 { // the one process did for all
		t.Errorf("processes: %v", got)
	}
}

// Nothing that is asked ends more than its own query process, and the next statement is answered.
func TestHostileStatements(t *testing.T) {
	e := start(t, partitions{}, func(c *query.Config) { c.MemoryBytes, c.ConcurrentMax = 256<<20, 4 })
	written := filepath.Join(t.TempDir(), "must-not-be")
	deep := func(n int, open, middle, end string) string {
		return "SELECT " + strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	for _, row := range []struct {
		name, sql string
		status    []int
		answer    string
	}{
		{"2 MiB of constants", "SELECT '" + strings.Repeat("x", 2<<20-100) + "' AS x", []int{200}, `{"rows":[{"x":"xxx`},
		{"2 MiB of a list", "SELECT count(*) AS n FROM state WHERE key IN ('" + strings.Repeat("abcdefgh','", 180_000) + "')", []int{200, 500}, ""},
		{"10,000 brackets", deep(10_000, "(", "1", ")"), []int{200, 400, 500}, ""},
		{"10,000 functions", deep(10_000, "abs(", "1", ")"), []int{400, 500}, ""},
		{"10,000 queries", deep(10_000, "(SELECT ", "1", ")"), []int{400, 500}, ""},
		{"10,000 NOT", deep(10_000, "NOT ", "true", ""), []int{200, 400, 500}, ""},
		{"10,000 UNION", "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 10_000), []int{200, 400, 500}, ""},
		{"10,000 AND", "SELECT true" + strings.Repeat(" AND true", 10_000), []int{200, 400, 500}, ""},
		{"a join that explodes", "SELECT count(DISTINCT a.i * 1000000 + b.i) FROM range(1000000) a(i), range(1000000) b(i) ORDER BY 1", []int{500}, "Resources exhausted"},
		{"a sort that is too large", "SELECT count(*) FROM (SELECT i, repeat('x', 500) || i AS t FROM range(4000000) r(i) ORDER BY t DESC)", []int{200, 500}, ""},
		{"ATTACH", "ATTACH 'x.db' AS x", []int{400}, "DDL not supported: ATTACH"},
		{"COPY to a file", "COPY (SELECT 1) TO '" + written + "'", []int{400}, "DML not supported: COPY"},
		{"CREATE", "CREATE TABLE x AS SELECT 1", []int{400}, "DDL not supported: CREATE"},
		{"INSTALL", "INSTALL httpfs", []int{400}, "DDL not supported: INSTALL"},
		{"LOAD", "LOAD httpfs", []int{400}, "DDL not supported: LOAD"},
		{"PRAGMA", "PRAGMA enable_profiling", []int{400, 500}, ""},
		{"a file", "SELECT * FROM '/etc/passwd'", []int{500}, "not found"},
		{"read_text", "SELECT * FROM read_text('/etc/passwd')", []int{500}, "not found"},
		{"a pointer", "SELECT * FROM arrow_scan(1, 2, 3)", []int{500}, "not found"},
		{"duckdb_settings", "SELECT * FROM duckdb_settings()", []int{500}, "not found"},
		{"getenv", "SELECT getenv('HOME')", []int{400, 500}, ""},
	} {
		status, body := post(e, row.sql)
		if !slices.Contains(row.status, status) || !strings.Contains(body, row.answer) {
			t.Errorf("%s: %d %.300s", row.name, status, body)
		}
		if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK {
			t.Fatalf("after %s: %d %s", row.name, status, body)
		}
	}
	if _, err := os.Stat(written); err == nil {
		t.Error("a statement wrote a file")
	}
}

// Four sorts over the limit at once fail or spill, each alone.
func TestFourSortsAtOnce(t *testing.T) {
	e := start(t, partitions{}, func(c *query.Config) { c.MemoryBytes, c.ConcurrentMax = 256<<20, 4 })
	group := lifecycle.NewGroup(t.Context())
	for range 4 {
		group.Go("sort", func(context.Context) error {
			status, body := post(e, "SELECT list(t ORDER BY t) AS l FROM (SELECT repeat('x', 1000) || i AS t FROM range(1000000) r(i))")
			if status != http.StatusInternalServerError || !strings.Contains(body, "Resources exhausted") {
				return fmt.Errorf("%d %.300s", status, body)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if status, body := post(e, "SELECT 1 AS one"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}
