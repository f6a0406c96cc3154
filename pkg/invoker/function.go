package invoker

import (
	"context"
	"sync"

	"golang.org/x/net/http2/hpack"

	"reprise/pkg/invoker/h2"
	"reprise/pkg/lambda"
)

// Functions calls AWS Lambda functions. *lambda.Client does.
type Functions interface {
	Invoke(ctx context.Context, f lambda.Function, q lambda.Request) (lambda.Response, error)
}

// functionExchange is a request to a function: it is sent when its body is whole, and what a plainExchange
// does besides holds for it, too.
type functionExchange struct{ plainExchange }

// openFunction prepares a call of a function.
func (v *Invoker) openFunction(a *attempt, fields []h2.Field) error {
	ctx, cancel := context.WithCancel(context.Background())
	x := &functionExchange{plainExchange{handler: a, cancel: cancel}}
	x.changed = sync.NewCond(&x.mu)
	q := lambda.Request{Method: "POST", Path: a.route.audience}
	for _, list := range [][]h2.Field{a.route.fields, fields} {
		for _, f := range list {
			q.Headers = append(q.Headers, lambda.Header{Name: f.Name, Value: f.Value})
		}
	}
	a.out = x
	ok := v.spawn("function call", func(ctx2 context.Context) {
		defer context.AfterFunc(ctx2, x.Reset)()
		defer cancel()
		err := x.run(ctx, v.cfg.Lambda, *a.route.function, q)
		x.stop()
		a.Closed(err)
	})
	if !ok {
		cancel()
		return h2.ErrStopped
	}
	return nil
}

// run does the exchange.
func (x *functionExchange) run(ctx context.Context, functions Functions, f lambda.Function, q lambda.Request) error {
	var ok bool
	if q.Body, ok = x.whole(); !ok {
		return h2.ErrReset
	}
	resp, err := functions.Invoke(ctx, f, q)
	q.Body = nil
	x.sent()
	if err != nil {
		return x.cause(err)
	}
	r := h2.Response{Status: resp.Status}
	for _, h := range resp.Headers {
		r.Fields = append(r.Fields, hpack.HeaderField{Name: h.Name, Value: h.Value})
	}
	x.handler.Header(&r)
	for rest := resp.Body; len(rest) > 0; {
		n := min(len(rest), plainReadBytes)
		x.receive(rest[:n])
		rest = rest[n:]
	}
	x.handler.Ended()
	return nil
}

// whole waits for the end of the body; false if it is not wanted any more. The buffer stays with x until sent.
func (x *functionExchange) whole() ([]byte, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.end && !x.done {
		x.changed.Wait()
	}
	return x.buf[x.read:len(x.buf):len(x.buf)], !x.cut && !x.done
}

// sent lets go of the body.
func (x *functionExchange) sent() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.buf, x.read = nil, 0
	x.changedLocked()
}
