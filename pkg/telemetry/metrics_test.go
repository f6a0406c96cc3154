package telemetry_test

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/telemetry"
)

// scraped is a process with a counter.
func scraped(t *testing.T, clock host.Clock) (host.Host, prometheus.Counter, http.Handler) {
	t.Helper()
	cfg := config.Default()
	cfg.NodeName = "n1"
	h := hosttest.New(clock, 1)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_test_total", Help: "Test."})
	h.Metrics.MustRegister(c)
	return h, c, telemetry.MetricsHandler(&cfg, h)
}

func get(handler http.Handler, header ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	handler.ServeHTTP(w, r)
	return w
}

func gathers(t *testing.T, h host.Host) float64 {
	t.Helper()
	families, err := h.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "reprise_telemetry_gathers_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("gathers are not counted")
	return 0
}

// A storm of scrapes costs as much as ten a second.
func TestScrapesThatComeTogetherGetOneAnswer(t *testing.T) {
	clock := hosttest.NewClock()
	h, c, handler := scraped(t, clock)
	const series = `reprise_test_total{cluster_name="localcluster",node_name="n1"} `
	for range 100 {
		c.Inc()
		if body := get(handler).Body.String(); !strings.Contains(body, series+"1\n") {
			t.Fatalf("the first answer is not given again: %s", body)
		}
	}
	if n := gathers(t, h); n != 1 {
		t.Errorf("metrics were gathered %v times for scrapes that came together", n)
	}
	clock.Advance(100 * time.Millisecond)
	if body := get(handler).Body.String(); !strings.Contains(body, series+"100\n") {
		t.Errorf("an old answer is given: %s", body)
	}
	if n := gathers(t, h); n != 2 {
		t.Errorf("metrics were gathered %v times, not twice", n)
	}
}

func TestScrapesAreCompressedOnDemand(t *testing.T) {
	_, _, handler := scraped(t, hosttest.NewClock())
	plain := get(handler)
	if got, want := plain.Header().Get("content-type"), "text/plain; version=0.0.4; charset=utf-8"; got != want {
		t.Errorf("content type %q, want %q", got, want)
	}
	for _, accept := range []string{"gzip", "deflate, gzip;q=0.5"} {
		w := get(handler, "accept-encoding", accept)
		if w.Header().Get("content-encoding") != "gzip" {
			t.Fatalf("%s: not compressed", accept)
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(z)
		if err != nil || string(body) != plain.Body.String() {
			t.Errorf("%s: %v; %d bytes, not %d", accept, err, len(body), plain.Body.Len())
		}
	}
	if w := get(handler, "accept-encoding", "gzip;q=0"); w.Header().Get("content-encoding") != "" {
		t.Error("compressed although that was refused")
	}
}

// broken is a metric that cannot be gathered.
type broken struct{}

var brokenDesc = prometheus.NewDesc("reprise_broken", "Broken.", nil, nil)

func (broken) Describe(ch chan<- *prometheus.Desc) { ch <- brokenDesc }

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(brokenDesc, io.ErrUnexpectedEOF)
}

func TestABrokenMetricHidesNoOther(t *testing.T) {
	h, _, handler := scraped(t, hosttest.NewClock())
	h.Metrics.MustRegister(broken{})
	w := get(handler)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "reprise_test_total") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(w.Body.String(), "reprise_telemetry_gathers_failed_total") {
		t.Error("what failed is not counted")
	}
}

// stopped is a clock that stands still.
type stopped struct {
	host.Clock
	at time.Time
}

func (s stopped) Now() time.Time { return s.at }

// A scraper that does not read its answer holds up nobody: neither other scrapers nor who makes and changes metrics.
func TestASlowScraperHoldsNoLock(t *testing.T) {
	h := host.New(hosttest.Real(1).Log)
	h.Clock = stopped{h.Clock, h.Clock.Now()} // all get the same bytes
	big := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reprise_test_total", Help: "Test."}, []string{"text"})
	h.Metrics.MustRegister(big)
	const texts = 20
	for i := range texts { // more than sockets buffer
		big.WithLabelValues(strings.Repeat("x", 1<<18) + string(rune('A'+i))).Inc()
	}
	cfg := config.Default()
	server := httptest.NewServer(telemetry.MetricsHandler(&cfg, h))
	defer server.Close()
	var slow []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // its answer is on the way
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			resp, err := http.Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || n < texts<<18 {
				t.Errorf("%s, %d bytes: %v", resp.Status, n, err)
			}
		})
	}
	big.WithLabelValues("new").Inc()
	h.Metrics.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "reprise_test_other_total", Help: "Test."}))
	wg.Wait()
	if testutil.ToFloat64(big.WithLabelValues("new")) != 1 {
		t.Error("the new series is lost")
	}
	for _, c := range slow {
		_ = c.Close()
	}
}
