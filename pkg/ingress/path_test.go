package ingress

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/schema"
)

func TestQueryValue(t *testing.T) {
	for _, row := range []struct {
		query, want string
		found       bool
	}{
		{"delay=1s", "1s", true},
		{"DELAY=1s&delay=2s", "1s", true},
		{"a=b&d%65lay=1+m", "1 m", true},
		{"delay", "", true},
		{"delay=%zz%", "%zz%", true},
		{"delays=1", "", false},
		{"", "", false},
	} {
		if got, found := queryValue(row.query, "delay"); got != row.want || found != row.found {
			t.Errorf("%q: %q, %v", row.query, got, found)
		}
	}
}

func TestLimitKey(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "a": errLimitScope.message, "a/b": errLimitScope.message, "a/": errLimitScope.message,
		"a/b/c": "invalid limit-key: too many", "/a": "invalid limit-key: value cannot be empty", "a//": "invalid limit-key: value cannot be empty",
		"ä": "invalid limit-key: value contains", strings.Repeat("a", 37): "invalid limit-key: value too long",
	} {
		f := checkLimitKey(key)
		if (f == nil) != (want == "") || (f != nil && !strings.HasPrefix(f.message, want)) {
			t.Errorf("%q: %v", key, f)
		}
	}
}

// nobody is a cluster without leaders that counts nothing.
type nobody struct{}

func (nobody) Do(context.Context, command.Request) (*command.Outcome, error) {
	return &command.Outcome{Status: command.OutcomeNotFound}, nil
}

type noBody struct{}

func (noBody) Bytes() ([]byte, error) { return nil, nil }
func (noBody) Release()               {}

// Whatever the target is, there is an answer with a legal status, and a key that is UTF-8.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"/", "*", "/a", "//S/h/", "/O/k/h/send?delay=1s", "/O/%2F%zz%/h", "/restate/call/O/k/h", "/restate/scope/s/send/S/h", "/restate/invocation/S/h/k/output",
		"/restate/workflow/W/k/attach", "/restate/attach/inv_1", "/restate/a/sign_1/resolve", "/restate/health", "/O/\xff/h", "?", "/S/h?\xff",
	} {
		f.Add("POST", s)
		f.Add("GET", s)
	}
	reg := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{Id: make([]byte, 16), MinProtocolVersion: 5, MaxProtocolVersion: 5, Services: []*storedv1.Service{
		{Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Handlers: []*storedv1.Handler{{Name: "h"}}},
		{Name: "O", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Handlers: []*storedv1.Handler{{Name: "h", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}}},
	}}}}, schema.Default())
	g, err := New(Default(), Parts{Partitions: nobody{}, Schema: func() *schema.Registry { return reg }, Routes: NewFakeRoutes()}, hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		r := g.Serve(t.Context(), &Request{Method: method, Target: target, Body: noBody{}})
		if r.Status < 200 || r.Status > 599 {
			t.Errorf("status %d", r.Status)
		}
		if p, ok := cutPath(target); ok {
			for _, s := range p.segments[:p.n] {
				if key, bad := decodeKey(s); bad == nil && !utf8.ValidString(key) {
					t.Errorf("key %q", key)
				}
				if strings.Contains(s, "/") || strings.Contains(s, "?") {
					t.Errorf("segment %q", s)
				}
			}
		}
	})
}

// echo answers every request at once.
type echo struct{ out *command.Outcome }

func (e echo) Do(_ context.Context, r command.Request) (*command.Outcome, error) {
	if len(r.Record) < command.HeaderSize {
		return nil, errs.Newf(errs.Internal, "no record")
	}
	return e.out, nil
}

type fixedBody []byte

func (b fixedBody) Bytes() ([]byte, error) { return b, nil }
func (b fixedBody) Release()               {}

func echoCore(t testing.TB) (*Ingress, *Request) {
	t.Helper()
	reg := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{Id: make([]byte, 16), MinProtocolVersion: 5, MaxProtocolVersion: 5, Services: []*storedv1.Service{
		{Name: "Echo", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Handlers: []*storedv1.Handler{{Name: "echo"}}},
	}}}}, schema.Default())
	out := &command.Outcome{Status: command.OutcomeCompleted, Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte(`"hello"`)}}}
	g, err := New(Default(), Parts{Partitions: echo{out}, Schema: func() *schema.Registry { return reg }, Routes: NewFakeRoutes()}, hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	return g, &Request{
		Method: "POST", Target: "/Echo/echo", ContentLength: 7, Body: fixedBody(`"hello"`),
		Headers: []Header{{Key: "accept-encoding", Value: "gzip"}, {Key: "content-length", Value: "7"}, {Key: "content-type", Value: "application/json"}, {Key: "user-agent", Value: "x"}},
	}
}

// echoAllocations is the budget of the core for a call of a plain service: its generated key.
const echoAllocations = 1

func TestEchoAllocations(t *testing.T) {
	g, r := echoCore(t)
	ctx := t.Context()
	if resp := g.Serve(ctx, r); resp.Status != 200 || string(resp.Body) != `"hello"` {
		t.Fatalf("%d %s", resp.Status, resp.Body)
	}
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	if n := testing.AllocsPerRun(1000, func() { g.Serve(ctx, r) }); n > echoAllocations {
		t.Errorf("%v allocations for an echo, the budget is %d", n, echoAllocations)
	}
}

func BenchmarkEcho(b *testing.B) {
	g, r := echoCore(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		g.Serve(ctx, r)
	}
}
