package soak

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"reprise/tests/e2e/harness"
)

// sample is what one process had at one time.
type sample struct {
	at         time.Duration // since the start
	phase      string
	process    string
	pid        int
	rss        float64 // bytes
	heap       float64 // bytes of objects, with those that are to be collected
	goroutines float64 // -1: the process has none
}

// queryProcess is the line of the processes that answer SQL for the admin daemon.
const queryProcess = "admin's query process"

// recorder looks at all daemons again and again.
type recorder struct {
	form  *harness.Form
	every time.Duration
	http  *http.Client
	began time.Time

	mu      sync.Mutex
	now     string // phase
	phases  []mark
	marks   []time.Duration // of faults
	samples []sample
}

// mark is where a phase begins.
type mark struct {
	name string
	at   time.Duration
}

func newRecorder(f *harness.Form, every time.Duration) *recorder {
	return &recorder{form: f, every: every, http: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}, began: time.Now()}
}

func (r *recorder) phase(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = name
	r.phases = append(r.phases, mark{name, time.Since(r.began)})
}

// mark notes that something befalls a process.
func (r *recorder) mark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, time.Since(r.began))
}

func (r *recorder) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(r.every)
		defer tick.Stop()
		for {
			for _, p := range r.form.Processes {
				r.look(ctx, p)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		r.http.CloseIdleConnections()
	}
}

// look looks at a process. One that is down, or starts, has no figures.
func (r *recorder) look(ctx context.Context, p *harness.Process) {
	pid := p.PID()
	if pid == 0 {
		return
	}
	s := sample{at: time.Since(r.began), process: p.Name, pid: pid, rss: resident(pid), goroutines: -1}
	var err error
	if s.heap, s.goroutines, err = r.scrape(ctx, p); err != nil || s.rss == 0 {
		return
	}
	r.add(s)
	if p.Name != "admin" {
		return
	}
	q := sample{at: s.at, process: queryProcess, goroutines: -1}
	for _, child := range children(pid) {
		q.pid = child
		q.rss += resident(child)
	}
	if q.rss > 0 {
		r.add(q)
	}
}

func (r *recorder) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.phase = r.now
	r.samples = append(r.samples, s)
}

// resident is the RSS of a process, 0 if it is gone.
func resident(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseFloat(f[1], 64)
	if err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize())
}

// children are the processes that a process started.
func children(pid int) (all []int) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread ended
		}
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// scrape reads two families of the metrics of a daemon.
func (r *recorder) scrape(ctx context.Context, p *harness.Process) (heap, goroutines float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addrs[0]+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	res, err := r.http.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	heap, goroutines = -1, -1
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		var to *float64
		switch {
		case strings.HasPrefix(line, "go_memstats_heap_alloc_bytes{"):
			to = &heap
		case strings.HasPrefix(line, "go_goroutines{"):
			to = &goroutines
		default:
			continue
		}
		if *to, err = strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err != nil {
			return 0, 0, err
		}
	}
	if err := lines.Err(); err != nil {
		return 0, 0, err
	}
	if heap < 0 || goroutines < 0 {
		return 0, 0, fmt.Errorf("%s shows no heap or goroutines: %s", p.Name, res.Status)
	}
	return heap, goroutines, nil
}

// write writes the graph, all samples and the summary.
func (r *recorder) write(dir, summary string) (err error) {
	if err := os.WriteFile(filepath.Join(dir, "soak.svg"), r.chart().SVG(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "soak.txt"), []byte(summary), 0o644); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "soak.csv"))
	if err != nil {
		return err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	out := csv.NewWriter(file)
	if err := out.Write([]string{"seconds", "phase", "process", "pid", "rss_bytes", "heap_bytes", "goroutines"}); err != nil {
		return err
	}
	for _, s := range r.samples {
		if err := out.Write([]string{
			strconv.FormatFloat(s.at.Seconds(), 'f', 1, 64), s.phase, s.process, strconv.Itoa(s.pid),
			strconv.FormatFloat(s.rss, 'f', 0, 64), strconv.FormatFloat(s.heap, 'f', 0, 64), strconv.FormatFloat(s.goroutines, 'f', 0, 64),
		}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// chart draws what was recorded.
func (r *recorder) chart() *Chart {
	c := &Chart{Panels: []Panel{{Title: "RSS, MiB"}, {Title: "Go heap, MiB"}, {Title: "goroutines"}}}
	for _, m := range r.marks {
		c.Ticks = append(c.Ticks, m.Minutes())
	}
	for i, p := range r.phases {
		if strings.HasPrefix(p.name, "quiet") {
			c.Bands = append(c.Bands, Band{Name: p.name, From: p.at.Minutes(), To: r.phases[i+1].at.Minutes()})
		}
	}
	at := map[string]int{}
	for _, s := range r.samples {
		i, ok := at[s.process]
		if !ok {
			i = len(c.Names)
			at[s.process] = i
			c.Names = append(c.Names, s.process)
			for k := range c.Panels {
				c.Panels[k].Lines = append(c.Panels[k].Lines, nil)
			}
		}
		x := s.at.Minutes()
		c.Panels[0].Lines[i] = append(c.Panels[0].Lines[i], Point{x, s.rss / mib})
		if s.goroutines >= 0 { // a Go process that we scrape
			c.Panels[1].Lines[i] = append(c.Panels[1].Lines[i], Point{x, s.heap / mib})
			c.Panels[2].Lines[i] = append(c.Panels[2].Lines[i], Point{x, s.goroutines})
		}
	}
	return c
}
