package soak

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"math/rand/v2"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

// endpointEnv has this program be the service, at that address.
const endpointEnv = "REPRISE_SOAK_ENDPOINT"

const (
	// silent is how long an attempt may be silent, and then how long until it is aborted.
	silent = 2 * time.Second
	// retained is how long outputs are kept: longer than a client takes to ask again.
	retained = time.Minute
)

// serve serves until it is killed.
func serve(at string) error {
	options := []restate.ServiceDefinitionOption{
		restate.WithInactivityTimeout(silent), restate.WithAbortTimeout(silent),
		restate.WithIdempotencyRetention(retained), restate.WithJournalRetention(0),
		restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(100*time.Millisecond), restate.WithMaxRetryInterval(time.Second)),
	}
	return server.NewRestate().WithLogger(slog.DiscardHandler, true).
		Bind(counter(options)).Bind(keeper(options)).Bind(worker(options)).
		Start(context.Background(), at)
}

// counter adds.
func counter(options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewObject("Counter", options...).
		Handler("add", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) (int, error) {
			have, err := restate.Get[int](ctx, "sum")
			if err != nil {
				return 0, err
			}
			restate.Set(ctx, "sum", have+n)
			return have + n, nil
		}))
}

// keeper keeps what it is given, and answers the digest of what it had.
func keeper(options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewObject("Keeper", options...).
		Handler("put", restate.NewObjectHandler(func(ctx restate.ObjectContext, b []byte) ([]byte, error) {
			had, err := restate.Get[[]byte](ctx, "bytes", restate.WithBinary)
			if err != nil {
				return nil, err
			}
			restate.Set(ctx, "bytes", b, restate.WithBinary)
			sum := sha256.Sum256(had)
			return sum[:], nil
		}, restate.WithBinary))
}

// worker has handlers that are slow, hang, and carry much.
func worker(options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewService("Worker", options...).
		Handler("slow", restate.NewServiceHandler(func(ctx restate.Context, millis int) (int, error) {
			if err := restate.Sleep(ctx, time.Duration(millis)*time.Millisecond); err != nil {
				return 0, err
			}
			return restate.Object[int](ctx, "Counter", "slow", "add").Request(1)
		})).
		Handler("hang", restate.NewServiceHandler(func(ctx restate.Context, _ int) (int, error) {
			if rand.IntN(2) > 0 { // until the server has enough of this attempt
				<-ctx.Done()
				return 0, context.Cause(ctx)
			}
			return restate.Object[int](ctx, "Counter", "hang", "add").Request(1)
		})).
		Handler("turn", restate.NewServiceHandler(func(ctx restate.Context, b []byte) ([]byte, error) {
			return restate.Run(ctx, func(restate.RunContext) ([]byte, error) { return turn(b), nil }, restate.WithBinary)
		}, restate.WithBinary))
}

// turn returns the bytes in reverse.
func turn(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[len(b)-1-i] = x
	}
	return out
}
