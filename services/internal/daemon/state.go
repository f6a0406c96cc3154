package daemon

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"syscall"

	dto "github.com/prometheus/client_model/go"

	"reprise/pkg/config"
	"reprise/pkg/logkey"
)

// dump does what a signal asks for: SIGUSR1 writes the effective configuration and the state of the memory, SIGUSR2 the stacks of
// all goroutines.
func (d *Daemon) dump(w io.Writer, s os.Signal, mem memoryBounds) {
	var b bytes.Buffer // written at once, so that no line of the log comes between
	var err error
	if s == syscall.SIGUSR2 {
		err = pprof.Lookup("goroutine").WriteTo(&b, 1)
	} else {
		err = d.state(&b, mem)
	}
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	if err != nil {
		d.Host.Log.Warn("state asked for by a signal", slog.Any(logkey.Err, err))
	}
}

// state writes a TOML document: settings, and comments.
func (d *Daemon) state(w *bytes.Buffer, mem memoryBounds) error {
	cfg := d.Live.Current()
	fmt.Fprintf(w, "# reprise-%s %s, node %s: effective configuration\n", d.Role, Version, cfg.NodeName)
	if err := cfg.Dump(w); err != nil {
		return err
	}
	fmt.Fprint(w, "\n# state of the memory\n")
	if mem.limit > 0 {
		fmt.Fprintf(w, "# limit of the cgroup: %s\n", config.Bytes(mem.limit))
	}
	if used, ok := memoryUsed(mem.root); ok {
		fmt.Fprintf(w, "# used by the cgroup: %s\n", config.Bytes(used))
	}
	writeHeap(w)
	m := cfg.Memory()
	for _, part := range []struct {
		name  string
		bytes int64
	}{
		{"stores, in total (rocksdb-total-memory-size)", int64(cfg.MemoryTotal)}, {"block cache", m.BlockCache},
		{"memtables of partitions (worker.storage)", m.WorkerMemtables}, {"memtables of the log (log-server)", m.LogServerMemtables},
		{"messages of attempts (worker.invoker.memory-limit)", int64(cfg.Worker.Invoker.MemoryBytes)}, {"SQL (admin.query-engine.memory-size)", int64(cfg.Admin.QueryEngine.MemoryBytes)},
	} {
		fmt.Fprintf(w, "# budget of %s: %s\n", part.name, config.Bytes(part.bytes))
	}
	families, err := d.Host.Metrics.Gather()
	for _, f := range families {
		if n := f.GetName(); (strings.Contains(n, "memory") || strings.Contains(n, "memtable_budget")) && !strings.Contains(n, "virtual") && f.GetType() == dto.MetricType_GAUGE {
			writeGauge(w, f)
		}
	}
	return err
}

func writeHeap(w *bytes.Buffer) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	size := func(i int) config.Bytes { return config.Bytes(samples[i].Value.Uint64()) }
	limit := "none"
	if n := debug.SetMemoryLimit(-1); n < unlimited {
		limit = config.Bytes(n).String()
	}
	fmt.Fprintf(w, "# Go heap: limit %s, objects %s, of the system %s\n", limit, size(1), size(0)-size(2))
}

func writeGauge(w *bytes.Buffer, f *dto.MetricFamily) {
	for _, m := range f.GetMetric() {
		labels := make([]string, len(m.GetLabel()))
		for i, l := range m.GetLabel() {
			labels[i] = fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
		}
		fmt.Fprintf(w, "# %s{%s} %s\n", f.GetName(), strings.Join(labels, ","), config.Bytes(m.GetGauge().GetValue()))
	}
}
