package telemetry

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"reprise/pkg/config"
	"reprise/pkg/host"
)

// MetricsHandler serves the metrics of the process, each with the labels cluster_name and node_name.
func MetricsHandler(cfg *config.Config, h host.Host) http.Handler {
	g := labelled{from: h.Metrics, labels: []*dto.LabelPair{label("cluster_name", cfg.ClusterName), label("node_name", cfg.NodeName)}}
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesMax})
}

// scrapesMax is how many scrapes may run at once.
const scrapesMax = 4

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
