package differential

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/e2e/harness"
)

var errAgain = errors.New("not this time")

// serviceDefinitions are what is called in this test, by the Go SDK.
func serviceDefinitions() []restate.ServiceDefinition {
	return []restate.ServiceDefinition{
		restate.NewService("Greeter").
			Handler("greet", restate.NewServiceHandler(func(_ restate.Context, name string) (string, error) { return "Hello " + name, nil })).
			Handler("hang", restate.NewServiceHandler(func(ctx restate.Context, _ restate.Void) (string, error) {
				// The step is progress: with it, the deployment is pinned.
				if _, err := restate.Run(ctx, func(restate.RunContext) (int, error) { return 1, nil }); err != nil {
					return "", err
				}
				return restate.Awakeable[string](ctx).Result()
			})).
			Handler("fails", restate.NewServiceHandler(func(restate.Context, restate.Void) (string, error) { return "", errAgain })),
		restate.NewObject("Counter").
			Handler("add", restate.NewObjectHandler(func(ctx restate.ObjectContext, n int) (int, error) {
				have, err := restate.Get[int](ctx, "count")
				restate.Set(ctx, "count", have+n)
				return have + n, err
			})).
			Handler("hold", restate.NewObjectHandler(func(ctx restate.ObjectContext, _ restate.Void) (string, error) {
				return restate.Awakeable[string](ctx).Result()
			})).
			Handler("get", restate.NewObjectSharedHandler(func(ctx restate.ObjectSharedContext, _ restate.Void) (int, error) {
				return restate.Get[int](ctx, "count")
			})),
		restate.NewWorkflow("Flow").
			Handler("run", restate.NewWorkflowHandler(func(_ restate.WorkflowContext, in string) (string, error) { return in, nil })).
			Handler("ask", restate.NewWorkflowSharedHandler(func(restate.WorkflowSharedContext, restate.Void) (string, error) { return "asked", nil })),
	}
}

const manifestType = "application/vnd.restate.endpointmanifest.v4+json"

func manifest(services string) string {
	return `{"protocolMode":"REQUEST_RESPONSE","minProtocolVersion":5,"maxProtocolVersion":7,"services":[` + services + `]}`
}

// named wraps handlers of a service.
func named(name, ty, options, handlers string) string {
	return manifest(`{"name":"` + name + `","ty":"` + ty + `",` + options + `"handlers":[` + handlers + `]}`)
}

// manifests are what endpoints answer to discovery, by their path.
var manifests = map[string]string{
	"one":          named("One", "SERVICE", "", `{"name":"x"}`),
	"one-b":        named("One", "SERVICE", `"documentation":"b","metadata":{"k":"v"},"idempotencyRetention":7200000,"abortTimeout":80000,`, `{"name":"x","documentation":"x"},{"name":"y"}`),
	"one-versions": strings.Replace(named("One", "SERVICE", "", `{"name":"x"}`), ":7", ":6", 1),
	"one-object":   named("One", "VIRTUAL_OBJECT", "", `{"name":"x"}`),
	"pair":         manifest(`{"name":"One","ty":"SERVICE","handlers":[]},{"name":"Two","ty":"SERVICE","handlers":[{"name":"x"}]}`),
	"timeouts":     named("Timeouts", "SERVICE", `"inactivityTimeout":5000,`, `{"name":"own","inactivityTimeout":1500},{"name":"plain"}`),
	"bodies": named("Bodies", "SERVICE", "", `{"name":"none","input":{},"output":{}},{"name":"bytes","input":{"required":true,"contentType":"application/octet-stream"},"output":{"contentType":"application/octet-stream"}},
		{"name":"text","input":{"contentType":"*/*","jsonSchema":{"type":"string"}},"output":{"contentType":"text/plain","setContentTypeIfEmpty":true}},
		{"name":"json","input":{"contentType":"application/json","jsonSchema":{"title":"T","$defs":{"X":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/X"}}}},"output":{"contentType":"application/json","setContentTypeIfEmpty":true,"jsonSchema":true}},
		{"name":"hidden","ingressPrivate":true}`),
	"workflow": named("Work", "WORKFLOW", "", `{"name":"run","ty":"WORKFLOW","workflowCompletionRetention":60000},{"name":"ask"}`),
	"retries":  named("Retries", "SERVICE", `"retryPolicyMaxAttempts":3,"retryPolicyInitialInterval":10,"retryPolicyMaxInterval":1000,"retryPolicyExponentiationFactor":1.5,"retryPolicyOnMaxAttempts":"KILL",`, `{"name":"x","retryPolicyMaxAttempts":0}`),
	"private":  named("Private", "SERVICE", `"ingressPrivate":true,`, `{"name":"x"}`),
	"empty":    manifest(""),
	"twice":    manifest(`{"name":"Twice","ty":"SERVICE","handlers":[]},{"name":"Twice","ty":"SERVICE","handlers":[{"name":"x"},{"name":"x","documentation":"last"}]}`),

	"bad-mode":           strings.Replace(manifest(""), "REQUEST_RESPONSE", "bidi", 1),
	"bad-no-mode":        `{"minProtocolVersion":5,"maxProtocolVersion":7,"services":[]}`,
	"bad-version-0":      strings.Replace(manifest(""), ":5", ":0", 1),
	"bad-range":          strings.Replace(manifest(""), ":5", ":8", 1),
	"bad-old":            strings.NewReplacer(":5", ":1", ":7", ":2").Replace(manifest("")),
	"bad-new":            strings.NewReplacer(":5", ":1000", ":7", ":1001").Replace(manifest("")),
	"bad-field":          strings.Replace(manifest(""), `"services"`, `"x":1,"services"`, 1),
	"bad-name":           named("a b", "SERVICE", "", ""),
	"bad-handler-name":   named("A", "SERVICE", "", `{"name":"a.b"}`),
	"bad-negative":       named("A", "SERVICE", `"abortTimeout":-1,`, ""),
	"bad-json":           "{nope",
	"bad-nothing":        "",
	"bad-reserved":       named("reStateful", "SERVICE", "", ""),
	"bad-openapi":        named("OpenAPI", "SERVICE", "", ""),
	"bad-exclusive":      named("A", "SERVICE", "", `{"name":"x","ty":"EXCLUSIVE"}`),
	"bad-object-run":     named("A", "VIRTUAL_OBJECT", "", `{"name":"x","ty":"WORKFLOW"}`),
	"bad-flow-exclusive": named("A", "WORKFLOW", "", `{"name":"x","ty":"EXCLUSIVE"}`),
	"bad-idempotency":    named("A", "WORKFLOW", "", `{"name":"x","ty":"WORKFLOW","idempotencyRetention":1}`),
	"bad-retention":      named("A", "SERVICE", "", `{"name":"x","workflowCompletionRetention":1}`),
	"bad-public":         named("A", "SERVICE", `"ingressPrivate":true,`, `{"name":"x","ingressPrivate":false}`),
	"bad-content-type":   named("A", "SERVICE", "", `{"name":"x","input":{"contentType":"json"}}`),
	"bad-wildcard":       named("A", "SERVICE", "", `{"name":"x","input":{"contentType":"*/json"}}`),
	"bad-schema":         named("A", "SERVICE", "", `{"name":"x","input":{"contentType":"application/json","jsonSchema":{"type":"int"}}}`),
	"bad-schema-ref":     named("A", "SERVICE", "", `{"name":"x","input":{"contentType":"application/json","jsonSchema":{"$ref":"https://example.com/x.json"}}}`),
}

// endpoints are what the servers are told to register.
func endpoints(t *testing.T) map[string]string {
	t.Helper()
	sdk, err := harness.Serve(serviceDefinitions()...)
	ok(t, err)
	t.Cleanup(sdk.Close)
	second, err := harness.Serve(serviceDefinitions()...)
	ok(t, err)
	t.Cleanup(second.Close)
	answers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/discover")
		body, there := manifests[name]
		w.Header().Set("Content-Type", manifestType)
		switch name {
		case "bad-type":
			w.Header().Set("Content-Type", "application/json")
			body, there = manifest(""), true
		case "bad-v9":
			w.Header().Set("Content-Type", strings.Replace(manifestType, "v4", "v9", 1))
			body, there = manifest(""), true
		}
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("X-Restate-Server", "test/1")
		_, _ = w.Write([]byte(body))
	})
	canned := httptest.NewUnstartedServer(answers)
	canned.Config.Protocols = new(http.Protocols)
	canned.Config.Protocols.SetHTTP1(true)
	canned.Config.Protocols.SetUnencryptedHTTP2(true)
	canned.Start()
	t.Cleanup(canned.Close)
	old := httptest.NewServer(answers)
	t.Cleanup(old.Close)
	return map[string]string{"sdk": sdk.URI, "sdk2": second.URI, "canned": canned.URL, "http1": old.URL}
}
