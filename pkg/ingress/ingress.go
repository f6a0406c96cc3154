package ingress

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"reprise/pkg/access"
	"reprise/pkg/certs"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/schema"
	"reprise/pkg/span"
)

// Partitions reaches the leaders of partitions.
type Partitions interface {
	// Do proposes the record of r and waits for what r wants. It keeps nothing of r after its return.
	// Codes: NotLeader and Unavailable say that nothing happened, Uncertain that it may have.
	Do(ctx context.Context, r command.Request) (*command.Outcome, error)
}

// Parts is what an Ingress is built from.
type Parts struct {
	Partitions Partitions
	// Schema returns the newest registry; it never blocks.
	Schema func() *schema.Registry
	Routes Routes
	// Tokens are those of callers, which the server follows; nil: everybody may call.
	Tokens *access.Tokens
	// Certs are those of the server, likewise; nil: no TLS.
	Certs *certs.Certs
}

// Routes tells where partitions are led. It never blocks.
type Routes interface {
	// Partitions is how many there are; 0 while that is not known.
	Partitions() uint32
	// Leader returns who leads p; false if nobody does.
	Leader(p id.Partition) (id.GenerationalNode, bool)
	// Changed is closed when answers may be others.
	Changed() <-chan struct{}
}

// Ingress is the core of the HTTP API. It is safe for concurrent use.
type Ingress struct {
	cfg     Config
	parts   Parts
	host    host.Host
	metrics *metrics

	// What a request is held against; both may change at any time.
	requestBytesMax, requestsMax atomic.Int64

	inFlight     atomic.Int64
	complainNext atomic.Int64 // Unix ms from which the next failure is a warning
	scratch      sync.Pool    // of *scratch
}

// New checks cfg and builds an Ingress.
func New(cfg Config, parts Parts, h host.Host) (*Ingress, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	g := &Ingress{cfg: cfg, parts: parts, host: h, metrics: newMetrics(h.Metrics)}
	g.scratch.New = func() any { return &scratch{} }
	g.SetLimits(cfg.RequestBytesMax, cfg.RequestsMax)
	return g, nil
}

// SetLimits replaces RequestBytesMax and RequestsMax, for requests that come from now on.
func (g *Ingress) SetLimits(requestBytesMax, requestsMax int64) {
	g.requestBytesMax.Store(requestBytesMax)
	g.requestsMax.Store(requestsMax)
}

// exchange is one request on its way.
type exchange struct {
	g    *Ingress
	req  *Request
	reg  *schema.Registry
	path path

	id               id.Invocation // once it is known
	span, parentSpan span.Context  // where requests are recorded
}

// Serve answers one request. It returns when the answer is known, which for a call is when its
// invocation has ended, or when ctx ends; nobody is there to read what it returns then, unless
// the cause is ErrDraining.
func (g *Ingress) Serve(ctx context.Context, r *Request) Response {
	if r.ContentLength > g.requestBytesMax.Load() {
		return Response{Status: statusTooLarge, ContentType: "text/plain; charset=utf-8", Body: []byte("length limit exceeded"), Bare: true}
	}
	if r.Method == methodOptions {
		return Response{Status: statusOK, Preflight: true}
	}
	if g.parts.Tokens != nil && !g.admit(r) {
		return g.stranger(r)
	}
	if n, most := g.inFlight.Add(1), g.requestsMax.Load(); most > 0 && n > most {
		g.inFlight.Add(-1)
		g.metrics.limited.Inc()
		return refuse(errOverloaded)
	}
	defer g.inFlight.Add(-1)
	x := exchange{g: g, req: r, reg: g.parts.Schema()}
	resp, f := x.route(ctx)
	if f != nil {
		return refuse(f)
	}
	return resp
}

const (
	methodGet     = "GET"
	methodPost    = "POST"
	methodOptions = "OPTIONS"
)

// route decides what a path asks for.
func (x *exchange) route(ctx context.Context) (Response, *failure) {
	var ok bool
	if x.path, ok = cutPath(x.req.Target); !ok {
		return Response{}, failf(statusBadRequest, "bad path: /%s", x.path.whole)
	}
	switch x.path.segments[0] {
	case "restate":
		return x.routeRestate(ctx)
	case "openapi":
		return Response{}, errNotFound // reserved
	default:
		to, f := x.short()
		return x.invoke(ctx, to, f)
	}
}

func (x *exchange) routeRestate(ctx context.Context) (Response, *failure) {
	tail := x.path.segments[2:x.path.n]
	switch x.path.segments[1] {
	case "call":
		to, f := x.long(false, tail)
		return x.invoke(ctx, to, f)
	case "send":
		to, f := x.long(true, tail)
		return x.invoke(ctx, to, f)
	case "scope":
		return x.routeScope(ctx, tail)
	case "invocation":
		return x.byInvocation(ctx, tail)
	case "workflow":
		return x.byWorkflow(ctx, tail)
	case verbAttach, verbOutput:
		return x.byIDOrTarget(ctx, tail, x.path.segments[1])
	case "lookup":
		return x.lookup(tail)
	case "awakeables", "a":
		return x.awakeable(ctx, tail)
	case "health":
		return x.health()
	default:
		return Response{}, errNotFound
	}
}

// admit tells whether the caller may call. Handlers do not see its token.
func (g *Ingress) admit(r *Request) bool {
	at := slices.IndexFunc(r.Headers, func(h Header) bool { return h.Key == headerAuthorization })
	if at < 0 {
		return false
	}
	if _, role := g.parts.Tokens.Bearer(r.Headers[at].Value); role != access.Caller {
		return false
	}
	r.Headers = slices.Delete(r.Headers, at, at+1)
	return true
}

// stranger answers who may not call: that the ingress lives, and nothing else.
func (g *Ingress) stranger(r *Request) Response {
	if path, ok := cutPath(r.Target); ok && r.Method == methodGet && path.segments[0] == "restate" && path.segments[1] == "health" {
		return Response{Status: statusOK, ContentType: contentTypeJSON, Body: []byte(`{"services":[]}`)}
	}
	g.metrics.refused.Inc()
	resp := refuse(errStranger)
	resp.Unread = true
	return resp
}

func (x *exchange) health() (Response, *failure) {
	if x.req.Method != methodGet {
		return Response{}, errMethod
	}
	services := x.reg.Services()
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return jsonReply(struct {
		Services []string `json:"services"`
	}{names})
}

// body reads the request's body. The caller releases it.
func (x *exchange) body() ([]byte, *failure) {
	b, err := x.req.Body.Bytes()
	return b, bodyFailure(err)
}
