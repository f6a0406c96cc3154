package cases

import (
	"fmt"
	"strings"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

func init() {
	add("introspection",
		Case{
			Name: "sys-invocation", Desc: "Read the row of a completed invocation.",
			Expect: "id, target and its parts, status, times, who invoked it, result, deployment, protocol version",
			Run: func(t *T) {
				k := t.Key("si")
				r := t.Call("/Counter/"+k+"/add", 1, nil)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				row := t.SQL("SELECT * FROM sys_invocation WHERE id = %s", harness.Quote(id))[0]
				for c, want := range map[string]string{
					"target": "Counter/" + k + "/add", "target_service_name": "Counter", "target_service_key": k,
					"target_handler_name": "add", "target_service_ty": "virtual_object", "invoked_by": "ingress",
					"status": "completed", "completion_result": "success", "pinned_deployment_id": t.Env.Endpoints["main"].Deployment.ID,
				} {
					t.Eq(row.Str(c), want, c)
				}
				for _, c := range []string{"created_at", "modified_at", "running_at", "completed_at"} {
					if _, err := time.Parse(time.RFC3339Nano, row.Str(c)); err != nil {
						t.Errorf("%s is %q", c, row.Str(c))
					}
				}
				if v, r := int(row.Num("pinned_service_protocol_version")), t.Env.Setup.Versions; v < r.Min || v > r.Max {
					t.Errorf("pinned_service_protocol_version %v is not in %s", v, r)
				}
			},
		},
		Case{
			Name: "failed-invocation", Desc: "Read the row of an invocation that ended with a terminal error.",
			Expect: "completion_result failure and the message in completion_failure",
			Run: func(t *T) {
				r := t.Post("/Failing/terminal", j("message", "recorded", "code", 410)).Want(t, 410)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				row := t.SQL("SELECT completion_result, completion_failure FROM sys_invocation WHERE id = %s", harness.Quote(id))[0]
				t.Eq(row.Str("completion_result"), "failure", "completion_result")
				if !strings.Contains(row.Str("completion_failure"), "recorded") {
					t.Fatalf("completion_failure %q", row.Str("completion_failure"))
				}
			},
		},
		Case{
			Name: "sys-journal", Desc: "Read the journal of an invocation with state, call, step and sleep.",
			Expect: "the entries in order, from Command: Input to Command: Output; entry_json of the calls names the target",
			Run: func(t *T) {
				k := t.Key("sj")
				r := t.Call("/Interpreter/"+k+"/interpret", []any{
					j("op", "set", "key", "a", "value", "1"), j("op", "sleep", "ms", 1), j("op", "run", "value", "x"),
					j("op", "call", "to", j("service", "Echo", "handler", "text", "body", "y")), j("op", "send", "to", j("service", "Echo", "handler", "text", "body", "z"))}, nil)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				var types []string
				rows := t.SQL(`SELECT "index", entry_type, entry_json FROM sys_journal WHERE id = %s ORDER BY "index"`, harness.Quote(id))
				for i, row := range rows {
					t.Eq(int(row.Num("index")), i, "index")
					types = append(types, row.Str("entry_type"))
				}
				all := strings.Join(types, ", ")
				t.Eq(types[0], "Command: Input", "first entry")
				t.Eq(types[len(types)-1], "Command: Output", "last entry")
				for _, want := range []string{"Command: SetState", "Command: Sleep", "Notification: Sleep", "Command: Run", "Notification: Run", "Command: Call", "Notification: Call", "Command: OneWayCall"} {
					if !strings.Contains(all, want) {
						t.Errorf("no entry %q in: %s", want, all)
					}
				}
				entries := 0
				for _, e := range column(rows, "entry_json") {
					if strings.Contains(e, `"Echo"`) && strings.Contains(e, `"text"`) {
						entries++
					}
				}
				t.Eq(entries, 2, "entries whose entry_json names the called handler")
			},
		},
		Case{
			Name: "services-and-deployments", Desc: "Read sys_service and sys_deployment, and join them.",
			Expect: "one row per service with revision, visibility, type and deployment",
			Run: func(t *T) {
				rows := t.SQL("SELECT s.name, s.ty, s.public, d.endpoint FROM sys_service s JOIN sys_deployment d ON s.deployment_id = d.id WHERE s.name IN ('Echo', 'Counter', 'Flow', 'Hidden') ORDER BY s.name")
				t.Eq(column(rows, "name"), []string{"Counter", "Echo", "Flow", "Hidden"}, "names")
				t.Eq(column(rows, "ty"), []string{"virtual_object", "service", "workflow", "service"}, "types")
				t.Eq(column(rows, "public"), []string{"true", "true", "true", "false"}, "public")
				t.Eq(strings.TrimRight(rows[0].Str("endpoint"), "/"), t.Env.Endpoints["main"].URI, "endpoint")
			},
		},
		Case{
			Name: "sys-promise", Desc: "Read the promises of a workflow.",
			Expect: "a row for each resolved promise with its value",
			Run: func(t *T) {
				w := t.Key("sp")
				t.Call("/Flow/"+w+"/resolve", j("name", "p1", "value", "x"), nil)
				rows := t.SQL("SELECT key, completed, completion_success_value_utf8 FROM sys_promise WHERE service_name = 'Flow' AND service_key = %s", harness.Quote(w))
				t.Eq(len(rows), 1, "rows")
				t.Eq(rows[0].Str("key")+" "+rows[0].Str("completed")+" "+rows[0].Str("completion_success_value_utf8"), `p1 true "x"`, "row")
			},
		},
		Case{
			Name: "aggregates", Desc: "Count invocations by group, with ORDER BY, LIMIT and LIKE.",
			Expect: "SQL as one expects it",
			Run: func(t *T) {
				k := t.Key("ag")
				for i := range 5 {
					t.Call(fmt.Sprintf("/Counter/%s-%d/add", k, i%2), 1, nil)
				}
				rows := t.SQL("SELECT target_service_key AS k, count(*) AS n FROM sys_invocation WHERE target_service_key LIKE %s GROUP BY target_service_key ORDER BY n DESC LIMIT 1", harness.Quote(k+"%"))
				t.Eq(len(rows), 1, "rows")
				t.Eq(rows[0].Str("k"), k+"-0", "key")
				t.Eq(int(rows[0].Num("n")), 3, "count")
				rows = t.SQL("SELECT sum(CAST(value_utf8 AS BIGINT)) AS s FROM state WHERE service_name = 'Counter' AND service_key LIKE %s", harness.Quote(k+"%"))
				t.Eq(int(rows[0].Num("s")), 5, "sum over the states")
			},
		},
		Case{
			Name: "statuses", Desc: "Bring invocations into the statuses running, suspended, scheduled, backing-off and completed.",
			Expect: "sys_invocation shows each",
			Run: func(t *T) {
				g := t.Key("gate")
				defer probe.Open(g)
				for want, s := range map[string]harness.Sent{
					"running":     t.Send("/Counter/"+t.Key("r")+"/addSlow", services.SlowAdd{Gate: g}),
					"suspended":   t.Send("/SuspAwakeables/"+t.Key("s")+"/wait", nil),
					"scheduled":   t.Send("/Echo/text", "x", harness.Query("delay", "1h")),
					"backing-off": t.Send("/Failing/slowRetry", services.Tries{Probe: t.Key("b"), Fail: 9}),
					"completed":   t.Send("/Echo/text", "x"),
				} {
					t.KillQuietly(s.InvocationID)
					t.WaitStatus(s.InvocationID, want)
				}
			},
		},
		Case{
			Name: "awaited", Desc: "Read what a running attempt awaits, and what a suspended invocation waits for.",
			Expect: "suspended_waiting_future_json names the signal of the awakeable; last_awaiting_on_future_json does, if the attempt speaks version 7, else it is NULL",
			Run: func(t *T) {
				const awakeable = `{"Single":{"SignalIndex":17}}`
				susp := t.Send("/SuspAwakeables/"+t.Key("aw")+"/wait", nil)
				t.KillQuietly(susp.InvocationID)
				t.WaitStatus(susp.InvocationID, "suspended")
				row := t.SQL("SELECT suspended_waiting_future_json AS f, last_awaiting_on_future_json AS l FROM sys_invocation WHERE id = %s", harness.Quote(susp.InvocationID))[0]
				if !strings.Contains(row.Str("f"), awakeable) || row.Str("l") != "" {
					t.Errorf("suspended: it waits for %q, the attempt awaits %q", row.Str("f"), row.Str("l"))
				}
				if t.Env.Setup.Mode != harness.Bidi {
					return // no attempt of it waits
				}
				run := t.Send("/Awakeables/"+t.Key("aw")+"/wait", nil)
				t.KillQuietly(run.InvocationID)
				t.Eventually(0, "the attempt waits", func() error {
					row := t.SQL("SELECT status, pinned_service_protocol_version AS v, last_awaiting_on_future_json AS l, suspended_waiting_future_json AS f FROM sys_invocation WHERE id = %s", harness.Quote(run.InvocationID))[0]
					hint := strings.Contains(row.Str("l"), awakeable)
					if row.Str("status") != "running" || row.Str("v") == "" || hint != (row.Num("v") >= 7) || row.Str("f") != "" {
						return fmt.Errorf("the row is %v", row)
					}
					return nil
				})
			},
		},
		Case{
			Name: "tables", Desc: "List the tables and columns through information_schema.",
			Expect: "the documented tables are there",
			Run: func(t *T) {
				have := map[string]bool{}
				for _, r := range t.SQL("SELECT table_name FROM information_schema.tables") {
					have[r.Str("table_name")] = true
				}
				for _, n := range []string{"sys_invocation", "sys_journal", "state", "sys_service", "sys_deployment", "sys_inbox", "sys_keyed_service_status", "sys_promise", "sys_journal_events", "sys_invocation_state"} {
					if !have[n] {
						t.Errorf("no table %s", n)
					}
				}
			},
		},
		Case{
			Name: "bad-queries", Desc: "Send SQL that does not parse, and SQL with an unknown column.",
			Expect: "an error status with a message, and no harm to the next query",
			Run: func(t *T) {
				for _, q := range []string{"SELEC nothing", "SELECT no_such_column FROM sys_invocation", "SELECT * FROM no_such_table"} {
					r := t.Admin("POST", "/query", map[string]string{"query": q}, harness.Header("accept", "application/json"))
					if r.Status < 400 {
						t.Errorf("%s: status %d", q, r.Status)
						continue
					}
					r.Err(t)
				}
				t.Eq(len(t.SQL("SELECT 1 AS one")), 1, "rows of the next query")
			},
		},
		Case{
			Name: "arrow-by-default", Desc: "Query without asking for JSON.",
			Expect: "an Arrow stream (content-type application/vnd.apache.arrow.stream)",
			Run: func(t *T) {
				r := t.Admin("POST", "/query", map[string]string{"query": "SELECT 1 AS one"}).Want(t, 200)
				t.Eq(r.Header.Get("content-type"), "application/vnd.apache.arrow.stream", "content-type")
				if len(r.Body) < 16 || string(r.Body[:4]) != "\xff\xff\xff\xff" {
					t.Fatalf("the body does not begin like an Arrow stream")
				}
			},
		},
	)
}
