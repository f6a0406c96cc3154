package telemetry_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/telemetry"
)

func TestRecentKeepsTheLastLines(t *testing.T) {
	var out strings.Builder
	r := telemetry.NewRecent(&out)
	line := func(i int) string { return fmt.Sprintf("line %06d %s\n", i, strings.Repeat("x", i%200)) }
	var all strings.Builder
	for i := range 20_000 {
		all.WriteString(line(i))
		if _, err := io.WriteString(r, line(i)); err != nil {
			t.Fatal(err)
		}
		if i == 10 && string(r.Lines()) != all.String() {
			t.Errorf("before it is full: %q", r.Lines())
		}
	}
	if out.String() != all.String() {
		t.Error("not all was passed on")
	}
	got := string(r.Lines())
	if !strings.HasSuffix(all.String(), got) || !strings.HasPrefix(got, "line ") || len(got) < 500<<10 || len(got) > 512<<10 {
		t.Errorf("%d bytes that begin with %.30q", len(got), got)
	}
	if _, err := r.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Lines()); n > 512<<10 {
		t.Errorf("%d bytes after a long line", n)
	}
}

// unpack returns the files of a bundle.
func unpack(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(text)
	}
}

func TestBundle(t *testing.T) {
	h := hosttest.New(hosttest.NewClock(), 1)
	h.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "things", Help: "x"}, func() float64 { return 7 }))
	recent := telemetry.NewRecent(io.Discard)
	if _, err := io.WriteString(recent, "it began\n"); err != nil {
		t.Fatal(err)
	}
	b := &telemetry.Bundle{Version: "1.2.3", Log: recent, Host: h, Settings: func(w io.Writer) error {
		_, err := io.WriteString(w, "a = 1\n")
		return errors.Join(err, errors.New("out of paper"))
	}}
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/debug/bundle", http.NoBody))
	got := unpack(t, rec.Body)
	for name, want := range map[string]string{
		"about.txt": "version 1.2.3, go1.", "config.toml": "a = 1\n\nconfig.toml is not whole: out of paper\n", "log.txt": "it began\n",
		"metrics.txt": "things 7\n", "goroutines.txt": "TestBundle", "heap.pb.gz": "\x1f\x8b",
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %.300q lacks %q", name, got[name], want)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d files", len(got))
	}
}

// A second one is refused while one is made.
func TestBundleOneAtATime(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	b := &telemetry.Bundle{Log: telemetry.NewRecent(io.Discard), Host: hosttest.New(hosttest.NewClock(), 1), Settings: func(io.Writer) error {
		close(inside)
		<-goOn
		return nil
	}}
	srv := httptest.NewServer(b)
	defer srv.Close()
	done := make(chan error)
	get := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			return nil, err
		}
		return http.DefaultClient.Do(req)
	}
	go func() { //nolint:forbidigo // one request beside another
		resp, err := get()
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		done <- err
	}()
	<-inside
	resp, err := get()
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d", resp.StatusCode)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
