package telemetry

import (
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// NewHost returns the real host of a process that logs to w, as log-filter says at any time. colour allows ANSI codes, if the
// configuration does too: for a terminal.
func NewHost(live *config.Live, role string, w io.Writer, colour bool) (host.Host, error) {
	handler, err := NewHandler(w, live.Current().Logging, colour)
	if err != nil {
		return host.Host{}, err
	}
	live.OnChange(func(c *config.Config) {
		_ = handler.SetFilter(c.LogFilter) // it was read before
	})
	h := host.New(slog.New(handler).With(slog.String(logkey.Role, role)))
	h.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h, nil
}
