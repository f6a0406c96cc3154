package services

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
)

// Awakeables is a keyed holder of awakeables, under any service name.
func Awakeables(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Awakeables", restate.NewObject(name, opts...).
		// wait makes an awakeable, publishes its id in the state, and waits for it.
		Handler("wait", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (string, error) {
			a := restate.Awakeable[string](ctx)
			restate.Set(ctx, "awk", a.Id())
			v, err := a.Result()
			restate.Clear(ctx, "awk")
			return v, err
		})).
		Handler("waitRaw", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) ([]byte, error) {
			a := restate.Awakeable[[]byte](ctx, restate.WithBinary)
			restate.Set(ctx, "awk", a.Id())
			v, err := a.Result()
			return v, err
		}, restate.WithOutputCodec(binary))).
		// waitOr waits for the awakeable at most ms milliseconds.
		Handler("waitOr", restate.NewObjectHandler(func(ctx restate.ObjectContext, ms int) (string, error) {
			a := restate.Awakeable[string](ctx)
			restate.Set(ctx, "awk", a.Id())
			timer := restate.After(ctx, time.Duration(ms)*time.Millisecond)
			first, err := restate.WaitFirst(ctx, a, timer)
			if err != nil {
				return "", err
			}
			if first == timer {
				return "timeout", nil
			}
			v, err := a.Result()
			return v, err
		})).
		// waitMany makes n awakeables and answers their values in order.
		Handler("waitMany", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) ([]string, error) {
			as := make([]restate.AwakeableFuture[string], n)
			ids := make([]string, n)
			for i := range n {
				as[i] = restate.Awakeable[string](ctx)
				ids[i] = as[i].Id()
			}
			restate.Set(ctx, "awks", ids)
			out := make([]string, n)
			for i := range n {
				v, err := as[i].Result()
				if err != nil {
					return nil, err
				}
				out[i] = v
			}
			return out, nil
		})).
		Handler("awakeable", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (string, error) {
			v, err := restate.Get[string](ctx, "awk")
			return v, err
		})).
		Handler("awakeableIds", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) ([]string, error) {
			v, err := restate.Get[[]string](ctx, "awks")
			return v, err
		})))
}

// Completion completes an awakeable, a promise or a signal.
type Completion struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Completer completes awakeables and signals from inside handlers.
func Completer(name string) restate.ServiceDefinition {
	return of("Completer", restate.NewService(name).
		Handler("resolveAwakeable", restate.NewServiceHandler(func(ctx restate.Context, c Completion) (restate.Void, error) {
			restate.ResolveAwakeable(ctx, c.ID, c.Value)
			return restate.Void{}, nil
		})).
		Handler("rejectAwakeable", restate.NewServiceHandler(func(ctx restate.Context, c Completion) (restate.Void, error) {
			restate.RejectAwakeable(ctx, c.ID, errors.New(c.Value))
			return restate.Void{}, nil
		})).
		Handler("resolveSignal", restate.NewServiceHandler(func(ctx restate.Context, c Completion) (restate.Void, error) {
			restate.ResolveSignal(ctx, c.ID, c.Name, c.Value)
			return restate.Void{}, nil
		})).
		Handler("rejectSignal", restate.NewServiceHandler(func(ctx restate.Context, c Completion) (restate.Void, error) {
			restate.RejectSignal(ctx, c.ID, c.Name, errors.New(c.Value))
			return restate.Void{}, nil
		})).
		// awaitSignals waits for the named signals in the order given.
		Handler("awaitSignals", restate.NewServiceHandler(func(ctx restate.Context, names []string) ([]string, error) {
			out := []string{}
			for _, n := range names {
				v, err := restate.Signal[string](ctx, n).Result()
				if err != nil {
					return out, err
				}
				out = append(out, v)
			}
			return out, nil
		})))
}

// Job is the input of the workflow.
type Job struct {
	Text string `json:"text"`
	// WaitFor names a promise that the run waits for; none if empty.
	WaitFor string `json:"waitFor"`
	// Fail ends the run with a terminal error of this text.
	Fail string `json:"fail"`
}

// Flow is a workflow with durable promises, under any service name.
func Flow(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Flow", restate.NewWorkflow(name, opts...).
		Handler("run", restate.NewWorkflowHandler(func(ctx restate.WorkflowContext, j Job) (string, error) {
			probe.Hit("flow/" + restate.Key(ctx))
			restate.Set(ctx, "text", j.Text)
			if j.Fail != "" {
				return "", restate.ToTerminalError(errors.New(j.Fail), restate.WithErrorCode(422))
			}
			if j.WaitFor == "" {
				return "done " + j.Text, nil
			}
			v, err := restate.Promise[string](ctx, j.WaitFor).Result()
			if err != nil {
				return "", err
			}
			restate.Set(ctx, "got", v)
			return j.Text + "+" + v, nil
		})).
		Handler("text", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, _ restate.Void) (string, error) {
			v, err := restate.Get[string](ctx, "text")
			return v, err
		})).
		Handler("resolve", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, c Completion) (restate.Void, error) {
			return restate.Void{}, restate.Promise[string](ctx, c.Name).Resolve(c.Value)
		})).
		Handler("reject", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, c Completion) (restate.Void, error) {
			return restate.Void{}, restate.Promise[string](ctx, c.Name).Reject(restate.TerminalErrorf("%s", c.Value))
		})).
		Handler("peek", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, p string) (*string, error) {
			v, err := restate.Promise[*string](ctx, p).Peek()
			return v, err
		})).
		Handler("await", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, p string) (string, error) {
			v, err := restate.Promise[string](ctx, p).Result()
			return v, err
		})))
}

// Block says what a handler should block on.
type Block struct {
	On string `json:"on"` // sleep, awakeable, call, run, promise
	// Probe gets a line "cancelled" with the error when the block is broken by a cancellation.
	Probe string `json:"probe"`
	// Child is the key of the object that is called with "call".
	Child string `json:"child"`
	// Recover swallows the cancellation and answers a value instead.
	Recover bool `json:"recover"`
}

// Blocker blocks in various ways and notes how it was ended, under any service name.
func Blocker(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Blocker", restate.NewObject(name, opts...).
		Handler("block", restate.NewObjectHandler(func(ctx restate.ObjectContext, b Block) (string, error) {
			var err restate.TerminalError
			probe.Hit(b.Probe + "/started")
			switch b.On {
			case "sleep":
				err = restate.Sleep(ctx, time.Hour)
			case "awakeable":
				_, err = restate.Awakeable[string](ctx).Result()
			case "call":
				_, err = restate.Object[string](ctx, name, b.Child, "block").Request(Block{On: "awakeable", Probe: b.Probe + "/child"})
			case "run":
				err = restate.RunVoid(ctx, func(rc restate.RunContext) error {
					return errors.New("never works")
				}, restate.WithInitialRetryInterval(50*time.Millisecond), restate.WithMaxRetryInterval(50*time.Millisecond))
			case "signal":
				_, err = restate.Signal[string](ctx, "never").Result()
			default:
				return "", restate.TerminalErrorf("unknown block %q", b.On)
			}
			if err != nil {
				probe.Log(b.Probe, fmt.Sprintf("%d %s", err.Code(), err.Message()))
				restate.Set(ctx, "ended", err.Message())
				if b.Recover {
					// After a cancellation was taken, further durable steps work again.
					v, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) { return "compensated", nil })
					if err != nil {
						return "", err
					}
					if err := restate.Sleep(ctx, 5*time.Millisecond); err != nil {
						return "", err
					}
					return v, nil
				}
				return "", err
			}
			return "not blocked", nil
		})).
		Handler("ping", restate.NewObjectHandler(func(ctx restate.ObjectContext, s string) (string, error) { return s, nil })).
		Handler("ended", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (string, error) {
			v, err := restate.Get[string](ctx, "ended")
			return v, err
		})))
}

// Timed is the input of the timer handlers.
type Timed struct {
	Ms    []int  `json:"ms"`
	Probe string `json:"probe"`
}

// Timers sleeps in several ways.
func Timers(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Timers", restate.NewService(name, opts...).
		// sleep sleeps the given durations one after another.
		Handler("sleep", restate.NewServiceHandler(func(ctx restate.Context, in Timed) (int, error) {
			for _, ms := range in.Ms {
				if in.Probe != "" {
					probe.Hit(in.Probe)
				}
				if err := restate.Sleep(ctx, time.Duration(ms)*time.Millisecond); err != nil {
					return 0, err
				}
			}
			return len(in.Ms), nil
		})).
		// order starts all timers at once and answers the durations in the order they fired. Of those that
		// fire between two looks an SDK tells the first of its list, so the list is by length.
		Handler("order", restate.NewServiceHandler(func(ctx restate.Context, in Timed) ([]int, error) {
			ms := map[restate.Future]int{}
			var futs []restate.Future
			for _, m := range in.Ms {
				f := restate.After(ctx, time.Duration(m)*time.Millisecond)
				ms[f] = m
				futs = append(futs, f)
			}
			slices.SortFunc(futs, func(a, b restate.Future) int { return cmp.Compare(ms[a], ms[b]) })
			var out []int
			for f, err := range restate.Wait(ctx, futs...) {
				if err != nil {
					return nil, err
				}
				out = append(out, ms[f])
			}
			return out, nil
		})).
		// stamp notes the time of its execution.
		Handler("stamp", restate.NewServiceHandler(func(ctx restate.Context, in string) (restate.Void, error) {
			probe.Log(in, fmt.Sprint(time.Now().UnixMilli()))
			return restate.Void{}, nil
		})).
		Handler("stampTag", restate.NewServiceHandler(func(ctx restate.Context, in Entry) (restate.Void, error) {
			probe.Log(in.Key, in.Value)
			return restate.Void{}, nil
		})))
}
