package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Why an endpoint cannot be registered: status, code and text of the answer, and that nothing is stored.
func TestDiscoveryFailures(t *testing.T) {
	const (
		head = `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[`
		tail = `]}`
	)
	service := func(ty, options, handlers string) string {
		return head + `{"name":"S","ty":"` + ty + `",` + options + `"handlers":[` + handlers + `]}` + tail
	}
	input := func(in string) string { return service("SERVICE", "", `{"name":"h","input":`+in+`}`) }
	good := service("SERVICE", "", `{"name":"h"}`)
	for _, row := range []struct {
		name, contentType, manifest string
		endpoint, status            int
		code, text                  string
	}{
		{"not found", manifestType, good, 404, 500, "META0003", "404"},
		{"error status", manifestType, good, 500, 500, "META0003", "500"},
		{"no content-type", "", good, 200, 500, "META0013", "content-type"},
		{"unknown content-type", "application/json", good, 200, 500, "META0013", "application/json"},
		{"no protocolMode", manifestType, strings.Replace(good, `"protocolMode":"BIDI_STREAM",`, "", 1), 200, 500, "META0013", "protocolMode"},
		{"minimum above maximum", manifestType, strings.Replace(good, ":5", ":9", 1), 200, 500, "META0013", "9"},
		{"no common version", manifestType, strings.NewReplacer(":5", ":1", ":7", ":2").Replace(good), 200, 500, "META0012", "versions 1 to 2"},
		{"no JSON", manifestType, "<html>", 200, 500, "", "<html>"},
		{"unknown field", manifestType, strings.Replace(good, `"services"`, `"nope":1,"services"`, 1), 200, 500, "", `nope`},
		{"illegal name", manifestType, strings.Replace(good, `"S"`, `"a b"`, 1), 200, 500, "", "a b"},
		{"version 0", manifestType, strings.Replace(good, ":5", ":0", 1), 200, 500, "", "minProtocolVersion"},
		{"negative number", manifestType, service("SERVICE", `"abortTimeout":-1,`, ""), 200, 500, "", "abortTimeout"},
		{"reserved name", manifestType, strings.Replace(good, `"S"`, `"reStateful"`, 1), 200, 400, "META0005", "reStateful"},
		{"reserved name openapi", manifestType, strings.Replace(good, `"S"`, `"OpenAPI"`, 1), 200, 400, "META0005", "OpenAPI"},
		{"exclusive handler of a service", manifestType, service("SERVICE", "", `{"name":"h","ty":"EXCLUSIVE"}`), 200, 400, "", "S/h"},
		{"workflow handler of an object", manifestType, service("VIRTUAL_OBJECT", "", `{"name":"h","ty":"WORKFLOW"}`), 200, 400, "", "S/h"},
		{"exclusive handler of a workflow", manifestType, service("WORKFLOW", "", `{"name":"h","ty":"EXCLUSIVE"}`), 200, 400, "", "S/h"},
		{"bad content-type pattern", manifestType, input(`{"contentType":"*/json"}`), 200, 400, "", "*/json"},
		{"content-type without a slash", manifestType, input(`{"contentType":"json"}`), 200, 400, "", "json"},
		{"invalid JSON schema", manifestType, input(`{"contentType":"application/json","jsonSchema":{"type":"int"}}`), 200, 400, "", "schema"},
		{"schema elsewhere", manifestType, input(`{"contentType":"application/json","jsonSchema":{"$ref":"https://example.com/x.json"}}`), 200, 400, "", "https://example.com/x.json"},
		{"idempotency retention of a run", manifestType, service("WORKFLOW", "", `{"name":"h","ty":"WORKFLOW","idempotencyRetention":1}`), 200, 400, "", "idempotency"},
		{"workflow retention elsewhere", manifestType, service("VIRTUAL_OBJECT", "", `{"name":"h","workflowCompletionRetention":1}`), 200, 400, "", "workflow"},
		{"public handler of a private service", manifestType, service("SERVICE", `"ingressPrivate":true,`, `{"name":"h","ingressPrivate":false}`), 200, 400, "", "S/h"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := newAPI(t)
			ep := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{row.contentType}
				if row.contentType == "" {
					w.Header()["Content-Type"] = nil
				}
				w.WriteHeader(row.endpoint)
				_, _ = io.WriteString(w, row.manifest)
			}))
			ep.Config.Protocols = new(http.Protocols)
			ep.Config.Protocols.SetUnencryptedHTTP2(true)
			ep.Start()
			defer ep.Close()
			a.refused(t, `{"uri":"`+ep.URL+`"}`, row.status, row.code, row.text)
		})
	}
}

// refused registers what cannot be registered.
func (a *api) refused(t *testing.T, body string, status int, code, text string) {
	t.Helper()
	r := a.ask("POST", "/deployments", body)
	end := `"restate_code":null}`
	if code != "" {
		end = fmt.Sprintf(`"restate_code":%q}`, code)
	}
	expectation{status: status, contentType: jsonType, body: text}.check(t, r)
	if !strings.HasSuffix(r.body, end) || code != "" && !strings.HasPrefix(r.body, `{"message":"[`+code+`] `) {
		t.Errorf("%s, want code %q", r.body, code)
	}
	expectation{status: 200, body: `{"deployments":[]}`}.check(t, a.ask("GET", "/deployments", ""))
}

// The same of endpoints that do not speak what they should.
func TestDiscoveryOverOtherProtocols(t *testing.T) {
	good := strings.Replace(manifest, "VirtualObject", "VIRTUAL_OBJECT", 1)
	http1 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		_, _ = io.WriteString(w, good)
	}))
	defer http1.Close()
	http10 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", manifestType, len(good), good)
	}))
	defer http10.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	a := newAPI(t)
	a.refused(t, `{"uri":"`+gone.URL+`"}`, 500, "META0003", "connection refused")
	a.refused(t, `{"uri":"`+http1.URL+`"}`, 500, "META0014", "HTTP1.1")
	a.refused(t, `{"uri":"`+http10.URL+`","use_http_11":true}`, 500, "META0015", "bidirectional streams")
}

// A service that becomes another kind of service.
func TestTypeChange(t *testing.T) {
	a := newAPI(t)
	a.register("")
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		_, _ = io.WriteString(w, `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[{"name":"Counter","ty":"SERVICE","handlers":[]}]}`)
	}))
	other.Config.Protocols = new(http.Protocols)
	other.Config.Protocols.SetUnencryptedHTTP2(true)
	other.Start()
	defer other.Close()
	r := a.ask("POST", "/deployments", `{"uri":"`+other.URL+`"}`)
	expectation{status: 409, contentType: jsonType, body: `{"message":"[META0006] `}.check(t, r)
	if !strings.Contains(r.body, "Counter") || !strings.HasSuffix(r.body, `"restate_code":"META0006"}`) {
		t.Error(r.body)
	}
	expectation{status: 201, contentType: jsonType}.check(t, a.ask("POST", "/deployments", `{"uri":"`+other.URL+`","breaking":true}`))
}
