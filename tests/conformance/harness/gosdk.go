package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

// goSDK serves inside this process.
type goSDK struct{}

// Serve implements SDK.
func (g goSDK) Serve(e *Env, mode Mode, addr string, defs []restate.ServiceDefinition) (*Endpoint, error) {
	h, err := g.Handler(e, mode, defs)
	if err != nil {
		return nil, err
	}
	return e.Serve(mode, h, addr)
}

// Handler implements SDK.
func (goSDK) Handler(e *Env, mode Mode, defs []restate.ServiceDefinition) (http.Handler, error) {
	h, err := goHandler(mode, defs)
	if err != nil {
		return nil, err
	}
	if e.Setup.Versions == Known {
		return h, nil
	}
	return showVersions(e.Setup.Versions, h), nil
}

// goHandler is the HTTP handler of the unmodified Go SDK for these services.
func goHandler(mode Mode, defs []restate.ServiceDefinition) (http.Handler, error) {
	r := server.NewRestate().
		WithLogger(slog.NewTextHandler(io.Discard, nil), true).
		Bidirectional(mode == Bidi)
	for _, d := range defs {
		r = r.Bind(d)
	}
	return r.Handler()
}

// showVersions lets discovery show a smaller range of protocol versions than the SDK has.
func showVersions(v Versions, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/discover" {
			h.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		var doc map[string]json.RawMessage
		if rec.Code == http.StatusOK && json.Unmarshal(body, &doc) == nil {
			doc["minProtocolVersion"] = fmt.Append(nil, v.Min)
			doc["maxProtocolVersion"] = fmt.Append(nil, v.Max)
			body, _ = json.Marshal(doc) // it was decoded a moment ago
		}
		for k, vs := range rec.Header() {
			w.Header()[k] = vs
		}
		w.Header().Del("content-length")
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body) // the server went away
	})
}

// manifestOf is what discovery shows of the services, in the newest form.
func manifestOf(defs []restate.ServiceDefinition) (json.RawMessage, error) {
	h, err := goHandler(Bidi, defs)
	if err != nil {
		return nil, err
	}
	req := httptest.NewRequest(http.MethodGet, "/discover", bytes.NewReader(nil))
	req.Header.Set("accept", "application/vnd.restate.endpointmanifest.v4+json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		return nil, fmt.Errorf("discovery: status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.Bytes(), nil
}
