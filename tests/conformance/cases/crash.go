package cases

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

var crash = []string{harness.TagCrash}

func init() {
	add("crash",
		Case{
			Name: "load-with-kill", Tags: crash, Timeout: 150 * time.Second,
			Desc:   "Send numbered requests with idempotency keys from 8 clients, and kill -9 the server in the middle; clients repeat what was not answered.",
			Expect: "every acknowledged request took effect, none twice",
			Run: func(t *T) {
				const clients, each = 8, 60
				k := t.Key("cr")
				stop := time.Now().Add(100 * time.Second)
				var acked atomic.Int64
				var wg sync.WaitGroup
				errs := make(chan error, clients)
				for c := range clients {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for i := range each {
							idem := fmt.Sprintf("%s-%d-%d", k, c, i)
							for {
								_, err := t.TrySend(fmt.Sprintf("/Counter/%s-%d/add", k, c%4), 1, harness.Idem(idem))
								if err == nil {
									acked.Add(1)
									break
								}
								if time.Now().After(stop) {
									errs <- fmt.Errorf("client %d gave up at %d: %w", c, i, err)
									return
								}
								time.Sleep(50 * time.Millisecond)
							}
						}
					}()
				}
				for acked.Load() < clients*each/3 && time.Now().Before(stop) {
					time.Sleep(5 * time.Millisecond)
				}
				t.Crash()
				t.Restart()
				wg.Wait()
				select {
				case err := <-errs:
					t.Fatalf("%v", err)
				default:
				}
				for o := range 4 {
					t.Eventually(30*time.Second, "all effects are there, once", func() error {
						return counterIs(t, fmt.Sprintf("%s-%d", k, o), clients*each/4)
					})
				}
				time.Sleep(300 * time.Millisecond)
				for o := range 4 {
					t.Check(counterIs(t, fmt.Sprintf("%s-%d", k, o), clients*each/4), "no effect twice")
				}
			},
		},
		Case{
			Name: "state-and-results", Tags: crash,
			Desc:   "Write state, complete an idempotent call and a workflow, then kill -9 and restart.",
			Expect: "state, results and deployments are as before",
			Run: func(t *T) {
				k, ik, p, w := t.Key("st"), t.Key("ik"), t.Key("p"), t.Key("w")
				t.Call("/Counter/"+k+"/add", 42, nil)
				t.Call("/Echo/hit", p, nil, harness.Idem(ik))
				t.Call("/Flow/"+w+"/run", j("text", "kept"), nil)
				t.Crash()
				t.Restart()
				t.Eventually(20*time.Second, "state", func() error { return counterIs(t, k, 42) })
				var n int64
				t.Call("/Echo/hit", p, &n, harness.Idem(ik))
				t.Eq(n, int64(1), "result of the idempotent call")
				t.Get("/restate/workflow/Flow/"+w+"/output").Want(t, 200).Has(t, "done kept")
				t.Post("/Flow/"+w+"/run", j("text", "again")).Want(t, 409)
				t.Admin("GET", "/deployments/"+t.Env.Endpoints["main"].Deployment.ID, nil).Want(t, 200)
			},
		},
		Case{
			Name: "timers", Tags: crash,
			Desc:   "Kill -9 while invocations sleep and delayed sends wait; some of the times pass while the server is down.",
			Expect: "all of them fire after the restart, once",
			Run: func(t *T) {
				p := t.Key("ti")
				var ids []string
				for _, ms := range []int{300, 1500, 4000} {
					ids = append(ids, t.Send("/Timers/sleep", j("ms", []int{ms})).InvocationID)
					ids = append(ids, t.Send("/Timers/stampTag", j("key", p, "value", fmt.Sprint(ms)), harness.Query("delay", fmt.Sprintf("%dms", ms))).InvocationID)
				}
				t.Crash()
				time.Sleep(time.Second)
				t.Restart()
				for _, id := range ids {
					t.Attach(id).Want(t, 200)
				}
				if n := len(probe.Lines(p)); n < 3 || n > 4 {
					t.Fatalf("%d delayed executions of 3", n)
				}
			},
		},
		Case{
			Name: "waiting-invocations", Tags: crash,
			Desc:   "Kill -9 while invocations wait for an awakeable, a promise, a signal, and for their key.",
			Expect: "all can be completed after the restart, in order",
			Run: func(t *T) {
				k, w, q := t.Key("aw"), t.Key("wf"), t.Key("q")
				a := t.Send("/Awakeables/"+k+"/wait", nil)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				t.Send("/Flow/"+w+"/run", j("text", "a", "waitFor", "p"))
				s := t.Send("/Completer/awaitSignals", []string{"x"})
				h := t.Send("/Awakeables/"+q+"/wait", nil)
				hid := awakeableOf(t, "/Awakeables/"+q+"/awakeable")
				b := t.Send("/Awakeables/"+q+"/waitOr", 1)
				t.WaitStatus(b.InvocationID, "pending")
				t.Crash()
				t.Restart()
				resolve(t, id, "still there").Want(t, 202)
				t.Attach(a.InvocationID).Want(t, 200).Has(t, "still there")
				t.Call("/Flow/"+w+"/resolve", j("name", "p", "value", "b"), nil)
				t.Get("/restate/workflow/Flow/"+w+"/attach").Want(t, 200).Has(t, "a+b")
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "x", "value", "sig"), nil)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "sig")
				t.WaitStatus(b.InvocationID, "pending")
				resolve(t, hid, "free").Want(t, 202)
				t.Attach(h.InvocationID).Want(t, 200).Has(t, "free")
				t.Attach(b.InvocationID).Want(t, 200).Has(t, "timeout")
			},
		},
		Case{
			Name: "waiting-handlers", Tags: crash,
			Desc:   "Kill -9 while handlers wait for an awakeable, a promise, a signal that is sent twice, and another invocation.",
			Expect: "all can be completed after the restart, and each signal is there once",
			Run: func(t *T) {
				k, w := t.Key("aw"), t.Key("wf")
				a := t.Send("/Proxy/sendThenAttach", j("service", "Awakeables", "key", k, "handler", "wait", "void", true))
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				run := t.Send("/Flow/"+w+"/run", j("text", "a", "waitFor", "p"))
				waits := t.Send("/Flow/"+w+"/await", "p")
				s := t.Send("/Completer/awaitSignals", []string{"x", "x"})
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "x", "value", "1"), nil)
				t.Eventually(0, "the run waits", func() error { return atLeast(probe.Hits("flow/"+w), 1) })
				t.Crash()
				t.Restart()
				t.Call("/Completer/resolveAwakeable", j("id", id, "value", "still there"), nil)
				t.Attach(a.InvocationID).Want(t, 200).Has(t, "still there")
				t.Call("/Flow/"+w+"/resolve", j("name", "p", "value", "b"), nil)
				t.Attach(run.InvocationID).Want(t, 200).Has(t, "a+b")
				t.Attach(waits.InvocationID).Want(t, 200).Has(t, "b")
				t.Call("/Completer/resolveSignal", j("id", s.InvocationID, "name", "x", "value", "2"), nil)
				var signals []string
				t.Attach(s.InvocationID).Want(t, 200).JSON(t, &signals)
				slices.Sort(signals) // the senders are two, and the first signal may be on its way while the server dies
				if !slices.Equal(signals, []string{"1", "2"}) {
					t.Errorf("signals %q", signals)
				}
			},
		},
		Case{
			Name: "steps-not-repeated", Tags: crash,
			Desc:   "Kill -9 after a step was stored, while a handler sleeps.",
			Expect: "the handler goes on after the restart, and the step's code is not run again",
			Run: func(t *T) {
				p := t.Key("kp")
				s := t.Send("/Effects/keeps", services.Steps{Probe: p, N: 5})
				t.Eventually(0, "the step is stored", func() error { return atLeast(probe.Hits(p+"/stored"), 1) })
				t.Crash()
				t.Restart()
				var out []int64
				t.Attach(s.InvocationID).Want(t, 200).JSON(t, &out)
				t.Eq(probe.Lines(p), []string{fmt.Sprint(out[0])}, "numbers drawn")
			},
		},
		Case{
			Name: "retrying-and-paused", Tags: crash,
			Desc:   "Kill -9 while one invocation is retried and another is paused.",
			Expect: "the first goes on being retried, the second stays paused until it is resumed",
			Run: func(t *T) {
				p, q := t.Key("rt"), t.Key("ps")
				a := t.Send("/Failing/flaky", services.Tries{Probe: p, Fail: 15})
				b := t.Send("/Failing/pauseAtThree", services.Tries{Probe: q, Fail: 3})
				t.WaitStatus(b.InvocationID, "paused")
				t.Eventually(0, "some attempts", func() error { return atLeast(probe.Hits(p), 2) })
				t.Crash()
				t.Restart()
				t.Attach(a.InvocationID).Want(t, 200)
				t.WaitStatus(b.InvocationID, "paused")
				t.Admin("PATCH", "/invocations/"+b.InvocationID+"/resume", nil).Want(t, 200, 202)
				t.Attach(b.InvocationID).Want(t, 200).Has(t, "4")
			},
		},
		Case{
			Name: "calls-in-flight", Tags: crash,
			Desc:   "Kill -9 while a handler waits for 30 calls to objects.",
			Expect: "each call takes effect once, and the handler gets all results",
			Run: func(t *T) {
				k := t.Key("cf")
				s := t.Send("/Proxy/fanOut", j("target", j("service", "Counter", "key", k, "handler", "addSlow", "body", services.SlowAdd{Value: 1, Ms: 400}), "n", 30, "perKey", true))
				time.Sleep(250 * time.Millisecond)
				t.Crash()
				t.Restart()
				var us []services.Update
				t.Attach(s.InvocationID).Want(t, 200).JSON(t, &us)
				t.Eq(len(us), 30, "results")
				for i := range us {
					t.Eq(us[i], services.Update{Old: 0, New: 1}, "result")
					t.Check(counterIs(t, fmt.Sprintf("%s-%d", k, i), 1), "state")
				}
			},
		},
		Case{
			Name: "graceful-restart", Tags: crash,
			Desc:   "Stop the server with SIGTERM while handlers sleep, wait and are retried, and start it again.",
			Expect: "everything goes on as after a kill",
			Run: func(t *T) {
				k, p, c := t.Key("gr"), t.Key("p"), t.Key("cnt")
				a := t.Send("/Awakeables/"+k+"/wait", nil)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				b := t.Send("/Effects/keeps", services.Steps{Probe: p, N: 4})
				f := t.Send("/Failing/flaky", services.Tries{Probe: p + "/f", Fail: 8})
				t.Call("/Counter/"+c+"/add", 3, nil)
				t.StopServer()
				t.Restart()
				resolve(t, id, "after the stop").Want(t, 202)
				t.Attach(a.InvocationID).Want(t, 200).Has(t, "after the stop")
				t.Attach(b.InvocationID).Want(t, 200)
				t.Attach(f.InvocationID).Want(t, 200)
				t.Check(counterIs(t, c, 3), "state")
			},
		},
		Case{
			Name: "three-kills", Tags: crash, Timeout: 150 * time.Second,
			Desc:   "Kill -9 three times in a row during a stream of ordered sends to one key.",
			Expect: "what was acknowledged is there once, in order",
			Run: func(t *T) {
				k := t.Key("tk")
				var want []string
				var done atomic.Bool
				var mu sync.Mutex
				var fail error
				n := 0
				var wg sync.WaitGroup
				wg.Add(1)
				go func() {
					defer wg.Done()
					end := time.Now().Add(120 * time.Second)
					for !done.Load() && n < 400 {
						v := fmt.Sprintf("%04d", n)
						for {
							_, err := t.TrySend("/List/"+k+"/append", v, harness.Idem(k+v))
							if err == nil {
								break
							}
							if time.Now().After(end) {
								mu.Lock()
								fail = err
								mu.Unlock()
								return
							}
							time.Sleep(30 * time.Millisecond)
						}
						mu.Lock()
						want = append(want, v)
						n++
						mu.Unlock()
						time.Sleep(3 * time.Millisecond)
					}
				}()
				for range 3 {
					time.Sleep(300 * time.Millisecond)
					t.Crash()
					t.Restart()
				}
				time.Sleep(200 * time.Millisecond)
				done.Store(true)
				wg.Wait()
				t.Check(fail, "sender")
				t.Eventually(30*time.Second, "the list is what was acknowledged", func() error { return listIs(t, k, want) })
				t.Logf("%d entries", len(want))
			},
		},
	)
}
