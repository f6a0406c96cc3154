package ingress_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/ingress"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// cluster is a fake of all partitions: invocations in memory, whose handlers do what their names say.
type cluster struct {
	mu          sync.Mutex
	invocations map[id.Invocation]*life
	records     []record // all that were proposed, oldest first
	refuse      []error  // answers of the next tries, in order
	afterwards  bool     // refuse after the record was applied
	broken      bool     // panic
	tries       int
	waiting     chan struct{} // gets a value when somebody starts to wait
	left        chan error    // gets why somebody stopped to wait
	refused     chan struct{} // gets a value when a try is refused
}

type life struct {
	facts   *storedv1.InvokeFacts
	input   *servicev1.InputCommand
	result  *storedv1.Result
	signals []*servicev1.Notification
	done    chan struct{}
}

type record struct {
	command.Record
	facts *storedv1.InvokeFacts
	want  command.Want
}

func newCluster() *cluster {
	return &cluster{invocations: map[id.Invocation]*life{}, waiting: make(chan struct{}, 100), left: make(chan error, 100), refused: make(chan struct{}, 100)}
}

func (c *cluster) setBroken(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = broken
}

// Do implements ingress.Partitions.
func (c *cluster) Do(ctx context.Context, r command.Request) (*command.Outcome, error) {
	c.mu.Lock()
	c.tries++
	if c.broken {
		c.mu.Unlock()
		panic("broken")
	}
	var refusal error
	if len(c.refuse) > 0 {
		refusal, c.refuse = c.refuse[0], c.refuse[1:]
		c.refused <- struct{}{}
	}
	if refusal != nil && !c.afterwards {
		c.mu.Unlock()
		return nil, refusal
	}
	rec, err := command.Parse(append([]byte(nil), r.Record...))
	if err != nil || rec.ID != r.ID {
		c.mu.Unlock()
		return nil, errs.Newf(errs.Internal, "bad record: %v", err)
	}
	kept := record{Record: rec, want: r.Want, facts: &storedv1.InvokeFacts{}}
	if err := kept.facts.UnmarshalVT(rec.Facts); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	c.records = append(c.records, kept)
	out, l, err := c.applyLocked(kept)
	c.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case refusal != nil:
		return nil, refusal
	case l == nil || r.Want != command.WantCompleted || out.Workflow || out.Status == command.OutcomeCompleted:
		return out, nil
	}
	c.waiting <- struct{}{}
	select {
	case <-l.done:
		return &command.Outcome{Status: command.OutcomeCompleted, Target: l.facts.Target, Result: l.result}, nil
	case <-ctx.Done():
		c.left <- context.Cause(ctx)
		return nil, errs.With(errs.Uncertain, context.Cause(ctx))
	}
}

const expires = 1795481098761 // 2026-11-24T00:44:58.761Z

func (c *cluster) applyLocked(r record) (*command.Outcome, *life, error) {
	l, known := c.invocations[r.ID]
	switch {
	case r.Kind == command.Invoke && !known:
		frame, _, ok, err := serviceproto.NextFrame(r.Body, 1<<30)
		if err != nil || !ok || frame.Type != serviceproto.TypeInput {
			return nil, nil, errs.Newf(errs.Internal, "no Input frame: %v", err)
		}
		l = &life{facts: r.facts, input: &servicev1.InputCommand{}, done: make(chan struct{})}
		if err := proto.Unmarshal(frame.Payload, l.input); err != nil {
			return nil, nil, err
		}
		c.invocations[r.ID] = l
		c.runLocked(l)
		if l.result != nil && r.want == command.WantCompleted {
			return &command.Outcome{Status: command.OutcomeCompleted, Target: l.facts.Target, Result: l.result}, l, nil
		}
		return &command.Outcome{Status: command.OutcomeAccepted, ExecuteAt: l.facts.ExecuteAtMs}, l, nil
	case !known:
		return &command.Outcome{Status: command.OutcomeNotFound}, nil, nil
	case r.Kind == command.Signal:
		frame, _, _, _ := serviceproto.NextFrame(r.Body, 1<<30)
		n := &servicev1.Notification{}
		if err := proto.Unmarshal(frame.Payload, n); err != nil {
			return nil, nil, err
		}
		l.signals = append(l.signals, n)
		return &command.Outcome{Status: command.OutcomeAccepted}, nil, nil
	case r.Kind == command.Invoke && len(r.facts.Request) > 0 && string(r.facts.Request) == string(l.facts.Request):
		if l.result != nil {
			return &command.Outcome{Status: command.OutcomeCompleted, Target: l.facts.Target, Result: l.result}, l, nil
		}
		return &command.Outcome{Status: command.OutcomeAccepted, ExecuteAt: l.facts.ExecuteAtMs}, l, nil
	case r.want == command.WantAccepted:
		return &command.Outcome{Status: command.OutcomePreviouslyAccepted, ExecuteAt: l.facts.ExecuteAtMs}, l, nil
	case r.Kind == command.Invoke && l.facts.Target.HandlerType == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW:
		return &command.Outcome{Status: command.OutcomePreviouslyAccepted, Workflow: true}, l, nil
	case l.result != nil:
		return &command.Outcome{Status: command.OutcomeCompleted, Target: l.facts.Target, Result: l.result, Stored: true, ExpiresAt: expires}, l, nil
	default:
		return &command.Outcome{Status: command.OutcomePending, Target: l.facts.Target}, l, nil
	}
}

func (c *cluster) runLocked(l *life) {
	switch l.facts.Target.Handler {
	case "block", "run": // until finish
	case "fail":
		l.result = &storedv1.Result{Result: &storedv1.Result_Failure{Failure: failureOf(string(l.input.GetValue().GetContent()))}}
		close(l.done)
	default:
		l.result = &storedv1.Result{Result: &storedv1.Result_Value{Value: l.input.GetValue().GetContent()}}
		close(l.done)
	}
}

// failureOf reads "422 message".
func failureOf(text string) *storedv1.Failure {
	code, message, _ := strings.Cut(text, " ")
	f := &storedv1.Failure{Message: message}
	for _, c := range code {
		f.Code = f.Code*10 + uint32(c-'0')
	}
	if f.Code == 422 {
		f.Metadata = []*storedv1.FailureMetadata{{Key: "a", Value: "b"}}
	}
	return f
}

// finish ends a blocked invocation with a value.
func (c *cluster) finish(i id.Invocation, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.invocations[i]
	l.result = &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte(value)}}
	close(l.done)
}

func (c *cluster) last() record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[len(c.records)-1]
}

func (c *cluster) input(i id.Invocation) *servicev1.InputCommand {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invocations[i].input
}

var jsonType = "application/json"

func testSchema() *storedv1.Schema {
	handler := func(name string, t storedv1.HandlerType) *storedv1.Handler {
		return &storedv1.Handler{
			Name: name, Type: t,
			Input:  &storedv1.Input{ContentType: &jsonType},
			Output: &storedv1.Output{ContentType: &jsonType},
		}
	}
	private := true
	hidden := handler("shut", 0)
	hidden.Options = &storedv1.Options{IngressPrivate: &private}
	plain, exclusive, shared, run := storedv1.HandlerType_HANDLER_TYPE_UNSPECIFIED, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE,
		storedv1.HandlerType_HANDLER_TYPE_SHARED, storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
	return &storedv1.Schema{Version: 7, Deployments: []*storedv1.Deployment{{
		Id: make([]byte, 16), Uri: "http://127.0.0.1:9080/", Bidi: true, MinProtocolVersion: 5, MaxProtocolVersion: 7,
		Services: []*storedv1.Service{
			{
				Name: "Greeter", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1,
				Handlers: []*storedv1.Handler{handler("Greet", plain), handler("fail", plain), handler("block", plain), hidden, {Name: "any"}, {Name: "none", Input: &storedv1.Input{}, Output: &storedv1.Output{}}},
			},
			{
				Name: "Counter", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Revision: 1,
				Handlers: []*storedv1.Handler{handler("Add", exclusive), handler("block", exclusive), handler("get", shared)},
			},
			{
				Name: "Wf", Type: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, Revision: 1,
				Handlers: []*storedv1.Handler{handler("run", run), handler("Signal", shared)},
			},
			{
				Name: "Hidden", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Options: &storedv1.Options{IngressPrivate: &private},
				Handlers: []*storedv1.Handler{handler("Do", plain)},
			},
		},
	}, {
		Id: []byte{15: 1}, Uri: "http://127.0.0.1:9081/", MinProtocolVersion: 2, MaxProtocolVersion: 4,
		Services: []*storedv1.Service{
			{Name: "Old", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Handlers: []*storedv1.Handler{handler("Do", plain), hidden}},
		},
	}}}
}

func newCore(t testing.TB, c ingress.Partitions, clock host.Clock, cfg ingress.Config) (*ingress.Ingress, host.Host) {
	t.Helper()
	return newCoreOf(t, ingress.Parts{Partitions: c}, clock, cfg)
}

// newCoreOf adds what parts lack.
func newCoreOf(t testing.TB, parts ingress.Parts, clock host.Clock, cfg ingress.Config) (*ingress.Ingress, host.Host) {
	t.Helper()
	return newCoreAt(t, parts, hosttest.New(clock, 1), cfg)
}

func newCoreAt(t testing.TB, parts ingress.Parts, h host.Host, cfg ingress.Config) (*ingress.Ingress, host.Host) {
	t.Helper()
	reg := schema.NewRegistry(testSchema(), schema.Defaults{})
	parts.Schema = func() *schema.Registry { return reg }
	if parts.Routes == nil {
		parts.Routes = ingress.NewFakeRoutes()
	}
	core, err := ingress.New(cfg, parts, h)
	if err != nil {
		t.Fatal(err)
	}
	return core, h
}

// body is a Body in memory.
type body struct {
	bytes    []byte
	err      error
	released int
}

func (b *body) Bytes() ([]byte, error) { return b.bytes, b.err }
func (b *body) Release()               { b.released++ }
