package cases

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

func init() {
	// The same behaviours over every transport.
	for _, tr := range []struct{ prefix, name, what string }{
		{"", "bidi", "HTTP/2 with both directions open"},
		{"Rr", "request-response", "HTTP/2, one request and one response per attempt"},
		{"Hone", "http1", "HTTP/1.1, one request and one response per attempt"},
	} {
		pre := tr.prefix
		add("protocol",
			Case{
				Name: tr.name + "-calls-and-state", Desc: "Calls, state, fan-out and a chain over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					k := t.Key("tr")
					var u services.Update
					t.Call("/"+pre+"Counter/"+k+"/add", 2, nil)
					t.Call("/"+pre+"Counter/"+k+"/add", 3, &u)
					t.Eq(u, services.Update{Old: 2, New: 5}, "update")
					var n int
					t.Call("/"+pre+"Proxy/chain", j("depth", 5, "trace", ""), &n)
					t.Eq(n, 5, "chain")
					var out []string
					t.Call("/"+pre+"Proxy/fanOut", j("target", j("service", pre+"Echo", "handler", "text"), "n", 20), &out)
					t.Eq(len(out), 20, "fan-out")
					r := t.Call("/"+pre+"Echo/raw", raw("application/octet-stream", make([]byte, 300000)), nil)
					t.Eq(len(r.Body), 300000, "bytes")
				},
			},
			Case{
				Name: tr.name + "-waiting", Desc: "Awakeables, promises, sleeps and combinators over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					k := t.Key("tr")
					w := t.PostAsync("/"+pre+"Awakeables/"+k+"/wait", nil)
					resolve(t, awakeableOf(t, "/"+pre+"Awakeables/"+k+"/awakeable"), "v").Want(t, 202)
					w().Want(t, 200).Has(t, `"v"`)
					t.Call("/"+pre+"Timers/sleep", j("ms", []int{50, 50}), nil)
					var s string
					t.Call("/"+pre+"Interpreter/"+k+"/interpret", []any{j("op", "all", "of", []any{j("op", "run", "value", "a"), j("op", "sleep", "ms", 50), j("op", "call", "to", j("service", pre+"Echo", "handler", "text", "body", "c"))})}, &s)
					t.Eq(s, `a|slept|"c"`, "all")
					t.Send("/"+pre+"Flow/"+k+"/run", j("text", "a", "waitFor", "p"))
					t.Call("/"+pre+"Flow/"+k+"/resolve", j("name", "p", "value", "b"), nil)
					t.Get("/restate/workflow/"+pre+"Flow/"+k+"/attach").Want(t, 200).Has(t, "a+b")
				},
			},
			Case{
				Name: tr.name + "-failures", Desc: "Terminal errors, retries, step retries and a cancellation over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					t.Post("/"+pre+"Failing/terminal", j("message", "m", "code", 418)).Want(t, 418)
					var n int64
					t.Call("/"+pre+"Failing/flaky", services.Tries{Probe: t.Key("f"), Fail: 2}, &n)
					t.Eq(n, int64(3), "attempt")
					t.Call("/"+pre+"Effects/eventually", services.Steps{Probe: t.Key("e"), N: 3}, &n)
					t.Eq(n, int64(3), "attempt of the step")
					p := t.Key("c")
					s := t.Send("/"+pre+"Blocker/"+p+"/block", services.Block{On: "sleep", Probe: p})
					t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
					t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
					t.Attach(s.InvocationID).Want(t, 409)
				},
			})
	}
	add("protocol",
		Case{
			Name: "broken-endpoint", Desc: "An endpoint answers invocations with 500s and with garbage, then works.",
			Expect: "the invocation is retried until it completes",
			Run: func(t *T) {
				name := svcName(t, "Brk")
				h := t.SDKHandler(harness.Bidi, quickEcho(name))
				var n atomic.Int64
				ep := t.ServeRaw(harness.Bidi, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/invoke/") {
						switch n.Add(1) {
						case 1:
							w.WriteHeader(500)
							return
						case 2:
							w.Header().Set("content-type", r.Header.Get("content-type"))
							_, _ = w.Write([]byte("this is no protocol message at all"))
							return
						case 3:
							w.WriteHeader(404)
							return
						}
					}
					h.ServeHTTP(w, r)
				}))
				d := t.Register(ep.URI, nil)
				t.Cleanup(func() { t.Env.RemoveDeployment(d.ID) })
				var s string
				t.Call("/"+name+"/text", "patience", &s)
				t.Eq(s, "patience", "output")
				t.Eq(n.Load(), int64(4), "attempts")
			},
		},
		Case{
			Name: "invocation-request", Desc: "Look at the request that starts an attempt.",
			Expect: "POST /invoke/<service>/<handler> with content-type application/vnd.restate.invocation.v5 to v7, of a version that the endpoint shows",
			Run: func(t *T) {
				name := svcName(t, "Req")
				ep := t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Call("/"+name+"/text", "x", nil)
				paths, hs := ep.Requests(t)
				last := len(paths) - 1
				t.Eq(paths[last], "/invoke/"+name+"/text", "path")
				ct := hs[last].Get("content-type")
				text, found := strings.CutPrefix(ct, "application/vnd.restate.invocation.v")
				v, err := strconv.Atoi(text)
				if r := t.Env.Setup.Versions; !found || err != nil || v < r.Min || v > r.Max {
					t.Fatalf("content-type %q", ct)
				}
			},
		},
	)

	add("suspension",
		Case{
			Name: "awakeable", Desc: "Wait for an awakeable with an inactivity timeout of 50 ms.",
			Expect: "status suspended; no attempt is running while it waits; the value resumes it",
			Run: func(t *T) {
				k := t.Key("su")
				s := t.Send("/SuspAwakeables/"+k+"/waitMany", 3)
				t.WaitStatus(s.InvocationID, "suspended")
				var ids []string
				t.Call("/SuspAwakeables/"+k+"/awakeableIds", nil, &ids)
				for i, id := range ids {
					resolve(t, id, fmt.Sprint(i)).Want(t, 202)
					if i < 2 {
						time.Sleep(150 * time.Millisecond)
						t.WaitStatus(s.InvocationID, "suspended")
					}
				}
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["0","1","2"]`)
			},
		},
		Case{
			Name: "call", Desc: "Wait for a slow callee with an inactivity timeout of 50 ms.",
			Expect: "the caller is suspended and resumed with the callee's result",
			Run: func(t *T) {
				k := t.Key("callee")
				s := t.Send("/SuspProxy/call", j("service", "Awakeables", "key", k, "handler", "wait", "void", true))
				t.WaitStatus(s.InvocationID, "suspended")
				resolve(t, awakeableOf(t, "/Awakeables/"+k+"/awakeable"), "from the callee").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "from the callee")
			},
		},
		Case{
			Name: "key-stays-held", Desc: "Call another exclusive handler of a key whose holder is suspended.",
			Expect: "it waits until the holder has ended",
			Run: func(t *T) {
				k := t.Key("su")
				s := t.Send("/SuspAwakeables/"+k+"/wait", nil)
				t.WaitStatus(s.InvocationID, "suspended")
				b := t.Send("/SuspAwakeables/"+k+"/waitOr", 1)
				t.WaitStatus(b.InvocationID, "pending")
				resolve(t, awakeableOf(t, "/SuspAwakeables/"+k+"/awakeable"), "x").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200)
				t.Attach(b.InvocationID).Want(t, 200).Has(t, "timeout")
			},
		},
		Case{
			Name: "fan-out-suspended", Desc: "Wait for 20 slow callees at once with an inactivity timeout of 50 ms.",
			Expect: "all results arrive, whatever happened in between",
			Run: func(t *T) {
				var out []string
				t.Call("/SuspProxy/fanOut", j("target", j("service", "Echo", "handler", "sleepy", "body", 300), "n", 20), &out)
				t.Eq(len(out), 20, "results")
			},
		},
		Case{
			Name: "abort-timeout", Desc: "A step blocks far longer than inactivity and abort timeouts.",
			Expect: "the attempt is aborted and tried again; the second one completes",
			Run: func(t *T) {
				p := t.Key("ab")
				defer probe.Open(p)
				var n int64
				t.Call("/AbortEffects/slowStep", services.Steps{Probe: p}, &n)
				t.Eq(n, int64(2), "execution of the step that completed")
			},
		},
	)
}
