package certs

import (
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// metrics are those of all listeners of the process.
type metrics struct {
	ends     *prometheus.GaugeVec
	unread   *prometheus.CounterVec
	accepted *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		ends: host.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "reprise_certs_end_timestamp_seconds", Help: "When the certificate in use ends, by the table of the configuration that names it.",
		}, []string{"table"})),
		unread: host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_certs_unread_total", Help: "Changes of certificate files that could not be used, so that the former ones stay in force.",
		}, []string{"table"})),
		accepted: host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_certs_accepted_total", Help: "Connections that other daemons and operators made with networking.tls, by what they showed: plain (no TLS), anonymous (TLS without a certificate), known (a certificate that was signed and allowed).",
		}, []string{"standing"})),
		refused: host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_certs_refused_total", Help: "Connections that networking.tls refused, by the reason: plain, anonymous, handshake (it failed, such as for a certificate that somebody else signed, that has ended or has no allowed name).",
		}, []string{"reason"})),
	}
}
