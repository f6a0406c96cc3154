package services

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/encoding"
)

var binary = encoding.BinaryCodec

var quick = restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(20*time.Millisecond), restate.WithMaxRetryInterval(100*time.Millisecond), restate.WithRetryIntervalFactor(1.5))

// Tries is the input of the failing handlers.
type Tries struct {
	Probe string `json:"probe"`
	// Fail is how many attempts fail before one works.
	Fail int64  `json:"fail"`
	Text string `json:"text"`
}

// Failing fails in several ways.
func Failing(name string) restate.ServiceDefinition {
	flaky := func(ctx restate.Context, in Tries) (int64, error) {
		n := probe.Hit(in.Probe)
		probe.Log(in.Probe, fmt.Sprint(time.Now().UnixMilli()))
		if n <= in.Fail {
			return 0, fmt.Errorf("attempt %d fails: %s", n, in.Text)
		}
		return n, nil
	}
	return of("Failing", restate.NewService(name, quick).
		Handler("terminal", restate.NewServiceHandler(func(ctx restate.Context, f Failure) (string, error) {
			return "", f.raise()
		})).
		Handler("flaky", restate.NewServiceHandler(flaky)).
		// coded fails its first attempts with an error that carries a status code and yet is retried.
		Handler("coded", restate.NewServiceHandler(func(ctx restate.Context, in Tries) (int64, error) {
			n := probe.Hit(in.Probe)
			if n <= in.Fail {
				return 0, restate.ToRetryableError(errors.New(in.Text), restate.WithErrorCode(429))
			}
			return n, nil
		})).
		Handler("panics", restate.NewServiceHandler(func(ctx restate.Context, in Tries) (int64, error) {
			n := probe.Hit(in.Probe)
			if n <= in.Fail {
				panic("boom " + in.Text)
			}
			return n, nil
		})).
		Handler("killAtThree", restate.NewServiceHandler(flaky, restate.WithInvocationRetryPolicy(
			restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(10*time.Millisecond),
			restate.WithMaxRetryAttempts(3), restate.KillOnMaxAttempts()))).
		Handler("pauseAtThree", restate.NewServiceHandler(flaky, restate.WithInvocationRetryPolicy(
			restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(10*time.Millisecond),
			restate.WithMaxRetryAttempts(3), restate.PauseOnMaxAttempts()))).
		Handler("backsOff", restate.NewServiceHandler(flaky, restate.WithInvocationRetryPolicy(
			restate.WithInitialRetryInterval(200*time.Millisecond), restate.WithMaxRetryInterval(5*time.Second),
			restate.WithRetryIntervalFactor(2)))).
		Handler("slowRetry", restate.NewServiceHandler(flaky, restate.WithInvocationRetryPolicy(
			restate.WithInitialRetryInterval(time.Hour), restate.WithMaxRetryInterval(time.Hour)))).
		// stepThenFail does a durable step before each failing attempt: the step is not repeated.
		Handler("stepThenFail", restate.NewServiceHandler(func(ctx restate.Context, in Tries) (int64, error) {
			v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) { return probe.Hit(in.Probe + "/step"), nil })
			if err != nil {
				return 0, err
			}
			if n := probe.Hit(in.Probe); n <= in.Fail {
				return 0, errors.New("not yet")
			}
			return v, nil
		})))
}

// NonDet breaks determinism: its second attempt takes another path than its first.
func NonDet(name string) restate.ServiceDefinition {
	pausing := restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(10*time.Millisecond),
		restate.WithMaxRetryAttempts(3), restate.PauseOnMaxAttempts())
	broken := func(a, b func(ctx restate.ObjectContext)) restate.ObjectHandlerFn[string, string] {
		return func(ctx restate.ObjectContext, p string) (string, error) {
			if probe.Hit(p) == 1 {
				a(ctx)
			} else {
				b(ctx)
			}
			// Let the journal reach the server, then go down: the next attempt has to replay.
			if err := restate.Sleep(ctx, 10*time.Millisecond); err != nil {
				return "", err
			}
			if probe.Hits(p) < 2 {
				return "", errors.New("second attempt, please")
			}
			return "done", nil
		}
	}
	set := func(k string) func(restate.ObjectContext) {
		return func(ctx restate.ObjectContext) { restate.Set(ctx, k, "x") }
	}
	send := func(h string) func(restate.ObjectContext) {
		return func(ctx restate.ObjectContext) { restate.ServiceSend(ctx, "Echo", h).Send("x") }
	}
	return of("NonDet", restate.NewObject(name, pausing).
		Handler("stateOrSend", restate.NewObjectHandler(broken(set("a"), send("text")))).
		Handler("otherKey", restate.NewObjectHandler(broken(set("a"), set("b")))).
		Handler("otherTarget", restate.NewObjectHandler(broken(send("text"), send("upper")))))
}

// Steps is the input of the side effect handlers.
type Steps struct {
	Probe string `json:"probe"`
	N     int    `json:"n"`
	Text  string `json:"text"`
	Size  int    `json:"size"`
}

// Effects runs durable steps.
func Effects(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	opts = append([]restate.ServiceDefinitionOption{quick}, opts...)
	return of("Effects", restate.NewService(name, opts...).
		// steps runs n steps one after another; each counts itself.
		Handler("steps", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (int64, error) {
			var sum int64
			for i := range in.N {
				v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) {
					return probe.Hit(fmt.Sprintf("%s/%d", in.Probe, i)), nil
				}, restate.WithName(fmt.Sprintf("step-%d", i)))
				if err != nil {
					return 0, err
				}
				sum += v
			}
			return sum, nil
		})).
		// parallel starts n steps at once and waits for all.
		Handler("parallel", restate.NewServiceHandler(func(ctx restate.Context, in Steps) ([]int, error) {
			futs := make([]restate.RunAsyncFuture[int], in.N)
			for i := range in.N {
				futs[i] = restate.RunAsync(ctx, func(rc restate.RunContext) (int, error) {
					defer probe.Enter(in.Probe)()
					time.Sleep(50 * time.Millisecond)
					probe.Hit(in.Probe)
					return i * i, nil
				})
			}
			out := make([]int, in.N)
			for i, f := range futs {
				v, err := f.Result()
				if err != nil {
					return nil, err
				}
				out[i] = v
			}
			return out, nil
		})).
		// keeps draws a random number in a step, sleeps across a suspension, and answers it with how often it was drawn.
		Handler("keeps", restate.NewServiceHandler(func(ctx restate.Context, in Steps) ([]int64, error) {
			probe.Hit(in.Probe + "/attempts")
			v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) {
				n := rand.Int64N(1 << 50)
				probe.Log(in.Probe, fmt.Sprint(n))
				return n, nil
			})
			if err != nil {
				return nil, err
			}
			probe.Hit(in.Probe + "/stored") // a result is given to the handler once it is stored
			for range max(1, in.N) {
				if err := restate.Sleep(ctx, 300*time.Millisecond); err != nil {
					return nil, err
				}
			}
			return []int64{v}, nil
		})).
		Handler("terminal", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (string, error) {
			_, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) {
				probe.Hit(in.Probe)
				return "", restate.ToTerminalError(errors.New(in.Text), restate.WithErrorCode(451))
			})
			if err != nil {
				return "", err
			}
			return "no error", nil
		})).
		// caught turns the terminal error of a step into a value.
		Handler("caught", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (string, error) {
			_, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) {
				return "", restate.ToTerminalError(errors.New(in.Text), restate.WithErrorCode(451))
			})
			if err == nil {
				return "no error", nil
			}
			if err := restate.Sleep(ctx, 10*time.Millisecond); err != nil {
				return "", err
			}
			return fmt.Sprintf("caught %d %s", err.Code(), err.Message()), nil
		})).
		// exhausted has a step that gives up after n attempts.
		Handler("exhausted", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (string, error) {
			_, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) {
				probe.Hit(in.Probe)
				return "", errors.New(in.Text)
			}, restate.WithMaxRetryAttempts(uint(in.N)), restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(20*time.Millisecond))
			if err != nil {
				return "", err
			}
			return "no error", nil
		})).
		// eventually has a step that works at its n-th attempt.
		Handler("eventually", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (int64, error) {
			v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) {
				n := probe.Hit(in.Probe)
				if n < int64(in.N) {
					return 0, fmt.Errorf("attempt %d of a step", n)
				}
				return n, nil
			}, restate.WithInitialRetryInterval(10*time.Millisecond), restate.WithMaxRetryInterval(50*time.Millisecond))
			return v, err
		})).
		Handler("big", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (int, error) {
			v, err := restate.Run(ctx, func(rc restate.RunContext) (string, error) { return strings.Repeat("z", in.Size), nil })
			if err != nil {
				return 0, err
			}
			if err := restate.Sleep(ctx, 10*time.Millisecond); err != nil {
				return 0, err
			}
			return len(v), nil
		})).
		// random answers values of the deterministic source, drawn before and after a failing attempt.
		Handler("random", restate.NewServiceHandler(func(ctx restate.Context, in Steps) ([]string, error) {
			a, b := restate.UUID(ctx).String(), fmt.Sprint(restate.Rand(ctx).Uint64())
			probe.Log(in.Probe, a+" "+b)
			if probe.Hit(in.Probe) < 3 {
				return nil, errors.New("again")
			}
			return []string{a, b}, nil
		})).
		// long writes a journal of n steps, goes down in the middle, and answers the sum.
		Handler("long", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (int, error) {
			probe.Hit(in.Probe + "/attempts")
			sum := 0
			for i := range in.N {
				v, err := restate.Run(ctx, func(rc restate.RunContext) (int, error) {
					probe.Hit(in.Probe)
					return i, nil
				})
				if err != nil {
					return 0, err
				}
				sum += v
				if i == in.N/2 && probe.Hit(in.Probe+"/half") == 1 {
					return 0, errors.New("go down once in the middle")
				}
			}
			if err := restate.Sleep(ctx, 10*time.Millisecond); err != nil {
				return 0, err
			}
			return sum, nil
		})).
		// slowStep holds a step open until the gate opens; only the first attempt waits.
		Handler("slowStep", restate.NewServiceHandler(func(ctx restate.Context, in Steps) (int64, error) {
			v, err := restate.Run(ctx, func(rc restate.RunContext) (int64, error) {
				n := probe.Hit(in.Probe)
				if n == 1 {
					probe.Wait(rc, in.Probe)
				}
				return n, nil
			})
			return v, err
		})))
}
