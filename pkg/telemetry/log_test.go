package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/telemetry"
)

// A filter that cannot be read is refused with what there is.
func TestFilterThatIsNone(t *testing.T) {
	if _, err := telemetry.NewHandler(io.Discard, config.Logging{LogFilter: "loud"}, false); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "debug") {
		t.Errorf("loud: %v", err)
	}
}

// Lines of libraries that log through our handler are held against the directive without a target.
func TestFilterOfLibraries(t *testing.T) {
	var b bytes.Buffer
	h, err := telemetry.NewHandler(&b, config.Logging{LogFilter: "warn,restate=info", LogFormat: "compact"}, false)
	if err != nil {
		t.Fatal(err)
	}
	slog.NewLogLogger(h, slog.LevelInfo).Print("ours, by way of log")
	logger := slog.NewLogLogger(h, slog.LevelInfo)
	logger.Print("ours, too")
	logOfALibrary(logger)
	if got := b.String(); strings.Count(got, "ours") != 2 || strings.Contains(got, "superfluous") {
		t.Errorf("%s", got)
	}
}

// logOfALibrary has net/http write a line.
func logOfALibrary(l *log.Logger) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusOK)
	}))
	srv.Config.ErrorLog = l
	srv.Start()
	defer srv.Close()
	if resp, err := srv.Client().Get(srv.URL); err == nil {
		_ = resp.Body.Close() // only the line counts
	}
}

// A new filter holds for all loggers that there are.
func TestFilterIsLive(t *testing.T) {
	var b bytes.Buffer
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte("log-filter = \"warn\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	live, _, err := config.Open(config.Options{File: path, Hostname: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := telemetry.NewHost(live, "worker", &b, false)
	if err != nil {
		t.Fatal(err)
	}
	log := h.Log.With("a", "b")
	log.Info("before")
	if _, err := live.Take([]byte("log-filter = \"info\"\n")); err != nil {
		t.Fatal(err)
	}
	log.Info("after")
	if got := b.String(); strings.Contains(got, "before") || !strings.Contains(got, "after role=worker a=b") {
		t.Errorf("%q", got)
	}
}

// log-disable-ansi-codes: no colours, not even on a terminal.
func TestNoColours(t *testing.T) {
	for _, disable := range []bool{false, true} {
		var b bytes.Buffer
		h, err := telemetry.NewHandler(&b, config.Logging{LogFilter: "info", LogFormat: "pretty", LogDisableANSI: disable}, true)
		if err != nil {
			t.Fatal(err)
		}
		slog.New(h).Info("x")
		if strings.Contains(b.String(), "\x1b[") == disable {
			t.Errorf("%t: %q", disable, b.String())
		}
	}
}

// A line is one line, whatever is in it, and JSON can be read.
func TestLinesAreWhole(t *testing.T) {
	for _, format := range []string{"pretty", "compact", "json"} {
		var b bytes.Buffer
		h, err := telemetry.NewHandler(&b, config.Logging{LogFilter: "info", LogFormat: format}, false)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					slog.New(h).Info("several", "err", "one\ntwo \x1b[31m", "count", 1, "elapsed", 1500*time.Millisecond)
				}
			})
		}
		all.Wait()
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 400 || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: %d lines", format, len(lines))
		}
		for _, l := range lines {
			if format == "json" && !json.Valid([]byte(l)) || !strings.Contains(l, "several") || !strings.Contains(l, "1.5s") {
				t.Errorf("%s: %q", format, l)
			}
		}
	}
}
