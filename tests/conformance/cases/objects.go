package cases

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

func j(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

func init() {
	add("services",
		Case{
			Name: "call-chain-20", Desc: "A handler calls itself through the server, 20 deep.",
			Expect: "the result comes back through all levels",
			Run: func(t *T) {
				var n int
				t.Call("/Proxy/chain", j("depth", 20, "trace", ""), &n)
				t.Eq(n, 20, "levels")
			},
		},
		Case{
			Name: "fan-out-100", Desc: "A handler starts 100 calls at once and waits for all.",
			Expect: "100 results in the order of the calls",
			Run: func(t *T) {
				var out []string
				t.Call("/Proxy/fanOut", j("target", j("service", "Echo", "handler", "text"), "n", 100), &out)
				t.Eq(len(out), 100, "results")
				for i, s := range out {
					t.Eq(s, fmt.Sprint(i), fmt.Sprintf("result %d", i))
				}
			},
		},
		Case{
			Name: "fan-out-keys", Desc: "A handler calls 50 objects of different keys at once.",
			Expect: "each object answers from its own state",
			Run: func(t *T) {
				k := t.Key("fan")
				var out []services.Update
				t.Call("/Proxy/fanOut", j("target", j("service", "Counter", "key", k, "handler", "add", "body", 2), "n", 50, "perKey", true), &out)
				for i, u := range out {
					t.Eq(u, services.Update{Old: 0, New: 2}, fmt.Sprintf("object %d", i))
				}
			},
		},
		Case{
			Name: "one-way-send", Desc: "A handler sends one-way to an object three times.",
			Expect: "the sends run after the handler ended, each once",
			Run: func(t *T) {
				k := t.Key("ow")
				for range 3 {
					t.Call("/Proxy/send", j("service", "Counter", "key", k, "handler", "add", "body", 1), nil)
				}
				t.Eventually(0, "counter is 3", func() error { return counterIs(t, k, 3) })
			},
		},
		Case{
			Name: "delayed-send", Desc: "A handler sends one-way with a delay of 600 ms.",
			Expect: "the target runs 600 ms later; until then its status is scheduled",
			Run: func(t *T) {
				p := t.Key("ds")
				start := time.Now()
				var id string
				t.Call("/Proxy/send", j("service", "Timers", "handler", "stamp", "body", p, "delayMs", 600), &id)
				s, err := t.Status(id)
				t.Check(err, "status")
				if time.Since(start) < 500*time.Millisecond && s != "scheduled" {
					t.Errorf("status before the time is %q", s)
				}
				t.Attach(id).Want(t, 200)
				var ms int64
				_, _ = fmt.Sscan(probe.Lines(p)[0], &ms)
				if took := ms - start.UnixMilli(); took < 590 {
					t.Errorf("ran after %d ms", took)
				}
			},
		},
		Case{
			Name: "call-headers", Desc: "A handler sets headers on a call.",
			Expect: "the called handler sees them",
			Run: func(t *T) {
				var h map[string]string
				t.Call("/Proxy/call", j("service", "Echo", "handler", "headers", "void", true, "headers", j("x-inner", "yes")), &h)
				t.Eq(h["x-inner"], "yes", "x-inner")
			},
		},
		Case{
			Name: "callee-id", Desc: "A handler asks for the id of the invocation that it calls.",
			Expect: "the id is the one that the called handler sees, and that introspection shows as invoked by the caller",
			Run: func(t *T) {
				var o services.Outcome
				r := t.Call("/Proxy/tryCall", j("service", "Echo", "handler", "id", "void", true), &o)
				t.Eq(string(o.Value), `"`+o.InvocationID+`"`, "id")
				rows := t.SQL("SELECT invoked_by, invoked_by_id, invoked_by_target FROM sys_invocation WHERE id = %s", harness.Quote(o.InvocationID))
				t.Eq(len(rows), 1, "rows")
				t.Eq(rows[0].Str("invoked_by"), "service", "invoked_by")
				t.Eq(rows[0].Str("invoked_by_id"), r.Header.Get("x-restate-id"), "invoked_by_id")
				t.Eq(rows[0].Str("invoked_by_target"), "Proxy/tryCall", "invoked_by_target")
			},
		},
		Case{
			Name: "call-with-idempotency-key", Desc: "Two handlers call the same target with the same idempotency key.",
			Expect: "the target runs once and both get its result",
			Run: func(t *T) {
				p, k := t.Key("ci"), t.Key("key")
				var a, b int64
				t.Call("/Proxy/call", j("service", "Echo", "handler", "hit", "body", p, "idem", k), &a)
				t.Call("/Proxy/call", j("service", "Echo", "handler", "hit", "body", p, "idem", k), &b)
				t.Eq([]int64{a, b}, []int64{1, 1}, "results")
				t.Eq(probe.Hits(p), int64(1), "executions")
			},
		},
		Case{
			Name: "call-unknown-service", Desc: "A handler calls a service that is not registered yet, which is registered later.",
			Expect: "the caller is retried, not failed, and goes on once the service is there",
			Run: func(t *T) {
				name := strings.ReplaceAll(t.Key("Later"), "-", "")
				s := t.Send("/Proxy/call", j("service", name, "handler", "text", "body", "there"))
				t.KillQuietly(s.InvocationID)
				t.Eventually(0, "the caller backs off", func() error {
					rows, err := t.TrySQL("SELECT status, retry_count, last_failure FROM sys_invocation WHERE id = %s", harness.Quote(s.InvocationID))
					if err != nil {
						return err
					}
					if len(rows) == 0 || rows[0].Num("retry_count") < 1 {
						return fmt.Errorf("row %v", rows)
					}
					return nil
				})
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "there")
			},
		},
		Case{
			Name: "attach-inside-handler", Desc: "A handler sends one-way, then attaches to that invocation by its id.",
			Expect: "it gets the outcome, a value or a terminal error",
			Run: func(t *T) {
				var o services.Outcome
				t.Call("/Proxy/sendThenAttach", j("service", "Echo", "handler", "sleepy", "body", 100), &o)
				t.Eq(string(o.Value), `"awake"`, "value")
				t.Call("/Proxy/sendThenAttach", j("service", "Failing", "handler", "terminal", "body", j("message", "gone", "code", 410)), &o)
				t.Eq(o.Error, "gone", "error")
				t.Eq(o.Code, 410, "code")
			},
		},
		Case{
			Name: "attach-to-other-keys", Desc: "Handlers attach to invocations of 16 object keys while these run, and to an id that never was.",
			Expect: "each gets the outcome of its own; the last a terminal error with code 404",
			Run: func(t *T) {
				k := t.Key("at")
				var sent []harness.Sent
				for n := range 16 {
					key := fmt.Sprint(k, n)
					sent = append(sent, t.Send("/Proxy/sendThenAttach", j("service", "Awakeables", "key", key, "handler", "wait", "void", true)))
				}
				for n := range 16 {
					id := awakeableOf(t, fmt.Sprint("/Awakeables/", k, n, "/awakeable"))
					t.Call("/Completer/resolveAwakeable", j("id", id, "value", fmt.Sprint("of ", n)), nil)
				}
				for n, s := range sent {
					t.Attach(s.InvocationID).Want(t, 200).Has(t, fmt.Sprintf(`"of %d"`, n))
				}
				var o services.Outcome
				t.Call("/Proxy/attach", "inv_1bhtXYEptxY425g8fd8aVosZiXNpeYEtkR", &o)
				t.Eq(o.Code, 404, "code")
				t.Eq(o.Error, "not found", "error")
			},
		},
	)

	add("objects",
		Case{
			Name: "keys-isolated", Desc: "Add to two keys of the same object type.",
			Expect: "each key has its own state",
			Run: func(t *T) {
				a, b := t.Key("a"), t.Key("b")
				var u services.Update
				t.Call("/Counter/"+a+"/add", 1, nil)
				t.Call("/Counter/"+a+"/add", 2, &u)
				t.Eq(u, services.Update{Old: 1, New: 3}, "update of a")
				t.Call("/Counter/"+b+"/add", 5, &u)
				t.Eq(u, services.Update{Old: 0, New: 5}, "update of b")
			},
		},
		Case{
			Name: "exclusive-handlers-serialised", Desc: "Do 20 concurrent read-sleep-write updates of one key.",
			Expect: "never two at once, no update is lost",
			Run: func(t *T) {
				k := t.Key("ex")
				t.Check(harness.Parallel(20, 20, func(i int) error {
					return t.TryCall("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Ms: 5, Probe: k, Tag: fmt.Sprint(i)}, nil)
				}), "updates")
				t.Check(counterIs(t, k, 20), "sum")
				t.Eq(probe.MaxInside(k), int64(1), "invocations inside at once")
			},
		},
		Case{
			Name: "keys-run-in-parallel", Desc: "Hold one key and update another.",
			Expect: "the other key is not delayed",
			Run: func(t *T) {
				a, b, g := t.Key("a"), t.Key("b"), t.Key("gate")
				defer probe.Open(g)
				s := t.Send("/Counter/"+a+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the first holds its key", func() error { return atLeast(probe.Waiting(g), 1) })
				t.Call("/Counter/"+b+"/add", 1, nil)
				probe.Open(g)
				t.Attach(s.InvocationID).Want(t, 200)
			},
		},
		Case{
			Name: "shared-handler-beside-exclusive", Desc: "Read through a shared handler while an exclusive one holds the key.",
			Expect: "the read is answered at once with the last committed state",
			Run: func(t *T) {
				k, g := t.Key("sh"), t.Key("gate")
				defer probe.Open(g)
				t.Call("/Counter/"+k+"/add", 7, nil)
				s := t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the writer holds the key", func() error { return atLeast(probe.Waiting(g), 1) })
				t.Check(counterIs(t, k, 7), "read")
				probe.Open(g)
				t.Attach(s.InvocationID).Want(t, 200)
				t.Check(counterIs(t, k, 8), "read afterwards")
			},
		},
		Case{
			Name: "failure-frees-key", Desc: "Let an exclusive handler end with a terminal error.",
			Expect: "the next invocation of the key runs; what was written before the error stays",
			Run: func(t *T) {
				k := t.Key("ff")
				t.Post("/Counter/"+k+"/addThenFail", 4).Want(t, 418)
				var u services.Update
				t.Call("/Counter/"+k+"/add", 1, &u)
				t.Eq(u, services.Update{Old: 4, New: 5}, "update after the failure")
			},
		},
		Case{
			Name: "retry-writes-once", Desc: "Fail the attempt after a state write, twice.",
			Expect: "the write is not doubled by the retries",
			Run: func(t *T) {
				k := t.Key("fl")
				var u services.Update
				t.Call("/Counter/"+k+"/addFlaky", 3, &u)
				t.Eq(u, services.Update{Old: 0, New: 3}, "update")
				t.Check(counterIs(t, k, 3), "value")
				t.Eq(probe.Hits("flaky/"+k), int64(3), "attempts")
			},
		},
		Case{
			Name: "send-to-self", Desc: "An exclusive handler sends three requests to its own key.",
			Expect: "they wait for its end and run in order",
			Run: func(t *T) {
				k := t.Key("self")
				t.Call("/List/"+k+"/appendSelf", 3, nil)
				t.Eventually(0, "all appended", func() error {
					return listIs(t, k, []string{"self", "later-0", "later-1", "later-2"})
				})
			},
		},
		Case{
			Name: "call-shared-of-self", Desc: "An exclusive handler calls the shared handler of its own key.",
			Expect: "it is answered, without a deadlock",
			Run: func(t *T) {
				k := t.Key("peek")
				t.Call("/List/"+k+"/append", "x", nil)
				var n int
				t.Call("/List/"+k+"/peekSelf", nil, &n)
				t.Eq(n, 1, "length")
			},
		},
		Case{
			Name: "call-exclusive-of-self", Desc: "An exclusive handler calls an exclusive handler of its own key.",
			Expect: "it waits for itself (status of the inner one: pending), until it is cancelled; the key is free afterwards",
			Run: func(t *T) {
				k := t.Key("dead")
				s := t.Send("/List/"+k+"/callSelf", nil)
				t.KillQuietly(s.InvocationID)
				t.Eventually(0, "the inner call is pending", func() error {
					rows, err := t.TrySQL("SELECT status FROM sys_invocation WHERE target_service_key = %s AND target_handler_name = 'append'", harness.Quote(k))
					if err != nil {
						return err
					}
					if len(rows) != 1 || rows[0].Str("status") != "pending" {
						return fmt.Errorf("rows %v", rows)
					}
					return nil
				})
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
				t.Call("/List/"+k+"/append", "after", nil)
			},
		},
		Case{
			Name: "pending-and-inbox", Desc: "Queue two invocations behind one that holds the key.",
			Expect: "they are pending, in the inbox table in order, and the holder is in the keyed status table",
			Run: func(t *T) {
				k, g := t.Key("q"), t.Key("gate")
				defer probe.Open(g)
				a := t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the first holds the key", func() error { return atLeast(probe.Waiting(g), 1) })
				b := t.Send("/Counter/"+k+"/add", 1)
				c := t.Send("/Counter/"+k+"/add", 1)
				t.WaitStatus(b.InvocationID, "pending")
				t.WaitStatus(c.InvocationID, "pending")
				rows := t.SQL("SELECT id FROM sys_inbox WHERE service_name = 'Counter' AND service_key = %s ORDER BY sequence_number", harness.Quote(k))
				t.Eq(column(rows, "id"), []string{b.InvocationID, c.InvocationID}, "inbox")
				rows = t.SQL("SELECT invocation_id FROM sys_keyed_service_status WHERE service_name = 'Counter' AND service_key = %s", harness.Quote(k))
				t.Eq(column(rows, "invocation_id"), []string{a.InvocationID}, "holder")
				probe.Open(g)
				t.Attach(c.InvocationID).Want(t, 200)
			},
		},
	)

	add("ordering",
		Case{
			Name: "sends-in-order", Desc: "Send 60 requests to one key, each after the other was accepted.",
			Expect: "they run in the order of acceptance",
			Run: func(t *T) {
				k := t.Key("ord")
				var want []string
				var last harness.Sent
				for i := range 60 {
					want = append(want, fmt.Sprint(i))
					last = t.Send("/List/"+k+"/append", fmt.Sprint(i))
				}
				t.Attach(last.InvocationID).Want(t, 200)
				t.Check(listIs(t, k, want), "order")
			},
		},
		Case{
			Name: "sends-of-one-handler", Desc: "A handler sends 50 requests to one key.",
			Expect: "they run in the order of the code",
			Run: func(t *T) {
				k := t.Key("ordh")
				var ts []map[string]any
				var want []string
				for i := range 50 {
					ts = append(ts, j("service", "List", "key", k, "handler", "append", "body", fmt.Sprint(i)))
					want = append(want, fmt.Sprint(i))
				}
				t.Call("/Proxy/sendMany", ts, nil)
				t.Eventually(0, "order", func() error { return listIs(t, k, want) })
			},
		},
		Case{
			Name: "two-senders-interleave-in-order", Desc: "Two handlers send 20 requests each to one key.",
			Expect: "all 40 run, and those of one sender in its order",
			Run: func(t *T) {
				k := t.Key("two")
				t.Check(harness.Parallel(2, 2, func(i int) error {
					var ts []map[string]any
					for n := range 20 {
						ts = append(ts, j("service", "List", "key", k, "handler", "append", "body", fmt.Sprintf("%d/%02d", i, n)))
					}
					return t.TryCall("/Proxy/sendMany", ts, nil)
				}), "send")
				var l []string
				t.Eventually(0, "40 entries", func() error {
					if err := t.TryCall("/List/"+k+"/get", nil, &l); err != nil {
						return err
					}
					return atLeast(int64(len(l)), 40)
				})
				t.Eq(len(l), 40, "entries")
				prev := map[byte]string{}
				for _, s := range l {
					if s <= prev[s[0]] {
						t.Fatalf("%s came after %s", s, prev[s[0]])
					}
					prev[s[0]] = s
				}
			},
		},
		Case{
			Name: "calls-queue-in-order", Desc: "Queue ten sends behind a held key, then free it.",
			Expect: "they run one after another in the order of arrival",
			Run: func(t *T) {
				k, g, p := t.Key("qo"), t.Key("gate"), t.Key("p")
				defer probe.Open(g)
				t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the first holds the key", func() error { return atLeast(probe.Waiting(g), 1) })
				var want []string
				var last harness.Sent
				for i := range 10 {
					want = append(want, fmt.Sprint(i))
					last = t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Probe: p, Tag: fmt.Sprint(i)})
				}
				probe.Open(g)
				t.Attach(last.InvocationID).Want(t, 200)
				t.Eq(probe.Lines(p), want, "order")
				t.Check(counterIs(t, k, 11), "sum")
			},
		},
		Case{
			Name: "delayed-sends-by-time", Desc: "Send three requests to one key with delays of 900, 300 and 600 ms.",
			Expect: "they run in the order of their times",
			Run: func(t *T) {
				k := t.Key("dt")
				type one struct{ id, ms, at string }
				var sent []one
				for _, ms := range []string{"900", "300", "600"} {
					s := t.Send("/List/"+k+"/append", ms, harness.Query("delay", ms+"ms"))
					sent = append(sent, one{s.InvocationID, ms, s.ExecutionTime})
				}
				for _, s := range sent {
					t.Attach(s.id).Want(t, 200)
				}
				// On a slow machine the sends themselves take time: the times that were answered count.
				sort.Slice(sent, func(i, j int) bool { return sent[i].at < sent[j].at })
				t.Check(listIs(t, k, []string{sent[0].ms, sent[1].ms, sent[2].ms}), "order")
			},
		},
	)
}

func column(rows []harness.Row, c string) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Str(c))
	}
	return out
}

func atLeast(got, want int64) error {
	if got < want {
		return fmt.Errorf("have %d, want %d", got, want)
	}
	return nil
}

func counterIs(t *T, key string, want int64) error {
	var n int64
	if err := t.TryCall(harness.Path("Counter", key, "get"), nil, &n); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("the counter is %d, expected %d", n, want)
	}
	return nil
}

func listIs(t *T, key string, want []string) error {
	var l []string
	if err := t.TryCall(harness.Path("List", key, "get"), nil, &l); err != nil {
		return err
	}
	if fmt.Sprint(l) != fmt.Sprint(want) {
		return fmt.Errorf("the list is %v, expected %v", l, want)
	}
	return nil
}
