package ingress

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// metrics are the families of the contract; their names are kept for existing dashboards.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	created   prometheus.Counter
	dropped   prometheus.Counter
	limited   prometheus.Counter
	refused   prometheus.Counter // requests of strangers

	unknown  *requestMetrics
	services series[serviceType, *requestMetrics]     // of services that were registered once: bounded
	answered series[id.Partition, prometheus.Counter] // completed attempts
}

// series keeps what a lookup by labels gave, since that is too slow for each request.
type series[K comparable, V any] struct {
	known atomic.Pointer[map[K]V] // copied on write

	mu sync.Mutex // guards the writing
}

func (s *series[K, V]) of(key K, build func(K) V) V {
	if known := s.known.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[K]V{}
	if known := s.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	v, ok := next[key]
	if !ok {
		v = build(key)
		next[key] = v
		s.known.Store(&next)
	}
	return v
}

// requestMetrics are the series of one service and type of request.
type requestMetrics struct {
	admitted, completed                         prometheus.Counter
	requestError, ingressError, invocationError prometheus.Counter
	duration                                    prometheus.Observer
}

type serviceType struct {
	service string
	send    bool
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restate_ingress_requests_total", Help: "Calls and sends over HTTP by what became of them.",
		}, []string{"status", "rpc_service", "rpc_type"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "restate_ingress_request_duration_seconds", Help: "How long calls and sends took, as the ingress sees it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600},
		}, []string{"rpc_service", "rpc_type"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restate_invocation_client_requests_total", Help: "Requests to leaders of partitions by outcome.",
		}, []string{"partition_id", "status"}),
		created: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_ingress_http_connection_created_total", Help: "Client connections opened.",
		}),
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_ingress_http_connection_dropped_total", Help: "Client connections closed.",
	}, []string{"status"})
	reg.MustRegister(m.requests, m.durations, m.attempts, m.created, dropped)
	m.dropped = dropped.WithLabelValues("success")
	m.limited = m.requests.WithLabelValues("rate-limited", "", "")
	m.refused = m.requests.WithLabelValues("unauthorized", "", "")
	for _, status := range attemptStatuses { // a family is there from the start
		m.attempts.WithLabelValues("0", status)
	}
	m.answered.of(0, m.buildAnswered)
	m.unknown = m.requestSeries("", "")
	return m
}

// of returns the series of a registered service.
func (m *metrics) of(service string, send bool) *requestMetrics {
	return m.services.of(serviceType{service, send}, m.build)
}

func (m *metrics) build(t serviceType) *requestMetrics {
	rpcType := "call"
	if t.send {
		rpcType = "send"
	}
	return m.requestSeries(t.service, rpcType)
}

func (m *metrics) requestSeries(service, rpcType string) *requestMetrics {
	return &requestMetrics{
		admitted:        m.requests.WithLabelValues("admitted", service, rpcType),
		completed:       m.requests.WithLabelValues("completed", service, rpcType),
		requestError:    m.requests.WithLabelValues("request_error", service, rpcType),
		ingressError:    m.requests.WithLabelValues("ingress_error", service, rpcType),
		invocationError: m.requests.WithLabelValues("invocation_error", service, rpcType),
		duration:        m.durations.WithLabelValues(service, rpcType),
	}
}

func (r *requestMetrics) done(resp Response, f *failure, took time.Duration) {
	switch {
	case f != nil && f.status >= statusInternal:
		r.ingressError.Inc()
	case f != nil:
		r.requestError.Inc()
	case resp.Source == fromInvocation:
		r.invocationError.Inc()
	default:
		r.completed.Inc()
	}
	r.duration.Observe(took.Seconds())
}

// attemptStatuses are those of the contract that attempt tells apart.
var attemptStatuses = [...]string{"completed", "internal_error", "routing_error", "unavailable_error", "protocol_error"}

// attempt counts one request to the leader of p.
func (m *metrics) attempt(p id.Partition, err error) {
	if err == nil {
		m.answered.of(p, m.buildAnswered).Inc()
		return
	}
	status := "internal_error"
	switch errs.CodeOf(err) {
	case errs.NotLeader:
		status = "routing_error"
	case errs.Unavailable, errs.Uncertain:
		status = "unavailable_error"
	case errs.Unsupported, errs.Invalid:
		status = "protocol_error"
	}
	m.attempts.WithLabelValues(strconv.Itoa(int(p)), status).Inc()
}

func (m *metrics) buildAnswered(p id.Partition) prometheus.Counter {
	return m.attempts.WithLabelValues(strconv.Itoa(int(p)), "completed")
}
