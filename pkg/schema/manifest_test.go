package schema_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/schema"
)

// discover judges a manifest as a registration does.
func discover(manifest, sdk string) (*storedv1.Deployment, error) {
	m, err := schema.ParseManifest([]byte(manifest))
	if err != nil {
		return nil, err
	}
	return m.Deployment(&storedv1.Deployment{Uri: "http://h:1/", SdkVersion: sdk})
}

// manifest wraps services.
func manifest(services string) string {
	return `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[` + services + `]}`
}

// service wraps handlers.
func service(ty, options, handlers string) string {
	return manifest(`{"name":"S","ty":"` + ty + `",` + options + `"handlers":[` + handlers + `]}`)
}

func input(in string) string { return service("SERVICE", "", `{"name":"h","input":`+in+`}`) }

func jsonSchema(s string) string {
	return input(`{"contentType":"application/json","jsonSchema":` + s + `}`)
}

func TestManifestRefused(t *testing.T) {
	versions := func(low, high string) string {
		return `{"protocolMode":"BIDI_STREAM","minProtocolVersion":` + low + `,"maxProtocolVersion":` + high + `,"services":[]}`
	}
	for _, c := range []struct {
		name, manifest, sdk string
		status              int
		code                string
	}{
		{"no protocolMode", `{"minProtocolVersion":5,"maxProtocolVersion":7,"services":[]}`, "", 500, "META0013"},
		{"null protocolMode", `{"protocolMode":null,"minProtocolVersion":5,"maxProtocolVersion":7,"services":[]}`, "", 500, "META0013"},
		{"unknown protocolMode", strings.Replace(manifest(""), "BIDI_STREAM", "bidi", 1), "", 500, ""},
		{"min above max", versions("7", "5"), "", 500, "META0013"},
		{"too old", versions("1", "4"), "", 500, "META0012"},
		{"too new", versions("8", "9"), "", 500, "META0012"},
		{"an SDK that overstates", versions("1", "5"), "restate-sdk-typescript/1.2.0", 500, "META0012"},
		{"version 0", versions("0", "7"), "", 500, ""},
		{"version too high", versions("5", "2147483648"), "", 500, ""},
		{"version with a fraction", versions("5.0", "7"), "", 500, ""},
		{"version as text", versions(`"5"`, "7"), "", 500, ""},
		{"no version", `{"protocolMode":"BIDI_STREAM","maxProtocolVersion":7,"services":[]}`, "", 500, ""},
		{"no services", `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7}`, "", 500, ""},
		{"unknown field", strings.Replace(manifest(""), `"services"`, `"x":1,"services"`, 1), "", 500, ""},
		{"field in other case", strings.Replace(manifest(""), "minProtocolVersion", "MinProtocolVersion", 1), "", 500, ""},
		{"unknown field of a service", service("SERVICE", `"x":1,`, ""), "", 500, ""},
		{"unknown field of a handler", service("SERVICE", "", `{"name":"h","x":1}`), "", 500, ""},
		{"unknown field of an input", input(`{"x":1}`), "", 500, ""},
		{"unknown field of an output", service("SERVICE", "", `{"name":"h","output":{"x":1}}`), "", 500, ""},
		{"unknown compression", strings.Replace(manifest(""), `"services"`, `"lambdaCompression":"gzip","services"`, 1), "", 500, ""},
		{"not JSON", "<html>", "", 500, ""},
		{"nothing", "", "", 500, ""},
		{"not an object", "[]", "", 500, ""},
		{"null", "null", "", 500, ""},
		{"text that is not UTF-8", jsonSchema("{\"title\":\"\xff\"}"), "", 500, ""},
		{"two documents", manifest("") + manifest(""), "", 500, ""},
		{"service without a name", manifest(`{"ty":"SERVICE","handlers":[]}`), "", 500, ""},
		{"service with a bad name", manifest(`{"name":"a b","ty":"SERVICE","handlers":[]}`), "", 500, ""},
		{"service named _", manifest(`{"name":"_","ty":"SERVICE","handlers":[]}`), "", 500, ""},
		{"service that ends in a line feed", manifest(`{"name":"a\n","ty":"SERVICE","handlers":[]}`), "", 500, ""},
		{"service without a type", manifest(`{"name":"S","handlers":[]}`), "", 500, ""},
		{"service of an unknown type", service("ACTOR", "", ""), "", 500, ""},
		{"service without handlers", manifest(`{"name":"S","ty":"SERVICE"}`), "", 500, ""},
		{"handler with a bad name", service("SERVICE", "", `{"name":"a.b"}`), "", 500, ""},
		{"handler without a name", service("SERVICE", "", `{}`), "", 500, ""},
		{"handler of an unknown type", service("SERVICE", "", `{"name":"h","ty":"RUN"}`), "", 500, ""},
		{"handler that is no object", service("SERVICE", "", `"h"`), "", 500, ""},
		{"negative time", service("SERVICE", `"abortTimeout":-1,`, ""), "", 500, ""},
		{"negative number of attempts", service("SERVICE", `"retryPolicyMaxAttempts":-1,`, ""), "", 500, ""},
		{"time as text", service("SERVICE", `"abortTimeout":"1s",`, ""), "", 500, ""},
		{"flag that is no flag", service("SERVICE", `"enableLazyState":1,`, ""), "", 500, ""},
		{"factor that is no number", service("SERVICE", `"retryPolicyExponentiationFactor":"2",`, ""), "", 500, ""},
		{"unknown end of retries", service("SERVICE", `"retryPolicyOnMaxAttempts":"STOP",`, ""), "", 500, ""},
		{"metadata that is no text", service("SERVICE", `"metadata":{"a":1},`, ""), "", 500, ""},
		{"workflow retention of a service", service("WORKFLOW", `"workflowCompletionRetention":1,`, ""), "", 500, ""},

		{"reserved name", manifest(`{"name":"reStateful","ty":"SERVICE","handlers":[]}`), "", 400, "META0005"},
		{"reserved name openapi", manifest(`{"name":"OpenAPI","ty":"SERVICE","handlers":[]}`), "", 400, "META0005"},
		{"exclusive handler of a service", service("SERVICE", "", `{"name":"h","ty":"EXCLUSIVE"}`), "", 400, ""},
		{"workflow handler of a service", service("SERVICE", "", `{"name":"h","ty":"WORKFLOW"}`), "", 400, ""},
		{"workflow handler of an object", service("VIRTUAL_OBJECT", "", `{"name":"h","ty":"WORKFLOW"}`), "", 400, ""},
		{"exclusive handler of a workflow", service("WORKFLOW", "", `{"name":"h","ty":"EXCLUSIVE"}`), "", 400, ""},
		{"idempotency retention of a run", service("WORKFLOW", "", `{"name":"h","ty":"WORKFLOW","idempotencyRetention":1}`), "", 400, ""},
		{"workflow retention of a shared handler", service("WORKFLOW", "", `{"name":"h","workflowCompletionRetention":1}`), "", 400, ""},
		{"workflow retention of an object", service("VIRTUAL_OBJECT", "", `{"name":"h","workflowCompletionRetention":1}`), "", 400, ""},
		{"public handler of a private service", service("SERVICE", `"ingressPrivate":true,`, `{"name":"h","ingressPrivate":false}`), "", 400, ""},
		{"content-type without a slash", input(`{"contentType":"json"}`), "", 400, ""},
		{"content-type with half a wildcard", input(`{"contentType":"*/json"}`), "", 400, ""},
		{"content-type without a subtype", input(`{"contentType":"text/"}`), "", 400, ""},
		{"output content-type without a slash", service("SERVICE", "", `{"name":"h","output":{"contentType":"json"}}`), "", 400, ""},
		{"output content-type that is no header", service("SERVICE", "", `{"name":"h","output":{"contentType":"a/b\n"}}`), "", 400, ""},
		{"schema that is no schema", jsonSchema(`7`), "", 400, ""},
		{"schema of an unknown type", jsonSchema(`{"type":"int"}`), "", 400, ""},
		{"schema with a fault deep in it", jsonSchema(`{"properties":{"a":{"items":{"required":"b"}}}}`), "", 400, ""},
		{"schema elsewhere", jsonSchema(`{"$ref":"https://example.com/x.json"}`), "", 400, ""},
		{"schema with a dangling reference", jsonSchema(`{"$ref":"#/$defs/a"}`), "", 400, ""},
		{"bad schema of an output", service("SERVICE", "", `{"name":"h","output":{"jsonSchema":{"type":1}}}`), "", 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := discover(c.manifest, c.sdk)
			var e *schema.Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted as %v, %v", d, err)
			}
			if e.Status != c.status || e.Code != c.code {
				t.Errorf("%d %s %s, not %d %s", e.Status, e.Code, e.Message, c.status, c.code)
			}
			if c.status == 500 && c.code == "" && !strings.Contains(e.Message, strings.ToValidUTF8(c.manifest, "?")) {
				t.Errorf("the message does not quote the manifest: %s", e.Message)
			}
		})
	}
}

func TestManifestAccepted(t *testing.T) {
	for _, c := range []struct{ name, manifest string }{
		{"no services", manifest("")},
		{"no handlers", service("SERVICE", "", "")},
		{"any range that overlaps", strings.Replace(manifest(""), `"maxProtocolVersion":7`, `"maxProtocolVersion":99`, 1)},
		{"the newest version alone", strings.Replace(manifest(""), `"minProtocolVersion":5`, `"minProtocolVersion":7`, 1)},
		{"compression", strings.Replace(manifest(""), `"services"`, `"lambdaCompression":"zstd","services"`, 1)},
		{"shared handler of a service", service("SERVICE", "", `{"name":"h","ty":"SHARED"}`)},
		{"null options", service("SERVICE", `"documentation":null,"abortTimeout":null,"metadata":null,`, `{"name":"h","input":null}`)},
		{"huge numbers", service("SERVICE", `"abortTimeout":9223372036854775807,"retryPolicyMaxAttempts":9007199254740991,`, "")},
		{"wildcards", input(`{"contentType":"image/*"}`)},
		{"schemas that are true", jsonSchema("true")},
		{"schema with references", jsonSchema(`{"$ref":"#/definitions/a~1b","definitions":{"a/b":{"anyOf":[{"type":["string","null"]},{"$ref":"#"}]}}}`)},
		{"schema that names itself", jsonSchema(`{"$id":"https://example.com/x","$ref":"https://example.com/x#/properties/a","properties":{"a":{}}}`)},
		{"schema with keywords of one's own", jsonSchema(`{"type":"object","x-order":[1],"default":{"$ref":"elsewhere"}}`)},
		{"names", manifest(`{"name":"a.b-c_9","ty":"SERVICE","handlers":[{"name":"_9a"}]}`)},
	} {
		if _, err := discover(c.manifest, "restate-sdk-typescript/1.17.2"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestManifestContent(t *testing.T) {
	d, err := discover(`{"protocolMode":"REQUEST_RESPONSE","minProtocolVersion":5,"maxProtocolVersion":6,"services":[
		{"name":"A","ty":"SERVICE","handlers":[{"name":"old"}]},
		{"name":"W","ty":"WORKFLOW","documentation":"","metadata":{"b":"2","a":"1"},"inactivityTimeout":1,"abortTimeout":2,
		 "journalRetention":3,"idempotencyRetention":4,"enableLazyState":true,"ingressPrivate":false,
		 "retryPolicyInitialInterval":5,"retryPolicyMaxInterval":6,"retryPolicyMaxAttempts":0,
		 "retryPolicyExponentiationFactor":1.5,"retryPolicyOnMaxAttempts":"KILL",
		 "handlers":[
			{"name":"run","ty":"WORKFLOW","workflowCompletionRetention":7},
			{"name":"twice","input":{"contentType":"text/plain"}},
			{"name":"twice","input":{"required":true,"contentType":"application/json","jsonSchema":{ "type" : "integer" }},
			 "output":{"contentType":"application/json","setContentTypeIfEmpty":true,"jsonSchema":null}}]},
		{"name":"A","ty":"VIRTUAL_OBJECT","handlers":[{"name":"new"}]}]}`, "sdk/1")
	if err != nil {
		t.Fatal(err)
	}
	if d.GetUri() != "http://h:1/" || d.GetBidi() || d.GetMinProtocolVersion() != 5 || d.GetMaxProtocolVersion() != 6 || d.GetSdkVersion() != "sdk/1" {
		t.Errorf("deployment is %v", d)
	}
	if len(d.GetServices()) != 2 {
		t.Fatalf("services are %v", d.GetServices())
	}
	a, w := d.GetServices()[0], d.GetServices()[1]
	if a.GetType() != storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT || a.GetHandlers()[0].GetName() != "new" ||
		a.GetHandlers()[0].GetType() != storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE {
		t.Errorf("of two services of a name the last one should count: %v", a)
	}
	wantOptions := &storedv1.Options{
		InactivityTimeoutMs: proto.Int64(1), AbortTimeoutMs: proto.Int64(2), JournalRetentionMs: proto.Int64(3),
		IdempotencyRetentionMs: proto.Int64(4), WorkflowCompletionRetentionMs: proto.Int64(7),
		EnableLazyState: proto.Bool(true), IngressPrivate: proto.Bool(false), RetryPolicy: &storedv1.RetryPolicy{
			InitialIntervalMs: proto.Int64(5), MaxIntervalMs: proto.Int64(6), MaxAttempts: proto.Uint32(1),
			ExponentiationFactor: proto.Float64(1.5), KillOnMaxAttempts: proto.Bool(true),
		},
	}
	if !proto.Equal(w.GetOptions(), wantOptions) {
		t.Errorf("options are %v", w.GetOptions())
	}
	if w.Documentation == nil || fmt.Sprint(w.GetMetadata()[0].GetName(), w.GetMetadata()[1].GetValue()) != "a2" {
		t.Errorf("workflow is %v", w)
	}
	if len(w.GetHandlers()) != 2 {
		t.Fatalf("handlers are %v", w.GetHandlers())
	}
	run, twice := w.GetHandlers()[0], w.GetHandlers()[1]
	if run.GetOptions().WorkflowCompletionRetentionMs != nil {
		t.Error("the retention of a workflow should be with its service alone")
	}
	if twice.GetType() != storedv1.HandlerType_HANDLER_TYPE_SHARED || twice.GetInput().GetJsonSchema() != `{"type":"integer"}` ||
		!twice.GetInput().GetRequired() || twice.GetOutput().JsonSchema != nil || !twice.GetOutput().GetSetContentTypeIfEmpty() {
		t.Errorf("handler is %v", twice)
	}
	if len(d.GetInfo()) != 1 || d.GetInfo()[0].GetCode() != "RT0021" {
		t.Errorf("notices are %v", d.GetInfo())
	}
}

// TestManifestTwice: a manifest can be judged again, as a retry of a registration does.
func TestManifestTwice(t *testing.T) {
	m, err := schema.ParseManifest([]byte(service("WORKFLOW", "", `{"name":"run","ty":"WORKFLOW","workflowCompletionRetention":7}`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []*storedv1.Deployment
	for range 2 {
		d, err := m.Deployment(&storedv1.Deployment{})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if !proto.Equal(got[0], got[1]) {
		t.Errorf("%v, then %v", got[0], got[1])
	}
}

func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		manifest(""), service("SERVICE", `"metadata":{"a":"b"},`, `{"name":"h"}`), jsonSchema(`{"$ref":"#"}`), "{}", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := schema.ParseManifest(body)
		if err != nil {
			return
		}
		d, err := m.Deployment(&storedv1.Deployment{})
		var e *schema.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%v is not an Error", err)
		}
		next, _, _ := schema.Register(nil, d, schema.RegisterOptions{})
		names := []string{}
		for _, s := range schema.NewRegistry(next, schema.Default()).Services() {
			names = append(names, s.Name)
		}
		if !slices.IsSorted(names) {
			t.Fatalf("services are %v", names)
		}
	})
}
