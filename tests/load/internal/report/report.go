// Package report holds results and renders them.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"reprise/tests/load/internal/procfs"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is in milliseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P75  float64 `json:"p75"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// FromHist converts a histogram of microseconds.
func FromHist(h *hdrhistogram.Histogram) Latency {
	q := func(p float64) float64 { return float64(h.ValueAtQuantile(p)) / 1000 }
	return Latency{Mean: h.Mean() / 1000, P50: q(50), P75: q(75), P90: q(90), P99: q(99), P999: q(99.9), Max: float64(h.Max()) / 1000}
}

// Proc is what one party (server, services, load generator) used during a run.
type Proc struct {
	CPUSeconds      float64 `json:"cpu_s"`
	UserSeconds     float64 `json:"user_s"`
	SystemSeconds   float64 `json:"system_s"`
	CPUMicrosPerOp  float64 `json:"cpu_us_per_op"`
	RSSStart        uint64  `json:"rss_start"`
	RSSEnd          uint64  `json:"rss_end"`
	RSSPeak         uint64  `json:"rss_peak"`
	DiskWriteBytes  uint64  `json:"disk_write_bytes"`
	WriteCallsPerOp float64 `json:"write_calls_per_op"`
	SwitchesPerOp   float64 `json:"switches_per_op"`
	Processes       int     `json:"processes"`
}

// Result is one scenario run once.
type Result struct {
	Scenario       string             `json:"scenario"`
	Label          string             `json:"label,omitempty"`
	Round          int                `json:"round,omitempty"`
	At             time.Time          `json:"at"`
	Proto          string             `json:"proto,omitempty"`
	Concurrency    int                `json:"concurrency,omitempty"`
	Rate           float64            `json:"rate,omitempty"`
	Seconds        float64            `json:"seconds"`
	Ops            int64              `json:"ops"`
	Errors         int64              `json:"errors"`
	Retries        int64              `json:"retries,omitempty"`
	FirstError     string             `json:"first_error,omitempty"`
	OpsPerSec      float64            `json:"ops_per_s"`
	ActionsPerOp   int                `json:"actions_per_op,omitempty"`
	ActionsPerSec  float64            `json:"actions_per_s,omitempty"`
	Latency        *Latency           `json:"latency_ms,omitempty"`
	Server         *Proc              `json:"server,omitempty"`
	Services       *Proc              `json:"services,omitempty"`
	LoadGen        *Proc              `json:"load_generator,omitempty"`
	Disk           procfs.Disk        `json:"disk"`
	FlushesPerOp   float64            `json:"flushes_per_op,omitempty"`
	MachineBusy    float64            `json:"machine_busy_share"`
	MachineForeign float64            `json:"machine_foreign_share"` // CPU used by none of the parties
	Load1Before    float64            `json:"load1_before"`
	Load1After     float64            `json:"load1_after"`
	Extra          map[string]float64 `json:"extra,omitempty"`
	Notes          []string           `json:"notes,omitempty"`
}

// File is what is stored.
type File struct {
	Label   string    `json:"label"`
	At      time.Time `json:"at"`
	Results []Result  `json:"results"`
}

// Write stores results as JSON.
func Write(path, label string, rs []Result) error {
	b, err := json.MarshalIndent(File{Label: label, At: time.Now(), Results: rs}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Read loads stored results.
func Read(path string) (File, error) {
	var f File
	b, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(b, &f)
}

// Markdown writes a table of results and, below it, their extra values.
func Markdown(w io.Writer, rs []Result) {
	fmt.Fprintln(w, "| scenario | conc/rate | req/s | actions/s | p50 ms | p75 | p90 | p99 | p99.9 | max | err | server CPU µs/op | services CPU µs/op | load CPU µs/op | server RSS peak MiB | disk KiB/op | flushes/op | busy % | foreign % | load1 |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rs {
		l := Latency{}
		if r.Latency != nil {
			l = *r.Latency
		}
		conc := fmt.Sprint(r.Concurrency)
		if r.Rate > 0 {
			conc = fmt.Sprintf("%g/s", r.Rate)
		}
		name := r.Scenario
		if r.Label != "" {
			name = r.Label + " " + name
		}
		cpu := func(p *Proc) string {
			if p == nil {
				return "-"
			}
			return num(p.CPUMicrosPerOp)
		}
		rss, disk := "-", "-"
		if r.Server != nil {
			rss = num(float64(r.Server.RSSPeak) / (1 << 20))
			if r.Ops > 0 {
				disk = num(float64(r.Server.DiskWriteBytes) / 1024 / float64(r.Ops))
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s→%s |\n",
			name, conc, num(r.OpsPerSec), num(r.ActionsPerSec), num(l.P50), num(l.P75), num(l.P90), num(l.P99), num(l.P999), num(l.Max), r.Errors,
			cpu(r.Server), cpu(r.Services), cpu(r.LoadGen), rss, disk, num(r.FlushesPerOp), num(100*r.MachineBusy), num(100*r.MachineForeign), num(r.Load1Before), num(r.Load1After))
	}
	for _, r := range rs {
		if len(r.Extra) == 0 && len(r.Notes) == 0 && r.FirstError == "" {
			continue
		}
		fmt.Fprintf(w, "\n%s %s:", r.Label, r.Scenario)
		keys := make([]string, 0, len(r.Extra))
		for k := range r.Extra {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for i, k := range keys {
			sep := ";"
			if i == 0 {
				sep = ""
			}
			fmt.Fprintf(w, "%s %s = %s", sep, k, num(r.Extra[k]))
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "; %s", n)
		}
		if r.FirstError != "" {
			fmt.Fprintf(w, "; first error: %s", r.FirstError)
		}
		fmt.Fprintln(w)
	}
}

func num(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0 || math.IsNaN(v):
		return "0"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// metric is one comparable number of a result; higher tells which way is better.
type metric struct {
	name   string
	higher bool
	get    func(Result) float64
}

func metrics() []metric {
	lat := func(f func(Latency) float64) func(Result) float64 {
		return func(r Result) float64 {
			if r.Latency == nil {
				return 0
			}
			return f(*r.Latency)
		}
	}
	srv := func(f func(Proc) float64) func(Result) float64 {
		return func(r Result) float64 {
			if r.Server == nil {
				return 0
			}
			return f(*r.Server)
		}
	}
	return []metric{
		{"req/s", true, func(r Result) float64 { return r.OpsPerSec }},
		{"p50 ms", false, lat(func(l Latency) float64 { return l.P50 })},
		{"p90 ms", false, lat(func(l Latency) float64 { return l.P90 })},
		{"p99 ms", false, lat(func(l Latency) float64 { return l.P99 })},
		{"p99.9 ms", false, lat(func(l Latency) float64 { return l.P999 })},
		{"server CPU µs/op", false, srv(func(p Proc) float64 { return p.CPUMicrosPerOp })},
		{"server RSS peak MiB", false, srv(func(p Proc) float64 { return float64(p.RSSPeak) / (1 << 20) })},
		{"server disk B/op", false, func(r Result) float64 {
			if r.Server == nil || r.Ops == 0 {
				return 0
			}
			return float64(r.Server.DiskWriteBytes) / float64(r.Ops)
		}},
	}
}

// sizes are extra values that say how large a run was, not how good.
var sizes = map[string]bool{"n": true, "requests": true, "effects": true, "entries": true, "entries_each": true,
	"journals": true, "journal_bytes_total_mib": true, "wake_completed": true}

// Compare writes, per scenario, the medians of both sides and the factor by
// which the first is better than the second (above 1: better).
func Compare(w io.Writer, nameA, nameB string, a, b []Result) {
	fmt.Fprintf(w, "Medians over all rounds; factor is by how much %s is better than %s (above 1: better).\n\n", nameA, nameB)
	fmt.Fprintf(w, "| scenario | metric | %s | %s | factor |\n|---|---|---|---|---|\n", nameA, nameB)
	byKey := func(rs []Result) (map[string][]Result, []string) {
		m := map[string][]Result{}
		var order []string
		for _, r := range rs {
			k := r.Scenario
			if r.Rate > 0 {
				k += fmt.Sprintf(" @%g/s", r.Rate)
			} else if r.Concurrency > 0 {
				k += fmt.Sprintf(" c%d", r.Concurrency)
			}
			if _, ok := m[k]; !ok {
				order = append(order, k)
			}
			m[k] = append(m[k], r)
		}
		return m, order
	}
	ma, order := byKey(a)
	mb, _ := byKey(b)
	for _, k := range order {
		if len(mb[k]) == 0 {
			continue
		}
		row := func(name string, higher bool, get func(Result) float64) {
			va, vb := med(ma[k], get), med(mb[k], get)
			if va == 0 && vb == 0 {
				return
			}
			factor := vb / va
			if higher {
				factor = va / vb
			}
			fs := "-"
			if !math.IsNaN(factor) && !math.IsInf(factor, 0) {
				fs = fmt.Sprintf("%.2f", factor)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", k, name, num(va), num(vb), fs)
		}
		for _, m := range metrics() {
			row(m.name, m.higher, m.get)
		}
		keys := map[string]bool{}
		for _, r := range append(slices.Clone(ma[k]), mb[k]...) {
			for e := range r.Extra {
				if !sizes[e] && !strings.HasSuffix(e, "_bytes") {
					keys[e] = true
				}
			}
		}
		sorted := make([]string, 0, len(keys))
		for e := range keys {
			sorted = append(sorted, e)
		}
		sort.Strings(sorted)
		for _, e := range sorted {
			row(e, strings.HasSuffix(e, "_per_s") || strings.HasSuffix(e, "_ok"), func(r Result) float64 { return r.Extra[e] })
		}
		row("errors", false, func(r Result) float64 { return float64(r.Errors) })
	}
}

func med(rs []Result, get func(Result) float64) float64 {
	vs := make([]float64, 0, len(rs))
	for _, r := range rs {
		vs = append(vs, get(r))
	}
	return Median(vs)
}

// Median of values; 0 of none.
func Median(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Clone(vs)
	slices.Sort(vs)
	n := len(vs)
	if n%2 == 1 {
		return vs[n/2]
	}
	return (vs[n/2-1] + vs[n/2]) / 2
}
