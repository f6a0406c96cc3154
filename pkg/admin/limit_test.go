package admin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"reprise/pkg/lifecycle"
)

// admin.concurrent-api-requests-limit may change while requests run.
func TestConcurrencyLimitIsLive(t *testing.T) {
	a := newAPI(t)
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
	for most, status := range map[int]int{0: 200, 1: 429, 2: 200} {
		a.server.SetConcurrentRequestsMax(most)
		expectation{status: status, body: "-"}.check(t, a.ask("GET", "/health", ""))
	}
	close(release)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
