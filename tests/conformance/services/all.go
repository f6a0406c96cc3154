package services

import (
	"time"

	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
)

// definition is a service that knows how the programs of other SDKs call its kind.
type definition struct {
	restate.ServiceDefinition
	kind string
	args []string
}

// Kind is the name of the func that made it, with what that was given beside name and options.
func (d definition) Kind() (string, []string) { return d.kind, d.args }

func of(kind string, def restate.ServiceDefinition, args ...string) restate.ServiceDefinition {
	return definition{def, kind, args}
}

// Text has one handler only, under the name of one of Echo's.
func Text(name string) restate.ServiceDefinition {
	return of("Text", restate.NewService(name).
		Handler("text", restate.NewServiceHandler(func(ctx restate.Context, s string) (string, error) { return "small " + s, nil })))
}

// Versioned answers which version it is; a blocked call shows on which version it goes on.
func Versioned(name, version string) restate.ServiceDefinition {
	return of("Versioned", restate.NewObject(name).
		Handler("version", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (string, error) {
			return version, nil
		})).
		// span notes the version before and after a wait.
		Handler("span", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) ([]string, error) {
			before, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) { return version, nil })
			if err != nil {
				return nil, err
			}
			a := restate.Awakeable[string](ctx)
			restate.Set(ctx, "awk", a.Id())
			if _, err := a.Result(); err != nil {
				return nil, err
			}
			return []string{before, version}, nil
		})).
		Handler("awakeable", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (string, error) {
			v, err := restate.Get[string](ctx, "awk")
			return v, err
		})), version)
}

// Gated is a service whose handler fails until a gate of package probe is open; it pauses after two attempts.
func Gated(name, version string) restate.ServiceDefinition {
	return of("Gated", restate.NewService(name, restate.WithInvocationRetryPolicy(
		restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(10*time.Millisecond),
		restate.WithMaxRetryAttempts(2), restate.PauseOnMaxAttempts()),
		restate.WithJournalRetention(time.Hour)).
		Handler("pass", restate.NewServiceHandler(func(ctx restate.Context, gate string) (string, error) {
			v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) { return probe.Hit(gate + "/step"), nil })
			if err != nil {
				return "", err
			}
			if !probe.IsOpen(gate) {
				return "", restate.RetryableErrorf("the gate is shut")
			}
			return version + " " + string('0'+rune(v)), nil
		})), version)
}

// Main is what the main endpoint serves.
func Main() []restate.ServiceDefinition {
	return []restate.ServiceDefinition{
		Counter("Counter"),
		Map("Map"),
		Map("LazyMap", restate.WithEnableLazyState(true)),
		List("List"),
		Echo("Echo"),
		Proxy("Proxy"),
		Awakeables("Awakeables"),
		Completer("Completer"),
		Flow("Flow"),
		Blocker("Blocker"),
		Timers("Timers"),
		Failing("Failing"),
		NonDet("NonDet"),
		Effects("Effects", restate.WithJournalRetention(time.Hour)),
		Interpreter("Interpreter"),
		Gated("Gated", "v1"),
		Echo("Hidden", restate.WithIngressPrivate(true)),
		Documented("Documented"),
		// The same services, asked to give up their place after a very short wait.
		Awakeables("SuspAwakeables", restate.WithInactivityTimeout(50*time.Millisecond)),
		Timers("SuspTimers", restate.WithInactivityTimeout(50*time.Millisecond)),
		Effects("SuspEffects", restate.WithInactivityTimeout(50*time.Millisecond), restate.WithJournalRetention(time.Hour)),
		Interpreter("SuspInterpreter", restate.WithInactivityTimeout(50*time.Millisecond)),
		Proxy("SuspProxy", restate.WithInactivityTimeout(50*time.Millisecond)),
		Effects("AbortEffects", restate.WithInactivityTimeout(50*time.Millisecond), restate.WithAbortTimeout(time.Second)),
	}
}

// Documented carries every kind of description and option that discovery can transport.
func Documented(name string) restate.ServiceDefinition {
	return of("Documented", restate.NewService(name,
		restate.WithDocumentation("A service with a description."),
		restate.WithMetadata("team", "green"),
		restate.WithIdempotencyRetention(2*time.Hour),
		restate.WithJournalRetention(30*time.Minute),
		restate.WithInactivityTimeout(70*time.Second),
		restate.WithAbortTimeout(80*time.Second)).
		Handler("open", restate.NewServiceHandler(func(ctx restate.Context, in Entry) (Update, error) {
			return Update{0, int64(len(in.Value))}, nil
		}, restate.WithDocumentation("The open one."), restate.WithMetadata("kind", "handler"))).
		Handler("shut", restate.NewServiceHandler(func(ctx restate.Context, s string) (string, error) { return s, nil }, restate.WithIngressPrivate(true))))
}

// Small is the short list of services that is served a second time over other transports, with a prefix.
func Small(prefix string) []restate.ServiceDefinition {
	return []restate.ServiceDefinition{
		Counter(prefix + "Counter"),
		Echo(prefix + "Echo"),
		Proxy(prefix + "Proxy"),
		Awakeables(prefix + "Awakeables"),
		Timers(prefix + "Timers"),
		Effects(prefix + "Effects"),
		Failing(prefix + "Failing"),
		Blocker(prefix + "Blocker"),
		Interpreter(prefix + "Interpreter"),
		Flow(prefix + "Flow"),
	}
}
