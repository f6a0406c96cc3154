package schema_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/retry"
	"reprise/pkg/schema"
)

// registryOf registers one manifest.
func registryOf(t *testing.T, text string, d schema.Defaults) *schema.Registry {
	t.Helper()
	dep, err := discover(text, "")
	if err != nil {
		t.Fatal(err)
	}
	dep.Id = []byte{15: 1}
	return schema.NewRegistry(must(t, nil, dep, schema.RegisterOptions{}), d)
}

func handlerOf(t *testing.T, r *schema.Registry, name string) *schema.Handler {
	t.Helper()
	h, err := r.Handler("S", name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestLookup(t *testing.T) {
	r := registryOf(t, manifest(`{"name":"S","ty":"VIRTUAL_OBJECT","handlers":[{"name":"h"}]},{"name":"A","ty":"SERVICE","handlers":[{"name":"h"}]}`), schema.Default())
	which := id.Deployment{15: 1}
	if _, err := r.Handler("T", "h"); !errors.Is(err, schema.ErrUnknownService) {
		t.Errorf("unknown service: %v", err)
	}
	if _, err := r.Handler("S", "x"); !errors.Is(err, schema.ErrUnknownHandler) {
		t.Errorf("unknown handler: %v", err)
	}
	if all := r.Services(); len(all) != 2 || all[0].Name != "A" || all[1].Name != "S" || all[0].Deployment != which {
		t.Errorf("services are %v", all)
	}
	if d, ok := r.Deployment(which); !ok || d != r.Deployments()[0] || r.Version() != 1 || r.Stored().GetVersion() != 1 {
		t.Errorf("deployment is %v, version %d", d, r.Version())
	}
	if _, ok := r.Deployment(id.Deployment{}); ok {
		t.Error("a deployment that is not there was found")
	}

	h := handlerOf(t, r, "h")
	want := &storedv1.Target{Service: "S", Handler: "h", Key: "k", ServiceType: object, HandlerType: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}
	if got := h.Target("k"); !proto.Equal(got, want) || !h.Keyed() || h.IsWorkflowRun() {
		t.Errorf("target is %v", got)
	}
	a, _ := r.Handler("A", "h")
	if got := a.Target("ignored"); got.GetKey() != "" || got.GetServiceType() != plain || a.Keyed() {
		t.Errorf("target of a service is %v", got)
	}
	empty := schema.NewRegistry(nil, schema.Default())
	if len(empty.Services()) != 0 || len(empty.Deployments()) != 0 || empty.Version() != 0 {
		t.Error("an empty schema is not empty")
	}
}

func TestPinnedHandler(t *testing.T) {
	with := func(n byte, handler string) *storedv1.Deployment {
		d := deployment(n, "http://h:"+string('0'+rune(n))+"/", plain, "S")
		d.Services[0].Handlers = []*storedv1.Handler{{Name: handler}}
		return d
	}
	s := must(t, must(t, nil, with(1, "old"), schema.RegisterOptions{}), with(2, "new"), schema.RegisterOptions{})
	r := schema.NewRegistry(s, schema.Default())
	if _, err := r.Handler("S", "old"); !errors.Is(err, schema.ErrUnknownHandler) {
		t.Errorf("a handler of an older revision: %v", err)
	}
	if h, ok := r.PinnedHandler(id.Deployment{15: 1}, "S", "old"); !ok || h.Name != "old" || h.Service.Revision != 1 {
		t.Errorf("pinned: %v, %v", h, ok)
	}
	for _, c := range []struct {
		d                byte
		service, handler string
	}{{1, "S", "new"}, {1, "T", "old"}, {3, "S", "old"}} {
		if h, ok := r.PinnedHandler(id.Deployment{15: c.d}, c.service, c.handler); ok {
			t.Errorf("%+v: %v", c, h)
		}
	}
	if list := r.DeploymentServices(id.Deployment{15: 1}); len(list) != 1 || list[0].Revision != 1 {
		t.Errorf("services of a deployment: %v", list)
	}
}

func TestOptions(t *testing.T) {
	const second = time.Second
	hour := time.Hour
	day := 24 * time.Hour
	text := service("VIRTUAL_OBJECT", `"inactivityTimeout":1000,"journalRetention":7200000,"idempotencyRetention":0,"ingressPrivate":true,
		"enableLazyState":true,"retryPolicyMaxAttempts":3,"retryPolicyOnMaxAttempts":"KILL",`,
		`{"name":"plain"},{"name":"own","inactivityTimeout":2000,"abortTimeout":3000,"journalRetention":1000,"enableLazyState":false,
		"idempotencyRetention":5000,"retryPolicyInitialInterval":10,"retryPolicyMaxInterval":20,"retryPolicyExponentiationFactor":1,
		"retryPolicyMaxAttempts":100,"retryPolicyOnMaxAttempts":"PAUSE"}`)
	r := registryOf(t, text, schema.Default())
	p, o := handlerOf(t, r, "plain"), handlerOf(t, r, "own")
	s := p.Service
	if s.Inactivity != second || s.Abort != 10*time.Minute || s.JournalRetention != 2*hour || s.IdempotencyRetention != 0 ||
		s.WorkflowRetention != 0 || !s.LazyState || s.Public || len(s.Info) != 0 {
		t.Errorf("service is %+v", s)
	}
	if want := (retry.Policy{Initial: 500 * time.Millisecond, Max: time.Minute, Factor: 2, MaxAttempts: 3, Kill: true}); s.Retry != want || p.Retry != want {
		t.Errorf("policies are %+v, %+v", s.Retry, p.Retry)
	}
	if p.Inactivity != second || p.Abort != 10*time.Minute || p.JournalRetention != 2*hour || !p.LazyState || p.Public {
		t.Errorf("handler without options is %+v", p)
	}
	if o.Inactivity != 2*second || o.Abort != 3*second || o.JournalRetention != second || o.LazyState || o.IdempotencyRetention != 5*second {
		t.Errorf("handler with options is %+v", o)
	}
	if want := (retry.Policy{Initial: 10 * time.Millisecond, Max: 20 * time.Millisecond, Factor: 1, MaxAttempts: 100}); o.Retry != want {
		t.Errorf("policy is %+v", o.Retry)
	}

	d := schema.Default()
	d.MaxJournalRetention, d.MaxAttempts = &hour, 10
	r = registryOf(t, text, d)
	p, o = handlerOf(t, r, "plain"), handlerOf(t, r, "own")
	if p.JournalRetention != hour || o.JournalRetention != second || p.Retry.MaxAttempts != 3 || o.Retry.MaxAttempts != 10 {
		t.Errorf("with ceilings: %+v, %+v", p, o)
	}
	if info := p.Service.Info; len(info) != 1 || info[0].GetCode() != "RT0022" {
		t.Errorf("notices are %v", info)
	}
	d = schema.Default()
	d.Retry.MaxAttempts, d.MaxAttempts = 0, 10
	if got := handlerOf(t, registryOf(t, service("SERVICE", "", `{"name":"h"}`), d), "h"); got.Retry.MaxAttempts != 10 || got.JournalRetention != day {
		t.Errorf("unlimited under a ceiling: %+v", got.Retry)
	}
	long := registryOf(t, service("SERVICE", `"abortTimeout":9223372036854775807,`, `{"name":"h"}`), schema.Default())
	if got := handlerOf(t, long, "h").Abort; got < 200*365*day {
		t.Errorf("a time beyond what fits is %s", got)
	}
}

func TestInactivityWithoutStreaming(t *testing.T) {
	const head = `{"protocolMode":"REQUEST_RESPONSE","minProtocolVersion":5,"maxProtocolVersion":7,"services":[{"name":"S","ty":"SERVICE",`
	set := registryOf(t, head+`"inactivityTimeout":5,"handlers":[{"name":"h","inactivityTimeout":6}]}]}`, schema.Default())
	if h := handlerOf(t, set, "h"); h.Inactivity != 0 || h.Service.Inactivity != 0 || len(h.Service.Info) != 1 || h.Service.Info[0].GetCode() != "RT0021" {
		t.Errorf("set: %+v", h.Service)
	}
	unset := registryOf(t, head+`"handlers":[{"name":"h"}]}]}`, schema.Default())
	if h := handlerOf(t, unset, "h"); h.Inactivity != time.Minute || len(h.Service.Info) != 0 {
		t.Errorf("not set: %+v", h.Service)
	}
}

func TestRetentions(t *testing.T) {
	const day, hour, minute = 24 * time.Hour, time.Hour, time.Minute
	for _, c := range []struct {
		name, ty, options, handler string
		idempotent                 bool
		completion, journal        time.Duration
	}{
		{"service", "SERVICE", "", `{"name":"h"}`, false, day, day},
		{"service with a key", "SERVICE", `"idempotencyRetention":3600000,`, `{"name":"h"}`, true, hour, hour},
		{"short journal", "SERVICE", `"journalRetention":60000,`, `{"name":"h"}`, true, day, minute},
		{"short journal without a key", "SERVICE", `"journalRetention":60000,`, `{"name":"h"}`, false, minute, minute},
		{"no journal", "SERVICE", `"journalRetention":0,`, `{"name":"h"}`, false, 0, 0},
		{"no journal with a key", "SERVICE", `"journalRetention":0,`, `{"name":"h"}`, true, day, 0},
		{"run", "WORKFLOW", "", `{"name":"h","ty":"WORKFLOW","workflowCompletionRetention":3600000}`, false, hour, hour},
		{"run, forgotten at once", "WORKFLOW", "", `{"name":"h","ty":"WORKFLOW","workflowCompletionRetention":0}`, false, 0, 0},
		{"run with a short journal", "WORKFLOW", `"journalRetention":60000,`, `{"name":"h","ty":"WORKFLOW"}`, false, day, minute},
		{"run whose service has an idempotency retention", "WORKFLOW", `"idempotencyRetention":60000,`, `{"name":"h","ty":"WORKFLOW"}`, false, day, day},
		{"shared handler with a key", "WORKFLOW", `"idempotencyRetention":60000,`, `{"name":"h","ty":"SHARED"}`, true, minute, minute},
	} {
		h := handlerOf(t, registryOf(t, service(c.ty, c.options, c.handler), schema.Default()), "h")
		if completion, journal := h.Retentions(c.idempotent); completion != c.completion || journal != c.journal {
			t.Errorf("%s: %s, %s, not %s, %s", c.name, completion, journal, c.completion, c.journal)
		}
	}
}

func TestCheckInput(t *testing.T) {
	const (
		anyInput = `{"name":"h"}`
		none     = `{"name":"h","input":{}}`
		json     = `{"name":"h","input":{"required":true,"contentType":"application/json","jsonSchema":{}}}`
		optional = `{"name":"h","input":{"contentType":"application/json"}}`
		text     = `{"name":"h","input":{"required":true,"contentType":"text/*"}}`
		nothing  = `{"name":"h","input":{"required":true}}`
	)
	for _, c := range []struct {
		handler, contentType string
		has, empty           bool
		want                 string
	}{
		{anyInput, "", false, true, ""},
		{anyInput, "a/b", true, false, ""},
		{anyInput, "", false, false, "empty content-type"},
		{anyInput, "nonsense", true, false, "content-type 'nonsense' does not match '*/*'"},
		{none, "", false, true, ""},
		{none, "application/json", true, true, "body and content-type must be empty, the content-type is 'application/json'"},
		{none, "", false, false, "body and content-type must be empty"},
		{nothing, "", false, true, ""},
		{nothing, "", false, false, "body and content-type must be empty"},
		{json, "application/json", true, false, ""},
		{json, "application/json; charset=utf-8", true, false, ""},
		{json, "application/json;charset=utf-8", true, false, ""},
		{json, "Application/json", true, false, "content-type 'Application/json' does not match 'application/json'"},
		{json, "text/plain", true, false, "content-type 'text/plain' does not match 'application/json'"},
		{json, "", false, false, "empty content-type"},
		{json, "", true, false, "content-type '' does not match 'application/json'"},
		{json, "application/json", true, true, "empty body not allowed"},
		{json, "", false, true, "empty content-type"},
		{optional, "", false, true, ""},
		{optional, "application/json", true, true, ""},
		{optional, "application/json", true, false, ""},
		{optional, "", false, false, "empty content-type"},
		{text, "text/csv", true, false, ""},
		{text, "text/csv", true, true, ""},
		{text, "image/png", true, false, "content-type 'image/png' does not match 'text/*'"},
	} {
		h := handlerOf(t, registryOf(t, service("SERVICE", "", c.handler), schema.Default()), "h")
		got := ""
		if err := h.CheckInput(c.contentType, c.has, c.empty); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s with %q %v, empty %v: %q, not %q", c.handler, c.contentType, c.has, c.empty, got, c.want)
		}
	}
}

func TestOutputContentType(t *testing.T) {
	for _, c := range []struct {
		handler     string
		empty       bool
		contentType string
	}{
		{`{"name":"h"}`, false, "application/json"},
		{`{"name":"h"}`, true, ""},
		{`{"name":"h","output":{}}`, false, ""},
		{`{"name":"h","output":{"contentType":"a/b"}}`, false, "a/b"},
		{`{"name":"h","output":{"contentType":"a/b"}}`, true, ""},
		{`{"name":"h","output":{"contentType":"a/b","setContentTypeIfEmpty":true}}`, true, "a/b"},
	} {
		h := handlerOf(t, registryOf(t, service("SERVICE", "", c.handler), schema.Default()), "h")
		if got, ok := h.OutputContentType(c.empty); got != c.contentType || ok != (got != "") {
			t.Errorf("%s, empty %v: %q, %v", c.handler, c.empty, got, ok)
		}
	}
}

func TestPublic(t *testing.T) {
	r := registryOf(t, manifest(`{"name":"S","ty":"SERVICE","handlers":[{"name":"open"},{"name":"shut","ingressPrivate":true}]}`), schema.Default())
	if !handlerOf(t, r, "open").Public || handlerOf(t, r, "shut").Public || !handlerOf(t, r, "shut").Service.Public {
		t.Error("a handler can be private in a public service")
	}
}

func TestDefaults(t *testing.T) {
	if err := schema.Default().Validate(); err != nil {
		t.Error(err)
	}
	bad := schema.Defaults{Abort: -1, MaxJournalRetention: new(time.Duration)}
	*bad.MaxJournalRetention = -1
	if err := bad.Validate(); err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 3 {
		t.Errorf("faults are %v", err)
	}
}

func TestAllocations(t *testing.T) {
	r := registryOf(t, service("SERVICE", "", `{"name":"h","input":{"contentType":"application/json"}}`), schema.Default())
	if n := testing.AllocsPerRun(100, func() {
		h, err := r.Handler("S", "h")
		if err != nil || h.CheckInput("application/json", true, false) != nil || h.Target("") == nil {
			t.Fatal("the handler is gone")
		}
		_, _ = h.Retentions(true)
		_, _ = h.OutputContentType(false)
	}); n != 0 {
		t.Errorf("%v allocations for a lookup", n)
	}
}
