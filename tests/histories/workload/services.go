package workload

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	restate "github.com/restatedev/sdk-go"
)

const stateKey = "state"

// object serves a machine: do takes turns, look does not.
func object(name string, m machine) restate.ServiceDefinition {
	return restate.NewObject(name).
		Handler("do", restate.NewObjectHandler(func(ctx restate.ObjectContext, in Input) (Output, error) {
			state, err := restate.Get[string](ctx, stateKey)
			if err != nil {
				return Output{}, err
			}
			next, out := m(state, in)
			restate.Set(ctx, stateKey, next)
			return out, nil
		})).
		Handler("look", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, in Input) (Output, error) {
			state, err := restate.Get[string](ctx, stateKey)
			if err != nil {
				return Output{}, err
			}
			_, out := m(state, in)
			return out, nil
		}))
}

// flow is a workflow that draws its result, counts itself, and takes some time.
func flow() restate.ServiceDefinition {
	return restate.NewWorkflow("Flow").
		Handler("run", restate.NewWorkflowHandler(func(ctx restate.WorkflowContext, millis int) (string, error) {
			result, err := restate.Run(ctx, func(restate.RunContext) (string, error) { return fmt.Sprint(rand.Uint64()), nil })
			if err != nil {
				return "", err
			}
			if _, err := restate.Object[Output](ctx, "Counter", runsOf(restate.Key(ctx)), "do").Request(Input{Verb: "add", Value: 1}); err != nil {
				return "", err
			}
			return result, restate.Sleep(ctx, time.Duration(millis)*time.Millisecond)
		}))
}

// runsOf is the counter of a workflow's runs.
func runsOf(flow string) string { return "runs of " + flow }

// alarms are timers: a handler that sleeps, and one that notes when it first ran.
type alarms struct {
	mu   sync.Mutex
	rang map[string]time.Time
}

func (a *alarms) note(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rang[name].IsZero() {
		a.rang[name] = time.Now()
	}
}

// of is when an alarm rang; zero: it did not.
func (a *alarms) of(name string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rang[name]
}

func (a *alarms) service() restate.ServiceDefinition {
	return restate.NewService("Alarm").
		Handler("ring", restate.NewServiceHandler(func(_ restate.Context, name string) (restate.Void, error) {
			a.note(name)
			return restate.Void{}, nil
		})).
		Handler("sleep", restate.NewServiceHandler(func(ctx restate.Context, millis int) (restate.Void, error) {
			return restate.Void{}, restate.Sleep(ctx, time.Duration(millis)*time.Millisecond)
		}))
}
