package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

func (x target) request(name, input string) command.Request {
	t := &storedv1.Target{Service: x.service, Handler: x.handler, Key: x.key, ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
	if x.service == object {
		t.ServiceType, t.HandlerType = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
	}
	i := id.IdempotentInvocation(x.service, x.key, x.service == object, x.handler, name)
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
		switch c.rnd.IntN(8) {
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
			c.added(key, name, before, c.call(ctx, target{object, "add", key}, name, ""))
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

// call asks one worker after the other until there is a result.
func (c *client) call(ctx context.Context, x target, name, input string) string {
	for ctx.Err() == nil {
		m := c.w.workers[c.rnd.IntN(len(c.w.workers))]
		tctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		r := x.request(name, input)
		o, err := call(tctx, c.w, c.p, m.name, "call "+name, func(ctx context.Context, p *process) (*command.Outcome, error) {
			n := p.node()
			if n == nil {
				return nil, errRefused
			}
			return n.Do(ctx, r)
		})
		cancel()
		switch {
		case err == nil && o.Status == command.OutcomeCompleted:
			if f := o.Result.GetFailure(); f != nil {
				c.w.violate("P2", "%s failed: %d %s", name, f.Code, f.Message)
				return ""
			}
			return string(o.Result.GetValue())
		case err == nil:
			c.w.violate("P2", "%s was answered %+v", name, o)
			return ""
		case errs.Is(err, errs.NotLeader), errs.Is(err, errs.Unavailable), errs.Is(err, errs.Uncertain):
		default:
			c.w.violate("P2", "%s was answered %v", name, err)
			return ""
		}
		c.w.history.mu.Lock()
		c.w.history.retries++
		c.w.history.mu.Unlock()
		c.pause(ctx, 20*time.Millisecond)
	}
	return ""
}

func (c *client) pause(ctx context.Context, d time.Duration) {
	t := c.p.host.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-ctx.Done():
	}
}
