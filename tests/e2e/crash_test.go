package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/e2e/history"
)

const (
	clients  = 16
	accounts = 16

	// A process is killed after that many further answers.
	answersMin, answersMax = 30, 300

	attemptLimit  = 10 * time.Second // of one HTTP request; then it is sent again
	requestLimit  = 2 * time.Minute  // of a request with its repeats; then it counts as never answered
	progressLimit = time.Minute      // without enough answers, the test gives up
	settleLimit   = time.Minute      // until what was sent one-way has taken effect
)

// Clients raise accounts, by calls, by calls of calls, one-way and delayed, while processes are killed
// with SIGKILL, one after the other, and started again. Nothing that was answered is lost, nothing
// happens twice, and each account behaves like one counter.
func TestCrash(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) { crash(t, newForm(t, kind), killInTurn) })
}

// crash has clients work on a form while kill kills, and checks what they saw and what is stored.
func crash(t *testing.T, form *harness.Form, kill func(*testing.T, *workload, *rand.Rand) error) {
	t.Helper()
	underLoad(t, form, false, kill)
}

// underLoad does so; if strict, clients must see no error.
func underLoad(t *testing.T, form *harness.Form, strict bool, kill func(*testing.T, *workload, *rand.Rand) error) {
	t.Helper()
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(form)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./tests/e2e -run '^%s$' -kills %d -seed %d", t.Name(), *killsFlag, seed)
	w := &workload{seed: seed, form: form, strict: strict}
	stop := w.start(t.Context())
	killErr := kill(t, w, rand.New(rand.NewPCG(seed, 0)))
	stop()
	keepHistory(t, w)
	ok(t, killErr)
	for _, err := range w.unexpected {
		t.Error(err)
	}

	settle(t, w, control)
	checkRepeats(t, w, control)
	// What is stored is what was seen: kill all at once and look again.
	ok(t, killTogether(form.Processes))
	control.Close()
	ok(t, form.Start(t.Context()))
	settle(t, w, control)
	t.Logf("%d requests, %d answered, %d attempts, slowest answer after %s",
		len(w.history.Records()), w.history.Acked(), w.attempts.Load(), w.slowest())
}

// killInTurn kills each process kills times: all of them once, then all of them again.
func killInTurn(t *testing.T, w *workload, random *rand.Rand) error {
	for round := range *killsFlag {
		for _, p := range w.form.Processes {
			if err := w.progress(t.Context(), answersMin+random.IntN(answersMax-answersMin)); err != nil {
				return fmt.Errorf("before kill %d of %s: %w", round+1, p.Name, err)
			}
			begin := time.Now()
			if err := p.Kill(); err != nil {
				return err
			}
			if err := p.Restart(t.Context()); err != nil {
				return err
			}
			ready := time.Since(begin)
			if err := w.progress(t.Context(), 1); err != nil {
				return fmt.Errorf("after kill %d of %s: %w", round+1, p.Name, err)
			}
			t.Logf("kill %d of %s: ready after %s, next answer after %s", round+1, p.Name,
				ready.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		}
	}
	return w.progress(t.Context(), answersMin)
}

// workload is a number of clients that send numbered requests, each until it is answered.
type workload struct {
	seed     uint64
	form     *harness.Form
	strict   bool // no answer may be an error, and no connection may break that was made
	history  history.History
	attempts atomic.Int64

	mu         sync.Mutex
	unexpected []error // answers that no crash explains
}

// start starts the clients. The function it returns lets them finish their requests and waits for that.
func (w *workload) start(ctx context.Context) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for client := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(w.seed, uint64(client)+1))
			c := harness.NewClient(w.form)
			defer c.Close()
			for n := 0; !stopped.Load(); n++ {
				w.request(ctx, c, fmt.Sprintf("c%d-%d", client, n), random)
			}
		})
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

// progress waits for that many further answers.
func (w *workload) progress(ctx context.Context, answers int) error {
	goal := w.history.Acked() + answers
	return harness.Wait(ctx, progressLimit, "answers to clients", func(context.Context) error {
		if have := w.history.Acked(); have < goal {
			return fmt.Errorf("%d of %d", have, goal)
		}
		return nil
	})
}

// request sends one request of a random kind, again and again with the same idempotency key.
func (w *workload) request(ctx context.Context, c *harness.Client, op string, random *rand.Rand) {
	i := random.IntN(accounts)
	j := (i + 1 + random.IntN(accounts-1)) % accounts // another one
	from, to := fmt.Sprintf("a%d", i), fmt.Sprintf("a%d", j)
	r := history.Record{Op: op, Effects: []history.Effect{{Account: from, Mark: op}}}
	add := "Account/" + from + "/add"
	var send func(context.Context) error
	var receipt Receipt
	switch dice := random.IntN(100); {
	case dice < 50:
		r.Kind = "add"
		send = func(ctx context.Context) error { return c.Call(ctx, add, op, &r.Value, "idempotency-key", op) }
	case dice < 70:
		r.Kind = "send"
		path := add + "/send"
		if dice < 60 {
			r.Kind, path = "delayed send", fmt.Sprintf("%s?delay=%dms", path, random.IntN(500))
		}
		send = func(ctx context.Context) error { return c.Call(ctx, path, op, nil, "idempotency-key", op) }
	default:
		r.Kind = "pay"
		pay := Payment{Op: op, From: from, To: to}
		if dice < 85 {
			r.Kind, pay.Millis = "pay with a nap", random.IntN(500)
		}
		r.Effects = append(r.Effects, history.Effect{Account: to, Mark: op})
		send = func(ctx context.Context) error {
			err := c.Call(ctx, "Bank/pay", pay, &receipt, "idempotency-key", op)
			r.Value, r.Answer = receipt.Value, receipt.Nonce
			return err
		}
	}
	r.Start = time.Now()
	_ = harness.Wait(ctx, requestLimit, op, func(ctx context.Context) error { // unanswered: the record says so
		ctx, cancel := context.WithTimeout(ctx, attemptLimit)
		defer cancel()
		r.Attempts++
		w.attempts.Add(1)
		err := send(ctx)
		if err == nil {
			r.End = time.Now()
			return nil
		}
		w.judge(op, r.Kind, err)
		return err
	})
	w.history.Add(r)
	if !r.Acked() {
		w.fault(fmt.Errorf("%s of %s was not answered within %s, with %d attempts", op, r.Kind, requestLimit, r.Attempts))
	}
}

// judge takes note of an answer that no crash explains: a client may see broken connections and
// answers that ask it to try again.
func (w *workload) judge(op, kind string, err error) {
	if w.strict {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			w.fault(fmt.Errorf("%s of %s: %w", op, kind, err))
		}
		return
	}
	var status *harness.StatusError
	if !errors.As(err, &status) {
		return
	}
	switch status.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		w.fault(fmt.Errorf("%s of %s: %w", op, kind, err))
	}
}

func (w *workload) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.unexpected) < 20 {
		w.unexpected = append(w.unexpected, err)
	}
}

func (w *workload) slowest() time.Duration {
	var d time.Duration
	for _, r := range w.history.Records() {
		if r.Acked() {
			d = max(d, r.End.Sub(r.Start))
		}
	}
	return d.Round(time.Millisecond)
}

// settle waits until the accounts hold all that was asked for, and fails if they hold anything else.
func settle(t *testing.T, w *workload, c *harness.Client) {
	t.Helper()
	records := w.history.Records()
	err := harness.Wait(t.Context(), settleLimit, "all effects, once", func(ctx context.Context) error {
		held := map[string]history.Account{}
		for i := range accounts {
			name := fmt.Sprintf("a%d", i)
			var a history.Account
			if err := c.Call(ctx, "Account/"+name+"/read", nil, &a); err != nil {
				return err
			}
			held[name] = a
		}
		return errors.Join(faults(history.Check(records, held))...)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func faults(texts []string) []error {
	var errs []error
	for _, text := range texts[:min(len(texts), 20)] {
		errs = append(errs, errors.New(text))
	}
	return errs
}

// checkRepeats repeats answered calls with their idempotency keys: the answers are the same.
func checkRepeats(t *testing.T, w *workload, c *harness.Client) {
	t.Helper()
	left := 50
	for _, r := range w.history.Records() {
		if r.Kind != "pay" && r.Kind != "pay with a nap" || left == 0 {
			continue
		}
		left--
		var receipt Receipt
		in := Payment{Op: r.Op, From: r.Effects[0].Account, To: r.Effects[1].Account}
		ok(t, c.Call(t.Context(), "Bank/pay", in, &receipt, "idempotency-key", r.Op))
		if want := (Receipt{Value: r.Value, Nonce: r.Answer}); !reflect.DeepEqual(receipt, want) {
			t.Errorf("the repeat of %s answers %v, the first answer was %v", r.Op, receipt, want)
		}
	}
}

// keepHistory stores the history beside the processes' logs, for a failure to be looked into.
func keepHistory(t *testing.T, w *workload) {
	t.Helper()
	b, err := json.MarshalIndent(w.history.Records(), "", " ")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(w.form.Dir, "history.json"), b, 0o644))
}
