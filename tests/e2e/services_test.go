package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/e2e/history"
)

// probe sees what handlers really do in this process: how often their code ran, and what they say.
type probe struct {
	mu   sync.Mutex
	runs map[string]int
	said map[string]chan string
}

func newProbe() *probe { return &probe{runs: map[string]int{}, said: map[string]chan string{}} }

// ran notes that the code named key ran.
func (p *probe) ran(key string) {
	p.mu.Lock()
	p.runs[key]++
	p.mu.Unlock()
}

// count is how often the code named key ran.
func (p *probe) count(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs[key]
}

// channel carries what handlers say under a key. It holds more than any test says; the rest is dropped.
func (p *probe) channel(key string) chan string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said[key] == nil {
		p.said[key] = make(chan string, 64)
	}
	return p.said[key]
}

func (p *probe) say(key, text string) {
	select {
	case p.channel(key) <- text:
	default:
	}
}

// Steps asks for N durable steps, with a durable sleep in the middle.
type Steps struct {
	Key    string `json:"key"`
	N      int    `json:"n"`
	Millis int    `json:"millis"`
}

// Entry is a value to store.
type Entry struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Payment asks to raise two accounts by one, each in the name of Op.
type Payment struct {
	Op     string `json:"op"`
	From   string `json:"from"`
	To     string `json:"to"`
	Millis int    `json:"millis"` // durable sleep between the two
}

// Receipt answers a Payment.
type Receipt struct {
	Value int    `json:"value"` // of From, afterwards
	Nonce string `json:"nonce"` // drawn in a step
}

// services are the handlers of the tests.
func services(p *probe) []restate.ServiceDefinition {
	return []restate.ServiceDefinition{plain(p), box(), flow(p), bank(p), account()}
}

func plain(p *probe) restate.ServiceDefinition {
	return restate.NewService("Plain").
		Handler("echo", restate.NewServiceHandler(func(_ restate.Context, in string) (string, error) { return in, nil })).
		Handler("steps", restate.NewServiceHandler(func(ctx restate.Context, s Steps) ([]string, error) {
			p.ran(s.Key + "/attempt")
			var out []string
			for i := range s.N {
				if i == s.N/2 && s.Millis > 0 {
					p.say(s.Key, "sleeping")
					if err := restate.Sleep(ctx, time.Duration(s.Millis)*time.Millisecond); err != nil {
						return nil, err
					}
				}
				name := fmt.Sprintf("%s/%d", s.Key, i)
				v, err := restate.Run(ctx, func(restate.RunContext) (string, error) {
					p.ran(name)
					return fmt.Sprint(rand.Uint64()), nil
				}, restate.WithName(name))
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			return out, nil
		})).
		Handler("fails", restate.NewServiceHandler(func(_ restate.Context, key string) (string, error) {
			p.ran(key)
			return "", restate.TerminalErrorf("no more of %s", key)
		})).
		Handler("flaky", restate.NewServiceHandler(func(_ restate.Context, key string) (int, error) {
			p.ran(key)
			if n := p.count(key); n < 3 {
				return 0, fmt.Errorf("attempt %d of %s", n, key)
			}
			return p.count(key), nil
		}, restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(50*time.Millisecond)))).
		Handler("waits", restate.NewServiceHandler(func(ctx restate.Context, key string) (string, error) {
			a := restate.Awakeable[string](ctx)
			p.say(key, a.Id())
			return a.Result()
		})).
		Handler("calls", restate.NewServiceHandler(func(ctx restate.Context, keys []string) ([]int, error) {
			var calls []restate.ResponseFuture[int]
			for _, k := range keys {
				calls = append(calls, restate.Object[int](ctx, "Account", k, "add").RequestFuture("by calls"))
			}
			var out []int
			for _, c := range calls {
				v, err := c.Response()
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			return out, nil
		}))
}

func box() restate.ServiceDefinition {
	return restate.NewObject("Box").
		Handler("set", restate.NewObjectHandler(func(ctx restate.ObjectContext, e Entry) (restate.Void, error) {
			restate.Set(ctx, e.Name, e.Value)
			return restate.Void{}, nil
		})).
		Handler("clear", restate.NewObjectHandler(func(ctx restate.ObjectContext, name string) (restate.Void, error) {
			restate.Clear(ctx, name)
			return restate.Void{}, nil
		})).
		Handler("clearAll", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (restate.Void, error) {
			restate.ClearAll(ctx)
			return restate.Void{}, nil
		})).
		Handler("all", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (map[string]string, error) {
			names, err := restate.Keys(ctx)
			if err != nil {
				return nil, err
			}
			out := map[string]string{}
			for _, n := range names {
				if out[n], err = restate.Get[string](ctx, n); err != nil {
					return nil, err
				}
			}
			return out, nil
		}))
}

func flow(p *probe) restate.ServiceDefinition {
	return restate.NewWorkflow("Flow").
		Handler("run", restate.NewWorkflowHandler(func(ctx restate.WorkflowContext, in string) (string, error) {
			p.ran("flow/" + restate.Key(ctx))
			if err := restate.Sleep(ctx, 50*time.Millisecond); err != nil {
				return "", err
			}
			return "done " + in, nil
		}))
}

// bank moves between accounts: a call, a step, perhaps a sleep, a one-way call.
func bank(p *probe) restate.ServiceDefinition {
	return restate.NewService("Bank").
		Handler("pay", restate.NewServiceHandler(func(ctx restate.Context, in Payment) (Receipt, error) {
			nonce, err := restate.Run(ctx, func(restate.RunContext) (string, error) {
				p.ran("draw")
				return fmt.Sprint(rand.Uint64()), nil
			}, restate.WithName("draw"))
			if err != nil {
				return Receipt{}, err
			}
			value, err := restate.Object[int](ctx, "Account", in.From, "add").Request(in.Op)
			if err != nil {
				return Receipt{}, err
			}
			if in.Millis > 0 {
				if err := restate.Sleep(ctx, time.Duration(in.Millis)*time.Millisecond); err != nil {
					return Receipt{}, err
				}
			}
			restate.ObjectSend(ctx, "Account", in.To, "add").Send(in.Op)
			return Receipt{Value: value, Nonce: nonce}, nil
		}))
}

const total = "total"

// account is a counter that remembers in whose name it was raised.
func account() restate.ServiceDefinition {
	return restate.NewObject("Account").
		Handler("add", restate.NewObjectHandler(func(ctx restate.ObjectContext, mark string) (int, error) {
			sum, err := restate.Get[int](ctx, total)
			if err != nil {
				return 0, err
			}
			times, err := restate.Get[int](ctx, "mark/"+mark)
			if err != nil {
				return 0, err
			}
			restate.Set(ctx, "mark/"+mark, times+1)
			restate.Set(ctx, total, sum+1)
			return sum + 1, nil
		})).
		Handler("read", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (history.Account, error) {
			out := history.Account{Marks: map[string]int{}}
			names, err := restate.Keys(ctx)
			if err != nil {
				return out, err
			}
			for _, n := range names {
				v, err := restate.Get[int](ctx, n)
				if err != nil {
					return out, err
				}
				if n == total {
					out.Total = v
				} else {
					out.Marks[n[len("mark/"):]] = v
				}
			}
			return out, nil
		}))
}
