package admin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden compares an answer, indented, with a file of testdata; UPDATE=1 writes it.
func (a *api) golden(t *testing.T, name string, r reply) {
	t.Helper()
	var v json.RawMessage
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%s: %v: %s", name, err, r.body)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(got), strings.TrimPrefix(a.endpoint, "http://"), "endpoint:9080") + "\n"
	file := filepath.Join("testdata", name+".json")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is now:\n%s", name, text)
	}
}

func TestRegisterAndShow(t *testing.T) {
	a := newAPI(t)
	r := a.ask("POST", "/deployments", `{"uri":"`+a.endpoint+`","additional_headers":{"X-Extra":"yes"},"metadata":{"b":"2","a":"1"}}`)
	expectation{status: 201, contentType: jsonType}.check(t, r)
	var d struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &d); err != nil || r.Header.Get("Location") != "deployments/"+d.ID || !strings.HasPrefix(d.ID, "dp_1") {
		t.Errorf("id %q, location %q, %v", d.ID, r.Header.Get("Location"), err)
	}
	a.golden(t, "register", r)
	for name, path := range map[string]string{
		"deployments": "/deployments", "deployment": "/v4/deployments/" + d.ID, "services": "/v2/services",
		"service": "/services/Counter", "handlers": "/services/Counter/handlers", "handler": "/services/Counter/handlers/add", "version": "/version",
	} {
		r := a.ask("GET", path, "")
		expectation{status: 200, contentType: jsonType}.check(t, r)
		a.golden(t, name, r)
	}
	if r := a.ask("GET", "/services/Counter", ""); !strings.Contains(r.body, `{"team":"<green>"}`) || !strings.Contains(r.body, "9007199254740993") {
		t.Errorf("escaped or rounded: %s", r.body)
	}
	expectation{status: 202, body: "-"}.check(t, a.ask("DELETE", "/deployments/"+d.ID+"?force=true", ""))
	expectation{status: 404, contentType: jsonType}.check(t, a.ask("GET", "/deployments/"+d.ID, ""))
	expectation{status: 200, body: `{"services":[]}`}.check(t, a.ask("GET", "/services", ""))
}

// What request/response mode changes in what is shown.
func TestRequestResponse(t *testing.T) {
	a := newAPI(t)
	a.manifest.Store(`{"protocolMode":"REQUEST_RESPONSE","minProtocolVersion":5,"maxProtocolVersion":6,"services":[
		{"name":"A","ty":"SERVICE","handlers":[{"name":"own","inactivityTimeout":1500},{"name":"plain"}]},
		{"name":"B","ty":"SERVICE","inactivityTimeout":5000,"handlers":[{"name":"plain"}]},
		{"name":"C","ty":"SERVICE","handlers":[]}]}`)
	a.register("")
	a.golden(t, "request_response", a.ask("GET", "/deployments", ""))
	a.golden(t, "request_response_services", a.ask("GET", "/services", ""))
}

// Registering an address again, by version of the API: status without a word about force, with and without it.
func TestForceByVersion(t *testing.T) {
	for _, row := range []struct {
		prefix                      string
		fresh, silent, forced, held int
	}{
		{"", 201, 200, 200, 200},
		{"/v2", 201, 201, 201, 409},
		{"/v3", 201, 200, 200, 200},
		{"/v4", 201, 200, 200, 200},
	} {
		t.Run(row.prefix, func(t *testing.T) {
			a := newAPI(t)
			post := func(rest string, status int) {
				t.Helper()
				r := a.ask("POST", row.prefix+"/deployments", `{"uri":"`+a.endpoint+`"`+rest+`}`)
				if r.StatusCode != status || status < 300 && r.Header.Get("Location") == "" {
					t.Errorf("%q: %d %s, want %d", rest, r.StatusCode, r.body, status)
				}
				if status == 409 {
					expectation{status: 409, contentType: jsonType, body: ` already exists","restate_code":null}`}.check(t, r)
				}
			}
			post(`,"dry_run":true`, row.fresh)
			post("", row.fresh)
			post("", row.silent)
			post(`,"force":true`, row.forced)
			post(`,"force":true,"dry_run":true`, row.forced)
			post(`,"force":false`, row.held)
		})
	}
}

func TestPatchService(t *testing.T) {
	a := newAPI(t)
	a.register("")
	expectation{status: 200, contentType: jsonType, body: `"public":false`}.check(t, a.ask("PATCH", "/services/Greeter", `{"public":false}`))
	r := a.ask("PATCH", "/services/Greeter", `{"public":null,"idempotency_retention":"36h","journal_retention":"PT90S","inactivity_timeout":"1s 500ms","abort_timeout":"30d"}`)
	for _, part := range []string{`"public":false`, `"revision":1`, `"idempotency_retention":"1d 12h"`, `"journal_retention":"1m 30s"`, `"inactivity_timeout":"1s 500ms"`, `"abort_timeout":"30d"`} {
		expectation{status: 200, contentType: jsonType, body: part}.check(t, r)
	}
	if got := a.ask("GET", "/services/Greeter", ""); got.body != r.body {
		t.Errorf("shown %s, answered %s", got.body, r.body)
	}
	expectation{status: 200, body: `"workflow_completion_retention":"1h"`}.check(t, a.ask("PATCH", "/services/Flow", `{"workflow_completion_retention":"1h"}`))
	expectation{status: 400, contentType: jsonType, body: `{"message":"only workflows have a completion retention, and Greeter is none","restate_code":null}`}.
		check(t, a.ask("PATCH", "/services/Greeter", `{"workflow_completion_retention":"1h"}`))
	expectation{status: 200, contentType: jsonType}.check(t, a.ask("PATCH", "/services/Greeter", `{}`))
	expectation{status: 404, contentType: jsonType, body: "service with name 'Nope'"}.check(t, a.ask("PATCH", "/services/Nope", `{"public":true}`))
	expectation{status: 404, contentType: jsonType, body: "The requested service 'Nope'"}.check(t, a.ask("PATCH", "/services/Nope", `{}`))
	a.register(`,"force":true`)
	expectation{status: 200, body: `"public":true`}.check(t, a.ask("GET", "/services/Greeter", ""))
}

func TestFunctions(t *testing.T) {
	a := newAPI(t)
	r := a.ask("POST", "/deployments", `{"arn":"`+functionARN+`","assume_role_arn":"arn:aws:iam::123456789012:role/r"}`)
	expectation{status: 201, contentType: jsonType, body: `"sdk_version":"test/1"`}.check(t, r)
	expectation{status: 200, contentType: jsonType}.check(t, a.ask("POST", "/deployments", `{"arn":"`+functionARN+`"}`))
	at := "/" + r.Header.Get("Location")
	shown := `"arn":"` + functionARN + `","assume_role_arn":"arn:aws:iam::123456789012:role/r"`
	for _, path := range []string{"/deployments", at} {
		got := a.ask("GET", path, "")
		expectation{status: 200, body: shown}.check(t, got)
		for _, other := range []string{`"uri"`, "protocol_type", "http_version", "compression"} {
			if strings.Contains(got.body, other) {
				t.Errorf("%s shows %s: %s", path, other, got.body)
			}
		}
	}
	manifest := a.manifest.Load().(string)
	a.manifest.Store(strings.Replace(manifest, `{"protocolMode"`, `{"lambdaCompression":"zstd","protocolMode"`, 1))
	expectation{status: 200, body: `role/other"`}.check(t, a.ask("PATCH", at, `{"assume_role_arn":"arn:aws:iam::123456789012:role/other"}`))
	expectation{status: 200, body: `"compression":"zstd"`}.check(t, a.ask("GET", at, ""))
	expectation{status: 400, contentType: jsonType, body: "deployment type is lambda while the update options are for type http"}.check(t, a.ask("PATCH", at, `{"use_http_11":true}`))
	expectation{status: 200, body: `"uri":"` + a.endpoint}.check(t, a.ask("PATCH", at, `{"uri":"`+a.endpoint+`"}`))
	expectation{status: 400, contentType: jsonType, body: "deployment type is http while the update options are for type lambda"}.check(t, a.ask("PATCH", at, `{"assume_role_arn":"arn:aws:iam::123456789012:role/other"}`))
	expectation{status: 200, body: `"arn":"` + functionARN}.check(t, a.ask("PATCH", at, `{"arn":"`+functionARN+`"}`))
}

func TestPatchDeployment(t *testing.T) {
	a := newAPI(t)
	id := a.register("")
	expectation{status: 200, contentType: jsonType, body: `"http_version":"HTTP/2.0"`}.check(t, a.ask("PATCH", "/deployments/"+id, `{}`))
	expectation{status: 200, body: a.endpoint + "/sub"}.check(t, a.ask("PATCH", "/deployments/"+id, `{"uri":"`+a.endpoint+`/sub"}`))
	expectation{status: 200, body: `"additional_headers":{"x-a":"b"}`}.check(t, a.ask("PUT", "/v2/deployments/"+id, `{"additional_headers":{"X-A":"b"}}`))
	expectation{status: 400, contentType: jsonType, body: `'arn'`}.check(t, a.ask("PATCH", "/deployments/"+id, `{"arn":"x"}`))
	expectation{status: 404, contentType: jsonType, body: unknownID}.check(t, a.ask("PATCH", "/deployments/"+unknownID, `{}`))
	a.manifest.Store(`{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":6,"services":[]}`)
	expectation{status: 400, contentType: jsonType, body: `"restate_code":"META0016"`}.check(t, a.ask("PATCH", "/deployments/"+id, `{"uri":"`+a.endpoint+`"}`))
}
