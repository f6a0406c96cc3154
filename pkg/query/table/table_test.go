package table

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/cockroachdb/pebble/v2/vfs"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// rows lends one store as partition 0.
type rows struct {
	store *partitionstore.Store
	live  []invocation.Live
}

func (r rows) Read(ctx context.Context, _ Reading, f func(context.Context, *partitionstore.Snapshot, []invocation.Live) error) error {
	snap, err := r.store.Snapshot()
	if err != nil {
		return err
	}
	err = f(ctx, snap, r.live)
	if cerr := snap.Close(); err == nil {
		err = cerr
	}
	return err
}

// random is a store, and the same in memory, after many random commands.
func random(t *testing.T, seed uint64) (*partitionstore.Store, *partitiontest.State) {
	t.Helper()
	h := hosttest.New(hosttest.NewClock(), 1)
	h.FS = vfs.NewMem()
	shared := partitionstore.NewShared(1 << 20)
	s, err := partitionstore.Open(partitionstore.Default(), h, "p", shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := shared.Close(); err != nil {
			t.Error(err)
		}
	})
	r := rand.New(rand.NewPCG(seed, seed))
	st := partitiontest.New()
	w := partitiontest.NewRandom(st, r.IntN)
	for range 600 {
		raw := w.Next()
		for _, into := range []partition.State{st, s.View()} {
			rec, err := command.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := partition.Apply(into, rec, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	return s, st
}

func newTestScanner(t *testing.T, r Reader) (*Scanner, *Catalog) {
	t.Helper()
	c, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	registry := schema.NewRegistry(nil, schema.Defaults{})
	return NewScanner(c, r, func() uint32 { return 1 }, func() *schema.Registry { return registry }, 1), c
}

// read returns the rows of a request as texts, NULL as "-".
func read(t *testing.T, s *Scanner, q *scan.Request) (out [][]string) {
	t.Helper()
	err := s.Scan(context.Background(), 0, q, func(b scan.Batch) error {
		r, err := ipc.NewReader(bytes.NewReader(b.Data))
		if err != nil {
			return err
		}
		defer r.Release()
		n := 0
		for r.Next() {
			batch := r.RecordBatch()
			for i := range int(batch.NumRows()) {
				row := make([]string, batch.NumCols())
				for c := range row {
					if row[c] = "-"; !batch.Column(c).IsNull(i) {
						row[c] = batch.Column(c).ValueStr(i)
					}
				}
				out = append(out, row)
				n++
			}
		}
		if n != b.Rows {
			return fmt.Errorf("batch of %d rows says %d", n, b.Rows)
		}
		return r.Err()
	})
	if err != nil {
		t.Fatalf("%s: %v", q.Table, err)
	}
	return out
}

// What the tables say is what the state is.
func TestTablesAgreeWithState(t *testing.T) {
	seen, events := 0, 0
	for seed := range uint64(5) {
		store, st := random(t, seed)
		s, _ := newTestScanner(t, rows{store: store})
		missing := map[id.Invocation]bool{}
		for n := range partitiontest.IDs {
			if inv, _ := st.Invocation(partitiontest.ID(n)); inv != nil && !inv.Hidden() { // never fails
				missing[inv.ID] = true
				events += compareEvents(t, s, st, inv)
			}
		}
		for _, row := range read(t, s, &scan.Request{Table: "sys_invocation_status", Columns: []string{"id", "status", "journal_size", "journal_commands_size", "modified_at"}}) {
			i, err := id.ParseInvocation(row[0])
			if err != nil {
				t.Fatal(err)
			}
			inv, err := st.Invocation(i)
			if err != nil || inv == nil {
				t.Fatalf("invocation %s: %v", i, err)
			}
			seen++
			delete(missing, i)
			if inv.Hidden() {
				t.Errorf("%s is told", i)
			}
			index, err := st.Journal(inv)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{i.String(), statusNames[inv.Row.Status], "-", "-"}
			entriesKept := index.Entries
			if inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED {
				entriesKept = inv.Row.JournalEntries // 0: dropped
			}
			if entriesKept > 0 {
				want[2], want[3] = fmt.Sprint(index.Entries), fmt.Sprint(index.Commands)
			}
			if !slices.Equal(row[:4], want) {
				t.Errorf("row is %q, want %q", row, want)
			}
			entries := read(t, s, &scan.Request{Table: "sys_journal", Columns: []string{"index", "entry_type", "entry_json"},
				Filters: []scan.Filter{{Column: "id", Values: []string{i.String()}}}})
			if len(entries) != int(entriesKept) {
				t.Errorf("%s has %d entries, not %d", i, len(entries), entriesKept)
			}
			for n, e := range entries {
				if e[0] != fmt.Sprint(n) || e[2] == "-" {
					t.Errorf("entry %d is %q", n, e)
				}
			}
		}
		if len(missing) > 0 {
			t.Errorf("not told: %v", missing)
		}
		for _, row := range read(t, s, &scan.Request{Table: "sys_keyed_service_status", Columns: []string{"service_name", "service_key", "invocation_id"}}) {
			if l, taken, err := st.Lock(row[0], row[1]); err != nil || !taken || l.Holder.String() != row[2] {
				t.Errorf("lock %q is held by %s: %v", row, l.Holder, err)
			}
		}
		for _, row := range read(t, s, &scan.Request{Table: "state", Columns: []string{"service_name", "service_key", "key", "value_utf8", "value_length"}}) {
			if v, ok, err := st.UserState(row[0], row[1], []byte(row[2])); err != nil || !ok || string(v) != row[3] || fmt.Sprint(len(v)) != row[4] {
				t.Errorf("state %q is %q: %v", row, v, err)
			}
		}
	}
	if seen < 30 || events < 10 {
		t.Errorf("only %d invocations and %d events", seen, events)
	}
}

// compareEvents compares the events of an invocation, and counts them.
func compareEvents(t *testing.T, s *Scanner, st *partitiontest.State, inv *invocation.Invocation) int {
	t.Helper()
	var want [][]string
	for n := range inv.Row.Events {
		e, err := st.Event(inv, n)
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			want = append(want, []string{fmt.Sprint(e.AfterEntry), eventTypes[e.Type], eventJSON(&eventRow{inv.ID, e})})
		}
	}
	got := read(t, s, &scan.Request{Table: "sys_journal_events", Columns: []string{"after_journal_entry_index", "event_type", "event_json"},
		Filters: []scan.Filter{{Column: "id", Values: []string{inv.ID.String()}}}})
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("events of %s are %q, want %q", inv.ID, got, want)
	}
	return len(got)
}

// A filter keeps exactly what it says, whether rows are looked up or walked; a limit cuts.
func TestFilters(t *testing.T) {
	store, _ := random(t, 7)
	s, c := newTestScanner(t, rows{store: store})
	r := rand.New(rand.NewPCG(1, 2))
	for name := range sources {
		if name == "sys_invocation_state" {
			continue
		}
		table := c.Table(name)
		var columns []string
		for _, column := range table.Columns {
			columns = append(columns, column.Name)
		}
		all := read(t, s, &scan.Request{Table: name, Columns: columns})
		for at, column := range table.Columns {
			if !column.Kind.Filterable() || column.Kind == Bool || len(all) == 0 {
				continue
			}
			f := scan.Filter{Column: column.Name, Values: []string{"nothing"}}
			for range 3 {
				if v := all[r.IntN(len(all))][at]; v != "-" {
					f.Values = append(f.Values, v)
				}
			}
			for _, f := range []scan.Filter{f, {Column: f.Column, Values: f.Values, Not: true}, {Column: f.Column, Null: true}, {Column: f.Column, Null: true, Not: true}} {
				var want []string
				for _, row := range all {
					null, in := row[at] == "-", slices.Contains(f.Values, row[at])
					if f.Null && null != f.Not || !f.Null && !null && in != f.Not {
						want = append(want, strings.Join(row, "|"))
					}
				}
				var got []string
				for _, row := range read(t, s, &scan.Request{Table: name, Columns: columns, Filters: []scan.Filter{f}}) {
					got = append(got, strings.Join(row, "|"))
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(want, got) {
					t.Errorf("%s where %+v: %d rows, want %d", name, f, len(got), len(want))
				}
			}
		}
		if n := len(read(t, s, &scan.Request{Table: name, Columns: columns[:1], Limit: 3})); n != min(3, len(all)) {
			t.Errorf("%s limit 3: %d rows", name, n)
		}
	}
}

// Cells have the names and kinds of the contract.
func TestCellsFitColumns(t *testing.T) {
	c, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, "sys_invocation_status", statusCells)
	check(t, c, "sys_invocation_state", liveCells)
	check(t, c, "sys_journal", journalCells)
	check(t, c, "sys_journal_events", eventCells)
	check(t, c, "sys_inbox", inboxCells)
	check(t, c, "sys_keyed_service_status", lockCells)
	check(t, c, "state", stateCells)
	check(t, c, "sys_promise", promiseCells)
	check(t, c, "sys_deployment", deploymentCells)
	check(t, c, "sys_service", serviceCells)
	check(t, c, "information_schema.columns", columnCells)
	check(t, c, "information_schema.tables", tableCells)
	check(t, c, "information_schema.schemata", schemaCells)
}

func check[R any](t *testing.T, c *Catalog, name string, cells []cell[R]) {
	for _, x := range cells {
		column := c.Table(name).Column(x.name)
		if column == nil {
			t.Errorf("%s has no column %s", name, x.name)
			continue
		}
		fits := false
		switch column.Kind {
		case Text, ShortText:
			fits = x.text != nil
		case Bytes:
			fits = x.bytes != nil
		case Bool, Uint32, Uint64, Time, Duration:
			fits = x.number != nil
		case Uint32s:
			fits = x.uints != nil
		case Texts:
			fits = x.texts != nil
		}
		if !fits {
			t.Errorf("%s.%s does not make %s", name, x.name, column.Type)
		}
	}
}

func TestLive(t *testing.T) {
	store, _ := random(t, 1)
	index, kind, name := uint32(1), uint32(0x0411), "charge"
	s, _ := newTestScanner(t, rows{store: store, live: []invocation.Live{
		{ID: partitiontest.ID(1), InFlight: true, Attempts: 2, LastStart: 5, Server: "sdk/1", Failure: &storedv1.AttemptFailure{
			Code: 500, Message: "boom", DocCode: "RT0007", RelatedCommandIndex: &index, RelatedCommandType: &kind, RelatedCommandName: &name}},
		{ID: partitiontest.ID(2), Attempts: 1, NextRetry: 9, Awaiting: &servicev1.Future{
			WaitingCompletions: []uint32{1}, WaitingSignals: []uint32{17}, WaitingNamedSignals: []string{"go"}, CombinatorType: 1,
			NestedFutures: []*servicev1.Future{{WaitingCompletions: []uint32{2}, CombinatorType: 2}},
		}},
	}})
	got := read(t, s, &scan.Request{Table: "sys_invocation_state", Columns: []string{"in_flight", "retry_count", "last_attempt_server", "last_failure",
		"last_failure_error_code", "last_failure_related_command_index", "last_failure_related_command_name", "last_failure_related_command_type", "last_attempt_deployment_id", "last_awaiting_on_future_json"}})
	want := "[[true 2 sdk/1 [500 Internal] boom RT0007 1 charge Run - -] [false 1 - - - - - - - " +
		`{"FirstCompleted":[{"Single":{"CompletionId":1}},{"Single":{"SignalIndex":17}},{"Single":{"SignalName":"go"}},{"AllCompleted":[{"Single":{"CompletionId":2}}]}]}]]`
	if fmt.Sprint(got) != want {
		t.Errorf("rows are %v, want %s", got, want)
	}
}

func TestStatic(t *testing.T) {
	c, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	d := id.NewDeployment(id.NewULID(1, [10]byte{}))
	registry := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{
		Id: d[:], Uri: "http://a:1/", MinProtocolVersion: 5, MaxProtocolVersion: 6, CreatedAtMs: 7,
		Services: []*storedv1.Service{{Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 3}},
	}}}, schema.Default())
	s := NewStatic(c, func() *schema.Registry { return registry })
	for table, want := range map[string]string{
		"sys_deployment": `{"id":"` + d.String() + `","ty":"http","endpoint":"http://a:1/","services":["S"]}`,
		"sys_service":    `{"name":"S","revision":3,"public":true,"ty":"service","deployment_id":"` + d.String() + `"}`,
	} {
		var columns []string
		for _, column := range c.Table(table).Columns {
			if column.Kind != Time && column.Kind != Uint32 {
				columns = append(columns, column.Name)
			}
		}
		err := s.Scan(context.Background(), &scan.Request{Table: table, Columns: columns}, func(b scan.Batch) error {
			r, err := ipc.NewReader(bytes.NewReader(b.Data))
			if err != nil {
				return err
			}
			defer r.Release()
			for r.Next() {
				text, err := r.RecordBatch().MarshalJSON()
				if err != nil {
					return err
				}
				got := strings.Join(strings.Fields(string(text)), "")
				for _, part := range strings.Split(strings.Trim(want, "{}"), ",") { // in whatever order
					if !strings.Contains(got, part) {
						t.Errorf("%s is %s, want %s", table, got, want)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The entries of a journal look as they do at the reference.
func TestEntryJSON(t *testing.T) {
	for _, c := range []struct {
		frame            []byte
		kind, full, lite string
	}{
		{partitiontest.SetState("a", "x"), "Command: SetState", `{"Command":{"SetState":{"key":"a","value":[120],"name":""}}}`, `{"Command":{"SetState":{"key":"a"}}}`},
		{partitiontest.Sleep(1, 5), "Command: Sleep", `{"Command":{"Sleep":{"wake_up_time":5,"completion_id":1,"name":""}}}`, `{"Command":{"Sleep":{"wake_up_time":5,"completion_id":1}}}`},
		{partitiontest.Run(1), "Command: Run", `{"Command":{"Run":{"completion_id":1,"name":""}}}`, `{"Command":{"Run":{"completion_id":1}}}`},
		{partitiontest.Frame(serviceproto.TypeSleep, &servicev1.SleepCommand{WakeUpTime: 5, ResultCompletionId: 1, Name: "nap"}), "Command: Sleep", `{"Command":{"Sleep":{"wake_up_time":5,"completion_id":1,"name":"nap"}}}`,
			`{"Command":{"Sleep":{"wake_up_time":5,"completion_id":1,"name":"nap"}}}`},
		{partitiontest.RunDone(1, "4"), "Notification: Run", `{"Notification":{"Completion":{"Run":{"completion_id":1,"result":{"Success":[52]}}}}}`,
			`{"Notification":{"ty":{"Completion":"Run"},"id":{"CompletionId":1},"result":"Success"}}`},
		{partitiontest.Output("x"), "Command: Output", `{"Command":{"Output":{"result":{"Success":[120]},"name":""}}}`, `{"Command":{"Output":{"result":"Success"}}}`},
		{partitiontest.OutputFailure(409, "no"), "Command: Output", `{"Command":{"Output":{"result":{"Failure":{"code":409,"message":"no"}},"name":""}}}`, `{"Command":{"Output":{"result":"Failure"}}}`},
		{partitiontest.ClearState("a"), "Command: ClearState", `{"Command":{"ClearState":{"key":"a","name":""}}}`, `{"Command":{"ClearState":{"key":"a"}}}`},
		{partitiontest.Input(""), "Command: Input", `{"Command":{"Input":{"headers":[],"payload":[],"name":""}}}`, `{"Command":{"Input":{}}}`},
	} {
		f, _, ok, err := serviceproto.NextFrame(c.frame, noLimit)
		if err != nil || !ok {
			t.Fatal(err)
		}
		r := entryRow{frame: f, callee: func(uint32) string { return "" }}
		if d := r.decode(); entryType(f.Type) != c.kind || d.full != c.full || d.lite != c.lite {
			t.Errorf("%s: %s\n%s", entryType(f.Type), d.full, d.lite)
		}
	}
}
