package ingress

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
	"reprise/pkg/span"
)

// goal is the handler that a path names.
type goal struct {
	service *schema.Service
	handler string
	key     string
	send    bool
	scoped  bool
}

func keyed(s *schema.Service) bool { return s.Type != storedv1.ServiceType_SERVICE_TYPE_SERVICE }

// scratch is memory of an invocation request that is used again.
type scratch struct {
	facts   storedv1.InvokeFacts
	idemKey string
	random  [12]byte
	request [16]byte
	headers []Header
	frame   []byte
	record  []byte
}

// scratchBytesMax is the largest buffer that is kept for the next request.
const scratchBytesMax = 1 << 20

func (g *Ingress) putScratch(s *scratch) {
	s.facts.Target, s.facts.IdempotencyKey, s.facts.Request = nil, nil, nil
	s.facts.TraceParent, s.facts.TraceState = "", ""
	s.idemKey = ""
	clear(s.headers)
	s.headers = s.headers[:0]
	if cap(s.record) > scratchBytesMax {
		s.record = nil
	}
	s.dropFrame()
	g.scratch.Put(s)
}

func (s *scratch) dropFrame() {
	if cap(s.frame) > scratchBytesMax {
		s.frame = nil
	}
}

// short reads /service/handler[/send] and /object/key/handler[/send].
func (x *exchange) short() (goal, *failure) {
	segments := x.path.segments[1:x.path.n]
	g, f := x.goalOf(x.path.segments[0])
	if f != nil {
		return g, f
	}
	want := 1
	if keyed(g.service) {
		want = 2
	}
	if len(segments) == want+1 && segments[want] == "send" {
		g.send, segments = true, segments[:want]
	}
	if len(segments) != want {
		return g, errBadShape
	}
	return g, g.fill(segments)
}

// long reads what follows /restate/call and /restate/send.
func (x *exchange) long(send bool, tail []string) (goal, *failure) {
	if len(tail) == 0 {
		return goal{}, errBadRestateShape
	}
	g, f := x.goalOf(tail[0])
	if f != nil {
		return g, f
	}
	g.send = send
	want := 2
	if keyed(g.service) {
		want = 3
	}
	if len(tail) != want {
		return g, errBadRestateShape
	}
	return g, g.fill(tail[1:])
}

// routeScope reads what follows /restate/scope.
func (x *exchange) routeScope(ctx context.Context, tail []string) (Response, *failure) {
	if len(tail) < 2 || (tail[1] != "call" && tail[1] != "send") {
		return Response{}, errBadRestateShape
	}
	scope, f := decodeKey(tail[0])
	if f != nil {
		return Response{}, f
	}
	if f := checkScope(scope); f != nil {
		return Response{}, f
	}
	to, f := x.long(tail[1] == "send", tail[2:])
	to.scoped = true
	return x.invoke(ctx, to, f)
}

func checkScope(scope string) *failure {
	if why := checkRestricted(scope); why != "" {
		return failf(statusBadRequest, "bad scope value: %s", why)
	}
	return nil
}

func (x *exchange) goalOf(service string) (goal, *failure) {
	s, ok := x.reg.Service(service)
	if !ok {
		return goal{}, unknownService(service)
	}
	return goal{service: s}, nil
}

func unknownService(name string) *failure {
	return failf(statusNotFound, "service '%s' not found, make sure to register the service before calling it.", name)
}

// fill takes [key] handler.
func (g *goal) fill(segments []string) (f *failure) {
	if len(segments) == 2 {
		g.key, f = decodeKey(segments[0])
	}
	g.handler = segments[len(segments)-1]
	return f
}

// invoke calls a handler or sends to it; bad is what is wrong with the path.
func (x *exchange) invoke(ctx context.Context, to goal, bad *failure) (Response, *failure) {
	if bad != nil {
		x.g.metrics.unknown.requestError.Inc()
		return Response{}, bad
	}
	m := x.g.metrics.of(to.service.Name, to.send)
	start := x.g.host.Clock.Now()
	resp, f := x.checkAndInvoke(ctx, to, m)
	m.done(resp, f, x.g.host.Clock.Now().Sub(start))
	x.record(to, x.id, start, &resp, f)
	if f != nil && f.status >= statusInternal && ctx.Err() == nil {
		x.complain(ctx, to, f)
	}
	return resp, f
}

// complaintPause lies between two requests that are told of at the level of warnings.
const complaintPause = 10 * time.Second

// complain logs a request that failed here, not in its handler: each for who wants details, one now and then for who watches.
func (x *exchange) complain(ctx context.Context, to goal, f *failure) {
	level, now := slog.LevelDebug, host.Millis(x.g.host.Clock)
	if next := x.g.complainNext.Load(); now >= next && x.g.complainNext.CompareAndSwap(next, now+complaintPause.Milliseconds()) {
		level = slog.LevelWarn
	}
	attrs := append(make([]slog.Attr, 0, 4), slog.String(logkey.Target, to.service.Name+"/"+to.handler), slog.Int(logkey.Code, f.status), slog.String(logkey.Err, f.message))
	if x.id != (id.Invocation{}) {
		attrs = append(attrs, slog.String(logkey.Invocation, x.id.String()))
	}
	x.g.host.Log.LogAttrs(ctx, level, "request failed", attrs...)
}

func (x *exchange) checkAndInvoke(ctx context.Context, to goal, m *requestMetrics) (Response, *failure) {
	h, f := x.handler(to)
	if f != nil {
		return Response{}, f
	}
	s := x.g.scratch.Get().(*scratch)
	defer x.g.putScratch(s)
	defer x.req.Body.Release() // for what ends before the release below
	in, f := x.read(h, to)
	if f != nil {
		return Response{}, f
	}
	created, f := x.build(s, to, h, in)
	if f != nil {
		return Response{}, f
	}
	x.id = created.id
	x.req.Body.Release()
	s.dropFrame()
	m.admitted.Inc()
	if to.send {
		return x.send(ctx, s, created)
	}
	return x.call(ctx, s, h, created)
}

// handler makes the checks that need no body, in the order of the contract.
func (x *exchange) handler(to goal) (*schema.Handler, *failure) {
	h, err := x.reg.Handler(to.service.Name, to.handler)
	if errors.Is(err, schema.ErrUnknownService) {
		return nil, unknownService(to.service.Name)
	}
	if err != nil {
		return nil, failf(statusNotFound, "the service '%s' exists, but the handler '%s' was not found, "+
			"check that the handler exists in the latest registered service version.", to.service.Name, to.handler)
	}
	if !to.service.Public || !h.Public {
		return nil, errNotPublic
	}
	if to.service.Deprecated {
		return nil, failf(statusBadRequest, "the service %s is exposed by the deprecated deployment %s. Upgrade the SDK used by %s.",
			to.service.Name, to.service.Deployment, to.service.Name)
	}
	if key, ok := x.req.header(headerIdempotencyKey); ok {
		if h.IsWorkflowRun() {
			return nil, errWorkflowKey
		}
		if !visibleASCII(key) {
			return nil, badHeader(headerIdempotencyKey)
		}
	}
	if to.scoped {
		return nil, errScopeOff
	}
	if x.req.Method != methodGet && x.req.Method != methodPost {
		return nil, errMethod
	}
	return h, nil
}

// input is what a request brings for its handler.
type input struct {
	body    []byte
	delayed bool
	delay   int64 // milliseconds
}

// read makes the checks of body and parameters, in the order of the contract.
func (x *exchange) read(h *schema.Handler, to goal) (in input, f *failure) {
	if in.body, f = x.body(); f != nil {
		return in, f
	}
	contentType, has := x.req.header(headerContentType)
	if err := h.CheckInput(contentType, has, len(in.body) == 0); err != nil {
		return in, failf(statusBadRequest, "input validation error: %s", err)
	}
	text, delayed := queryValue(x.path.query, "delay")
	if delayed {
		var err error
		if in.delay, err = parseDelay(text); err != nil {
			return in, failf(statusBadRequest, "bad delay query parameter, must be a ISO8601 duration: %s", err)
		}
		in.delayed = true
	}
	limitKey, has := x.req.header(headerLimitKey)
	if !has {
		limitKey, _ = queryValue(x.path.query, "limit-key")
	}
	if f := checkLimitKey(limitKey); f != nil {
		return in, f
	}
	for i := range x.req.Headers {
		if !visibleASCII(x.req.Headers[i].Value) {
			return in, badHeader(x.req.Headers[i].Key)
		}
	}
	if in.delayed && !to.send {
		return in, errDelayOnCall
	}
	return in, nil
}

func badHeader(name string) *failure {
	return failf(statusBadRequest, "bad header %s: its value is not visible ASCII", name)
}

// creation is the invocation that a request asks for.
type creation struct {
	id        id.Invocation
	generated bool  // the ingress made the id or its key: nobody else can have created it
	executeAt int64 // Unix milliseconds; 0: no delay was given
}

// build makes the Invoke record in s.record.
func (x *exchange) build(s *scratch, to goal, h *schema.Handler, in input) (c creation, f *failure) {
	now := host.Millis(x.g.host.Clock)
	if in.delayed {
		if c.executeAt = now + in.delay; c.executeAt > executeAtMax {
			return c, errDelayFar
		}
	}
	c.id, c.generated = x.identify(s, to, h, now)
	// A made-up id of a service or an object is kept as long as one with a key.
	keyed := s.facts.IdempotencyKey != nil || c.generated && to.service.Type != storedv1.ServiceType_SERVICE_TYPE_WORKFLOW
	completion, journal := h.Retentions(keyed)
	s.facts.Target = h.Target(to.key)
	s.facts.CompletionRetentionMs, s.facts.JournalRetentionMs = completion.Milliseconds(), journal.Milliseconds()
	s.facts.ExecuteAtMs = c.executeAt
	if !c.generated {
		x.g.host.Rand.Read(s.request[:])
		s.facts.Request = s.request[:]
	}
	x.forward(s, c.id)
	s.frame = serviceproto.AppendInput(s.frame[:0], s.headers, in.body)
	var err error
	s.record, err = command.Append(s.record[:0], command.Header{Kind: command.Invoke, Frames: 1, ID: c.id}, &s.facts, s.frame)
	if err != nil {
		return c, failf(statusBadRequest, "the request cannot be stored: %s", err)
	}
	return c, nil
}

// executeAtMax is the last millisecond of the year 9999, the last that a text of a time can hold.
const executeAtMax = 253_402_300_799_999

// identify fixes the id, and the idempotency key that is stored with it. Without a key the id is made up
// here: it outlives every repetition of the request, so the request is as safe to repeat as one with a key.
// Such ids begin with their time, so that the rows of new invocations stand together.
func (x *exchange) identify(s *scratch, to goal, h *schema.Handler, now int64) (i id.Invocation, generated bool) {
	if h.IsWorkflowRun() {
		return id.WorkflowInvocation(to.service.Name, to.key), false
	}
	if key, given := x.req.header(headerIdempotencyKey); given {
		s.idemKey = key
		s.facts.IdempotencyKey = &s.idemKey
		return id.IdempotentInvocation(to.service.Name, to.key, keyed(to.service), to.handler, key), false
	}
	x.g.host.Rand.Read(s.random[:])
	u := id.NewULID(now, [10]byte(s.random[:]))
	if keyed(to.service) {
		return id.FreshInvocation(id.Hash(to.key), u), true
	}
	bucket := binary.LittleEndian.Uint16(s.random[len(s.random)-2:]) % id.Buckets
	return id.FreshInvocation(id.BucketKey(to.service.Name, bucket), u), true
}

// forward collects the headers for the handler, and the trace context: where requests are recorded, i is the child of this one.
func (x *exchange) forward(s *scratch, i id.Invocation) {
	target := x.req.Target
	if !utf8.ValidString(target) { // a header of the service protocol is UTF-8
		target = strings.ToValidUTF8(target, "\uFFFD")
	}
	s.headers = append(s.headers[:0], Header{Key: HeaderIngressPath, Value: target})
	for _, h := range x.req.Headers {
		switch h.Key {
		case headerConnection, headerHost, headerIdempotencyKey, headerIdempotencyExpires:
			continue
		case headerTraceParent:
			if _, ok := span.Parse(h.Value, ""); ok {
				s.facts.TraceParent = h.Value
				s.facts.TraceState, _ = x.req.header(headerTraceState)
			}
		}
		s.headers = append(s.headers, h)
	}
	if spans := x.g.host.Spans; spans.Services() {
		x.span, x.parentSpan = spans.Begin(s.facts.TraceParent, s.facts.TraceState, i, x.g.host.Rand.Uint64())
		s.facts.TraceParent = x.span.String()
	}
}

// record writes the span of a request that created an invocation, or found it.
func (x *exchange) record(to goal, i id.Invocation, start time.Time, resp *Response, f *failure) {
	if !x.span.Valid() { // it was refused before
		return
	}
	var o span.Outcome
	switch {
	case f != nil:
		o = span.Outcome{Failure: f.message, Code: uint32(f.status)}
	case resp.Source != "":
		o = span.Outcome{Failure: string(resp.Body), Code: uint32(resp.Status)}
	}
	t := span.Target{Service: to.service.Name, Handler: to.handler, Key: to.key, ID: i}
	x.g.host.Spans.Request(x.span, x.parentSpan, &t, to.send, start, x.g.host.Clock.Now(), o)
}

// call waits for the end of the invocation.
func (x *exchange) call(ctx context.Context, s *scratch, h *schema.Handler, c creation) (Response, *failure) {
	o, f := x.g.do(ctx, command.Request{ID: c.id, Record: s.record, Want: command.WantCompleted}, retryInvoke)
	if f != nil {
		return Response{}, f
	}
	if o.Workflow {
		return failed(c.id, &storedv1.Failure{Code: statusConflict, Message: "the workflow method was already invoked"}), nil
	}
	if o.Status != command.OutcomeCompleted {
		return Response{}, errOutcome
	}
	resp := completed(c.id, h, o)
	if c.generated {
		resp.ExpiresAt = 0 // only a repetition of ours can have found a result of this id
	}
	return resp, nil
}

// send waits until the invocation is accepted.
func (x *exchange) send(ctx context.Context, s *scratch, c creation) (Response, *failure) {
	o, f := x.g.do(ctx, command.Request{ID: c.id, Record: s.record, Want: command.WantAccepted}, retryInvoke)
	if f != nil {
		return Response{}, f
	}
	// One that was not stored before this request is its own, whose first answer was lost.
	own := o.Status == command.OutcomeAccepted || (o.Status == command.OutcomeCompleted && !o.Stored)
	if own || c.generated {
		return sent(c.id, c.executeAt, false), nil
	}
	return sent(c.id, o.ExecuteAt, true), nil
}
