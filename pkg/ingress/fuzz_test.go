package ingress

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
	"reprise/pkg/span"
)

// strict refuses records that a partition would halt at.
type strict struct{ t *testing.T }

func (s *strict) Do(_ context.Context, r command.Request) (*command.Outcome, error) {
	rec, err := command.Parse(r.Record)
	if err != nil || rec.ID != r.ID {
		s.t.Fatalf("record of %s for %s: %v", rec.ID, r.ID, err)
	}
	if rec.Kind == command.Invoke {
		s.invoke(rec)
	}
	return &command.Outcome{Status: command.OutcomeAccepted}, nil
}

func (s *strict) invoke(rec command.Record) {
	var facts storedv1.InvokeFacts
	if err := proto.Unmarshal(rec.Facts, &facts); err != nil { // stricter than the fast decoder: text is UTF-8
		s.t.Fatal(err)
	}
	if facts.TraceParent != "" && !validParent(facts.TraceParent) {
		s.t.Errorf("trace parent %q", facts.TraceParent)
	}
	f, rest, ok, err := serviceproto.NextFrame(rec.Body, 1<<30)
	if err != nil || !ok || len(rest) != 0 || f.Type != serviceproto.TypeInput {
		s.t.Fatalf("body of %d bytes: %v", len(rec.Body), err)
	}
	var in servicev1.InputCommand
	if err := proto.Unmarshal(f.Payload, &in); err != nil {
		s.t.Fatal(err)
	}
	for _, h := range in.Headers[1:] {
		if !visibleASCII(h.GetValue()) {
			s.t.Errorf("header %s: %q", h.GetKey(), h.GetValue())
		}
	}
}

func fuzzCore(f *testing.F) (*Ingress, *strict) {
	f.Helper()
	reg := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{
		Id: make([]byte, 16), MinProtocolVersion: 5, MaxProtocolVersion: 5,
		Services: []*storedv1.Service{
			{Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Handlers: []*storedv1.Handler{{Name: "h"}}},
			{Name: "O", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Handlers: []*storedv1.Handler{{Name: "h", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}}},
		},
	}}}, schema.Default())
	p := &strict{}
	g, err := New(Default(), Parts{Partitions: p, Schema: func() *schema.Registry { return reg }, Routes: NewFakeRoutes()}, hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		f.Fatal(err)
	}
	return g, p
}

// FuzzHeaders holds that no header makes a record that does not decode, or an answer that is none.
func FuzzHeaders(f *testing.F) {
	f.Add("/S/h/send?delay=1s", "idempotency-key", "k", "application/json", "")
	f.Add("/O/k/h/send", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a/b", "v=1")
	f.Add("/O/%C3%A9/h/send?x=\xff", "x-restate-limit-key", "a/b", "", "\x00")
	f.Add("/S/h/send", "idempotency-key", "\xff", "text/plain; charset=utf-8", "caf\u00e9")
	g, p := fuzzCore(f)
	f.Fuzz(func(t *testing.T, target, name, value, contentType, state string) {
		p.t = t
		r := g.Serve(t.Context(), &Request{Method: methodPost, Target: target, Body: noBody{}, Headers: []Header{
			{Key: strings.ToValidUTF8(name, "?"), Value: value}, // names are tokens to each front
			{Key: headerContentType, Value: contentType}, {Key: headerTraceState, Value: state},
		}})
		if r.Status < 200 || r.Status > 599 || (r.ContentType == contentTypeJSON && !utf8.Valid(r.Body)) {
			t.Errorf("%d %q", r.Status, r.Body)
		}
	})
}

// FuzzTargetBody holds that every body of a lookup has an answer.
func FuzzTargetBody(f *testing.F) {
	for _, s := range []string{
		`{"target":"workflow","workflowName":"W","workflowKey":"k","scope":"s"}`, `{"target":"invocation","invocationId":"inv_1"}`,
		`{"target":"idempotentInvocation","service":"S","key":null,"handler":"h","idempotencyKey":"k"} `, `{"target":"workflow",`, `[]`, `{"a":{"b":[]}}`,
	} {
		f.Add([]byte(s))
	}
	g, p := fuzzCore(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p.t = t
		r := g.Serve(t.Context(), &Request{Method: methodPost, Target: "/restate/lookup", Body: fixedBody(body)})
		if r.Status != 200 && r.Status != 400 && r.Status != 500 || !utf8.Valid(r.Body) {
			t.Errorf("%d %q", r.Status, r.Body)
		}
	})
}

func validParent(s string) bool {
	_, ok := span.Parse(s, "")
	return ok
}
