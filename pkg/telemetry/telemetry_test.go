package telemetry_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/config"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/telemetry"
)

func logLine(t *testing.T, format string, colour bool) string {
	t.Helper()
	var b bytes.Buffer
	h, err := telemetry.NewHandler(&b, config.Logging{LogFilter: "info", LogFormat: format}, colour)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(h).With("role", "worker")
	log.Debug("not shown")
	log.WithGroup("g").Warn("disk nearly full", "count", 3, "err", errors.New("no \"space\""), slog.Group("in", "a", "b"))
	return b.String()
}

func TestFormats(t *testing.T) {
	const rest = `WARN  disk nearly full role=worker g.count=3 g.err="no \"space\"" g.in.a=b` + "\n"
	if got := logLine(t, "pretty", false); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `).MatchString(got) || !strings.HasSuffix(got, rest) {
		t.Errorf("pretty: %q", got)
	}
	if got := logLine(t, "compact", false); !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `).MatchString(got) || !strings.HasSuffix(got, rest) {
		t.Errorf("compact: %q", got)
	}
	if got := logLine(t, "pretty", true); !strings.Contains(got, "\x1b[33mWARN \x1b[0m") {
		t.Errorf("colours: %q", got)
	}
	if got := logLine(t, "json", true); !strings.Contains(got, `"level":"WARN","msg":"disk nearly full","role":"worker","g":{"count":3`) {
		t.Errorf("json: %q", got)
	}
}

func TestMetricsCarryClusterAndNode(t *testing.T) {
	cfg := config.Default()
	cfg.NodeName = "n1"
	h, err := telemetry.NewHost(config.Fixed(cfg), "worker", io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x_total", Help: "x"}, []string{"kind"})
	h.Metrics.MustRegister(c)
	c.WithLabelValues("a").Inc()
	clock := hosttest.NewClock()
	h.Clock = clock
	handler := telemetry.MetricsHandler(&cfg, h)
	for range 2 { // labels must not pile up
		clock.Advance(time.Second)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if want := `x_total{cluster_name="localcluster",kind="a",node_name="n1"} 1`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
		if !strings.Contains(w.Body.String(), "go_goroutines{cluster_name=") {
			t.Error("no Go metrics")
		}
	}
}
