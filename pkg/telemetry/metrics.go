package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

const (
	// sameFor is how long an answer is given again: however often and by however many a process is scraped, its metrics are
	// gathered ten times a second at most.
	sameFor = 100 * time.Millisecond
	// scrapesMax is how many answers may be on their way at once: a slow scraper holds nothing but its connection and, together
	// with others, what was gathered once.
	scrapesMax = 64
	// writeTimeout is how long a scraper may take to read its answer.
	writeTimeout = 10 * time.Second
	// complainEvery is how often it is logged that a metric cannot be gathered.
	complainEvery = time.Minute

	textFormat = "text/plain; version=0.0.4; charset=utf-8"
)

// MetricsHandler serves the metrics of the process, each with the labels cluster_name and node_name.
func MetricsHandler(cfg *config.Config, h host.Host) http.Handler {
	s := &scrapes{
		host: h, labels: []*dto.LabelPair{label("cluster_name", cfg.ClusterName), label("node_name", cfg.NodeName)},
		places: make(chan struct{}, scrapesMax),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_telemetry_scrapes_refused_total", Help: "Scrapes that were refused because too many were under way. Look who scrapes so often, or does not read what it gets.",
		}),
		gathers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_telemetry_gathers_total", Help: "Times that the metrics of this process were gathered: less than scrapes, where these come close together.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_telemetry_gathers_failed_total", Help: "Times that some metric could not be gathered; the others were served. The log says which.",
		}),
	}
	s.refused, s.gathers, s.failed = host.Register(h.Metrics, s.refused), host.Register(h.Metrics, s.gathers), host.Register(h.Metrics, s.failed)
	return s
}

// scrapes answers requests for metrics.
type scrapes struct {
	host   host.Host
	labels []*dto.LabelPair
	places chan struct{} // one value for each answer under way

	refused, gathers, failed prometheus.Counter

	// mu guards what follows. It is held while metrics are gathered, which waits for nobody outside, never while they are written.
	mu         sync.Mutex
	last       *answer
	complained time.Time
}

// answer is what was gathered. Its bytes are never changed.
type answer struct {
	at    time.Time
	plain []byte
	err   error // nothing at all could be gathered

	once   sync.Once
	zipped []byte
}

// ServeHTTP implements http.Handler.
func (s *scrapes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		s.refused.Inc()
		w.Header().Set("retry-after", "1")
		http.Error(w, "too many scrapes are under way", http.StatusServiceUnavailable)
		return
	}
	a := s.gather()
	if a.err != nil {
		http.Error(w, a.err.Error(), http.StatusInternalServerError)
		return
	}
	body := a.plain
	w.Header().Set("content-type", textFormat)
	w.Header().Set("vary", "accept-encoding")
	if takesGzip(r) {
		w.Header().Set("content-encoding", "gzip")
		body = a.gzip()
	}
	w.Header().Set("content-length", strconv.Itoa(len(body)))
	// What is behind w has no deadlines in tests alone. The next request of the connection is not bound by this one's.
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(s.host.Clock.Now().Add(writeTimeout))
	_, _ = w.Write(body) // the peer is gone
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}

// takesGzip tells whether the answer may be compressed. Scrapers say gzip or nothing.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("accept-encoding"), ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding == "gzip" && strings.TrimSpace(quality) != "q=0" {
			return true
		}
	}
	return false
}

// gather returns an answer that is at most sameFor old.
func (s *scrapes) gather() *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.host.Clock.Now()
	if s.last != nil && now.Sub(s.last.at) < sameFor && now.Sub(s.last.at) >= 0 { // the clock may be set back
		return s.last
	}
	a := &answer{at: now}
	s.gathers.Inc()
	families, err := labelled{from: s.host.Metrics, labels: s.labels}.Gather()
	if err != nil {
		s.failed.Inc()
		if now.Sub(s.complained) >= complainEvery {
			s.complained = now
			s.host.Log.Warn("some metrics cannot be gathered", slog.Any(logkey.Err, err))
		}
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, werr := expfmt.MetricFamilyToText(&b, f); werr != nil {
			err = fmt.Errorf("write %s: %w", f.GetName(), werr)
		}
	}
	if b.Len() == 0 && err != nil {
		a.err = err
	}
	a.plain = b.Bytes()
	s.last = a
	return a
}

// gzip is the compressed answer, which is made once.
func (a *answer) gzip() []byte {
	a.once.Do(func() {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is valid
		_, _ = z.Write(a.plain)                         // a buffer takes everything
		_ = z.Close()
		a.zipped = b.Bytes()
	})
	return a.zipped
}

// labelled adds labels while it gathers, so that parts register on the plain registry.
type labelled struct {
	from   prometheus.Gatherer
	labels []*dto.LabelPair
}

func (l labelled) Gather() ([]*dto.MetricFamily, error) {
	families, err := l.from.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			m.Label = append(slices.Clip(m.Label), l.labels...)
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
		}
	}
	return families, err
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
