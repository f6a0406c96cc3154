package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
)

// history is what clients did and what they were answered.
type history struct {
	mu      sync.Mutex
	asked   map[string]int            // additions to each object that a client asked for
	answers map[string]map[int]string // by object, the sum: who got it
	highest map[string]int            // sum that was answered
	known   []answered
	done    int
	retries int
}

// client is one of those who call handlers.
type client struct {
	w    *world
	p    *process // as which it sends
	name string
	rnd  *rand.Rand
}

// target names what is called.
type target struct{ service, handler, key string }

// retention keeps results for longer than a run.
const retention = 3_600_000

func (x target) invocation(name string) id.Invocation {
	return id.IdempotentInvocation(x.service, x.key, x.service == object, x.handler, name)
}

func (w *world) request(x target, name, input string) command.Request {
	t := &storedv1.Target{Service: x.service, Handler: x.handler, Key: x.key, ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
	if x.service == object {
		t.ServiceType, t.HandlerType = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
		if w.mistakes.shared {
			t.HandlerType = storedv1.HandlerType_HANDLER_TYPE_SHARED
		}
	}
	i := x.invocation(name)
	rec, err := command.Append(nil, command.Header{Kind: command.Invoke, Frames: 1, ID: i}, &storedv1.InvokeFacts{
		Target: t, IdempotencyKey: &name, CompletionRetentionMs: retention, JournalRetentionMs: retention,
	}, partitiontest.Input(input))
	if err != nil {
		panic(err)
	}
	return command.Request{ID: i, Record: rec, Want: command.WantCompleted}
}

// run asks until it is told to stop, and each thing until it is answered.
func (c *client) run(ctx context.Context, requests int, keys []string) {
	h := &c.w.history
	for i := range requests {
		if ctx.Err() != nil {
			return
		}
		name := fmt.Sprintf("%s-%d", c.name, i)
		key := keys[c.rnd.IntN(len(keys))]
		switch c.rnd.IntN(10) {
		case 3:
			c.again(ctx, name, key)
		case 4:
			c.look(ctx)
		case 0:
			many := []string{}
			for range 1 + c.rnd.IntN(4) {
				many = append(many, keys[c.rnd.IntN(len(keys))])
			}
			h.ask(many...)
			c.call(ctx, target{plain, "tell", ""}, name, strings.Join(many, " "))
		case 1:
			h.ask(key)
			before := h.sum(key)
			c.added(key, name, before, c.call(ctx, target{plain, "relay", ""}, name, key))
		case 2:
			due := time.Now().Add(time.Duration(c.rnd.IntN(500)) * time.Millisecond)
			c.call(ctx, target{plain, "sleep", ""}, name, strconv.FormatInt(due.UnixMilli(), 10))
			if now := time.Now(); ctx.Err() == nil && now.Before(due.Add(-c.w.faults.skew)) {
				c.w.violate("P8", "%s woke %s before it was due", name, due.Sub(now))
			}
		default:
			h.ask(key)
			before := h.sum(key)
			got := c.call(ctx, target{object, "add", key}, name, "")
			c.added(key, name, before, got)
			h.know(target{object, "add", key}, name, got)
		}
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		h.done++
		h.mu.Unlock()
		c.pause(ctx, time.Duration(c.rnd.IntN(200))*time.Millisecond)
	}
}

func (h *history) ask(keys ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		h.asked[k]++
	}
}

// sum is the highest that was answered for a key: what is asked from now on is answered more.
func (h *history) sum(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.highest[key]
}

// added checks an answer: nobody else has it, and it is above all that were answered before it was asked for.
func (c *client) added(key, name string, before int, got string) {
	h := &c.w.history
	n, err := strconv.Atoi(got)
	if err != nil {
		return // it was not answered
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers[key] == nil {
		h.answers[key] = map[int]string{}
	}
	if other := h.answers[key][n]; other != "" {
		c.w.violate("P4", "two additions to %s were answered %d: %s and %s", key, n, other, name)
	}
	if n <= before {
		c.w.violate("G2", "%s was answered %d for %s, after %d had been answered to another", name, n, key, before)
	}
	if n > h.asked[key] {
		c.w.violate("P4", "%s counts %d, there were %d additions", key, n, h.asked[key])
	}
	h.answers[key][n] = name
	h.highest[key] = max(h.highest[key], n)
}

// answered is an invocation that somebody has the result of.
type answered struct {
	target target
	name   string
	value  string
}

func (h *history) know(x target, name, value string) {
	if value == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = append(h.known, answered{x, name, value})
}

// look reads the result of an invocation that somebody was answered before: whoever tells it is not behind that.
func (c *client) look(ctx context.Context) {
	h := &c.w.history
	h.mu.Lock()
	var a answered
	if k := len(h.known); k > 0 {
		a = h.known[max(0, k-1-c.rnd.IntN(4))] // mostly one that is new
	}
	h.mu.Unlock()
	if a.name == "" {
		return
	}
	i := a.target.invocation(a.name)
	rec, err := command.Append(nil, command.Header{Kind: command.Read, ID: i}, nil)
	if err != nil {
		panic(err)
	}
	o := c.ask(ctx, "look "+a.name, command.Request{ID: i, Record: rec, Want: command.WantNow})
	if o != nil && (o.Status != command.OutcomeCompleted || string(o.Result.GetValue()) != a.value) {
		c.w.violate("G2", "%s was answered %s, and after that is %+v", a.name, a.value, o)
	}
}

// again has one id live twice: its first life ends without the answer of whom it called, is forgotten, and the second waits for
// what it calls.
func (c *client) again(ctx context.Context, name, key string) {
	x := target{plain, "via", ""}
	c.call(ctx, x, name, "leave "+key)
	i := x.invocation(name)
	rec, err := command.Append(nil, command.Header{Kind: command.Purge, ID: i}, nil)
	if err != nil {
		panic(err)
	}
	c.ask(ctx, "purge "+name, command.Request{ID: i, Record: rec, Want: command.WantAccepted})
	got := c.call(ctx, x, name, "stay "+key)
	if got != "stay" && got != "left" && ctx.Err() == nil { // left: a request for the first life came late
		c.w.violate("P4", "the second life of %s is answered %q", name, got)
	}
}

// call has a handler run and returns its result.
func (c *client) call(ctx context.Context, x target, name, input string) string {
	o := c.ask(ctx, "call "+name, c.w.request(x, name, input))
	switch {
	case o == nil:
		return ""
	case o.Status != command.OutcomeCompleted:
		c.w.violate("P2", "%s was answered %+v", name, o)
		return ""
	}
	if f := o.Result.GetFailure(); f != nil {
		c.w.violate("P2", "%s failed: %d %s", name, f.Code, f.Message)
		return ""
	}
	return string(o.Result.GetValue())
}

// ask asks one worker after the other until there is an answer; nil if ctx ended.
func (c *client) ask(ctx context.Context, what string, r command.Request) *command.Outcome {
	for ctx.Err() == nil {
		m := c.w.workers[c.rnd.IntN(len(c.w.workers))]
		tctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		o, err := call(tctx, c.w, c.p, m.name, what, func(ctx context.Context, p *process) (*command.Outcome, error) {
			n := p.node()
			if n == nil {
				return nil, errRefused
			}
			r := r // its record is stamped
			r.Record = slices.Clone(r.Record)
			return n.Do(ctx, r)
		})
		cancel()
		switch {
		case err == nil:
			return o
		case errs.Is(err, errs.NotLeader), errs.Is(err, errs.Unavailable), errs.Is(err, errs.Uncertain):
		default:
			c.w.violate("P2", "%s was answered %v", what, err)
			return nil
		}
		c.w.history.mu.Lock()
		c.w.history.retries++
		c.w.history.mu.Unlock()
		c.pause(ctx, 20*time.Millisecond)
	}
	return nil
}

func (c *client) pause(ctx context.Context, d time.Duration) {
	t := c.p.host.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-ctx.Done():
	}
}
