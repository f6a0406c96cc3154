package ingress_test

import (
	"context"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// inBackground runs f; the channel is closed when it has returned, which the test waits for at its end.
func inBackground(t testing.TB, f func()) <-chan struct{} {
	done := make(chan struct{})
	g := lifecycle.NewGroup(context.Background())
	g.Go("background", func(context.Context) error { defer close(done); f(); return nil })
	t.Cleanup(func() { _ = g.Wait() })
	return done
}

// eventually waits for what other goroutines do without telling.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func exposition(t testing.TB, h host.Host) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatal(w.Body)
	}
	return w.Body.String()
}
