package ingress_test

import (
	"strings"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/ingress"
)

// Rows of the contract that end with an error of the ingress.
func TestRefusals(t *testing.T) {
	const inv = "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y"
	cj := withJSON()
	long := strings.Repeat("s", 37)
	for _, row := range []struct {
		method, target, body string
		headers              []string
		status               int
		message              string // part of it
	}{
		{"GET", "/", "", nil, 400, "bad path: /"},
		{"POST", "/Greeter", "", nil, 400, "bad path: /Greeter"},
		{"POST", "/restate", "", nil, 400, "bad path: /restate"},
		{"POST", "/openapi", "", nil, 400, "bad path: /openapi"},
		{"GET", "/openapi/x", "", nil, 404, "not found"},
		{"POST", "/a/b/c/d/e/f/g/h", "", nil, 400, "bad path"},
		{"POST", "/restate/nope", "", nil, 404, "not found"},
		{"POST", "/restate/signals/x/y", "", nil, 404, "not found"},

		{"POST", "/Nope/x", "", nil, 404, "'Nope'"},
		{"PUT", "/Greeter/nope", "", nil, 404, "the service 'Greeter' exists, but the handler 'nope' was not found"},
		{"POST", "/Greeter/Gr%65et", "", cj, 404, "was not found"},
		{"POST", "/Greeter/a/b/c", "", nil, 400, "/:object-name/:object-key/:handler"},
		{"POST", "/Greeter/Greet/sent", "", nil, 400, "bad path"},
		{"POST", "/Counter/Add", "", nil, 400, "bad path"},
		{"POST", "/Counter/a/b/c/d/e", "", nil, 400, "bad path"},
		{"POST", "/restate/call/Greeter", "", nil, 400, "/restate/call/:service/:handler"},
		{"POST", "/restate/call/Greeter/Greet/send", "", nil, 400, "/restate/call/:service/:handler"},
		{"POST", "/restate/send/Counter/Add", "", nil, 400, "/restate/send/:service/:handler"},
		{"POST", "/restate/call/Nope/x", "", nil, 404, "'Nope'"},
		{"POST", "/Counter/%ff/Add", "1", cj, 400, "cannot decode key"},
		{"POST", "/Hidden/Do", "", nil, 400, "not public"},
		{"POST", "/Hidden/Do/send", "", nil, 400, "not public"},
		{"POST", "/Old/Do", "1", cj, 400, "the service Old is exposed by the deprecated deployment dp_101SZwviYzes2mjOamuMJWw. Upgrade the SDK used by Old."},
		{"PUT", "/Old/shut", "", nil, 400, "not public"},
		{"PUT", "/Old/Do", "", nil, 400, "deprecated"},
		{"PUT", "/Greeter/shut", "", nil, 400, "not public"},
		{"PUT", "/Greeter/Greet", "", nil, 405, "method not allowed"},
		{"HEAD", "/Greeter/Greet", "", nil, 405, "method not allowed"},
		{"DELETE", "/Greeter/Greet/send", "", nil, 405, "method not allowed"},

		{"PUT", "/Wf/k/run", "1", withJSON("idempotency-key", "x"), 400, "idempotency key"},
		{"PUT", "/restate/scope/s1/call/Wf/k/run", "1", withJSON("idempotency-key", "x"), 400, "idempotency key"},
		{"PUT", "/restate/scope/s1/call/Greeter/Greet", "1", cj, 400, "vqueues"},
		{"PUT", "/Greeter/Greet/send?delay=x", "1", cj, 405, "method not allowed"},
		{"POST", "/Greeter/Greet/send?delay=x", "1", nil, 400, "input validation error: "},
		{"POST", "/Greeter/Greet/send?delay=x&limit-key=a", "1", cj, 400, "bad delay query parameter"},
		{"POST", "/Greeter/Greet/send?limit-key=a", "1", withJSON("x-foo", "\xe9"), 400, "limit-key requires a scope"},
		{"POST", "/Greeter/Greet?delay=1s", "1", withJSON("x-foo", "\xe9"), 400, "bad header x-foo"},
		{"GET", "/Counter/a#b/get", "", nil, 400, "bad path"},
		{"POST", "/Wf/k/run", "1", withJSON("idempotency-key", "x"), 400, "idempotency key"},
		{"POST", "/Greeter/Greet", "1", withJSON("idempotency-key", "\xff"), 400, "bad header idempotency-key"},
		{"POST", "/Greeter/Greet", "1", withJSON("x-foo", "caf\u00e9"), 400, "bad header x-foo"},
		{"POST", "/Greeter/Greet", "1", withJSON("x-foo", "a\x00"), 400, "bad header x-foo"},
		{"POST", "/Greeter/Greet", "1", []string{"content-type", "text/plain"}, 400, "input validation error: "},
		{"POST", "/Greeter/Greet", "1", nil, 400, "input validation error: "},
		{"GET", "/Greeter/none", "", cj, 400, "input validation error: "},
		{"POST", "/Greeter/Greet?delay=1s", "1", cj, 400, "cannot use the delay query parameter with calls"},
		{"POST", "/Greeter/Greet?delay=soon", "1", cj, 400, "bad delay query parameter"},
		{"POST", "/Greeter/Greet/send?delay=", "1", cj, 400, "bad delay query parameter"},
		{"POST", "/Greeter/Greet/send?delay=9000000d", "1", cj, 400, "too"},
		{"POST", "/Greeter/Greet", "1", withJSON("x-restate-limit-key", "a"), 400, "limit-key requires a scope"},
		{"POST", "/Greeter/Greet?limit-key=a", "1", cj, 400, "limit-key requires a scope"},
		{"POST", "/Greeter/Greet", "1", withJSON("x-restate-limit-key", "a/b/c"), 400, "too many path components"},
		{"POST", "/Greeter/Greet", "1", withJSON("x-restate-limit-key", "a/ "), 400, "invalid limit-key"},
		{"POST", "/restate/scope/s1/call/Greeter/Greet", "1", cj, 400, "vqueues"},
		{"POST", "/restate/scope/s1/call/Nope/Greet", "1", cj, 404, "'Nope'"},
		{"POST", "/restate/scope/s%201/send/Greeter/Greet", "1", cj, 400, "bad scope value"},
		{"POST", "/restate/scope/" + long + "/send/Greeter/Greet", "1", cj, 400, "bad scope value"},
		{"POST", "/restate/scope/s1/nope/Greeter/Greet", "1", cj, 400, "bad path"},

		{"GET", "/restate/invocation/foo", "", nil, 400, "bad path, expected either /restate/invocation/"},
		{"GET", "/restate/invocation/foo/output", "", nil, 400, "bad invocation id 'foo': bad format"},
		{"GET", "/restate/invocation/inv_1xx/attach", "", nil, 400, "bad invocation id 'inv_1xx': bad length"},
		{"GET", "/restate/invocation/dp_1xx/attach", "", nil, 400, "id doesn't match the expected type"},
		{"GET", "/restate/invocation/" + inv + "/output", "", nil, 404, "invocation not found"},
		{"GET", "/restate/invocation/" + inv + "/cancel", "", nil, 404, "not found"},
		{"POST", "/restate/invocation/" + inv + "/output", "", nil, 405, "method not allowed"},
		{"GET", "/restate/invocation/Nope/x/k/attach", "", nil, 404, "'Nope'"},
		{"GET", "/restate/invocation/Greeter/Greet/attach", "", nil, 400, "bad path"},
		{"GET", "/restate/invocation/Greeter/k/Greet/x/attach", "", nil, 404, "not found"},
		{"GET", "/restate/invocation/Greeter/Greet/k/output/x", "", nil, 404, "invocation not found"},
		{"GET", "/restate/invocation/Counter/k/Add/ik/nope", "", nil, 404, "not found"},
		{"POST", "/restate/invocation/Counter/%ff/Add/ik/nope", "", nil, 400, "cannot decode key"},
		{"POST", "/restate/invocation/Greeter/Greet/k/output", "", nil, 405, "method not allowed"},
		{"POST", "/restate/invocation/foo/nope", "", nil, 404, "not found"},
		{"POST", "/restate/invocation/foo/output", "", nil, 400, "bad invocation id 'foo'"},
		{"GET", "/restate/invocation/Counter/k/Add/output", "", nil, 400, "bad path"},
		{"GET", "/restate/invocation/Greeter/nope/x/output", "", nil, 404, "invocation not found"},
		{"GET", "/restate/workflow/Nope/k/output", "", nil, 404, "invocation not found"},
		{"GET", "/restate/workflow/Wf/k", "", nil, 400, "/restate/workflow/:workflow_name"},
		{"GET", "/restate/workflow/Wf/k/nope", "", nil, 404, "not found"},
		{"POST", "/restate/workflow/Wf/%ff/nope", "", nil, 400, "cannot decode key"},
		{"POST", "/restate/workflow/Wf/k/attach", "", nil, 405, "method not allowed"},
		{"GET", "/restate/output/foo", "", nil, 400, "bad invocation id 'foo': bad format"},
		{"PUT", "/restate/output/foo", "", nil, 400, "bad invocation id 'foo': bad format"},
		{"POST", "/restate/output/" + inv, "", nil, 405, "method not allowed"},
		{"GET", "/restate/output/" + inv, "", nil, 404, "invocation not found"},
		{"GET", "/restate/attach", "", nil, 405, "method not allowed"},
		{"GET", "/restate/attach/a/b", "", nil, 400, "bad path"},
		{"GET", "/restate/lookup", "", nil, 405, "method not allowed"},
		{"POST", "/restate/lookup", "{", nil, 500, "cannot read body: invalid lookup body"},
		{"POST", "/restate/lookup", `{"target":"nope"}`, nil, 500, "cannot read body: invalid lookup body"},
		{"POST", "/restate/attach", `{"target":"workflow","workflowName":"Wf"}`, nil, 500, "cannot read body: invalid lookup body"},
		{"POST", "/restate/output", `{"target":"invocation","invocationId":"foo"}`, nil, 400, "bad invocation id 'foo': bad format"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":"Wf","workflowKey":"k","scope":"a b"}`, nil, 400, "bad scope value"},
		{"POST", "/restate/lookup", `{"target":"workflow","WorkflowName":"Wf","workflowKey":"k"}`, nil, 500, "a field of the target is missing"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":null,"workflowKey":"k"}`, nil, 500, "a field of the target is missing"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":"Wf","workflowName":"Wf","workflowKey":"k"}`, nil, 500, "twice"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":1,"workflowKey":"k"}`, nil, 500, "invalid lookup body"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":"Wf","workflowKey":"k"} x`, nil, 500, "invalid lookup body"},
		{"POST", "/restate/lookup", `{"target":"workflow","workflowName":"Wf","workflowKey":"k"`, nil, 500, "invalid lookup body"},
		{"POST", "/restate/lookup", `["workflow"]`, nil, 500, "invalid lookup body"},
		{"POST", "/restate/output", `{"target":"workflow","workflowName":"Wf","workflowKey":"k","scope":"a"}`, nil, 404, "invocation not found"},
		{"POST", "/restate/lookup/x", `{}`, nil, 400, "bad path"},

		{"POST", "/restate/awakeables/foo", "", nil, 400, "/restate/awakeables/:id/resolve"},
		{"POST", "/restate/awakeables/foo/nope", "", nil, 404, "not found"},
		{"GET", "/restate/awakeables/foo/nope/x", "", nil, 404, "not found"},
		{"GET", "/restate/awakeables/foo/resolve/x", "", nil, 405, "method not allowed"},
		{"POST", "/restate/awakeables/foo/resolve/x", "", nil, 400, "bad awakeable id 'foo': bad format"},
		{"GET", "/restate/awakeables/foo/resolve", "", nil, 405, "method not allowed"},
		{"POST", "/restate/a/foo/reject", "", nil, 400, "bad awakeable id 'foo': bad format"},
		{"POST", "/restate/health", "", nil, 405, "method not allowed"},
		{"HEAD", "/restate/health", "", nil, 405, "method not allowed"},
	} {
		t.Run(row.method+" "+row.target, func(t *testing.T) {
			c := newCluster()
			core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
			r := ask(core, row.method, row.target, row.body, row.headers...)
			e := errorOf(t, r)
			if r.Status != row.status || e.Code != row.status || e.Source != "ingress" || !strings.Contains(e.Message, row.message) {
				t.Errorf("%d %s; want %d with %q", r.Status, r.Body, row.status, row.message)
			}
			if r.HasID {
				t.Error("an id without an invocation")
			}
			for _, rec := range c.records {
				if rec.Kind != command.Read {
					t.Errorf("a record of kind %d was proposed", rec.Kind)
				}
			}
		})
	}
}
