package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// step is a call that is made to both servers.
type step struct {
	method, path string
	body         string            // JSON; "" sends none
	header       map[string]string // besides the content type; an empty value takes a header away
	save         string            // name=field: of the answer, for {name} in later steps
	await        string            // invocation=text: wait until SQL says so, before the call
	ingress      bool              // to the ingress, and not compared
}

func get(path string) step              { return step{method: http.MethodGet, path: path} }
func do(method, path string) step       { return step{method: method, path: path} }
func post(path, body string) step       { return step{method: http.MethodPost, path: path, body: body} }
func patch(path, body string) step      { return step{method: http.MethodPatch, path: path, body: body} }
func (s step) saved(save string) step   { s.save = save; return s }
func (s step) after(await string) step  { s.await = await; return s }
func (s step) with(n, v string) step    { s.header = map[string]string{n: v}; return s }
func register(uri, options string) step { return post("/deployments", `{"uri":"`+uri+`"`+options+`}`) }
func batch(op, body string) step        { return post("/internal/invocations_batch_operations/"+op, body) }

// send calls one-way through the ingress and saves the invocation's id.
func send(name, target, body string) step {
	return step{method: http.MethodPost, path: target, body: body, ingress: true, save: name + "=invocationId"}
}

// operate is an operation on an invocation.
func operate(invocation, op string) step {
	return do(http.MethodPatch, "/invocations/{"+invocation+"}/"+op)
}

const (
	unknownDeployment = "dp_13RK0Gco7eAbHkQ1EkAAJG1"
	unknownInvocation = "inv_1hW1AC1zCHZN3VrUt82V5AgO8ljHp9p28x"
	unknownSub        = "sub_15lmC3ZiNbVN0HxhnHeYxzz"
)

// script is all that is done, in this order.
func script() (all []step) {
	for _, part := range [][]step{transport(), nothingThere(), registrations(), services(), patches(), invocations(), batches(), state(), deletions()} {
		all = append(all, part...)
	}
	return all
}

// transport is about paths, methods, versions and compression.
func transport() []step {
	steps := []step{
		get("/version"), get("/health"), do("HEAD", "/health"), do("HEAD", "/version"), get("/cluster-health"),
		get("/openapi").with("Accept", "application/json"),
		post("/deployments", "{").with("Content-Type", "application/json"),
		post("/deployments", "{}").with("Content-Type", "text/plain"), post("/deployments", "{}").with("Content-Type", "application/foo+json"),
		post("/deployments", "{}").with("Content-Type", ""),
		post("/deployments", `{"uri":"`+strings.Repeat("x", 2<<20)+`"}`),
	}
	for _, path := range []string{
		"/", "/ui", "/ui?a=b", "/ui/", "/ui/nope.js", "/v2", "/v3/ui", "/v4/ui/", "/nope", "/health/", "//health", "/metrics", "/openapi.json",
		"/v1", "/v1/", "/v1/health", "/v2/", "/v2/health", "/v3/services", "/v4/version", "/v4/v3/health", "/v5/health", "/v0/health", "/v10/health", "/V2/health",
		"/limits", "/limits/rules", "/limits/rules/bulk-delete", "/query", "/invocations", "/invocations/x", "/services/", "/services//handlers", "/deployments/",
		"/vqueues/x/pause", "/services/%ff", "/services/x/state", "/deployments?force=maybe",
	} {
		steps = append(steps, get(path))
	}
	for _, path := range []string{
		"/", "/health", "/version", "/openapi", "/deployments", "/services", "/services/x", "/services/x/handlers", "/services/x/handlers/y", "/services/x/openapi",
		"/subscriptions", "/subscriptions/" + unknownSub, "/kafka-clusters", "/kafka-clusters/c", "/invocations/x/cancel", "/limits/rules", "/query", "/cluster-health",
	} {
		steps = append(steps, do("OPTIONS", path))
	}
	for _, accept := range []string{"gzip", "zstd", "deflate", "gzip, deflate, br, zstd", "gzip;q=0.5, zstd;q=0.4", "gzip;q=0", "identity"} {
		steps = append(steps, get("/version").with("Accept-Encoding", accept))
	}
	return steps
}

// nothingThere asks for what does not exist.
func nothingThere() []step {
	return []step{
		get("/deployments"), get("/services"), get("/subscriptions"), get("/subscriptions?sink=a&source=b"), get("/kafka-clusters"),
		get("/deployments/foo"), get("/deployments/dp_1xx"), get("/deployments/inv_1xx"), get("/deployments/" + unknownDeployment),
		do("DELETE", "/deployments/foo?force=true"), do("DELETE", "/deployments/"+unknownDeployment), do("DELETE", "/deployments/"+unknownDeployment+"?force=true"),
		do("DELETE", "/deployments/"+unknownDeployment+"?force=1"),
		patch("/deployments/"+unknownDeployment, `{"use_http_11":true}`), patch("/deployments/foo", "{}"),
		do("PUT", "/deployments/"+unknownDeployment), {method: "PUT", path: "/deployments/" + unknownDeployment, body: "{}"}, {method: "PUT", path: "/v2/deployments/" + unknownDeployment, body: "{}"},
		get("/services/Nope"), get("/services/Nope/handlers"), get("/services/Nope/handlers/x"), get("/services/Nope/openapi"),
		patch("/services/Nope", "{}"), patch("/services/Nope", `{"public":true}`),
		get("/subscriptions/foo"), get("/subscriptions/" + unknownSub), do("DELETE", "/subscriptions/"+unknownSub), do("DELETE", "/subscriptions/foo"),
		post("/subscriptions", "{}"), post("/subscriptions", `{"source":"kafka://c/t"}`),
		get("/kafka-clusters/c"), get("/kafka-clusters/c?include_subscriptions=x"), do("DELETE", "/kafka-clusters/c"), do("DELETE", "/kafka-clusters/c?force=x"),
		patch("/kafka-clusters/c", "{}"), patch("/kafka-clusters/c", `{"properties":{"bootstrap.servers":"b:1"}}`),
		post("/kafka-clusters", "{}"), post("/kafka-clusters", `{"name":"c"}`), post("/kafka-clusters", `{"name":"c","properties":{}}`),
		{method: "PUT", path: "/limits/rules", body: "[]"}, {method: "PUT", path: "/limits/rules", body: "{}"}, {method: "PUT", path: "/limits/rules", body: `[{"pattern":"a//"}]`},
		post("/limits/rules/bulk-delete", "[]"), post("/limits/rules/bulk-delete", `[{"pattern":"a/*"}]`), post("/limits/rules/bulk-delete", "[{}]"),
		do("POST", "/vqueues/x/pause"), do("POST", "/vqueues/x/resume"),
		operateOn(unknownInvocation, "cancel"), operateOn(unknownInvocation, "kill"), operateOn(unknownInvocation, "pause"), operateOn(unknownInvocation, "resume"),
		operateOn(unknownInvocation, "restart-as-new"), operateOn(unknownInvocation, "purge"), operateOn(unknownInvocation, "purge-journal"),
		operateOn("foo", "cancel"), operateOn("dp_1xx", "kill"), operateOn(unknownInvocation, "nope"),
		do("DELETE", "/invocations/"+unknownInvocation), do("DELETE", "/invocations/"+unknownInvocation+"?mode=kill"), do("DELETE", "/invocations/"+unknownInvocation+"?mode=x"),
		do("DELETE", "/invocations/foo"),
	}
}

func operateOn(id, op string) step { return do(http.MethodPatch, "/invocations/"+id+"/"+op) }

// registrations are all forms of registering, good ones and bad ones.
func registrations() []step {
	steps := []step{
		register("{canned}/one", `,"dry_run":true`), get("/deployments"),
		register("{canned}/one", `,"additional_headers":{"X-Extra":"yes"},"metadata":{"b":"2","a":"1"},"unknown":{}`).saved("one=id"),
		register("{canned}/one", ""), register("{canned}/one?a=b", ""), get("/deployments"), get("/deployments/{one}"), get("/v2/deployments/{one}"),
		register("{canned}/one", `,"force":true`), get("/services/One"), get("/services/One/handlers"), get("/services/One/handlers/x"), get("/services/One/handlers/z"),
		post("/v2/deployments", `{"uri":"{canned}/one","force":false}`), post("/v2/deployments", `{"uri":"{canned}/one"}`), post("/v3/deployments", `{"uri":"{canned}/one"}`),
		post("/v4/deployments", `{"uri":"{canned}/one","force":true,"dry_run":true}`), get("/services/One"),
		register("{canned}/one-b", "").saved("oneB=id"), get("/services/One"), register("{canned}/one-object", ""), register("{canned}/one-object", `,"dry_run":true`),
		register("{canned}/one-object", `,"breaking":true`).saved("object=id"), get("/services"), do("DELETE", "/deployments/{object}?force=true"), get("/services/One"),
		register("{canned}/pair", "").saved("pair=id"), get("/deployments"), do("DELETE", "/deployments/{pair}?force=true"), do("DELETE", "/deployments/{pair}?force=true"),
		register("{http1}/workflow", ""), register("{http1}/workflow", `,"use_http_11":true`).saved("work=id"), get("/deployments/{work}"),
		register("{canned}/nowhere", ""), register("http://127.0.0.1:1", ""), register("{canned}/bad-type", ""), register("{canned}/bad-v9", ""),
		post("/deployments", "{}"), post("/deployments", "null"), post("/deployments", "[]"), post("/deployments", `{"uri":null}`), post("/deployments", `{"uri":1}`),
		register("/foo", ""), register("localhost:9080", ""), register("not a uri", ""), register("", ""), register("ftp://x/", ""),
		register("{canned}/one", `,"force":"true"`), register("{canned}/one", `,"additional_headers":{"a b":"c"}`), register("{canned}/one", `,"additional_headers":{"a":1}`),
		post("/deployments", `{"arn":"nope"}`), post("/deployments", `{"arn":"arn:aws:lambda:eu-central-1:123456789012:function:f"}`),
	}
	for _, name := range []string{"timeouts", "bodies", "retries", "private", "empty", "twice"} {
		steps = append(steps, register("{canned}/"+name, ""))
	}
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		if strings.HasPrefix(name, "bad-") {
			steps = append(steps, register("{canned}/"+name, ""))
		}
	}
	return append(steps, get("/deployments"), get("/services"))
}

// services shows them in all ways.
func services() []step {
	var steps []step
	for _, name := range []string{"One", "Bodies", "Work", "Retries", "Private", "Timeouts", "Twice"} {
		steps = append(steps, get("/services/"+name), get("/services/"+name+"/handlers"), get("/services/"+name+"/openapi"))
	}
	return steps
}

// patches changes deployments and services.
func patches() []step {
	return []step{
		patch("/services/One", "{}"), patch("/services/One", `{"public":false,"idempotency_retention":"3d","journal_retention":"1h 30m","inactivity_timeout":"PT1M","abort_timeout":"1m 30s"}`),
		get("/services/One"), get("/services/One/openapi"), patch("/services/One", `{"public":null,"abort_timeout":null}`), patch("/services/One", `{"abort_timeout":"xx"}`),
		patch("/services/One", `{"abort_timeout":5}`), patch("/services/One", `{"public":"yes"}`), patch("/services/One", `{"workflow_completion_retention":"1h"}`),
		patch("/services/Work", `{"workflow_completion_retention":"1h"}`), patch("/services/Private", `{"public":true}`), get("/services/Private"), patch("/services/One", `{"abort_timeout":"0s","journal_retention":"0s"}`),
		register("{canned}/one-b", `,"force":true`), get("/services/One"),
		patch("/deployments/{oneB}", "{}"), patch("/deployments/{oneB}", `{"additional_headers":{"A":"b"}}`), patch("/deployments/{oneB}", `{"uri":"{canned}/pair","dry_run":true}`),
		get("/deployments/{oneB}"), patch("/deployments/{oneB}", `{"uri":"{canned}/pair"}`), get("/services/One"), patch("/deployments/{oneB}", `{"uri":"{canned}/pair","overwrite":true}`),
		get("/services"), patch("/deployments/{oneB}", `{"uri":"{canned}/one-versions"}`), patch("/deployments/{oneB}", `{"uri":"{canned}/nowhere"}`), patch("/deployments/{oneB}", `{"uri":"/foo"}`),
		patch("/deployments/{oneB}", `{"use_http_11":true}`), patch("/deployments/{oneB}", `{"assume_role_arn":"arn:aws:iam::123456789012:role/r"}`), patch("/deployments/{oneB}", `{"arn":"nope"}`),
		{method: "PUT", path: "/deployments/{oneB}", body: "{}"}, {method: "PUT", path: "/v2/deployments/{oneB}", body: "{}"}, get("/deployments/{oneB}"), get("/deployments"),
	}
}

// invocations operates on them in each state.
func invocations() []step {
	return []step{
		register("{sdk}", "").saved("sdk1=id"), get("/deployments/{sdk1}"), get("/services/Greeter"), get("/services/Counter/openapi"), get("/services/Flow/openapi"), patch("/services/Flow", `{"workflow_completion_retention":"1h"}`), get("/services/Flow"),
		send("hang", "/Greeter/hang/send", ""),
		operate("hang", "purge").after("hang=running"), operate("hang", "purge-journal"), operate("hang", "restart-as-new"), operate("hang", "resume?deployment=foo"),
		operate("hang", "resume?deployment="+unknownDeployment), operate("hang", "resume?deployment="), operate("hang", "resume?deployment=keep"), operate("hang", "resume?deployment=Keep"),
		operate("hang", "pause"), operate("hang", "pause").after("hang=paused"), operate("hang", "restart-as-new"), operate("hang", "resume?deployment=latest"),
		operate("hang", "cancel").after("hang=running"), operate("hang", "cancel").after("hang=completed"), operate("hang", "kill"), operate("hang", "pause"), operate("hang", "resume"),
		do("DELETE", "/invocations/{hang}"), operate("hang", "restart-as-new?from=77"), operate("hang", "restart-as-new?from=x"), operate("hang", "restart-as-new?deployment=foo"),
		operate("hang", "restart-as-new?deployment="+unknownDeployment), operate("hang", "restart-as-new").saved("again=new_invocation_id"), operate("again", "kill").after("again=running"),
		operate("hang", "purge-journal"), operate("hang", "purge-journal"), operate("hang", "restart-as-new"), operate("hang", "purge"), operate("hang", "purge"), operate("hang", "purge-journal"),

		send("late", "/Greeter/greet/send?delay=1h", `"x"`),
		operate("late", "pause").after("late=scheduled"), operate("late", "resume"), operate("late", "restart-as-new"), operate("late", "purge"), operate("late", "cancel"), operate("late", "cancel"),

		send("fails", "/Greeter/fails/send", ""),
		operate("fails", "restart-as-new").after("fails=backing-off"), operate("fails", "resume"), operate("fails", "resume?deployment=latest"), operate("fails", "kill"), operate("fails", "kill").after("fails=completed"),

		send("holds", "/Counter/k/hold/send", ""), send("waits", "/Counter/k/add/send", "1"),
		operate("waits", "pause").after("holds=running"), operate("waits", "resume"), operate("waits", "restart-as-new"), operate("waits", "purge"), operate("waits", "kill"), operate("waits", "kill"),
		operate("holds", "kill"),

		send("flow", "/Flow/f1/run/send", `"x"`), operate("flow", "restart-as-new").after("flow=completed"), operate("flow", "purge"),
		send("greet", "/Greeter/greet/send", `"x"`), operate("greet", "restart-as-new?from=1").after("greet=completed"), operate("greet", "restart-as-new?from=0&deployment=keep"),
		do("DELETE", "/invocations/{greet}?mode=Purge"), do("DELETE", "/invocations/{greet}?mode=Cancel"),
	}
}

// batches operates on many.
func batches() []step {
	many := make([]string, 1001)
	for i := range many {
		many[i] = unknownInvocation
	}
	tooMany, err := json.Marshal(map[string]any{"invocation_ids": many})
	if err != nil {
		panic(fmt.Sprintf("encode a batch: %v", err))
	}
	steps := []step{
		send("b1", "/Greeter/hang/send", ""), send("b2", "/Greeter/greet/send", `"x"`), send("b3", "/Greeter/greet/send?delay=1h", `"x"`),
		get("/health").after("b1=running"), get("/health").after("b2=completed"), get("/health").after("b3=scheduled"),
	}
	three := `{"invocation_ids":["{b1}","{b2}","{b3}","` + unknownInvocation + `"]}`
	for _, op := range []string{"restart-as-new", "purge-journal", "resume", "cancel", "kill", "purge"} {
		steps = append(steps, batch(op, three), batch(op, `{"invocation_ids":[]}`), batch(op, `{"invocation_ids":["foo"]}`), batch(op, "{}"))
	}
	return append(steps, batch("cancel", string(tooMany)), batch("nope", three), batch("pause", `{"invocation_ids":["{b2}"]}`), batch("resume", `{"invocation_ids":[],"deployment":"foo"}`))
}

// state replaces it.
func state() []step {
	return []step{
		post("/services/Counter/state", `{"object_key":"s","new_state":{"count":[53]}}`), post("/services/Counter/state", `{"version":"x","object_key":"s","new_state":{"count":"5"}}`),
		post("/services/Counter/state", `{"object_key":"s","new_state":{}}`), post("/services/Counter/state", `{"object_key":"s"}`), post("/services/Counter/state", `{"new_state":{}}`),
		post("/services/Counter/state", `{"object_key":"s","new_state":{"count":[300]}}`), post("/services/Counter/state", `{"object_key":"s","new_state":{"count":5}}`),
		post("/services/Greeter/state", `{"object_key":"s","new_state":{"count":[53]}}`), post("/services/Flow/state", `{"object_key":"s","new_state":{"count":[53]}}`),
		post("/services/Nope/state", `{"object_key":"s","new_state":{"count":[53]}}`), post("/services/Nope/state", `{"object_key":"s","new_state":{}}`),
		post("/services/Counter/state", `{"object_key":"s","scope":"a b","new_state":{"count":[53]}}`),
	}
}

// drain asks how many invocations a deployment still has.
func drain(deployment string) step {
	return post("/query", `{"query":"SELECT count(*) AS n FROM sys_invocation WHERE pinned_deployment_id = '`+deployment+`' AND status <> 'completed'"}`).
		with("Accept", "application/json")
}

// deletions takes deployments away, also from what runs on them.
func deletions() []step {
	return []step{
		send("pinned", "/Greeter/hang/send", ""),
		register("{sdk2}", "").after("pinned=dp_").saved("sdk2id=id"), get("/services/Greeter"),
		drain("{sdk1}"), drain("{sdk2id}"),
		do("DELETE", "/deployments/{sdk1}?force=true"), get("/deployments/{sdk1}"), get("/services/Greeter"), drain("{sdk1}"),
		operate("pinned", "pause"), operate("pinned", "resume").after("pinned=paused"), get("/health").after("pinned=RT0011"), get("/health").after("pinned=backing-off"),
		operate("pinned", "resume?deployment=latest"), operate("pinned", "pause"), operate("pinned", "resume?deployment={sdk1}").after("pinned=paused"), operate("pinned", "resume?deployment=latest"),
		operate("pinned", "kill").after("pinned=running"), operate("pinned", "kill").after("pinned=completed"),
		patch("/services/Greeter", `{"public":false}`), do("DELETE", "/deployments/{sdk2id}?force=true"), get("/services/Greeter"), get("/deployments"),
	}
}
