package harness

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	restate "github.com/restatedev/sdk-go"
)

func TestParseVersions(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Versions
		bad  bool
	}{
		{in: "5-7", want: Versions{5, 7}}, {in: "6-6", want: Versions{6, 6}}, {in: "5-6", want: Versions{5, 6}},
		{in: "", bad: true}, {in: "5", bad: true}, {in: "7-5", bad: true}, {in: "4-6", bad: true}, {in: "6-8", bad: true}, {in: "a-b", bad: true},
	} {
		got, err := ParseVersions(c.in)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%q: %v %v", c.in, got, err)
		}
		if err == nil && got.String() != c.in {
			t.Errorf("%q becomes %q", c.in, got)
		}
	}
}

func TestParseMode(t *testing.T) {
	for name, want := range map[string]Mode{"bidi": Bidi, "request-response": RequestResponse, "http1": HTTP1} {
		if got, err := ParseMode(name); err != nil || got != want || got.String() != name {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := ParseMode("http3"); err == nil {
		t.Error("http3 is a mode")
	}
}

// What discovery shows is the range of the run and the mode of the endpoint, and nothing else changes.
func TestDiscovery(t *testing.T) {
	def := restate.NewService("S").Handler("h", restate.NewServiceHandler(func(restate.Context, string) (string, error) { return "", nil }))
	ask := func(v Versions, mode Mode) map[string]any {
		t.Helper()
		h, err := goSDK{}.Handler(NewEnv(Setup{SDK: GoSDK, Mode: mode, Versions: v}), mode, []restate.ServiceDefinition{def})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodGet, "/discover", nil)
		req.Header.Set("accept", "application/vnd.restate.endpointmanifest.v4+json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if ct := rec.Header().Get("content-type"); rec.Code != 200 || ct != "application/vnd.restate.endpointmanifest.v4+json" {
			t.Fatalf("status %d, content-type %q", rec.Code, ct)
		}
		var doc map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	for _, c := range []struct {
		versions Versions
		mode     Mode
		shown    string
	}{
		{Known, Bidi, "BIDI_STREAM"}, {Versions{5, 5}, RequestResponse, "REQUEST_RESPONSE"}, {Versions{7, 7}, HTTP1, "REQUEST_RESPONSE"},
	} {
		doc := ask(c.versions, c.mode)
		if doc["minProtocolVersion"] != float64(c.versions.Min) || doc["maxProtocolVersion"] != float64(c.versions.Max) || doc["protocolMode"] != c.shown {
			t.Errorf("%v over %v: %v", c.versions, c.mode, doc)
		}
		if services, _ := doc["services"].([]any); len(services) != 1 {
			t.Errorf("services: %v", doc["services"])
		}
	}
}
