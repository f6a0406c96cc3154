package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/e2e/harness"
)

const (
	callers = 8
	// keys are spread over all partitions.
	keys = 192
	// rowBytes is what each call has its object store.
	rowBytes = 32 << 10
	// between is how many answers there are between one event and the next.
	between       = 100
	progressLimit = 2 * time.Minute
)

// load is callers who add, each time with a row to store.
type load struct {
	form    *harness.Form
	numbers atomic.Int64
	answers atomic.Int64

	mu     sync.Mutex
	failed error
}

func newLoad(f *harness.Form) *load { return &load{form: f} }

func (l *load) service() restate.ServiceDefinition {
	return restate.NewObject("Heap").
		Handler("add", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) (int, error) {
			have, err := restate.Get[int](ctx, "sum")
			if err != nil {
				return 0, err
			}
			restate.Set(ctx, "sum", have+n)
			restate.Set(ctx, "row", bytes.Repeat([]byte{byte(have)}, n*rowBytes), restate.WithBinary)
			return have + n, nil
		}, restate.WithEnableLazyState(true)))
}

// start starts the callers. The function it returns lets them finish.
func (l *load) start(ctx context.Context) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			random, c := rand.New(rand.NewPCG(uint64(i), 0)), harness.NewClient(l.form)
			defer c.Close()
			for !stopped.Load() && ctx.Err() == nil {
				key := strconv.FormatInt(l.numbers.Add(1), 10)
				if err := c.Call(ctx, fmt.Sprintf("Heap/%d/add", random.IntN(keys)), 1, nil, "Idempotency-Key", key); err != nil {
					l.mu.Lock()
					l.failed = err
					l.mu.Unlock()
					return
				}
				l.answers.Add(1)
			}
		})
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

// progress waits for answers.
func (l *load) progress(ctx context.Context) error {
	since := l.answers.Load()
	return harness.Wait(ctx, progressLimit, "answers to callers", func(context.Context) error {
		if n := l.answers.Load() - since; n < between {
			l.mu.Lock()
			defer l.mu.Unlock()
			return fmt.Errorf("%d of %d; a caller saw %v", n, between, l.failed)
		}
		return nil
	})
}

// check checks that no caller saw an error, and that each addition was made once.
func (l *load) check(ctx context.Context, c *harness.Client) error {
	if l.failed != nil {
		return l.failed
	}
	var sum int64
	for key := range keys {
		var have int64
		if err := c.Call(ctx, fmt.Sprintf("Heap/%d/add", key), json.RawMessage("0"), &have); err != nil {
			return err
		}
		sum += have
	}
	if want := l.answers.Load(); sum != want {
		return fmt.Errorf("the objects hold %d, of %d additions that were answered", sum, want)
	}
	return nil
}
