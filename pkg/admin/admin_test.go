package admin_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reprise/pkg/admin"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lambda"
	"reprise/pkg/lifecycle"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
)

const (
	manifestType = "application/vnd.restate.endpointmanifest.v4+json"
	jsonType     = "application/json"
	textType     = "text/plain; charset=utf-8"
	unknownID    = "dp_13RK0Gco7eAbHkQ1EkAAJG1"
)

// manifest is what the endpoint of these tests offers.
const manifest = `{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[
 {"name":"Counter","ty":"VirtualObject","documentation":"","metadata":{"team":"<green>"},"idempotencyRetention":7200000,
  "journalRetention":1800000,"inactivityTimeout":70000,"abortTimeout":80000,"enableLazyState":true,
  "retryPolicyInitialInterval":10,"retryPolicyMaxInterval":120000,"retryPolicyExponentiationFactor":1.5,"retryPolicyMaxAttempts":3,"retryPolicyOnMaxAttempts":"KILL",
  "handlers":[
  {"name":"add","ty":"EXCLUSIVE","documentation":"adds","metadata":{"k":"v"},
   "input":{"required":true,"contentType":"application/json","jsonSchema":{"type":"integer","maximum":9007199254740993}},
   "output":{"contentType":"application/json","jsonSchema":{"type":"integer","title":"Sum"}},
   "inactivityTimeout":1500,"abortTimeout":61000,"journalRetention":0,"idempotencyRetention":90000000,"enableLazyState":false,"ingressPrivate":true,
   "retryPolicyMaxAttempts":5,"retryPolicyInitialInterval":1,"retryPolicyMaxInterval":2000,"retryPolicyExponentiationFactor":2,"retryPolicyOnMaxAttempts":"PAUSE"},
  {"name":"get","ty":"SHARED","input":{}}]},
 {"name":"Flow","ty":"WORKFLOW","handlers":[{"name":"run","ty":"WORKFLOW"}]},
 {"name":"Greeter","ty":"SERVICE","handlers":[{"name":"hello"}]}]}`

// api is an admin API over a store in memory, with an endpoint to register.
type api struct {
	t        *testing.T
	url      string
	server   *admin.Server
	store    *registrytest.Store
	endpoint string
	manifest atomic.Value // of the endpoint; string
	parts    fakePartitions
}

func newAPI(t *testing.T, change ...func(*admin.Config)) *api {
	t.Helper()
	a := &api{t: t}
	a.manifest.Store(strings.Replace(manifest, "VirtualObject", "VIRTUAL_OBJECT", 1))
	ep := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("X-Restate-Server", "test/1")
		_, _ = io.WriteString(w, a.manifest.Load().(string))
	}))
	ep.Config.Protocols = new(http.Protocols)
	ep.Config.Protocols.SetUnencryptedHTTP2(true)
	ep.Start()
	t.Cleanup(ep.Close)
	a.endpoint = ep.URL

	rc := registry.Default()
	rc.Lambda = functions{a}
	a.store = registrytest.New(schema.Default())
	h := hosttest.New(hosttest.NewClock(), 1)
	patient := h
	patient.Clock = eagerClock{hosttest.NewClock()} // between tries of a discovery
	reg, err := registry.New(rc, a.store, a.store, patient)
	if err != nil {
		t.Fatal(err)
	}
	cfg := admin.Default()
	cfg.IngressEndpoint = func() string { return "http://ingress:8080/" }
	for _, f := range change {
		f(&cfg)
	}
	s, err := admin.New(cfg, reg, &a.parts, h)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	a.url, a.server = srv.URL, s
	return a
}

// functionARN is the one function that there is.
const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:f:7"

// functions is an AWS in which functionARN answers what the endpoint does.
type functions struct{ a *api }

func (f functions) Invoke(_ context.Context, which lambda.Function, _ lambda.Request) (lambda.Response, error) {
	if which.ARN != functionARN {
		return lambda.Response{Status: http.StatusNotFound}, nil
	}
	return lambda.Response{
		Status:  http.StatusOK,
		Headers: []lambda.Header{{Name: "content-type", Value: manifestType}, {Name: "x-restate-server", Value: "test/1"}},
		Body:    []byte(strings.Replace(f.a.manifest.Load().(string), "BIDI_STREAM", "REQUEST_RESPONSE", 1)),
	}, nil
}

// reply is an answer, read whole.
type reply struct {
	*http.Response

	body string
}

// ask sends a request; a body that begins like JSON is sent as such.
func (a *api) ask(method, path, body string, headers ...string) reply {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut {
		req.Header.Set("Content-Type", jsonType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[http.CanonicalHeaderKey(headers[i])] = []string{headers[i+1]}
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

// register registers the endpoint and returns its id.
func (a *api) register(extra string) string {
	a.t.Helper()
	r := a.ask("POST", "/deployments", `{"uri":"`+a.endpoint+`"`+extra+`}`)
	var d struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &d); err != nil || r.StatusCode > 201 {
		a.t.Fatalf("register: %d %s", r.StatusCode, r.body)
	}
	return d.ID
}

// expectation of an answer. Empty texts are not looked at, but for a body of "-": there is none.
type expectation struct {
	status            int
	contentType, body string
	allow             string
}

func (e expectation) check(t *testing.T, r reply) {
	t.Helper()
	if r.StatusCode != e.status || e.contentType != "" && r.Header.Get("Content-Type") != e.contentType ||
		e.allow != "" && r.Header.Get("Allow") != e.allow || e.body != "-" && !strings.Contains(r.body, e.body) {
		t.Errorf("got %d %v %q, want %+v", r.StatusCode, r.Header, r.body, e)
	}
	if e.body == "-" && (r.body != "" || r.Header.Get("Content-Type") != "" || r.Header.Get("Vary") != "") {
		t.Errorf("not empty: %v %q", r.Header, r.body)
	}
}

func TestRoutes(t *testing.T) {
	a := newAPI(t)
	for _, row := range []struct {
		method, path string
		want         expectation
	}{
		{"GET", "/health", expectation{status: 200, body: "-"}},
		{"HEAD", "/health", expectation{status: 200, body: "-"}},
		{"GET", "/v4/health", expectation{status: 200, body: "-"}},
		{"POST", "/health", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"GET", "/v1", expectation{status: 400, contentType: textType, body: "V1"}},
		{"GET", "/v1/health", expectation{status: 400, contentType: textType, body: "V1"}},
		{"GET", "/v5/health", expectation{status: 404, body: "-"}},
		{"GET", "/v/health", expectation{status: 404, body: "-"}},
		{"GET", "/v1/", expectation{status: 404, body: "-"}},
		{"GET", "/v2/", expectation{status: 404, body: "-"}},
		{"GET", "/v4/v3/health", expectation{status: 404, body: "-"}},
		{"GET", "/v02/health", expectation{status: 404, body: "-"}},
		{"GET", "/health/", expectation{status: 404, body: "-"}},
		{"GET", "/metrics", expectation{status: 404, body: "-"}},
		{"GET", "/query", expectation{status: 405, body: "-", allow: "POST"}},
		{"POST", "/openapi", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"POST", "/services/x/openapi", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"GET", "/services/%ff", expectation{status: 400, contentType: textType, body: "Invalid URL: Invalid UTF-8 in `service`"}},
		{"GET", "/v22/health", expectation{status: 404, body: "-"}},
		{"GET", "/nope", expectation{status: 404, body: "-"}},
		{"POST", "/nope", expectation{status: 404, body: "-"}},
		{"GET", "/deployments/", expectation{status: 404, body: "-"}},
		{"GET", "/services//handlers", expectation{status: 404, body: "-"}},
		{"GET", "//deployments", expectation{status: 404, body: "-"}},
		{"PUT", "/deployments", expectation{status: 405, body: "-", allow: "GET,HEAD,POST"}},
		{"OPTIONS", "/deployments", expectation{status: 405, body: "-", allow: "GET,HEAD,POST"}},
		{"DELETE", "/v3/services", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"DELETE", "/services/x", expectation{status: 405, body: "-", allow: "GET,HEAD,PATCH"}},
		{"DELETE", "/services/x/handlers", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"POST", "/services/x/handlers/y", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"POST", "/deployments/" + unknownID, expectation{status: 405, body: "-", allow: "DELETE,GET,HEAD,PATCH,PUT"}},
		{"DELETE", "/version", expectation{status: 405, body: "-", allow: "GET,HEAD"}},
		{"PUT", "/deployments/" + unknownID, expectation{status: 405, contentType: jsonType, body: `"restate_code":null}`}},
		{"PUT", "/v3/deployments/" + unknownID, expectation{status: 405, contentType: jsonType}},
		{"PUT", "/v2/deployments/" + unknownID, expectation{status: 400, contentType: textType}}, // PATCH without a body
		{"PUT", "/deployments/foo", expectation{status: 405, contentType: jsonType}},
		{"HEAD", "/services", expectation{status: 200, contentType: jsonType}},
		{"HEAD", "/services/nope", expectation{status: 404, contentType: jsonType}},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) { row.want.check(t, a.ask(row.method, row.path, "")) })
	}
}

func TestMethodOverrideIsIgnored(t *testing.T) {
	a := newAPI(t)
	id := a.register("")
	expectation{status: 405, body: "-"}.check(t, a.ask("POST", "/deployments/"+id+"?force=true", "", "X-HTTP-Method-Override", "DELETE"))
	expectation{status: 200}.check(t, a.ask("GET", "/deployments/"+id, ""))
}

func TestBodies(t *testing.T) {
	a := newAPI(t)
	uri := func(rest string) string { return `{"uri":"` + a.endpoint + `"` + rest + `}` }
	malformed := expectation{status: 400, contentType: textType, body: "Failed to parse the request body as JSON: "}
	misshapen := expectation{status: 422, contentType: textType, body: "Failed to deserialize the JSON body into the target type: "}
	notJSON := expectation{status: 415, contentType: textType, body: "Expected request with `Content-Type: application/json`"}
	badURI := expectation{status: 400, contentType: jsonType, body: `{"message":"The request field 'uri' is invalid. Reason: `}
	for _, row := range []struct {
		name, method, path, contentType, body string
		want                                  expectation
	}{
		{"cut", "POST", "/deployments", jsonType, "{", malformed},
		{"no JSON", "POST", "/deployments", jsonType, "{nope", malformed},
		{"empty", "POST", "/deployments", jsonType, "", malformed},
		{"more than one", "POST", "/deployments", jsonType, "{} x", malformed},
		{"patch, cut", "PATCH", "/services/x", jsonType, "{", malformed},
		{"without content-type", "POST", "/deployments", "", "{}", notJSON},
		{"text", "POST", "/deployments", "text/plain", "{}", notJSON},
		{"form", "POST", "/deployments", "application/x-www-form-urlencoded", "a=b", notJSON},
		{"almost JSON", "POST", "/deployments", "application/jsonx", "{}", notJSON},
		{"patch text", "PATCH", "/services/x", "text/plain", "{}", notJSON},
		{"other JSON", "POST", "/deployments", "application/foo+json", "{}", misshapen},
		{"with charset", "POST", "/deployments", "application/json; charset=utf-8", "{}", misshapen},
		{"no address", "POST", "/deployments", jsonType, "{}", misshapen},
		{"null address", "POST", "/deployments", jsonType, `{"uri":null}`, misshapen},
		{"null", "POST", "/deployments", jsonType, "null", misshapen},
		{"array", "POST", "/deployments", jsonType, "[]", misshapen},
		{"number as address", "POST", "/deployments", jsonType, `{"uri":1}`, misshapen},
		{"text as force", "POST", "/deployments", jsonType, uri(`,"force":"true"`), misshapen},
		{"no URI", "POST", "/deployments", jsonType, `{"uri":"not a uri"}`, misshapen},
		{"empty URI", "POST", "/deployments", jsonType, `{"uri":""}`, misshapen},
		{"relative URI", "POST", "/deployments", jsonType, `{"uri":"/foo"}`, badURI},
		{"URI without scheme", "POST", "/deployments", jsonType, `{"uri":"localhost:9080"}`, badURI},
		{"illegal header name", "POST", "/deployments", jsonType, uri(`,"additional_headers":{"a b":"c"}`), misshapen},
		{"illegal header value", "POST", "/deployments", jsonType, uri(`,"additional_headers":{"a":"x\ny"}`), misshapen},
		{"number as header", "POST", "/deployments", jsonType, uri(`,"additional_headers":{"a":1}`), misshapen},
		{"bad ARN", "POST", "/deployments", jsonType, `{"arn":"nope"}`, expectation{status: 400, contentType: jsonType, body: `'arn'`}},
		{"ARN", "POST", "/deployments", jsonType, `{"arn":"arn:aws:lambda:eu-central-1:1:function:f:1"}`, expectation{status: 500, contentType: jsonType, body: `"restate_code":"META0003"`}},
		{"bad role", "POST", "/deployments", jsonType, `{"arn":"arn:aws:lambda:eu-central-1:1:function:f:1","assume_role_arn":"x"}`, expectation{status: 400, contentType: jsonType, body: `'assume_role_arn'`}},
		{"auth", "POST", "/deployments", jsonType, uri(`,"auth":{"GoogleIdToken":{}}`), expectation{status: 501, contentType: jsonType}},
		{"bad duration", "PATCH", "/services/x", jsonType, `{"abort_timeout":"xx"}`, misshapen},
		{"negative duration", "PATCH", "/services/x", jsonType, `{"abort_timeout":"-1s"}`, misshapen},
		{"number as duration", "PATCH", "/services/x", jsonType, `{"abort_timeout":5}`, misshapen},
		{"text as public", "PATCH", "/services/x", jsonType, `{"public":"yes"}`, misshapen},
		{"path before body", "PATCH", "/deployments/foo", "text/plain", "{", expectation{status: 400, contentType: textType, body: "Invalid URL: Cannot parse `deployment` with value `foo`: bad format"}},
		{"too large", "POST", "/deployments", jsonType, `{"uri":"` + strings.Repeat("x", 2<<20), expectation{status: 413, contentType: textType, body: "length limit exceeded"}},
		{"unknown field", "POST", "/deployments", jsonType, uri(`,"zzz":{"a":[1]},"auth":null,"metadata":null,"force":null`), expectation{status: 201, contentType: jsonType}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := a.ask(row.method, row.path, row.body, "Content-Type", row.contentType)
			row.want.check(t, r)
			if strings.Contains(r.body, "adminv1") {
				t.Errorf("the text names our types: %s", r.body)
			}
		})
	}
}

func TestIDsAndQueries(t *testing.T) {
	a := newAPI(t)
	notJSON := func(text string) expectation { return expectation{status: 400, contentType: textType, body: text} }
	const badForce = "Failed to deserialize query string: force: provided string was not `true` or `false`"
	for _, row := range []struct {
		method, path string
		want         expectation
	}{
		{"GET", "/deployments/foo", notJSON("Invalid URL: Cannot parse `deployment` with value `foo`: bad format")},
		{"GET", "/deployments/dp_1xx", notJSON("bad length")},
		{"GET", "/deployments/dp_2xx", notJSON("unrecognized codec version")},
		{"GET", "/deployments/inv_1xx", notJSON("id doesn't match the expected type")},
		{"GET", "/deployments/" + unknownID, expectation{status: 404, contentType: jsonType, body: "The requested deployment '" + unknownID + "' does not exist"}},
		{"GET", "/deployments?a=%zz", expectation{status: 200, contentType: jsonType, body: `{"deployments":[]}`}},
		{"GET", "/services?force=maybe", expectation{status: 200, contentType: jsonType, body: `{"services":[]}`}},
		{"GET", "/services/Nope", expectation{status: 404, contentType: jsonType, body: `{"message":"The requested service 'Nope' does not exist","restate_code":null}`}},
		{"GET", "/services/%4eope", expectation{status: 404, contentType: jsonType, body: "'Nope'"}},
		{"GET", "/services/Nope/handlers", expectation{status: 404, contentType: jsonType, body: "The requested service 'Nope' does not exist"}},
		{"GET", "/services/Nope/handlers/x", expectation{status: 404, contentType: jsonType, body: "The requested handler 'x' on service 'Nope' does not exist"}},
		{"DELETE", "/deployments/" + unknownID, expectation{status: 501, body: "-"}},
		{"DELETE", "/deployments/" + unknownID + "?force=false", expectation{status: 501, body: "-"}},
		{"DELETE", "/deployments/" + unknownID + "?force=true", expectation{status: 404, contentType: jsonType, body: "deployment with id '" + unknownID + "'"}},
		{"DELETE", "/deployments/" + unknownID + "?force=1", notJSON(badForce)},
		{"DELETE", "/deployments/" + unknownID + "?force", notJSON(badForce)},
		{"DELETE", "/deployments/" + unknownID + "?force=%zz", notJSON("Failed to deserialize query string: ")},
		{"DELETE", "/deployments/" + unknownID + "?deployment=x&a.b=c", expectation{status: 501, body: "-"}},
		{"DELETE", "/deployments/foo?force=maybe", notJSON("Invalid URL")},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) { row.want.check(t, a.ask(row.method, row.path, "")) })
	}
}

func TestEndpointRefused(t *testing.T) {
	a := newAPI(t)
	a.manifest.Store(`{"protocolMode":"BIDI_STREAM","minProtocolVersion":1,"maxProtocolVersion":2,"services":[]}`)
	want := expectation{status: 500, contentType: jsonType, body: `{"message":"[META0012] [META0012] `}
	r := a.ask("POST", "/deployments", `{"uri":"`+a.endpoint+`"}`)
	want.check(t, r)
	if !strings.HasSuffix(r.body, `"restate_code":"META0012"}`) {
		t.Error(r.body)
	}
	a.manifest.Store(`{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[{"name":"OpenAPI","ty":"SERVICE","handlers":[]}]}`)
	r = a.ask("POST", "/deployments", `{"uri":"`+a.endpoint+`"}`)
	expectation{status: 400, contentType: jsonType, body: `{"message":"[META0005] `}.check(t, r)
	if strings.Contains(r.body, "[META0005] [") {
		t.Error(r.body)
	}
}

func TestStoreErrors(t *testing.T) {
	a := newAPI(t)
	for _, row := range []struct {
		err    error
		status int
	}{
		{errs.Newf(errs.Unavailable, "x"), 503},
		{errs.Newf(errs.Uncertain, "x"), 503},
		{errs.Newf(errs.Conflict, "x"), 409},
		{errs.Newf(errs.Invalid, "x"), 400},
		{errs.Newf(errs.NotFound, "x"), 404},
		{errs.Newf(errs.Corrupt, "x"), 500},
		{errors.New("x"), 500},
	} {
		a.store.Fail(row.err)
		r := a.ask("DELETE", "/deployments/"+unknownID+"?force=true", "")
		expectation{status: row.status, contentType: jsonType, body: `x","restate_code":null}`}.check(t, r)
	}
}

func TestCompression(t *testing.T) {
	a := newAPI(t)
	a.register("")
	plain := a.ask("GET", "/services", "", "Accept-Encoding", "identity")
	if plain.Header.Get("Vary") != "Accept-Encoding" || plain.Header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %v", plain.Header)
	}
	zipped := a.ask("GET", "/services", "", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(z); err != nil || b.String() != plain.body || zipped.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("zipped: %v, %v, %s", err, zipped.Header, b.String())
	}
}

func TestConcurrencyLimit(t *testing.T) {
	a := newAPI(t, func(c *admin.Config) { c.ConcurrentRequestsMax = 1 })
	waiting, release := make(chan struct{}), make(chan struct{})
	ep := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(waiting)
		<-release
		w.WriteHeader(http.StatusNotFound)
	}))
	defer ep.Close()
	g := lifecycle.NewGroup(t.Context())
	g.Go("first", func(context.Context) error {
		expectation{status: 500}.check(t, a.ask("POST", "/deployments", `{"uri":"`+ep.URL+`","use_http_11":true}`))
		return nil
	})
	<-waiting
	expectation{status: 429, body: "-"}.check(t, a.ask("GET", "/health", ""))
	close(release)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	expectation{status: 200, body: "-"}.check(t, a.ask("GET", "/health", ""))
}

func TestRun(t *testing.T) {
	store := registrytest.New(schema.Default())
	h := hosttest.Real(1)
	reg, err := registry.New(registry.Default(), store, store, h)
	if err != nil {
		t.Fatal(err)
	}
	cfg := admin.Default()
	cfg.Address = "127.0.0.1:0"
	s, err := admin.New(cfg, reg, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("server", s.Run)
	<-s.Ready()

	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	for _, tr := range []*http.Transport{{}, {Protocols: &h2}} {
		c := http.Client{Transport: tr}
		resp, err := c.Get("http://" + s.Addr().String() + "/health")
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
	}

	cfg.Address = s.Addr().String()
	second, err := admin.New(cfg, reg, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("second server on one port: %v", err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestConfig(t *testing.T) {
	if err := admin.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	err := admin.Config{Address: "x", ConcurrentRequestsMax: -1, DrainTimeout: -time.Second}.Validate()
	for _, part := range []string{"admin address", "concurrent requests", "drain timeout"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}
