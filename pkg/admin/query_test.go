package admin_test

import (
	"net/http"
	"testing"

	"reprise/pkg/admin"
)

// SQL is answered below each version of the API, by whoever was given for it.
func TestQuery(t *testing.T) {
	answers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(r.Method + r.URL.Path))
	})
	a := newAPI(t, func(c *admin.Config) { c.Query = answers })
	for _, prefix := range []string{"", "/v2", "/v3", "/v4"} {
		if r := a.ask(http.MethodPost, prefix+"/query", `{}`); r.StatusCode != http.StatusTeapot || r.body != "POST/query" {
			t.Errorf("%s: %d %s", prefix, r.StatusCode, r.body)
		}
	}
	if r := a.ask(http.MethodPost, "/v1/query", `{}`); r.StatusCode != http.StatusBadRequest {
		t.Errorf("version 1: %d %s", r.StatusCode, r.body)
	}
	if r := newAPI(t).ask(http.MethodPost, "/query", `{}`); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without SQL: %d %s", r.StatusCode, r.body)
	}
}
