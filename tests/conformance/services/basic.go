package services

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/encoding"
)

// Failure describes a terminal error to be raised.
type Failure struct {
	Message  string            `json:"message"`
	Code     int               `json:"code"`
	Metadata map[string]string `json:"metadata"`
}

func (f Failure) raise() error {
	opts := []restate.TerminalErrorOption{}
	if f.Code != 0 {
		opts = append(opts, restate.WithErrorCode(restate.Code(f.Code)))
	}
	if len(f.Metadata) > 0 {
		opts = append(opts, restate.WithMetadataMap(f.Metadata))
	}
	return restate.ToTerminalError(errors.New(f.Message), opts...)
}

// Echo answers what it gets, in several encodings, under any service name.
func Echo(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Echo", restate.NewService(name, opts...).
		Handler("json", restate.NewServiceHandler(func(ctx restate.Context, in json.RawMessage) (json.RawMessage, error) {
			return in, nil
		})).
		Handler("text", restate.NewServiceHandler(func(ctx restate.Context, in string) (string, error) { return in, nil })).
		Handler("upper", restate.NewServiceHandler(func(ctx restate.Context, in string) (string, error) {
			return strings.ToUpper(in), nil
		})).
		Handler("raw", restate.NewServiceHandler(func(ctx restate.Context, in []byte) ([]byte, error) { return in, nil }, restate.WithBinary)).
		Handler("nothing", restate.NewServiceHandler(func(ctx restate.Context, _ restate.Void) (restate.Void, error) {
			return restate.Void{}, nil
		})).
		Handler("hello", restate.NewServiceHandler(func(ctx restate.Context, _ restate.Void) (string, error) { return "hello", nil })).
		Handler("headers", restate.NewServiceHandler(func(ctx restate.Context, _ restate.Void) (map[string]string, error) {
			return ctx.Request().Headers.ToMap(), nil
		})).
		Handler("id", restate.NewServiceHandler(func(ctx restate.Context, _ restate.Void) (string, error) { return ctx.Request().ID, nil })).
		Handler("size", restate.NewServiceHandler(func(ctx restate.Context, in []byte) (int, error) { return len(in), nil },
			restate.WithInputCodec(encoding.BinaryCodec), restate.WithOutputCodec(encoding.JSONCodec))).
		Handler("make", restate.NewServiceHandler(func(ctx restate.Context, n int) (string, error) { return strings.Repeat("x", n), nil })).
		Handler("fail", restate.NewServiceHandler(func(ctx restate.Context, f Failure) (string, error) { return "", f.raise() })).
		Handler("hit", restate.NewServiceHandler(func(ctx restate.Context, key string) (int64, error) { return probe.Hit(key), nil })).
		Handler("sleepy", restate.NewServiceHandler(func(ctx restate.Context, ms int) (string, error) {
			if err := restate.Sleep(ctx, time.Duration(ms)*time.Millisecond); err != nil {
				return "", err
			}
			return "awake", nil
		})))
}

// Target names a handler with its input.
type Target struct {
	Service string            `json:"service"`
	Key     string            `json:"key"`
	Handler string            `json:"handler"`
	Body    json.RawMessage   `json:"body"`
	DelayMs int               `json:"delayMs"`
	Idem    string            `json:"idem"`
	Headers map[string]string `json:"headers"`
	// Void sends no body at all.
	Void bool `json:"void"`
}

func (t Target) input() any {
	if t.Void {
		return restate.Void{}
	}
	return t.Body
}

func (t Target) client(ctx restate.Context) restate.Client[any, json.RawMessage] {
	if t.Key != "" {
		return restate.Object[json.RawMessage](ctx, t.Service, t.Key, t.Handler)
	}
	return restate.Service[json.RawMessage](ctx, t.Service, t.Handler)
}

func (t Target) reqOpts() (o []restate.RequestOption) {
	if t.Idem != "" {
		o = append(o, restate.WithIdempotencyKey(t.Idem))
	}
	if len(t.Headers) > 0 {
		o = append(o, restate.WithHeaders(t.Headers))
	}
	return o
}

func (t Target) sendOpts() (o []restate.SendOption) {
	if t.Idem != "" {
		o = append(o, restate.WithIdempotencyKey(t.Idem))
	}
	if len(t.Headers) > 0 {
		o = append(o, restate.WithHeaders(t.Headers))
	}
	if t.DelayMs > 0 {
		o = append(o, restate.WithDelay(time.Duration(t.DelayMs)*time.Millisecond))
	}
	return o
}

// Outcome is what a call inside a handler brought.
type Outcome struct {
	OK           bool            `json:"ok"`
	Value        json.RawMessage `json:"value,omitempty"`
	Error        string          `json:"error,omitempty"`
	Code         int             `json:"code,omitempty"`
	InvocationID string          `json:"invocationId,omitempty"`
}

func outcome(v json.RawMessage, err restate.TerminalError, id string) Outcome {
	if err != nil {
		return Outcome{Error: err.Message(), Code: int(err.Code()), InvocationID: id}
	}
	if len(v) == 0 {
		v = nil
	}
	return Outcome{OK: true, Value: v, InvocationID: id}
}

// Chain asks for calls nested to a depth.
type Chain struct {
	Depth int    `json:"depth"`
	Trace string `json:"trace"`
}

// Many asks for n calls of one target.
type Many struct {
	Target Target `json:"target"`
	N      int    `json:"n"`
	// PerKey puts each call on its own object key, made of Target.Key and a number.
	PerKey bool `json:"perKey"`
}

// Proxy calls other handlers from inside a handler, under any service name.
func Proxy(name string, opts ...restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return of("Proxy", restate.NewService(name, opts...).
		Handler("call", restate.NewServiceHandler(func(ctx restate.Context, t Target) (json.RawMessage, error) {
			v, err := t.client(ctx).Request(t.input(), t.reqOpts()...)
			return v, err
		})).
		// tryCall never fails: it answers how the call ended, and the id of the called invocation.
		Handler("tryCall", restate.NewServiceHandler(func(ctx restate.Context, t Target) (Outcome, error) {
			fut := t.client(ctx).RequestFuture(t.input(), t.reqOpts()...)
			id := fut.GetInvocationId()
			v, err := fut.Response()
			return outcome(v, err, id), nil
		})).
		Handler("send", restate.NewServiceHandler(func(ctx restate.Context, t Target) (string, error) {
			return t.client(ctx).Send(t.input(), t.sendOpts()...).GetInvocationId(), nil
		})).
		Handler("sendMany", restate.NewServiceHandler(func(ctx restate.Context, ts []Target) (int, error) {
			for _, t := range ts {
				t.client(ctx).Send(t.input(), t.sendOpts()...)
			}
			return len(ts), nil
		})).
		Handler("fanOut", restate.NewServiceHandler(func(ctx restate.Context, m Many) ([]json.RawMessage, error) {
			futs := make([]restate.ResponseFuture[json.RawMessage], m.N)
			for i := range m.N {
				t := m.Target
				if m.PerKey {
					t.Key = fmt.Sprintf("%s-%d", m.Target.Key, i)
				}
				if t.Body == nil && !t.Void {
					t.Body, _ = json.Marshal(fmt.Sprint(i))
				}
				futs[i] = t.client(ctx).RequestFuture(t.input(), t.reqOpts()...)
			}
			out := make([]json.RawMessage, m.N)
			for i, f := range futs {
				v, err := f.Response()
				if err != nil {
					return nil, err
				}
				out[i] = v
			}
			return out, nil
		})).
		// chain calls itself until depth 0 and counts on the way back.
		Handler("chain", restate.NewServiceHandler(func(ctx restate.Context, c Chain) (int, error) {
			if c.Depth == 0 {
				return 0, nil
			}
			n, err := restate.Service[int](ctx, name, "chain").Request(Chain{Depth: c.Depth - 1, Trace: c.Trace})
			return n + 1, err
		})).
		// attach waits for another invocation by its id.
		Handler("attach", restate.NewServiceHandler(func(ctx restate.Context, id string) (Outcome, error) {
			v, err := restate.AttachInvocation[json.RawMessage](ctx, id).Response()
			return outcome(v, err, id), nil
		})).
		Handler("cancel", restate.NewServiceHandler(func(ctx restate.Context, id string) (restate.Void, error) {
			restate.CancelInvocation(ctx, id)
			return restate.Void{}, nil
		})).
		// sendThenAttach starts an invocation one-way and waits for its outcome afterwards.
		Handler("sendThenAttach", restate.NewServiceHandler(func(ctx restate.Context, t Target) (Outcome, error) {
			id := t.client(ctx).Send(t.input(), t.sendOpts()...).GetInvocationId()
			v, err := restate.AttachInvocation[json.RawMessage](ctx, id).Response()
			return outcome(v, err, id), nil
		})))
}
