// Package services holds the services that the cases drive. They use nothing but the public API of
// the Go SDK; what must be seen from outside of the durable world goes to package probe.
package services

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
)

// Update is what a counter answers: the value before and after.
type Update struct {
	Old int64 `json:"old"`
	New int64 `json:"new"`
}

// SlowAdd asks a counter to add while holding the key for some time.
type SlowAdd struct {
	Value int64  `json:"value"`
	Ms    int    `json:"ms"`
	Probe string `json:"probe"`
	Tag   string `json:"tag"`
	// Gate, if set, is waited for inside a durable step before the value is written.
	Gate string `json:"gate"`
}

// Counter is a keyed number, under any service name.
func Counter(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	add := func(ctx restate.ObjectContext, n int64) (Update, error) {
		old, err := restate.Get[int64](ctx, "count")
		if err != nil {
			return Update{}, err
		}
		restate.Set(ctx, "count", old+n)
		return Update{old, old + n}, nil
	}
	return of("Counter", restate.NewObject(name, opts...).
		Handler("add", restate.NewObjectHandler(add)).
		Handler("get", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (int64, error) {
			v, err := restate.Get[int64](ctx, "count")
			return v, err
		})).
		Handler("read", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (int64, error) {
			v, err := restate.Get[int64](ctx, "count")
			return v, err
		})).
		Handler("reset", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (restate.Void, error) {
			restate.Clear(ctx, "count")
			return restate.Void{}, nil
		})).
		// addThenFail writes, then ends with a terminal error: the write stays.
		Handler("addThenFail", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int64) (Update, error) {
			u, err := add(ctx, n)
			if err != nil {
				return u, err
			}
			return u, restate.ToTerminalError(fmt.Errorf("refused after %d", u.New), restate.WithErrorCode(418))
		})).
		// addFlaky writes, then fails the attempt twice in a retryable way: the write happens once.
		Handler("addFlaky", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int64) (Update, error) {
			u, err := add(ctx, n)
			if err != nil {
				return u, err
			}
			if probe.Hit("flaky/"+restate.Key(ctx)) < 3 {
				return u, errors.New("not yet")
			}
			return u, nil
		}, restate.WithInvocationRetryPolicy(restate.WithInitialRetryInterval(20*time.Millisecond), restate.WithMaxRetryInterval(50*time.Millisecond)))).
		// addSlow holds the key while it sleeps. It notes who is inside, and, in a step, each execution once:
		// without a stream in both directions every wait takes another attempt.
		Handler("addSlow", restate.NewObjectHandler(func(ctx restate.ObjectContext, in SlowAdd) (Update, error) {
			if in.Probe != "" {
				defer probe.Enter(in.Probe)()
				if err := restate.RunVoid(ctx, func(rc restate.RunContext) error {
					probe.Log(in.Probe, in.Tag)
					return nil
				}); err != nil {
					return Update{}, err
				}
			}
			old, err := restate.Get[int64](ctx, "count")
			if err != nil {
				return Update{}, err
			}
			if in.Gate != "" {
				if err := restate.RunVoid(ctx, func(rc restate.RunContext) error {
					probe.Wait(rc, in.Gate)
					return rc.Err()
				}); err != nil {
					return Update{}, err
				}
			}
			if in.Ms > 0 {
				if err := restate.Sleep(ctx, time.Duration(in.Ms)*time.Millisecond); err != nil {
					return Update{}, err
				}
			}
			restate.Set(ctx, "count", old+in.Value)
			return Update{old, old + in.Value}, nil
		})))
}

// Entry is a key with a value.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Fill asks a map to hold count values of size bytes each.
type Fill struct {
	Count int `json:"count"`
	Size  int `json:"size"`
}

// Map is a keyed set of texts, under any service name; it can be bound with lazy state.
func Map(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Map", restate.NewObject(name, opts...).
		Handler("set", restate.NewObjectHandler(func(ctx restate.ObjectContext, e Entry) (restate.Void, error) {
			restate.Set(ctx, e.Key, e.Value)
			return restate.Void{}, nil
		})).
		Handler("get", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, k string) (*string, error) {
			v, err := restate.Get[*string](ctx, k)
			return v, err
		})).
		Handler("clear", restate.NewObjectHandler(func(ctx restate.ObjectContext, k string) (restate.Void, error) {
			restate.Clear(ctx, k)
			return restate.Void{}, nil
		})).
		Handler("keys", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) ([]string, error) {
			ks, err := restate.Keys(ctx)
			sort.Strings(ks)
			if ks == nil {
				ks = []string{}
			}
			return ks, err
		})).
		Handler("clearAll", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) ([]Entry, error) {
			ks, err := restate.Keys(ctx)
			if err != nil {
				return nil, err
			}
			sort.Strings(ks)
			out := []Entry{}
			for _, k := range ks {
				v, err := restate.Get[string](ctx, k)
				if err != nil {
					return nil, err
				}
				out = append(out, Entry{k, v})
			}
			restate.ClearAll(ctx)
			return out, nil
		})).
		// within does many state operations in one invocation and says what it saw on the way.
		Handler("within", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) ([]string, error) {
			var seen []string
			note := func(k string) error {
				v, err := restate.Get[*string](ctx, k)
				if err != nil {
					return err
				}
				if v == nil {
					seen = append(seen, k+"=<none>")
				} else {
					seen = append(seen, k+"="+*v)
				}
				return nil
			}
			steps := []func() error{
				func() error { return note("a") },
				func() error { restate.Set(ctx, "a", "1"); return note("a") },
				func() error { restate.Set(ctx, "a", "2"); return note("a") },
				func() error { restate.Clear(ctx, "a"); return note("a") },
				func() error { restate.Set(ctx, "b", ""); return note("b") },
				func() error { restate.ClearAll(ctx); return note("b") },
				func() error { restate.Set(ctx, "c", "3"); return note("c") },
			}
			for _, s := range steps {
				if err := s(); err != nil {
					return nil, err
				}
			}
			return seen, nil
		})).
		Handler("fill", restate.NewObjectHandler(func(ctx restate.ObjectContext, f Fill) (restate.Void, error) {
			for i := range f.Count {
				restate.Set(ctx, fmt.Sprintf("k%05d", i), strings.Repeat(string(rune('a'+i%26)), f.Size))
			}
			return restate.Void{}, nil
		})).
		// weigh reads every value and answers count and total size.
		Handler("weigh", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (Fill, error) {
			ks, err := restate.Keys(ctx)
			if err != nil {
				return Fill{}, err
			}
			sort.Strings(ks)
			f := Fill{Count: len(ks)}
			for _, k := range ks {
				v, err := restate.Get[string](ctx, k)
				if err != nil {
					return f, err
				}
				f.Size += len(v)
			}
			return f, nil
		})))
}

// List is a keyed list of texts: the order of arrival can be read from it.
func List(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("List", restate.NewObject(name, opts...).
		Handler("append", restate.NewObjectHandler(func(ctx restate.ObjectContext, s string) (int, error) {
			l, err := restate.Get[[]string](ctx, "list")
			if err != nil {
				return 0, err
			}
			l = append(l, s)
			restate.Set(ctx, "list", l)
			return len(l), nil
		})).
		Handler("get", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) ([]string, error) {
			l, err := restate.Get[[]string](ctx, "list")
			if l == nil {
				l = []string{}
			}
			return l, err
		})).
		// appendSelf sends n one-way requests to its own key and then appends "self": they come after.
		Handler("appendSelf", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) (restate.Void, error) {
			for i := range n {
				restate.ObjectSend(ctx, name, restate.Key(ctx), "append").Send(fmt.Sprintf("later-%d", i))
			}
			l, err := restate.Get[[]string](ctx, "list")
			if err != nil {
				return restate.Void{}, err
			}
			restate.Set(ctx, "list", append(l, "self"))
			return restate.Void{}, nil
		})).
		// callSelf calls its own exclusive handler and waits: only a cancellation can end it.
		Handler("callSelf", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (int, error) {
			v, err := restate.Object[int](ctx, name, restate.Key(ctx), "append").Request("never")
			return v, err
		})).
		// peekSelf calls its own shared handler, which is allowed while it holds the key.
		Handler("peekSelf", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (int, error) {
			l, err := restate.Object[[]string](ctx, name, restate.Key(ctx), "get").Request(restate.Void{})
			return len(l), err
		})))
}
