package cases

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

func millis(lines []string) []int64 {
	var out []int64
	for _, l := range lines {
		n, _ := strconv.ParseInt(l, 10, 64)
		out = append(out, n)
	}
	return out
}

func init() {
	add("run",
		Case{
			Name: "executed-once", Desc: "Run 30 durable steps one after another.",
			Expect: "each step's code runs once",
			Run: func(t *T) {
				p := t.Key("st")
				var sum int64
				t.Call("/Effects/steps", services.Steps{Probe: p, N: 30}, &sum)
				t.Eq(sum, int64(30), "sum of the counts")
			},
		},
		Case{
			Name: "result-survives-suspension", Desc: "Draw a random number in a step, then sleep beyond the inactivity timeout.",
			Expect: "after the suspension the step is not repeated and its value is the same",
			Run: func(t *T) {
				p := t.Key("keep")
				s := t.Send("/SuspEffects/keeps", services.Steps{Probe: p, N: 2})
				var out []int64
				t.Attach(s.InvocationID).Want(t, 200).JSON(t, &out)
				t.Eq(probe.Lines(p), []string{fmt.Sprint(out[0])}, "numbers drawn")
				if n := probe.Hits(p + "/attempts"); n < 2 {
					t.Fatalf("there was only %d attempt: the invocation was not suspended", n)
				}
			},
		},
		Case{
			Name: "parallel-steps", Desc: "Start 20 steps at once.",
			Expect: "they overlap, each runs once, all results are there",
			Run: func(t *T) {
				p := t.Key("par")
				var out []int
				t.Call("/Effects/parallel", services.Steps{Probe: p, N: 20}, &out)
				for i, v := range out {
					t.Eq(v, i*i, "result")
				}
				t.Eq(probe.Hits(p), int64(20), "executions")
			},
		},
		Case{
			Name: "terminal-error", Desc: "A step ends with a terminal error.",
			Expect: "the step is not retried; the handler ends with that error, or handles it",
			Run: func(t *T) {
				p := t.Key("te")
				t.Post("/Effects/terminal", services.Steps{Probe: p, Text: "step refused"}).Want(t, 451).Has(t, "step refused")
				t.Eq(probe.Hits(p), int64(1), "executions")
				var s string
				t.Call("/Effects/caught", services.Steps{Text: "oops"}, &s)
				t.Eq(s, "caught 451 oops", "value")
			},
		},
		Case{
			Name: "retry-exhausted", Desc: "A step with at most 3 attempts always fails.",
			Expect: "exactly 3 attempts, then a terminal error with the step's message",
			Run: func(t *T) {
				p := t.Key("ex")
				t.Post("/Effects/exhausted", services.Steps{Probe: p, N: 3, Text: "always"}).Want(t, 500).Has(t, "always")
				t.Eq(probe.Hits(p), int64(3), "attempts")
			},
		},
		Case{
			Name: "retry-until-success", Desc: "A step works at its fourth attempt.",
			Expect: "its result is the fourth one",
			Run: func(t *T) {
				var n int64
				t.Call("/Effects/eventually", services.Steps{Probe: t.Key("ev"), N: 4}, &n)
				t.Eq(n, int64(4), "attempt")
			},
		},
		Case{
			Name: "large-result", Desc: "A step returns 2 MiB.",
			Expect: "it is kept and replayed whole",
			Run: func(t *T) {
				var n int
				t.Call("/SuspEffects/big", services.Steps{Size: 2 << 20}, &n)
				t.Eq(n, 2<<20, "length")
			},
		},
		Case{
			Name: "step-before-failure-not-repeated", Desc: "Fail the attempt after a finished step, three times.",
			Expect: "the step's code runs once over all attempts",
			Run: func(t *T) {
				p := t.Key("sf")
				var n int64
				t.Call("/Failing/stepThenFail", services.Tries{Probe: p, Fail: 3}, &n)
				t.Eq(n, int64(1), "step's value")
				t.Eq(probe.Hits(p), int64(4), "attempts")
				t.Eq(probe.Hits(p+"/step"), int64(1), "executions of the step")
			},
		},
		Case{
			Name: "deterministic-random", Desc: "Draw from the deterministic random source in three attempts.",
			Expect: "the same values in each attempt, other values in another invocation",
			Run: func(t *T) {
				p, q := t.Key("rnd"), t.Key("rnd")
				var a, b []string
				t.Call("/Effects/random", services.Steps{Probe: p}, &a)
				t.Call("/Effects/random", services.Steps{Probe: q}, &b)
				l := probe.Lines(p)
				if len(l) != 3 || l[0] != l[1] || l[1] != l[2] {
					t.Fatalf("draws differ between the attempts: %v", l)
				}
				if fmt.Sprint(a) == fmt.Sprint(b) {
					t.Fatalf("two invocations drew the same: %v", a)
				}
			},
		},
	)

	add("retries",
		Case{
			Name: "until-success", Desc: "A handler fails four attempts.",
			Expect: "the fifth one answers the call",
			Run: func(t *T) {
				var n int64
				t.Call("/Failing/flaky", services.Tries{Probe: t.Key("fl"), Fail: 4}, &n)
				t.Eq(n, int64(5), "attempt")
			},
		},
		Case{
			Name: "code-does-not-stop-retries", Desc: "Attempts fail with a retryable error of code 429, and by a panic.",
			Expect: "they are retried",
			Run: func(t *T) {
				var n int64
				t.Call("/Failing/coded", services.Tries{Probe: t.Key("co"), Fail: 2, Text: "slow down"}, &n)
				t.Eq(n, int64(3), "attempt")
				t.Call("/Failing/panics", services.Tries{Probe: t.Key("pa"), Fail: 2, Text: "x"}, &n)
				t.Eq(n, int64(3), "attempt after panics")
			},
		},
		Case{
			Name: "backoff-grows", Desc: "Fail three attempts of a handler with initial interval 200 ms and factor 2.",
			Expect: "the pauses are at least about 200, 400 and 800 ms",
			Run: func(t *T) {
				p := t.Key("bo")
				t.Call("/Failing/backsOff", services.Tries{Probe: p, Fail: 3}, nil)
				ms := millis(probe.Lines(p))
				t.Eq(len(ms), 4, "attempts")
				for i, least := range []int64{180, 360, 720} {
					if d := ms[i+1] - ms[i]; d < least || d > 10*least+10000 {
						t.Errorf("pause %d was %d ms", i+1, d)
					}
				}
			},
		},
		Case{
			Name: "max-attempts-kill", Desc: "A handler with at most 3 attempts, then kill, always fails.",
			Expect: "exactly 3 attempts; the call ends with 500 and the last error's message",
			Run: func(t *T) {
				p := t.Key("mk")
				t.Post("/Failing/killAtThree", services.Tries{Probe: p, Fail: 99, Text: "hopeless"}).Want(t, 500).Has(t, "attempt 3 fails: hopeless")
				t.Eq(probe.Hits(p), int64(3), "attempts")
			},
		},
		Case{
			Name: "max-attempts-pause", Desc: "A handler with at most 3 attempts, then pause, fails 4 times; resume it by hand.",
			Expect: "status paused after 3 attempts; after resume the attempts count anew",
			Run: func(t *T) {
				p := t.Key("mp")
				s := t.Send("/Failing/pauseAtThree", services.Tries{Probe: p, Fail: 4})
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "paused")
				t.Eq(probe.Hits(p), int64(3), "attempts until the pause")
				t.Output(s.InvocationID).Want(t, 470)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "5")
			},
		},
		Case{
			Name: "failure-shown", Desc: "Look at an invocation that backs off.",
			Expect: "status backing-off with retry_count, next_retry_at, last_failure and its code",
			Run: func(t *T) {
				s := t.Send("/Failing/slowRetry", services.Tries{Probe: t.Key("sh"), Fail: 1, Text: "visible reason"})
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "backing-off")
				r := t.SQL("SELECT retry_count, next_retry_at, last_failure, last_attempt_deployment_id, pinned_deployment_id FROM sys_invocation WHERE id = %s", harness.Quote(s.InvocationID))[0]
				if r.Num("retry_count") < 1 || r.Str("next_retry_at") == "" || !strings.Contains(r.Str("last_failure"), "visible reason") {
					t.Fatalf("row %v", r)
				}
				t.Eq(r.Str("last_attempt_deployment_id"), t.Env.Endpoints["main"].Deployment.ID, "last_attempt_deployment_id")
			},
		},
		Case{
			Name: "endpoint-down", Desc: "Call a service whose endpoint does not answer, and bring the endpoint back.",
			Expect: "the invocation backs off and completes when the endpoint is back",
			Run: func(t *T) {
				name := svcName(t, "Down")
				first := t.Endpoint(harness.AsAsked, nil, quickEcho(name))
				addr := strings.TrimPrefix(first.URI, "http://")
				t.Call("/"+name+"/text", "up", nil)
				first.Close()
				s := t.Send("/"+name+"/text", "waited")
				t.Eventually(0, "the call fails in between", func() error {
					rows, err := t.TrySQL("SELECT retry_count FROM sys_invocation WHERE id = %s", harness.Quote(s.InvocationID))
					if err != nil || len(rows) == 0 {
						return fmt.Errorf("rows %v, %v", rows, err)
					}
					return atLeast(int64(rows[0].Num("retry_count")), 1)
				})
				t.UnregisteredAt(addr, harness.AsAsked, quickEcho(name))
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "waited")
			},
		},
		Case{
			Name: "non-determinism-found", Desc: "Handlers whose second attempt takes another path than the journal.",
			Expect: "the attempt fails with a journal mismatch and never completes; it ends up paused as its policy says",
			Run: func(t *T) {
				for _, h := range []string{"stateOrSend", "otherKey", "otherTarget"} {
					k := t.Key("nd")
					s := t.Send("/NonDet/"+k+"/"+h, k)
					t.KillQuietly(s.InvocationID)
					t.WaitStatus(s.InvocationID, "paused")
					rows := t.SQL("SELECT event_json FROM sys_journal_events WHERE id = %s", harness.Quote(s.InvocationID))
					if all := fmt.Sprint(rows); !strings.Contains(all, "RT0016") && !strings.Contains(strings.ToLower(all), "mismatch") {
						t.Errorf("%s: no journal mismatch among the events: %.300s", h, all)
					}
					t.Output(s.InvocationID).Want(t, 470)
				}
			},
		},
	)

	blockKinds := []string{"sleep", "awakeable", "call", "run", "signal"}
	add("cancellation",
		Case{
			Name: "of-blocked-handlers", Desc: "Cancel handlers that wait for a timer, an awakeable, a call, a failing step, a signal.",
			Expect: "each gets a terminal error of code 409; the call ends with 409",
			Run: func(t *T) {
				t.Check(harness.Parallel(len(blockKinds), len(blockKinds), func(i int) error {
					k, p := t.Key("ca"), t.Key("p")
					s, err := t.TrySend("/Blocker/"+k+"/block", services.Block{On: blockKinds[i], Probe: p, Child: t.Key("child")})
					if err != nil {
						return err
					}
					end := time.Now().Add(15 * time.Second)
					for probe.Hits(p+"/started") == 0 && time.Now().Before(end) {
						time.Sleep(20 * time.Millisecond)
					}
					time.Sleep(100 * time.Millisecond)
					r, err := t.Env.Admin.Do(t.Ctx(), "PATCH", "/invocations/"+s.InvocationID+"/cancel", nil)
					if err != nil {
						return err
					}
					if r.Status != 202 && r.Status != 200 {
						return fmt.Errorf("cancel of %s: status %d: %s", blockKinds[i], r.Status, r.Short())
					}
					a, err := t.Env.Ingress.Do(t.Ctx(), "GET", "/restate/invocation/"+s.InvocationID+"/attach", nil)
					if err != nil {
						return fmt.Errorf("%s: %w", blockKinds[i], err)
					}
					if a.Status != 409 {
						return fmt.Errorf("%s: ended with %d: %s", blockKinds[i], a.Status, a.Short())
					}
					if l := probe.Lines(p); len(l) == 0 || !strings.HasPrefix(l[0], "409 ") {
						return fmt.Errorf("%s: the handler saw %v", blockKinds[i], l)
					}
					return nil
				}), "cancel")
			},
		},
		Case{
			Name: "compensation", Desc: "A cancelled handler catches the error and does further durable steps.",
			Expect: "these work, and the handler ends with a value",
			Run: func(t *T) {
				p := t.Key("co")
				s := t.Send("/Blocker/"+p+"/block", services.Block{On: "awakeable", Probe: p, Recover: true})
				t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "compensated")
				var e string
				t.Call("/Blocker/"+p+"/ended", nil, &e)
				if e == "" {
					t.Fatalf("the state written during the compensation is lost")
				}
			},
		},
		Case{
			Name: "reaches-the-callee", Desc: "Cancel a handler that waits for a call.",
			Expect: "the called invocation is cancelled too, both keys are free afterwards",
			Run: func(t *T) {
				k, child, p := t.Key("par"), t.Key("child"), t.Key("p")
				s := t.Send("/Blocker/"+k+"/block", services.Block{On: "call", Probe: p, Child: child})
				t.Eventually(0, "the child is started", func() error { return atLeast(probe.Hits(p+"/child/started"), 1) })
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
				t.Eventually(0, "the child saw the cancellation", func() error { return atLeast(int64(len(probe.Lines(p+"/child"))), 1) })
				t.Call("/Blocker/"+k+"/ping", "x", nil)
				t.Call("/Blocker/"+child+"/ping", "x", nil)
			},
		},
		Case{
			Name: "of-pending", Desc: "Cancel an invocation that waits for its key.",
			Expect: "it never runs; the ones behind it do",
			Run: func(t *T) {
				k, g := t.Key("cp"), t.Key("gate")
				defer probe.Open(g)
				t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the key is held", func() error { return atLeast(probe.Waiting(g), 1) })
				b := t.Send("/Counter/"+k+"/add", 10)
				c := t.Send("/Counter/"+k+"/add", 100)
				t.WaitStatus(b.InvocationID, "pending")
				t.Admin("PATCH", "/invocations/"+b.InvocationID+"/cancel", nil).Want(t, 200, 202)
				probe.Open(g)
				t.Attach(c.InvocationID).Want(t, 200).Has(t, "101")
			},
		},
		Case{
			Name: "of-pending-call", Desc: "Cancel an invocation that waits for its key while a caller waits for its result.",
			Expect: "the caller is told: 409",
			Run: func(t *T) {
				k, g := t.Key("cp"), t.Key("gate")
				defer probe.Open(g)
				t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the key is held", func() error { return atLeast(probe.Waiting(g), 1) })
				w := t.PostAsync("/Counter/"+k+"/add", 10)
				var id string
				t.Eventually(0, "the call is pending", func() error {
					rows, err := t.TrySQL("SELECT id FROM sys_invocation WHERE target_service_key = %s AND status = 'pending'", harness.Quote(k))
					if err != nil || len(rows) != 1 {
						return fmt.Errorf("rows %v, %v", rows, err)
					}
					id = rows[0].Str("id")
					return nil
				})
				t.Admin("PATCH", "/invocations/"+id+"/cancel", nil).Want(t, 200, 202)
				w().Want(t, 409).Err(t)
			},
		},
		Case{
			Name: "of-scheduled", Desc: "Cancel an invocation whose time has not come.",
			Expect: "it never runs and is not shown any more",
			Run: func(t *T) {
				p := t.Key("cs")
				s := t.Send("/Echo/hit", p, harness.Query("delay", "1h"))
				t.WaitStatus(s.InvocationID, "scheduled")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
				t.WaitStatus(s.InvocationID, "", "completed")
				t.Eq(probe.Hits(p), int64(0), "executions")
			},
		},
		Case{
			Name: "of-suspended", Desc: "Cancel an invocation that is suspended.",
			Expect: "it is resumed to see the cancellation, and ends with 409",
			Run: func(t *T) {
				s := t.Send("/SuspAwakeables/"+t.Key("cs")+"/wait", nil)
				t.WaitStatus(s.InvocationID, "suspended")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
			},
		},
		Case{
			Name: "from-a-handler", Desc: "A handler cancels another invocation by its id.",
			Expect: "as with the admin API",
			Run: func(t *T) {
				p := t.Key("fh")
				s := t.Send("/Blocker/"+p+"/block", services.Block{On: "sleep", Probe: p})
				t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
				t.Call("/Proxy/cancel", s.InvocationID, nil)
				t.Attach(s.InvocationID).Want(t, 409)
			},
		},
		Case{
			Name: "of-completed", Desc: "Cancel and kill an invocation that has completed.",
			Expect: "409; the result stays",
			Run: func(t *T) {
				s := t.Send("/Echo/text", "kept")
				t.Attach(s.InvocationID).Want(t, 200)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 409).Err(t)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 409).Err(t)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "kept")
			},
		},
	)

	add("kill",
		Case{
			Name: "running", Desc: "Kill an invocation that waits for ever.",
			Expect: "attach answers 409 at once, the user code sees no cancellation, and the key is free",
			Run: func(t *T) {
				k, p := t.Key("ki"), t.Key("p")
				s := t.Send("/Blocker/"+k+"/block", services.Block{On: "awakeable", Probe: p})
				t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409).Has(t, "killed")
				t.Call("/Blocker/"+k+"/ping", "x", nil)
				t.Eq(len(probe.Lines(p)), 0, "errors seen by the handler")
			},
		},
		Case{
			Name: "tree", Desc: "Kill an invocation that waits for a call.",
			Expect: "the called one is killed too; both keys are free",
			Run: func(t *T) {
				k, child, p := t.Key("par"), t.Key("child"), t.Key("p")
				s := t.Send("/Blocker/"+k+"/block", services.Block{On: "call", Probe: p, Child: child})
				t.Eventually(0, "the child is started", func() error { return atLeast(probe.Hits(p+"/child/started"), 1) })
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
				t.Call("/Blocker/"+child+"/ping", "x", nil)
				t.Call("/Blocker/"+k+"/ping", "x", nil)
			},
		},
		Case{
			Name: "retrying", Desc: "Kill an invocation that backs off.",
			Expect: "it ends at once, with no further attempt",
			Run: func(t *T) {
				p := t.Key("kr")
				s := t.Send("/Failing/flaky", services.Tries{Probe: p, Fail: 1 << 40})
				t.Eventually(0, "two attempts", func() error { return atLeast(probe.Hits(p), 2) })
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
				n := probe.Hits(p)
				time.Sleep(400 * time.Millisecond)
				if m := probe.Hits(p); m > n+1 {
					t.Fatalf("%d further attempts after the kill", m-n)
				}
			},
		},
		Case{
			Name: "pending-and-scheduled", Desc: "Kill invocations that have not started.",
			Expect: "they never run",
			Run: func(t *T) {
				k, g, p := t.Key("kp"), t.Key("gate"), t.Key("p")
				defer probe.Open(g)
				t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 1, Gate: g})
				t.Eventually(0, "the key is held", func() error { return atLeast(probe.Waiting(g), 1) })
				b := t.Send("/Counter/"+k+"/addSlow", services.SlowAdd{Value: 10, Probe: p})
				t.WaitStatus(b.InvocationID, "pending")
				t.Admin("PATCH", "/invocations/"+b.InvocationID+"/kill", nil).Want(t, 200, 202)
				s := t.Send("/Echo/hit", p, harness.Query("delay", "1h"))
				t.WaitStatus(s.InvocationID, "scheduled")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 200, 202)
				probe.Open(g)
				var u services.Update
				t.Call("/Counter/"+k+"/add", 1, &u)
				t.Eq(u.New, int64(2), "counter")
				t.Eq(len(probe.Lines(p))+int(probe.Hits(p)), 0, "executions")
			},
		},
		Case{
			Name: "suspended", Desc: "Kill an invocation that is suspended.",
			Expect: "it ends with 409; a late resolve of its awakeable does no harm",
			Run: func(t *T) {
				k := t.Key("ks")
				s := t.Send("/SuspAwakeables/"+k+"/wait", nil)
				t.WaitStatus(s.InvocationID, "suspended")
				id := awakeableOf(t, "/SuspAwakeables/"+k+"/awakeable")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/kill", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 409)
				if r := resolve(t, id, "late"); r.Status >= 500 {
					t.Fatalf("status %d: %s", r.Status, r.Short())
				}
				t.Attach(s.InvocationID).Want(t, 409)
			},
		},
	)

	add("idempotency",
		Case{
			Name: "same-key-same-result", Desc: "Call twice with the same idempotency key and different bodies.",
			Expect: "one execution; the second call gets the first one's result and id",
			Run: func(t *T) {
				k, p := t.Key("ik"), t.Key("p")
				var a, b int64
				r := t.Call("/Echo/hit", p, &a, harness.Idem(k))
				q := t.Call("/Echo/hit", p+"x", &b, harness.Idem(k))
				t.Eq([]int64{a, b}, []int64{1, 1}, "results")
				t.Eq(probe.Hits(p)+probe.Hits(p+"x"), int64(1), "executions")
				t.Eq(q.Header.Get("x-restate-id"), r.Header.Get("x-restate-id"), "invocation id")
			},
		},
		Case{
			Name: "scope-of-a-key", Desc: "Use one idempotency key with two handlers, and with two object keys.",
			Expect: "these are different invocations",
			Run: func(t *T) {
				k, a, b := t.Key("ik"), t.Key("a"), t.Key("b")
				var s string
				t.Call("/Echo/text", "x", &s, harness.Idem(k))
				t.Call("/Echo/upper", "x", &s, harness.Idem(k))
				t.Eq(s, "X", "other handler")
				var u services.Update
				t.Call("/Counter/"+a+"/add", 1, &u, harness.Idem(k))
				t.Call("/Counter/"+b+"/add", 2, &u, harness.Idem(k))
				t.Eq(u.New, int64(2), "other object")
			},
		},
		Case{
			Name: "send-twice", Desc: "Send twice with the same idempotency key.",
			Expect: "Accepted, then PreviouslyAccepted, with the same invocation id; one execution",
			Run: func(t *T) {
				k, c := t.Key("ik"), t.Key("cnt")
				a := t.Send("/Counter/"+c+"/add", 2, harness.Idem(k))
				b := t.Send("/Counter/"+c+"/add", 2, harness.Idem(k))
				t.Eq([]string{a.Status, b.Status}, []string{"Accepted", "PreviouslyAccepted"}, "statuses")
				t.Eq(a.InvocationID, b.InvocationID, "ids")
				t.Attach(a.InvocationID).Want(t, 200)
				t.Check(counterIs(t, c, 2), "counter")
			},
		},
		Case{
			Name: "call-joins-running", Desc: "20 concurrent calls with the same idempotency key to a slow handler.",
			Expect: "one execution, all get its result",
			Run: func(t *T) {
				k, c := t.Key("ik"), t.Key("cnt")
				t.Check(harness.Parallel(20, 20, func(i int) error {
					var u services.Update
					if err := t.TryCall("/Counter/"+c+"/addSlow", services.SlowAdd{Value: 1, Ms: 300, Probe: c}, &u, harness.Idem(k)); err != nil {
						return err
					}
					if u.New != 1 {
						return fmt.Errorf("result %+v", u)
					}
					return nil
				}), "calls")
				t.Eq(len(probe.Lines(c)), 1, "executions")
			},
		},
		Case{
			Name: "failure-is-kept", Desc: "Repeat a call that ended with a terminal error.",
			Expect: "the same error, without another execution",
			Run: func(t *T) {
				k := t.Key("ik")
				a := t.Post("/Failing/terminal", j("message", "first", "code", 409), harness.Idem(k)).Want(t, 409).Has(t, "first")
				b := t.Post("/Failing/terminal", j("message", "second", "code", 410), harness.Idem(k)).Want(t, 409).Has(t, "first")
				t.Eq(a.Header.Get("x-restate-id"), b.Header.Get("x-restate-id"), "ids")
			},
		},
		Case{
			Name: "shown", Desc: "Look up an invocation by its idempotency key.",
			Expect: "column idempotency_key of sys_invocation holds it",
			Run: func(t *T) {
				k := t.Key("ik")
				s := t.Send("/Echo/text", "x", harness.Idem(k))
				rows := t.SQL("SELECT id FROM sys_invocation WHERE idempotency_key = %s", harness.Quote(k))
				t.Eq(column(rows, "id"), []string{s.InvocationID}, "ids")
			},
		},
		Case{
			Name: "purge-frees-key", Desc: "Purge the completed invocation of an idempotency key.",
			Expect: "the next call with that key executes again",
			Run: func(t *T) {
				k, p := t.Key("ik"), t.Key("p")
				r := t.Call("/Echo/hit", p, nil, harness.Idem(k))
				t.Eventually(0, "purge", func() error {
					if x := t.Admin("PATCH", "/invocations/"+r.Header.Get("x-restate-id")+"/purge", nil); x.Status != 200 {
						return fmt.Errorf("status %d: %s", x.Status, x.Short())
					}
					return nil
				})
				t.Eventually(0, "executed again", func() error {
					var n int64
					if err := t.TryCall("/Echo/hit", p, &n, harness.Idem(k)); err != nil {
						return err
					}
					return atLeast(n, 2)
				})
			},
		},
	)

	add("attach",
		Case{
			Name: "output-not-ready", Desc: "Ask for the output of a running invocation, by id and by idempotency key.",
			Expect: "470 while it runs, 200 with the output afterwards",
			Run: func(t *T) {
				k, a := t.Key("ik"), t.Key("aw")
				s := t.Send("/Awakeables/"+a+"/wait", nil, harness.Idem(k))
				byKey := "/restate/invocation/Awakeables/" + a + "/wait/" + k
				t.Output(s.InvocationID).Want(t, 470)
				t.Get(byKey+"/output").Want(t, 470)
				resolve(t, awakeableOf(t, "/Awakeables/"+a+"/awakeable"), "out").Want(t, 202)
				t.Get(byKey+"/attach").Want(t, 200).Has(t, "out")
				t.Get(byKey+"/output").Want(t, 200).Has(t, "out")
				t.Output(s.InvocationID).Want(t, 200).Has(t, "out")
			},
		},
		Case{
			Name: "many-attached", Desc: "Attach ten times to a running invocation.",
			Expect: "all get the result when it ends",
			Run: func(t *T) {
				a := t.Key("aw")
				s := t.Send("/Awakeables/"+a+"/wait", nil)
				var ws []func() *harness.Resp
				for range 10 {
					w := harness.Async(func() *harness.Resp {
						r, err := t.Env.Ingress.Do(t.Ctx(), "GET", "/restate/invocation/"+s.InvocationID+"/attach", nil)
						if err != nil {
							return &harness.Resp{What: err.Error()}
						}
						return r
					})
					ws = append(ws, w)
				}
				id := awakeableOf(t, "/Awakeables/"+a+"/awakeable")
				time.Sleep(100 * time.Millisecond)
				resolve(t, id, "shared").Want(t, 202)
				for _, w := range ws {
					w().Want(t, 200).Has(t, "shared")
				}
			},
		},
		Case{
			Name: "to-a-service-by-key", Desc: "Attach to an invocation of a plain service by its idempotency key.",
			Expect: "200 with its output; 404 for a key that was never used",
			Run: func(t *T) {
				k := t.Key("ik")
				t.Send("/Echo/sleepy", 200, harness.Idem(k))
				t.Get("/restate/invocation/Echo/sleepy/"+k+"/attach").Want(t, 200).Has(t, "awake")
				t.Get("/restate/invocation/Echo/sleepy/"+t.Key("none")+"/attach").Want(t, 404).Err(t)
				t.Get("/restate/invocation/Echo/sleepy/"+t.Key("none")+"/output").Want(t, 404).Err(t)
			},
		},
		Case{
			Name: "after-failure", Desc: "Attach to an invocation that ended with a terminal error.",
			Expect: "the error's code and message",
			Run: func(t *T) {
				s := t.Send("/Failing/terminal", j("message", "over", "code", 410))
				t.Attach(s.InvocationID).Want(t, 410).Has(t, "over")
				t.Output(s.InvocationID).Want(t, 410).Has(t, "over")
			},
		},
		Case{
			Name: "keeps-content-type", Desc: "Attach to invocations with JSON and with binary output.",
			Expect: "bytes and content-type as with a direct call",
			Run: func(t *T) {
				s := t.Send("/Echo/raw", raw("application/octet-stream", []byte{1, 2, 3}))
				r := t.Attach(s.InvocationID).Want(t, 200)
				t.Eq(r.Body, []byte{1, 2, 3}, "bytes")
				t.Eq(r.Header.Get("content-type"), "application/octet-stream", "content-type")
			},
		},
		Case{
			Name: "workflow-unknown", Desc: "Ask for output of, and attach to, a workflow that never ran.",
			Expect: "404",
			Run: func(t *T) {
				w := t.Key("none")
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 404).Err(t)
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 404).Err(t)
			},
		},
	)
}
