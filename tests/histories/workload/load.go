package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	restate "github.com/restatedev/sdk-go"

	"reprise/tests/e2e/harness"
)

const (
	clients = 12
	// perKey is how many operations a key gets: the time that a check takes grows fast with them.
	perKey = 150
	// between is how many answers Progress waits for, of each client: some come from partitions that a fault hit.
	between = 20

	attemptLimit  = 10 * time.Second
	requestLimit  = time.Minute
	progressLimit = time.Minute
)

type objectKey struct{ kind, key string }

// timer is one that was asked for.
type timer struct {
	name  string
	asked time.Time // just before
	// accepted is when the answer came: from then on, nothing but the server is to blame for delays.
	accepted time.Time
	delay    time.Duration
	rang     time.Time // the answer of a sleep; zero: look at the alarm
}

// Load is what clients do, and what they saw.
type Load struct {
	form    *harness.Form
	seed    uint64
	alarms  alarms
	began   time.Time
	numbers atomic.Int64 // of operations
	answers [clients]atomic.Int64

	mu         sync.Mutex
	histories  map[objectKey][]porcupine.Operation
	flows      map[string][]Look
	timers     []timer
	slowest    time.Duration
	shift      time.Duration // the furthest that a clock was moved
	unexpected []error
}

// New returns a load on a form; seed decides what clients ask for.
func New(form *harness.Form, seed uint64) *Load {
	return &Load{
		form: form, seed: seed, alarms: alarms{rang: map[string]time.Time{}}, began: time.Now(),
		histories: map[objectKey][]porcupine.Operation{}, flows: map[string][]Look{},
	}
}

// Services are the handlers that it needs.
func (w *Load) Services() []restate.ServiceDefinition {
	services := []restate.ServiceDefinition{flow(), w.alarms.service()}
	for name, m := range machines {
		services = append(services, object(name, m))
	}
	return services
}

// Start starts the clients. The function it returns lets them finish what they asked for.
func (w *Load) Start(ctx context.Context) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for client := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(w.seed, uint64(client)+1))
			c := harness.NewClient(w.form)
			defer c.Close()
			for !stopped.Load() {
				n := w.numbers.Add(1)
				switch dice := random.IntN(100); {
				case dice < 70:
					w.useObject(ctx, c, client, n, random)
				case dice < 92:
					w.useFlow(ctx, c, n, random)
				default:
					w.useTimer(ctx, c, n, random)
				}
				w.answers[client].Add(1)
			}
		})
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

// Progress waits until each client had further answers.
func (w *Load) Progress(ctx context.Context) error {
	var goals [clients]int64
	for i := range w.answers {
		goals[i] = w.answers[i].Load() + between
	}
	return harness.Wait(ctx, progressLimit, "answers to clients", func(context.Context) error {
		for i, goal := range goals {
			if have := w.answers[i].Load(); have < goal {
				return fmt.Errorf("client %d lacks %d of %d", i, goal-have, between)
			}
		}
		return nil
	})
}

func (w *Load) now() int64 { return int64(time.Since(w.began)) }

// ask repeats a request until it is answered, and tells whether it was.
func (w *Load) ask(ctx context.Context, what string, send func(context.Context) error) bool {
	err := harness.Wait(ctx, requestLimit, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptLimit)
		defer cancel()
		err := send(ctx)
		var status *harness.StatusError
		if errors.As(err, &status) && !again(status.Status) {
			w.fault(err)
		}
		return err
	})
	if err != nil {
		w.fault(err)
		return false
	}
	return true
}

// Slowest is the longest that a client waited for an object since this was asked last: the worst gap of a caller.
func (w *Load) Slowest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.slowest
	w.slowest = 0
	return d.Round(time.Millisecond)
}

// Shift says that a clock of the server is about to be moved: timers may be early by that, not more.
func (w *Load) Shift(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shift = max(w.shift, by)
}

// again tells whether an answer asks the client to try again; it may see such while processes die.
func again(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

func (w *Load) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.unexpected) < 20 {
		w.unexpected = append(w.unexpected, err)
	}
}

// inputs are what clients ask of each kind of object.
var inputs = map[string]func(n int64, r *rand.Rand) Input{
	"Register": func(_ int64, r *rand.Rand) Input {
		return Input{Verb: []string{"write", "read", "read", "cas"}[r.IntN(4)], Value: r.IntN(5), Old: r.IntN(5)}
	},
	"Counter": func(_ int64, r *rand.Rand) Input {
		return Input{Verb: []string{"add", "read"}[r.IntN(2)], Value: 1 + r.IntN(3)}
	},
	"Queue": func(n int64, r *rand.Rand) Input {
		return Input{Verb: []string{"push", "push", "pop", "read"}[r.IntN(4)], Value: int(n)}
	},
	"Set": func(_ int64, r *rand.Rand) Input {
		return Input{Verb: []string{"add", "remove", "has"}[r.IntN(3)], Value: r.IntN(4)}
	},
}

var kinds = []string{"Register", "Counter", "Queue", "Set"}

func (w *Load) useObject(ctx context.Context, c *harness.Client, client int, n int64, random *rand.Rand) {
	kind := kinds[random.IntN(len(kinds))]
	// Two keys of each kind at a time, and new ones when these have had enough.
	key := fmt.Sprintf("%d.%d", n/(2*perKey*int64(len(kinds))), random.IntN(2))
	in := inputs[kind](n, random)
	path := kind + "/" + key + "/do"
	if reads(in.Verb) && random.IntN(4) > 0 {
		path = kind + "/" + key + "/look"
	}
	op := porcupine.Operation{ClientId: client, Input: in, Call: w.now()}
	var out Output
	answer := Answer{None: true}
	if w.ask(ctx, path, func(ctx context.Context) error { return c.Call(ctx, path, in, &out, "idempotency-key", fmt.Sprint(n)) }) {
		answer = Answer{Output: out}
	}
	took := w.now() - op.Call
	if op.Return, op.Output = op.Call+took, answer; answer.None {
		op.Return = int64(1) << 62 // perhaps it comes to pass later
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slowest = max(w.slowest, time.Duration(took))
	w.histories[objectKey{kind, key}] = append(w.histories[objectKey{kind, key}], op)
}

// useFlow starts a workflow that others know, or asks for the output of one.
func (w *Load) useFlow(ctx context.Context, c *harness.Client, n int64, random *rand.Rand) {
	flow := fmt.Sprintf("f%d", n/60)                             // all clients meet at few
	look := Look{Start: w.now(), Stage: Accepted, AtLeast: true} // of a send
	what := []string{"send", "output", "output", "output", "attach"}[random.IntN(5)]
	answered := w.ask(ctx, what+" of "+flow, func(ctx context.Context) error {
		if what == "send" {
			return c.Call(ctx, "Flow/"+flow+"/run/send", random.IntN(300), nil)
		}
		look = Look{Start: w.now()} // of the attempt that is answered
		res, err := c.Do(ctx, harness.Request{Method: http.MethodGet, URL: w.form.Ingress + "/restate/workflow/Flow/" + flow + "/" + what})
		if err != nil {
			return err
		}
		switch res.Status {
		case http.StatusOK:
			look.Stage, look.Value = Done, string(res.Body)
		case statusNotReady:
			look.Stage = Accepted
		case http.StatusNotFound:
		default:
			return &harness.StatusError{Path: what, Status: res.Status, Body: string(res.Body)}
		}
		return nil
	})
	if !answered {
		return
	}
	look.End = w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flows[flow] = append(w.flows[flow], look)
}

// statusNotReady is the answer to a question for the output of what has not ended.
const statusNotReady = 470

func (w *Load) useTimer(ctx context.Context, c *harness.Client, n int64, random *rand.Rand) {
	name := fmt.Sprint(n)
	t := timer{name: name, asked: time.Now(), delay: time.Duration(1+random.IntN(2000)) * time.Millisecond}
	millis := t.delay.Milliseconds()
	var answered bool
	if random.IntN(3) == 0 {
		answered = w.ask(ctx, "sleep", func(ctx context.Context) error {
			return c.Call(ctx, "Alarm/sleep", millis, nil, "idempotency-key", name)
		})
		t.rang = time.Now()
	} else {
		path := fmt.Sprintf("Alarm/ring/send?delay=%dms", millis)
		answered = w.ask(ctx, "alarm", func(ctx context.Context) error { return c.Call(ctx, path, name, nil, "idempotency-key", name) })
		t.accepted = time.Now()
	}
	if !answered {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timers = append(w.timers, t)
}
