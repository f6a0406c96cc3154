package cases

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

// awakeableOf waits until the object has published the id of its awakeable.
func awakeableOf(t *T, path string) string {
	var id string
	t.Eventually(0, "the awakeable id is published at "+path, func() error {
		if err := t.TryCall(path, nil, &id); err != nil {
			return err
		}
		if id == "" {
			return fmt.Errorf("no id yet")
		}
		return nil
	})
	return id
}

func resolve(t *T, id string, v any) *harness.Resp {
	return t.Post("/restate/awakeables/"+id+"/resolve", v)
}

func init() {
	add("workflows",
		Case{
			Name: "run-once", Desc: "Run a workflow, then run it again with the same id.",
			Expect: "the second call is 409, the second send is PreviouslyAccepted with the same invocation id; the handler ran once",
			Run: func(t *T) {
				w := t.Key("wf")
				var s string
				r := t.Call("/Flow/"+w+"/run", j("text", "a"), &s)
				t.Eq(s, "done a", "output")
				t.Post("/Flow/"+w+"/run", j("text", "b")).Want(t, 409).Err(t)
				sent := t.Send("/Flow/"+w+"/run", j("text", "c"))
				t.Eq(sent.Status, "PreviouslyAccepted", "status")
				t.Eq(sent.InvocationID, r.Header.Get("x-restate-id"), "invocation id")
				t.Eq(probe.Hits("flow/"+w), int64(1), "executions")
			},
		},
		Case{
			Name: "promise-resolved-later", Desc: "A run waits for a promise that a shared handler resolves.",
			Expect: "output is not ready (470) before and the value after; attach waits for it",
			Run: func(t *T) {
				w := t.Key("wf")
				s := t.Send("/Flow/"+w+"/run", j("text", "a", "waitFor", "go"))
				t.Eq(s.Status, "Accepted", "status")
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 470)
				t.Call("/Flow/"+w+"/resolve", j("name", "go", "value", "v"), nil)
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 200).Has(t, `"a+v"`)
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 200).Has(t, `"a+v"`)
			},
		},
		Case{
			Name: "promise-resolved-before", Desc: "Resolve the promise before the run starts.",
			Expect: "the run does not wait",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Call("/Flow/"+w+"/resolve", j("name", "go", "value", "early"), nil)
				var s string
				t.Call("/Flow/"+w+"/run", j("text", "a", "waitFor", "go"), &s)
				t.Eq(s, "a+early", "output")
			},
		},
		Case{
			Name: "promise-rejected", Desc: "Reject the promise that the run waits for.",
			Expect: "the run ends with the error, and so do attach and output",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Send("/Flow/"+w+"/run", j("text", "a", "waitFor", "go"))
				t.Call("/Flow/"+w+"/reject", j("name", "go", "value", "turned down"), nil)
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 500).Has(t, "turned down")
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 500).Has(t, "turned down")
			},
		},
		Case{
			Name: "promise-completed-once", Desc: "Resolve a promise twice.",
			Expect: "the second one fails with 409, the first value stays",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Call("/Flow/"+w+"/resolve", j("name", "p", "value", "first"), nil)
				t.Post("/Flow/"+w+"/resolve", j("name", "p", "value", "second")).Want(t, 409)
				t.Post("/Flow/"+w+"/reject", j("name", "p", "value", "third")).Want(t, 409)
				var s string
				t.Call("/Flow/"+w+"/await", "p", &s)
				t.Eq(s, "first", "value")
			},
		},
		Case{
			Name: "promise-peek", Desc: "Peek at a promise before and after it is resolved.",
			Expect: "nothing before, the value after, without blocking",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Call("/Flow/"+w+"/peek", "p", nil).Has(t, "null")
				t.Call("/Flow/"+w+"/resolve", j("name", "p", "value", "x"), nil)
				var s string
				t.Call("/Flow/"+w+"/peek", "p", &s)
				t.Eq(s, "x", "peeked")
			},
		},
		Case{
			Name: "many-waiters", Desc: "Ten shared handlers wait for one promise.",
			Expect: "all get the value when it is resolved",
			Run: func(t *T) {
				w := t.Key("wf")
				var ids []string
				for range 10 {
					ids = append(ids, t.Send("/Flow/"+w+"/await", "p").InvocationID)
				}
				t.Call("/Flow/"+w+"/resolve", j("name", "p", "value", "all"), nil)
				for _, id := range ids {
					t.Attach(id).Want(t, 200).Has(t, `"all"`)
				}
			},
		},
		Case{
			Name: "state-visible-to-shared", Desc: "Read the workflow's state through a shared handler, while it runs and after it ended.",
			Expect: "the state that the run wrote",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Send("/Flow/"+w+"/run", j("text", "hello", "waitFor", "go"))
				t.Eventually(0, "state is set", func() error {
					var s string
					if err := t.TryCall("/Flow/"+w+"/text", nil, &s); err != nil || s != "hello" {
						return fmt.Errorf("text %q, %v", s, err)
					}
					return nil
				})
				t.Call("/Flow/"+w+"/resolve", j("name", "go", "value", "v"), nil)
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 200)
				var s string
				t.Call("/Flow/"+w+"/text", nil, &s)
				t.Eq(s, "hello", "text after the end")
			},
		},
		Case{
			Name: "failed-run", Desc: "A run ends with a terminal error.",
			Expect: "call, attach and output all answer the error; a re-run is still 409",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Post("/Flow/"+w+"/run", j("text", "a", "fail", "broken")).Want(t, 422).Has(t, "broken")
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 422).Has(t, "broken")
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 422).Has(t, "broken")
				t.Post("/Flow/"+w+"/run", j("text", "b")).Want(t, 409)
			},
		},
		Case{
			Name: "purge-allows-new-run", Desc: "Purge a completed workflow and run it again.",
			Expect: "state, promises and result are gone; the new run starts from nothing",
			Run: func(t *T) {
				w := t.Key("wf")
				t.Call("/Flow/"+w+"/resolve", j("name", "go", "value", "old"), nil)
				r := t.Call("/Flow/"+w+"/run", j("text", "one", "waitFor", "go"), nil)
				t.Eventually(0, "purged", func() error {
					if x := t.Admin("PATCH", "/invocations/"+r.Header.Get("x-restate-id")+"/purge", nil); x.Status != 200 {
						return fmt.Errorf("status %d: %s", x.Status, x.Short())
					}
					return nil
				})
				t.Eventually(0, "output is gone", func() error {
					if x := t.Get("/restate/workflow/Flow/" + w + "/output"); x.Status != 404 {
						return fmt.Errorf("status %d", x.Status)
					}
					return nil
				})
				t.Eventually(0, "promise is gone", func() error {
					x, err := t.TryPost("/Flow/"+w+"/peek", "go")
					if err != nil || strings.TrimSpace(string(x.Body)) != "null" {
						return fmt.Errorf("peek: %v %v", x, err)
					}
					return nil
				})
				var s string
				t.Call("/Flow/"+w+"/run", j("text", "two"), &s)
				t.Eq(s, "done two", "output of the new run")
			},
		},
		Case{
			Name: "no-idempotency-key", Desc: "Send an idempotency key with a workflow run.",
			Expect: "400: the workflow id is the key already",
			Run: func(t *T) {
				t.Post("/Flow/"+t.Key("wf")+"/run", j("text", "a"), harness.Idem("k")).Want(t, 400).Err(t)
			},
		},
	)

	add("state",
		Case{
			Name: "set-get-clear", Desc: "Set, read and clear values of a key.",
			Expect: "what was set is read; a cleared or unknown value is absent",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/Map/"+m+"/get", "a", nil).Has(t, "null")
				t.Call("/Map/"+m+"/set", j("key", "a", "value", "1"), nil)
				t.Call("/Map/"+m+"/get", "a", nil).Has(t, `"1"`)
				t.Call("/Map/"+m+"/set", j("key", "a", "value", ""), nil)
				t.Call("/Map/"+m+"/get", "a", nil).Has(t, `""`)
				t.Call("/Map/"+m+"/clear", "a", nil)
				t.Call("/Map/"+m+"/get", "a", nil).Has(t, "null")
			},
		},
		Case{
			Name: "clear-all", Desc: "Clear all values of one key.",
			Expect: "that key is empty, other keys are untouched",
			Run: func(t *T) {
				m, other := t.Key("map"), t.Key("other")
				for _, k := range []string{"a", "b"} {
					t.Call("/Map/"+m+"/set", j("key", k, "value", k), nil)
					t.Call("/Map/"+other+"/set", j("key", k, "value", k), nil)
				}
				var es []services.Entry
				t.Call("/Map/"+m+"/clearAll", nil, &es)
				t.Eq(es, []services.Entry{{Key: "a", Value: "a"}, {Key: "b", Value: "b"}}, "entries that were cleared")
				var ks []string
				t.Call("/Map/"+m+"/keys", nil, &ks)
				t.Eq(ks, []string{}, "keys afterwards")
				t.Call("/Map/"+other+"/keys", nil, &ks)
				t.Eq(ks, []string{"a", "b"}, "keys of the other object")
			},
		},
		Case{
			Name: "within-one-invocation", Desc: "Set, overwrite, clear and clear all inside one invocation.",
			Expect: "each read sees the writes before it",
			Run: func(t *T) {
				for _, svc := range []string{"Map", "LazyMap"} {
					m := t.Key("map")
					var seen []string
					t.Call("/"+svc+"/"+m+"/within", nil, &seen)
					t.Eq(seen, []string{"a=<none>", "a=1", "a=2", "a=<none>", "b=", "b=<none>", "c=3"}, svc)
					var ks []string
					t.Call("/"+svc+"/"+m+"/keys", nil, &ks)
					t.Eq(ks, []string{"c"}, svc+" keys")
				}
			},
		},
		Case{
			Name: "many-keys", Desc: "Hold 500 values under one key.",
			Expect: "all are listed and read back",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/Map/"+m+"/fill", services.Fill{Count: 500, Size: 20}, nil)
				var f services.Fill
				t.Call("/Map/"+m+"/weigh", nil, &f)
				t.Eq(f, services.Fill{Count: 500, Size: 10000}, "count and size")
			},
		},
		Case{
			Name: "large-values", Desc: "Hold four values of 1 MiB under one key.",
			Expect: "nothing is lost, with eager and with lazy state",
			Run: func(t *T) {
				for _, svc := range []string{"Map", "LazyMap"} {
					m := t.Key("map")
					t.Call("/"+svc+"/"+m+"/fill", services.Fill{Count: 4, Size: 1 << 20}, nil)
					var f services.Fill
					t.Call("/"+svc+"/"+m+"/weigh", nil, &f)
					t.Eq(f, services.Fill{Count: 4, Size: 4 << 20}, svc)
				}
			},
		},
		Case{
			Name: "lazy-state", Desc: "Use an object whose state is loaded on demand.",
			Expect: "the same results as with eager state; the journal shows that values are asked for",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/LazyMap/"+m+"/fill", services.Fill{Count: 10, Size: 3}, nil)
				var f services.Fill
				r := t.Call("/LazyMap/"+m+"/weigh", nil, &f)
				t.Eq(f, services.Fill{Count: 10, Size: 30}, "count and size")
				types := journal(t, r.Header.Get("x-restate-id"))
				if !strings.Contains(strings.Join(types, ","), "Command: GetLazyState") {
					t.Fatalf("the journal has no lazy reads: %v", types)
				}
				t.Call("/LazyMap/"+m+"/get", "k00003", nil).Has(t, "ddd")
				t.Call("/LazyMap/"+m+"/get", "nope", nil).Has(t, "null")
			},
		},
		Case{
			Name: "state-table", Desc: "Read the state of a key by introspection.",
			Expect: "table state has a row for each value with its text",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/Map/"+m+"/set", j("key", "a", "value", "eins"), nil)
				t.Call("/Map/"+m+"/set", j("key", "b", "value", "zwei"), nil)
				rows := t.SQL("SELECT key, value_utf8 FROM state WHERE service_name = 'Map' AND service_key = %s ORDER BY key", harness.Quote(m))
				t.Eq(column(rows, "key"), []string{"a", "b"}, "keys")
				t.Eq(column(rows, "value_utf8"), []string{`"eins"`, `"zwei"`}, "values")
			},
		},
		Case{
			Name: "edited-by-admin", Desc: "Replace the state of a key through the admin API.",
			Expect: "202, and afterwards exactly the new values are there",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/Map/"+m+"/set", j("key", "old", "value", "x"), nil)
				t.Admin("POST", "/services/Map/state", j("object_key", m, "new_state", j("new", bytesOf(`"patched"`)))).Want(t, 202)
				t.Eventually(0, "the state is replaced", func() error {
					var ks []string
					if err := t.TryCall("/Map/"+m+"/keys", nil, &ks); err != nil || fmt.Sprint(ks) != "[new]" {
						return fmt.Errorf("keys %v, %v", ks, err)
					}
					return nil
				})
				t.Call("/Map/"+m+"/get", "new", nil).Has(t, `"patched"`)
			},
		},
		Case{
			Name: "edit-with-stale-version", Desc: "Replace the state with a version that is not the current one.",
			Expect: "the state stays as it is",
			Run: func(t *T) {
				m := t.Key("map")
				t.Call("/Map/"+m+"/set", j("key", "a", "value", "keep"), nil)
				t.Admin("POST", "/services/Map/state", j("object_key", m, "version", "not-the-version", "new_state", j("a", bytesOf(`"lost"`)))).Want(t, 202)
				// A second edit without a version comes after the first: when it is visible, the first was handled.
				n := t.Key("other")
				t.Admin("POST", "/services/Map/state", j("object_key", n, "new_state", j("z", bytesOf(`"1"`)))).Want(t, 202)
				time.Sleep(300 * time.Millisecond)
				t.Call("/Map/"+m+"/get", "a", nil).Has(t, `"keep"`)
			},
		},
		Case{
			Name: "edit-waits-for-holder", Desc: "Edit the state while an invocation holds the key.",
			Expect: "the edit happens after the holder has ended, in the order of arrival",
			Run: func(t *T) {
				k, g := t.Key("ed"), t.Key("gate")
				defer probe.Open(g)
				s := t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 5, Gate: g})
				t.Eventually(0, "the key is held", func() error { return atLeast(probe.Waiting(g), 1) })
				t.Admin("POST", "/services/Counter/state", j("object_key", k, "new_state", j("count", bytesOf("100")))).Want(t, 202)
				last := t.Send("/Counter/"+k+"/add", 1)
				probe.Open(g)
				t.Attach(s.InvocationID).Want(t, 200)
				t.Attach(last.InvocationID).Want(t, 200).Has(t, "101")
			},
		},
		Case{
			Name: "edit-of-a-service", Desc: "Edit the state of a plain service, which has none.",
			Expect: "400",
			Run: func(t *T) {
				t.Admin("POST", "/services/Echo/state", j("object_key", "k", "new_state", j())).Want(t, 400).Err(t)
			},
		},
	)

	add("timers",
		Case{
			Name: "sleep", Desc: "Sleep 400 ms.",
			Expect: "the call takes at least that long",
			Run: func(t *T) {
				start := time.Now()
				t.Call("/Timers/sleep", j("ms", []int{400}), nil)
				if d := time.Since(start); d < 400*time.Millisecond {
					t.Fatalf("took only %s", d)
				}
			},
		},
		Case{
			Name: "sleep-zero", Desc: "Sleep 0 ms, ten times.",
			Expect: "it goes through at once",
			Run: func(t *T) {
				var n int
				t.Call("/Timers/sleep", j("ms", make([]int, 10)), &n)
				t.Eq(n, 10, "sleeps")
			},
		},
		Case{
			Name: "many-sleeps-at-once", Desc: "50 invocations sleep 500 ms each, at the same time.",
			Expect: "they do not wait for each other",
			Run: func(t *T) {
				start := time.Now()
				t.Check(harness.Parallel(50, 50, func(i int) error { return t.TryCall("/Timers/sleep", j("ms", []int{500}), nil) }), "sleeps")
				if d := time.Since(start); d > 20*time.Second {
					t.Fatalf("50 sleeps of half a second took %s", d)
				}
			},
		},
		Case{
			Name: "order-of-timers", Desc: "Start timers of different length at once in one invocation.",
			Expect: "they fire by length",
			Run: func(t *T) {
				ms := []int{500, 100, 900, 300, 700}
				var got []int
				t.Call("/Timers/order", j("ms", ms), &got)
				sort.Ints(ms)
				t.Eq(got, ms, "order")
			},
		},
		Case{
			Name: "sleep-across-suspension", Desc: "Sleep three times with an inactivity timeout far below the sleep.",
			Expect: "the invocation is suspended and resumed; the result is the same",
			Run: func(t *T) {
				p := t.Key("sus")
				s := t.Send("/SuspTimers/sleep", j("ms", []int{600, 600}, "probe", p))
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "2")
				// attempts: the first loop pass is repeated after each suspension
				if n := probe.Hits(p); n < 3 {
					t.Fatalf("the handler was entered too rarely (%d passes): it was not suspended", n)
				}
			},
		},
		Case{
			Name: "timeout-of-an-await", Desc: "Race an awakeable against a timer.",
			Expect: "the timer wins when nobody resolves; the awakeable wins when somebody does",
			Run: func(t *T) {
				var s string
				t.Call("/Awakeables/"+t.Key("to")+"/waitOr", 200, &s)
				t.Eq(s, "timeout", "without completion")
				k := t.Key("to")
				w := t.PostAsync("/Awakeables/"+k+"/waitOr", 20000)
				resolve(t, awakeableOf(t, "/Awakeables/"+k+"/awakeable"), "in time").Want(t, 200, 202)
				w().Want(t, 200).Has(t, "in time")
			},
		},
	)

	add("awakeables",
		Case{
			Name: "resolve-by-ingress", Desc: "Resolve an awakeable through the ingress.",
			Expect: "202 and the waiting handler gets the value; the id starts with prom_ or sign_",
			Run: func(t *T) {
				k := t.Key("aw")
				w := t.PostAsync("/Awakeables/"+k+"/wait", nil)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				if !strings.HasPrefix(id, "prom_") && !strings.HasPrefix(id, "sign_") {
					t.Fatalf("awakeable id %q", id)
				}
				resolve(t, id, "value").Want(t, 202)
				w().Want(t, 200).Has(t, `"value"`)
			},
		},
		Case{
			Name: "reject-by-ingress", Desc: "Reject an awakeable through the ingress with a text.",
			Expect: "202 and the waiting handler gets a terminal error with that text",
			Run: func(t *T) {
				k := t.Key("aw")
				w := t.PostAsync("/Awakeables/"+k+"/wait", nil)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				t.Post("/restate/awakeables/"+id+"/reject", raw("text/plain", []byte("not today"))).Want(t, 202)
				w().Want(t, 500).Has(t, "not today")
			},
		},
		Case{
			Name: "resolve-by-handler", Desc: "Resolve and reject awakeables from another handler.",
			Expect: "the waiting handlers get the value, or the error",
			Run: func(t *T) {
				k := t.Key("aw")
				w := t.PostAsync("/Awakeables/"+k+"/wait", nil)
				t.Call("/Completer/resolveAwakeable", j("id", awakeableOf(t, "/Awakeables/"+k+"/awakeable"), "value", "inner"), nil)
				w().Want(t, 200).Has(t, `"inner"`)
				k = t.Key("aw")
				w = t.PostAsync("/Awakeables/"+k+"/wait", nil)
				t.Call("/Completer/rejectAwakeable", j("id", awakeableOf(t, "/Awakeables/"+k+"/awakeable"), "value", "inner no"), nil)
				w().Want(t, 500).Has(t, "inner no")
			},
		},
		Case{
			Name: "first-completion-wins", Desc: "Resolve one awakeable twice, with different values.",
			Expect: "the first value counts",
			Run: func(t *T) {
				k := t.Key("aw")
				s := t.Send("/Awakeables/"+k+"/waitMany", 2)
				var ids []string
				t.Eventually(0, "ids", func() error {
					if err := t.TryCall("/Awakeables/"+k+"/awakeableIds", nil, &ids); err != nil {
						return err
					}
					return atLeast(int64(len(ids)), 2)
				})
				resolve(t, ids[0], "one").Want(t, 202)
				resolve(t, ids[0], "two").Want(t, 202)
				resolve(t, ids[1], "end").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["one","end"]`)
			},
		},
		Case{
			Name: "many-out-of-order", Desc: "Resolve 20 awakeables of one invocation in reverse order.",
			Expect: "the handler gets each value at its place",
			Run: func(t *T) {
				k := t.Key("aw")
				s := t.Send("/Awakeables/"+k+"/waitMany", 20)
				var ids []string
				t.Eventually(0, "ids", func() error {
					if err := t.TryCall("/Awakeables/"+k+"/awakeableIds", nil, &ids); err != nil {
						return err
					}
					return atLeast(int64(len(ids)), 20)
				})
				var want []string
				for i := range ids {
					want = append(want, strconv.Itoa(i))
				}
				for i := len(ids) - 1; i >= 0; i-- {
					resolve(t, ids[i], strconv.Itoa(i)).Want(t, 202)
				}
				var got []string
				t.Attach(s.InvocationID).Want(t, 200).JSON(t, &got)
				t.Eq(got, want, "values")
			},
		},
		Case{
			Name: "raw-bytes", Desc: "Resolve an awakeable with bytes that are no text.",
			Expect: "the same bytes reach the handler",
			Run: func(t *T) {
				k := t.Key("aw")
				w := t.PostAsync("/Awakeables/"+k+"/waitRaw", nil)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				b := []byte{0, 255, 1, 254, '"', 10}
				t.Post("/restate/awakeables/"+id+"/resolve", raw("application/octet-stream", b)).Want(t, 202)
				t.Eq(w().Want(t, 200).Body, b, "bytes")
			},
		},
		Case{
			Name: "bad-id", Desc: "Resolve an awakeable id that is malformed.",
			Expect: "400",
			Run:    func(t *T) { resolve(t, "prom_1nonsense", "x").Want(t, 400).Err(t) },
		},
		Case{
			Name: "resolved-while-suspended", Desc: "Resolve the awakeable of an invocation that is suspended.",
			Expect: "status goes from suspended to completed, the value arrives",
			Run: func(t *T) {
				k := t.Key("aw")
				s := t.Send("/SuspAwakeables/"+k+"/wait", nil)
				t.WaitStatus(s.InvocationID, "suspended")
				resolve(t, awakeableOf(t, "/SuspAwakeables/"+k+"/awakeable"), "late").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "late")
				t.WaitStatus(s.InvocationID, "completed")
			},
		},
	)

	add("signals",
		Case{
			Name: "resolve-in-order", Desc: "An invocation waits for two named signals, which another handler resolves.",
			Expect: "it gets the values",
			Run: func(t *T) {
				s := t.Send("/Completer/awaitSignals", []string{"a", "b"})
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "a", "value", "1"), nil)
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "b", "value", "2"), nil)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["1","2"]`)
			},
		},
		Case{
			Name: "sent-before-awaited", Desc: "Resolve the signals in the other order than they are awaited.",
			Expect: "a signal that came early is kept until it is asked for",
			Run: func(t *T) {
				s := t.Send("/Completer/awaitSignals", []string{"a", "b"})
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "b", "value", "2"), nil)
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "a", "value", "1"), nil)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["1","2"]`)
			},
		},
		Case{
			Name: "reject", Desc: "Reject a signal.",
			Expect: "the waiting handler ends with the error",
			Run: func(t *T) {
				s := t.Send("/Completer/awaitSignals", []string{"a"})
				t.Call("/Completer/rejectSignal", j("id", s.InvocationID, "name", "a", "value", "signal says no"), nil)
				t.Attach(s.InvocationID).Want(t, 500).Has(t, "signal says no")
			},
		},
		Case{
			Name: "same-name-twice", Desc: "Await the same signal name three times and resolve it three times.",
			Expect: "each await takes the next value",
			Run: func(t *T) {
				s := t.Send("/Completer/awaitSignals", []string{"x", "x", "x"})
				for _, v := range []string{"1", "2", "3"} {
					t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "x", "value", v), nil)
				}
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["1","2","3"]`)
			},
		},
	)

	add("combinators",
		Case{
			Name: "any-and-first", Desc: "Wait for the first of a long timer, a step and an awakeable nobody resolves.",
			Expect: "the step wins; the others are left alone",
			Run: func(t *T) {
				of := []any{j("op", "sleep", "ms", 60000), j("op", "run", "value", "fast"), j("op", "awakeable", "key", "never")}
				for _, svc := range []string{"Interpreter", "SuspInterpreter"} {
					var s string
					t.Call("/"+svc+"/"+t.Key("any")+"/interpret", []any{j("op", "any", "of", of)}, &s)
					t.Eq(s, "1", svc+" index")
					t.Call("/"+svc+"/"+t.Key("any")+"/interpret", []any{j("op", "first", "of", of)}, &s)
					t.Eq(s, "fast", svc+" value")
				}
			},
		},
		Case{
			Name: "all", Desc: "Wait for a step, a timer and a call together.",
			Expect: "the values in order of the list; the first failure ends it",
			Run: func(t *T) {
				call := j("op", "call", "to", j("service", "Echo", "handler", "text", "body", "c"))
				var s string
				t.Call("/Interpreter/"+t.Key("all")+"/interpret", []any{j("op", "all", "of", []any{j("op", "run", "value", "a"), j("op", "sleep", "ms", 150), call})}, &s)
				t.Eq(s, `a|slept|"c"`, "values")
				t.Post("/Interpreter/"+t.Key("all")+"/interpret", []any{j("op", "all", "of", []any{j("op", "sleep", "ms", 60000), j("op", "runFail", "value", "bang")})}).Want(t, 500).Has(t, "bang")
			},
		},
		Case{
			Name: "settled-and-any-ok", Desc: "Wait for a mix of failures and successes.",
			Expect: "settled tells each outcome; anyOk skips the failures, and fails if all fail",
			Run: func(t *T) {
				var s string
				t.Call("/Interpreter/"+t.Key("set")+"/interpret", []any{j("op", "settled", "of", []any{j("op", "runFail", "value", "x"), j("op", "run", "value", "y"), j("op", "sleep", "ms", 100)})}, &s)
				t.Eq(s, "err:x|ok:y|ok:slept", "outcomes")
				t.Call("/Interpreter/"+t.Key("ok")+"/interpret", []any{j("op", "anyOk", "of", []any{j("op", "runFail", "value", "x"), j("op", "sleep", "ms", 100)})}, &s)
				t.Eq(s, "slept", "value")
				t.Post("/Interpreter/"+t.Key("no")+"/interpret", []any{j("op", "anyOk", "of", []any{j("op", "runFail", "value", "x"), j("op", "runFail", "value", "y")})}).Want(t, 500).Has(t, "all failed")
			},
		},
		Case{
			Name: "external-completion", Desc: "Wait for the first of two awakeables and a signal, and complete one from outside.",
			Expect: "the completed one is found, whichever it is",
			Run: func(t *T) {
				k := t.Key("ext")
				prog := []any{j("op", "first", "of", []any{j("op", "awakeable", "key", "one"), j("op", "awakeable", "key", "two"), j("op", "signal", "key", "three")})}
				s := t.Send("/Interpreter/"+k+"/interpret", prog)
				t.Eventually(0, "awakeable two is there", func() error {
					var ok bool
					if err := t.TryCall("/Interpreter/"+k+"/resolve", j("name", "two", "value", "zwei"), &ok); err != nil || !ok {
						return fmt.Errorf("not yet: %v", err)
					}
					return nil
				})
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "zwei")
				s = t.Send("/Interpreter/"+t.Key("ext")+"/interpret", prog)
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "three", "value", "drei"), nil)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "drei")
			},
		},
		Case{
			Name: "program-of-30", Desc: "Run a program of 30 mixed commands, with a failure of the service in between.",
			Expect: "the list of results in the state is complete and in order",
			Run: func(t *T) {
				k := t.Key("prog")
				var prog []any
				for i := range 6 {
					prog = append(prog,
						j("op", "set", "key", "v", "value", fmt.Sprint(i)),
						j("op", "get", "key", "v"),
						j("op", "run", "value", fmt.Sprint("r", i)),
						j("op", "sleep", "ms", 5),
						j("op", "call", "to", j("service", "Echo", "handler", "upper", "body", fmt.Sprint("u", i))))
				}
				t.Call("/SuspInterpreter/"+k+"/interpret", prog, nil)
				var res []string
				t.Call("/SuspInterpreter/"+k+"/results", nil, &res)
				t.Eq(len(res), 30, "results")
				t.Eq(res[26], "26:get=5", "result 26")
				t.Eq(res[29], `29:call="U5"`, "last result")
			},
		},
	)
}

func bytesOf(s string) []int {
	out := []int{}
	for _, b := range []byte(s) {
		out = append(out, int(b))
	}
	return out
}

func journal(t *T, id string) []string {
	return column(t.SQL(`SELECT "index", entry_type FROM sys_journal WHERE id = %s ORDER BY "index"`, harness.Quote(id)), "entry_type")
}
