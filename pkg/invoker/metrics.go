package invoker

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker/h2"
)

// metrics are the families of the contract. All loops of a process share them.
type metrics struct {
	enqueued   *prometheus.CounterVec
	tasks      *prometheus.CounterVec
	duration   *host.Histogram
	limit      *prometheus.GaugeVec
	requests   *prometheus.CounterVec
	acquired   prometheus.Counter
	released   prometheus.Counter
	truncated  prometheus.Counter
	yielded    prometheus.Counter
	transports [3]transportMetrics // by transport

	opened, closed, failed                      prometheus.Counter // connections
	streamsOpened, streamsClosed, streamsFailed prometheus.Counter
	counts                                      h2.Counts // what these have

	partitions []*partitionMetrics // loop only
}

// partitionMetrics are looked up once: a lookup by labels is too slow for each attempt.
type partitionMetrics struct {
	enqueued, started, suspended, completed, failed, transient prometheus.Counter
}

// transport is how an attempt talks to its deployment.
type transport uint8

const (
	bidirectional transport = iota
	requestResponse
	functionCall
)

// transportTypes are their labels.
var transportTypes = [...]string{bidirectional: "Http/bidi-stream", requestResponse: "Http/request-response", functionCall: "Lambda"}

// transportMetrics are looked up once.
type transportMetrics struct {
	sent, received prometheus.Counter
	ok             prometheus.Counter // of requests: status 200
}

// via are the metrics of attempts over a route.
func (m *metrics) via(rt *route) *transportMetrics { return &m.transports[rt.transport()] }

func (rt *route) transport() transport {
	switch {
	case rt.function != nil:
		return functionCall
	case rt.bidi:
		return bidirectional
	default:
		return requestResponse
	}
}

func newMetrics(reg *prometheus.Registry, limit int) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return host.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	m := &metrics{
		enqueued: vector("restate_invoker_enqueue_total", "Activations that were given to the invoker.", "partition_id"),
		tasks:    vector("restate_invoker_invocation_tasks_total", "Attempts by outcome.", "status", "partition_id", "transient"),
		duration: host.NewHistogram(reg, "restate_invoker_task_duration_seconds", "Duration of attempts.", prometheus.ExponentialBuckets(0.001, 4, 10)),
		limit: host.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "restate_invoker_concurrency_limit", Help: "Attempts that may run at once.",
		}, []string{"invoker_id"})),
		requests:  vector("restate_invoker_client_requests_total", "Answers of deployments by status.", "type", "status_code"),
		acquired:  counter("restate_invoker_concurrency_slots_acquired", "Slots that attempts took."),
		released:  counter("restate_invoker_concurrency_slots_released", "Slots that attempts gave back."),
		truncated: counter("restate_invoker_eager_state_truncated_total", "Attempts that began with a part of the state, because of the size limit."),
		yielded:   counter("reprise_invoker_attempts_yielded_total", "Attempts that were put off because the memory of all was in use."),
		opened:    counter("restate_connection_pool_connection_opened_total", "HTTP/2 connections to deployments that were opened."),
		closed:    counter("restate_connection_pool_connection_closed_total", "HTTP/2 connections to deployments that were closed."),
		failed:    counter("restate_connection_pool_connection_open_failed_total", "HTTP/2 connections to deployments that could not be opened."),

		streamsOpened: counter("restate_connection_pool_stream_opened_total", "HTTP/2 streams to deployments that were opened, one for each attempt."),
		streamsClosed: counter("restate_connection_pool_stream_closed_total", "HTTP/2 streams to deployments that ended."),
		streamsFailed: counter("restate_connection_pool_stream_open_failed_total", "HTTP/2 streams to deployments for which there was no connection, or none with room."),
	}
	m.limit.WithLabelValues("0").Set(float64(limit))
	sent := vector("restate_invoker_sent_bytes_total", "Payload sent to deployments.", "type")
	received := vector("restate_invoker_received_bytes_total", "Payload received from deployments.", "type")
	for i, name := range transportTypes {
		m.transports[i] = transportMetrics{sent.WithLabelValues(name), received.WithLabelValues(name), m.requests.WithLabelValues(name, "200")}
	}
	m.of(0) // a family is there from the start
	return m
}

func (m *metrics) of(p id.Partition) *partitionMetrics {
	for len(m.partitions) <= int(p) {
		m.partitions = append(m.partitions, nil)
	}
	if m.partitions[p] == nil {
		label := strconv.Itoa(int(p))
		task := func(status, transient string) prometheus.Counter {
			return m.tasks.WithLabelValues(status, label, transient)
		}
		m.partitions[p] = &partitionMetrics{
			enqueued: m.enqueued.WithLabelValues(label),
			started:  task("started", "false"), suspended: task("suspended", "false"), completed: task("completed", "false"),
			failed: task("failed", "false"), transient: task("failed", "true"),
		}
	}
	return m.partitions[p]
}

// ended counts an attempt that was running when its activation ended.
func (m *metrics) ended(r *run, final finalMessage, nowMillis int64) {
	switch final {
	case finalEnd:
		m.of(r.Partition).completed.Inc()
	case finalSuspension:
		m.of(r.Partition).suspended.Inc()
	default:
	}
	m.duration.Observe(float64(nowMillis-r.started) / 1000)
}

// response counts an answer. It is called by readers.
func (m *metrics) response(rt *route, status int) {
	if status == 200 {
		m.via(rt).ok.Inc()
		return
	}
	code := "other" // of what is no status, there is no end
	if status >= 100 && status < 600 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(transportTypes[rt.transport()], code).Inc()
}

// connections brings the counters of connections up to date.
func (m *metrics) connections(now h2.Counts) {
	m.opened.Add(float64(now.ConnsOpened - m.counts.ConnsOpened))
	m.closed.Add(float64(now.ConnsClosed - m.counts.ConnsClosed))
	m.failed.Add(float64(now.ConnsFailed - m.counts.ConnsFailed))
	m.streamsOpened.Add(float64(now.StreamsOpened - m.counts.StreamsOpened))
	m.streamsClosed.Add(float64(now.StreamsClosed - m.counts.StreamsClosed))
	m.streamsFailed.Add(float64(now.StreamsFailed - m.counts.StreamsFailed))
	m.counts = now
}
