package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"reprise/pkg/config"
)

// Directives are about the packages that lines come from: this test is in pkg/telemetry.
func TestFilterKnowsWhereLinesComeFrom(t *testing.T) {
	for filter, want := range map[config.Filter]string{
		"warn,restate=info":                 "info warn error", // ours
		"error":                             "error",
		"off":                               "",
		"error,telemetry=debug":             "debug info warn error",
		"error,pkg/telemetry=debug":         "debug info warn error",
		"error,processor=debug":             "error",
		"debug,telemetry=warn":              "warn error",
		"error,restate=trace,telemetry=off": "",
	} {
		var b bytes.Buffer
		h, err := NewHandler(&b, config.Logging{LogFilter: filter, LogFormat: "compact"}, false)
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(h).With("role", "worker").WithGroup("g")
		for range 2 { // the place of a line is looked up once
			b.Reset()
			log.Debug("debug")
			log.Info("info")
			log.Warn("warn")
			log.Error("error")
		}
		var got []string
		for line := range strings.Lines(b.String()) {
			got = append(got, strings.Fields(line)[2])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", filter, got, want)
		}
	}
}
