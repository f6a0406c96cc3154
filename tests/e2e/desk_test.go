package e2e

import (
	"errors"
	"time"

	restate "github.com/restatedev/sdk-go"
)

// desk are services whose invocations get into each state and stay there, for the tests of command lines.
func desk() []restate.ServiceDefinition {
	return []restate.ServiceDefinition{deskService(), deskObject(), deskWorkflow()}
}

// longPause is longer than any test.
const longPause = time.Hour

func deskService() restate.ServiceDefinition {
	stuck := errors.New("the drawer is stuck")
	return restate.NewService("Desk").
		Handler("fine", restate.NewServiceHandler(func(_ restate.Context, in string) (string, error) { return "fine, " + in, nil })).
		Handler("breaks", restate.NewServiceHandler(func(_ restate.Context, in string) (string, error) {
			return "", restate.TerminalErrorf("%s broke", in)
		})).
		Handler("naps", restate.NewServiceHandler(func(ctx restate.Context, in string) (string, error) {
			got, err := restate.Run(ctx, func(restate.RunContext) (string, error) { return "lies down", nil }, restate.WithName("lie down"))
			if err != nil {
				return "", err
			}
			return got, restate.Sleep(ctx, longPause, restate.WithName("long nap"))
		})).
		Handler("stumbles", restate.NewServiceHandler(func(restate.Context, string) (string, error) { return "", stuck },
			restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(longPause), restate.WithMaxRetryInterval(longPause)))).
		Handler("stops", restate.NewServiceHandler(func(restate.Context, string) (string, error) { return "", stuck },
			restate.WithInvocationRetryPolicy(restate.WithMaxRetryAttempts(1), restate.PauseOnMaxAttempts()))).
		Handler("asks", restate.NewServiceHandler(func(ctx restate.Context, key string) (string, error) {
			return restate.Object[string](ctx, "Clerk", key, "holds").Request("for asks")
		})).
		Handler("books", restate.NewServiceHandler(func(ctx restate.Context, key string) (restate.Void, error) {
			restate.WorkflowSend(ctx, "Trip", key, "run").Send("booked", restate.WithDelay(longPause))
			restate.ServiceSend(ctx, "Desk", "fine").Send("by books")
			return restate.Void{}, nil
		}))
}

// deskObject holds a key until somebody resolves its awakeable.
func deskObject() restate.ServiceDefinition {
	return restate.NewObject("Clerk").
		Handler("holds", restate.NewObjectHandler(func(ctx restate.ObjectContext, in string) (string, error) {
			a := restate.Awakeable[string](ctx)
			restate.Set(ctx, "held", in)
			restate.Set(ctx, "since", 5)
			return a.Result()
		})).
		Handler("seen", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (string, error) {
			return restate.Get[string](ctx, "held")
		}))
}

func deskWorkflow() restate.ServiceDefinition {
	return restate.NewWorkflow("Trip").
		Handler("run", restate.NewWorkflowHandler(func(ctx restate.WorkflowContext, in string) (string, error) {
			ticket, err := restate.Promise[string](ctx, "ticket").Result()
			return in + " with " + ticket, err
		})).
		Handler("stamp", restate.NewWorkflowSharedHandler(func(ctx restate.WorkflowSharedContext, in string) (restate.Void, error) {
			return restate.Void{}, restate.Promise[string](ctx, "ticket").Resolve(in)
		}))
}
