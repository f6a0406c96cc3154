package telemetry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// goroutinesMax is up to how many goroutines each is shown with its stack; of more, equal ones are counted.
const goroutinesMax = 5000

// Bundle answers with what helps to understand a process from afar: a gzipped tar of its settings (secrets masked), the last lines
// of its log, metrics, goroutines and heap. One at a time.
type Bundle struct {
	Version  string
	Settings func(io.Writer) error // secrets masked
	Log      *Recent
	Host     host.Host

	busy sync.Mutex
}

// ServeHTTP answers.
func (b *Bundle) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if !b.busy.TryLock() {
		http.Error(w, "another bundle is being made: try again when it is done", http.StatusTooManyRequests)
		return
	}
	defer b.busy.Unlock()
	w.Header().Set("Content-Type", "application/gzip")
	if err := b.write(w); err != nil { // the client has gone, or sees a file that ends too early
		b.Host.Log.Warn("a debug bundle is not whole", slog.Any(logkey.Err, err))
		panic(http.ErrAbortHandler)
	}
}

func (b *Bundle) write(w io.Writer) error {
	zipped := gzip.NewWriter(w)
	files := tar.NewWriter(zipped)
	now := b.Host.Clock.Now()
	for _, f := range []struct {
		name string
		fill func(io.Writer) error
	}{
		{"about.txt", b.about},
		{"config.toml", b.Settings},
		{"log.txt", b.log},
		{"metrics.txt", b.metrics},
		{"goroutines.txt", goroutines},
		{"heap.pb.gz", heap},
	} {
		var buf bytes.Buffer
		if err := f.fill(&buf); err != nil {
			fmt.Fprintf(&buf, "\n%s is not whole: %s\n", f.name, err)
		}
		head := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o600, Size: int64(buf.Len()), ModTime: now}
		if err := files.WriteHeader(head); err != nil {
			return err
		}
		if _, err := buf.WriteTo(files); err != nil {
			return err
		}
	}
	return errors.Join(files.Close(), zipped.Close())
}

func (b *Bundle) about(w io.Writer) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, err := fmt.Fprintf(w, "version %s, %s, %s/%s\npid %d\nnow %s\ncores %d, GOMAXPROCS %d\ngoroutines %d\nheap in use %d bytes, from the system %d bytes, %d collections\n",
		b.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, os.Getpid(), b.Host.Clock.Now().UTC().Format(time.RFC3339Nano),
		runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.NumGoroutine(), m.HeapInuse, m.Sys, m.NumGC)
	return err
}

func (b *Bundle) log(w io.Writer) error {
	_, err := w.Write(b.Log.Lines())
	return err
}

func (b *Bundle) metrics(w io.Writer) error {
	families, errGather := prometheus.Gatherer(b.Host.Metrics).Gather() // what there is, is written
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return errors.Join(err, errGather)
		}
	}
	return errGather
}

func goroutines(w io.Writer) error {
	detail := 2
	if runtime.NumGoroutine() > goroutinesMax {
		detail = 1
	}
	return pprof.Lookup("goroutine").WriteTo(w, detail)
}

func heap(w io.Writer) error { return pprof.Lookup("heap").WriteTo(w, 0) }
