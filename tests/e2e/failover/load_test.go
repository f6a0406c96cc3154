package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/e2e/harness"
)

const (
	callers = 12
	// keys are spread over all partitions.
	keys = 96
	// between is how many answers each caller gets between one fault and the next: enough for it to meet the partitions of
	// whoever is gone.
	between       = 60
	progressLimit = time.Minute
)

// load is what callers do: each adds 1 to one counter after the other.
type load struct {
	doors   []*door
	numbers atomic.Int64 // of additions
	callers [callers]caller
	victim  atomic.Pointer[harness.Process] // that goes, or went last

	mu     sync.Mutex
	faults []error // what callers of living ingresses saw
}

// caller is one of them.
type caller struct {
	answers atomic.Int64

	mu    sync.Mutex
	last  time.Time // answer
	worst time.Duration
}

// door is an ingress.
type door struct {
	of *harness.Process

	mu   sync.Mutex
	ctx  context.Context // ends when whoever looks after callers sends them elsewhere
	shut context.CancelFunc
}

func newLoad(f *harness.Form) *load {
	l := &load{}
	for _, p := range f.Ingresses() {
		d := &door{of: p}
		d.open()
		l.doors = append(l.doors, d)
	}
	return l
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx, d.shut = context.WithCancel(context.Background())
}

func (d *door) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// service is what they call.
func (l *load) service() restate.ServiceDefinition {
	const sum = "sum"
	return restate.NewObject("Counter").
		Handler("add", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) (int, error) {
			have, err := restate.Get[int](ctx, sum)
			if err != nil {
				return 0, err
			}
			restate.Set(ctx, sum, have+n)
			return have + n, nil
		}))
}

// start starts the callers, some at each ingress. The function it returns lets them finish.
func (l *load) start(ctx context.Context) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for i := range l.callers {
		running.Go(func() {
			random, client := rand.New(rand.NewPCG(uint64(i), 0)), &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !stopped.Load() && ctx.Err() == nil {
				if l.add(ctx, client, i, random.IntN(keys)) {
					l.callers[i].answered()
				}
			}
		})
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

func (c *caller) answered() {
	now := time.Now()
	c.mu.Lock()
	if !c.last.IsZero() {
		c.worst = max(c.worst, now.Sub(c.last))
	}
	c.last = now
	c.mu.Unlock()
	c.answers.Add(1)
}

// add adds 1 to a counter, through the caller's own ingress or, while that is gone, the next one. It is asked for until it is
// answered, so that what the counters hold is known; false: the test ended before.
func (l *load) add(ctx context.Context, client *http.Client, caller, key int) bool {
	n := l.numbers.Add(1)
	for i := caller; ctx.Err() == nil; i++ {
		d := l.doors[i%len(l.doors)]
		open := d.context()
		if open.Err() != nil {
			continue
		}
		request, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(open, cancel)
		err := call(request, client, d.of.Ingress, key, n)
		stop()
		cancel()
		if err == nil {
			return true
		}
		var status *harness.StatusError // who says so lives
		if ctx.Err() == nil && (d.of != l.victim.Load() || errors.As(err, &status)) {
			l.fault(fmt.Errorf("%s: addition %d to counter %d through %s: %w", time.Now().UTC().Format("15:04:05.000"), n, key, d.of.Name, err))
		}
	}
	return false
}

func call(ctx context.Context, client *http.Client, ingress string, key int, n int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/Counter/%d/add", ingress, key), bytes.NewReader([]byte("1")))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", strconv.FormatInt(n, 10))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return &harness.StatusError{Path: req.URL.Path, Status: res.StatusCode, Body: string(body)}
	}
	return nil
}

const faultsMax = 20

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < faultsMax {
		l.faults = append(l.faults, err)
	}
}

// answersOf tells how many answers each caller has had.
func (l *load) answersOf() (had [callers]int64) {
	for i := range l.callers {
		had[i] = l.callers[i].answers.Load()
	}
	return had
}

// progress waits until each caller had enough answers since.
func (l *load) progress(ctx context.Context, since [callers]int64) error {
	return harness.Wait(ctx, progressLimit, "answers to callers", func(context.Context) error {
		for i, had := range since {
			if n := l.callers[i].answers.Load() - had; n < between {
				return fmt.Errorf("caller %d has had %d of %d", i, n, between)
			}
		}
		return nil
	})
}

// forget forgets gaps: a process is about to go.
func (l *load) forget(p *harness.Process) {
	l.victim.Store(p)
	for i := range l.callers {
		c := &l.callers[i]
		c.mu.Lock()
		c.worst = 0
		c.mu.Unlock()
	}
}

// worst is the longest time that any caller has waited from one answer to the next.
func (l *load) worst() (worst time.Duration) {
	for i := range l.callers {
		c := &l.callers[i]
		c.mu.Lock()
		worst = max(worst, c.worst)
		c.mu.Unlock()
	}
	return worst
}

// shut sends callers of a process elsewhere until it is ready again, as a load balancer does that sees it hang, or not answer.
func (l *load) shut(p *harness.Process) {
	for _, d := range l.doors {
		if d.of == p {
			d.shut()
		}
	}
}

// open ends shut.
func (l *load) open(p *harness.Process) {
	for _, d := range l.doors {
		if d.of == p && d.context().Err() != nil {
			d.open()
		}
	}
}

// check checks that each addition was made once.
func (l *load) check(ctx context.Context, c *harness.Client) error {
	var sum int64
	for key := range keys {
		var have int64
		if err := c.Call(ctx, fmt.Sprintf("Counter/%d/add", key), json.RawMessage("0"), &have); err != nil {
			return err
		}
		sum += have
	}
	if want := l.numbers.Load(); sum != want {
		return fmt.Errorf("the counters hold %d, of %d additions that were answered", sum, want)
	}
	return nil
}
