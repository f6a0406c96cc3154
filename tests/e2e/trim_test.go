package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

const (
	trimPartitions = 4
	// payloadBytes goes into the log twice with each call, as input and as output, and lies there with two copies.
	payloadBytes = 64 << 10
	// trimCalls is how many calls are made at a time.
	trimCalls = 600
)

// Three nodes of each kind take load, make snapshots and trim their logs: log-servers do not grow with what goes through them, and
// a worker whose stores were wiped comes back from snapshots and the rest of the logs, with nothing lost.
func TestSnapshotsAndTrims(t *testing.T) {
	if !strings.Contains(*formsFlag, "daemons") {
		t.Skip("it is about several processes")
	}
	f, err := harness.NewCluster(env.bins, env.ports, filepath.Join(env.dir, t.Name()), nil)
	ok(t, err)
	for _, p := range f.Processes {
		p.Set(fmt.Sprintf("RESTATE_DEFAULT_NUM_PARTITIONS=%d", trimPartitions), "RESTATE_WORKER__SNAPSHOTS__DESTINATION=file://"+filepath.Join(f.Dir, "bucket"),
			"RESTATE_WORKER__SNAPSHOTS__SNAPSHOT_INTERVAL=2s", "RESTATE_WORKER__TRIM_DELAY_INTERVAL=1s",
			"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=64MiB") // so that log-servers hold little in memtables and in Pebble's log
	}
	t.Cleanup(func() { ok(t, f.Stop()) })
	ok(t, f.Start(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	w := &callers{form: f}
	stop := w.start(t.Context(), 8)
	t.Cleanup(stop)
	pour(t, f, trimCalls)
	ok(t, w.progress(t.Context(), 100))
	allTrimmed(t, f)
	before := held(t, f)
	for range 3 {
		pour(t, f, trimCalls)
	}
	allTrimmed(t, f)
	after, poured := held(t, f), int64(4*trimCalls*2*2*payloadBytes)
	t.Logf("log-servers hold %d MiB, then %d MiB; %d MiB went through them", before>>20, after>>20, poured>>20)
	if after > poured/3 {
		t.Errorf("log-servers hold %d of %d bytes", after, poured)
	}
	n := newOperator(t, fabricOf(f.Processes[0]))
	n.run("snapshots create 0-1 -t", 0, "Snapshot created for partition 1: snap_1", "Log 1 is trimmed")
	n.run("logs trim 0 -y -t 1000000000", 1, "has applied")
	n.run("storage compact", 0, ` N\d+ +log-server +\d+ +\d+\n`, ` N\d+ +partition-store +\d+ +\d+\n`)

	wiped, err := f.Process("worker-1")
	ok(t, err)
	ok(t, wiped.Kill())
	stores, err := filepath.Glob(filepath.Join(f.Dir, wiped.Name, "*", "partitions"))
	ok(t, err)
	if len(stores) != 1 {
		t.Fatalf("stores of %s: %v", wiped.Name, stores)
	}
	ok(t, os.RemoveAll(stores[0]))
	ok(t, w.progress(t.Context(), 100))
	ok(t, wiped.Restart(t.Context()))
	n.await("it holds its share again, up to date", func() error {
		out := n.run("partitions list", 0)
		if up := strings.Count(out, " Active "); up != 2*trimPartitions {
			return fmt.Errorf("%d replicas are up to date: %s", up, out)
		}
		return nil
	})
	if n := sum(metric(t, wiped, "reprise_processor_restores_total")); n == 0 {
		t.Errorf("nothing was restored")
	}
	ok(t, w.progress(t.Context(), 100))
	stop()
	for _, err := range w.errs {
		t.Errorf("a client saw %v", err)
	}
}

// pour makes calls with large payloads.
func pour(t *testing.T, f *harness.Form, calls int) {
	t.Helper()
	text := strings.Repeat("x", payloadBytes)
	var next atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			c := harness.NewClient(f)
			defer c.Close()
			for next.Add(1) <= int64(calls) {
				var back string
				if err := c.Call(t.Context(), "Plain/echo", text, &back); err != nil || back != text {
					t.Errorf("echo: %d bytes, %v", len(back), err)
					return
				}
			}
		})
	}
	running.Wait()
}

// allTrimmed waits until the logs begin where they ended when it was called.
func allTrimmed(t *testing.T, f *harness.Form) {
	t.Helper()
	n := newOperator(t, fabricOf(f.Processes[0]))
	goal := map[string]float64{}
	for p, at := range positions(t, f, "reprise_processor_durable_lsn") {
		goal[p] = at
	}
	n.await("logs are trimmed", func() error {
		now := positions(t, f, "reprise_processor_trimmed_lsn")
		for p := range trimPartitions {
			if p := strconv.Itoa(p); now[p] < max(goal[p], 1) {
				return fmt.Errorf("log %s is trimmed up to %v of %v", p, now[p], goal[p])
			}
		}
		return nil
	})
}

// positions are the highest values of a metric at all workers, by partition.
func positions(t *testing.T, f *harness.Form, name string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, p := range f.Processes {
		if !strings.HasPrefix(p.Name, "worker") {
			continue
		}
		for labels, value := range metric(t, p, name) {
			_, rest, _ := strings.Cut(labels, `partition="`)
			partition, _, _ := strings.Cut(rest, `"`)
			all[partition] = max(all[partition], value)
		}
	}
	return all
}

// metric reads a metric of a process, by labels.
func metric(t *testing.T, p *harness.Process, name string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+fabricOf(p)+"/metrics", nil)
	ok(t, err)
	res, err := http.DefaultClient.Do(req)
	ok(t, err)
	defer func() { ok(t, res.Body.Close()) }()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if labels, is := strings.CutPrefix(series, name); is && !strings.HasPrefix(labels, "_") {
			v, err := strconv.ParseFloat(value, 64)
			ok(t, err)
			all[labels] = v
		}
	}
	ok(t, lines.Err())
	return all
}

func sum(all map[string]float64) (s float64) {
	for _, v := range all {
		s += v
	}
	return s
}

// held is how many bytes the log-servers hold.
func held(t *testing.T, f *harness.Form) (bytes int64) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(f.Dir, "log-server-*"))
	ok(t, err)
	for _, dir := range folders {
		bytes += sizeOf(dir)
	}
	return bytes
}

// sizeOf is how many bytes the files in a folder have.
func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // files come and go
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}
