package memory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// figures are what a worker shows of its memory.
type figures struct {
	open   float64 // stores that are open
	led    float64
	budget float64 // of all stores
	share  float64 // of each
	listed float64 // stores that the budget was divided over
	held   float64 // new rows of all
	lag    float64 // the longest of a beat, in seconds
	over   float64 // flushes of stores above their share
}

const deathsTotal = "reprise_controller_deaths_total"

var families = map[string]func(f *figures, v float64){
	"restate_partition_store_num_open":              func(f *figures, v float64) { f.open += v },
	"restate_num_active_partition_leaders":          func(f *figures, v float64) { f.led += v },
	"reprise_memory_budget_bytes":                   func(f *figures, v float64) { f.budget += v },
	"restate_partition_store_memtable_budget_bytes": func(f *figures, v float64) { f.share += v },
	"reprise_memory_store_bytes":                    func(f *figures, v float64) { f.listed++; f.held += v },
	"reprise_membership_beat_lag_max_seconds":       func(f *figures, v float64) { f.lag = max(f.lag, v) },
	"restate_partition_store_reclaim_flush_total":   func(f *figures, v float64) { f.over += v },
}

// scraped is what a process showed last.
type scraped struct {
	asked time.Time
	figures
}

// watcher scrapes workers again and again, and looks at what their goroutines do.
type watcher struct {
	form    *harness.Form
	workers []*harness.Process
	http    *http.Client
	stop    func()
	ended   int // processes that the test has ended

	mu        sync.Mutex
	faults    []error
	last      map[*harness.Process]scraped
	looks     int                // scrapes
	opens     map[int]int        // scrapes by number of open stores
	beats     int                // stacks of beats that were seen
	divides   int                // stacks of the controller that divides memory
	lag, most map[string]float64 // by worker: the longest lag; the most new rows
	over      map[string]float64 // by worker and pid
}

const (
	// pause is how often it looks: metrics are gathered ten times a second at most.
	pause = 200 * time.Millisecond
	// looksOfStacks is how many looks there are for one at the goroutines, which costs more.
	looksOfStacks = 3
)

func watch(t *testing.T, f *harness.Form, workers []*harness.Process) *watcher {
	w := &watcher{
		form: f, workers: workers, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}},
		last: map[*harness.Process]scraped{}, opens: map[int]int{}, lag: map[string]float64{}, most: map[string]float64{}, over: map[string]float64{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, p := range workers {
		running.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				w.look(ctx, p)
				if n%looksOfStacks == 0 {
					w.stacks(ctx, p)
				}
				<-tick.C
			}
		})
	}
	w.stop = func() {
		cancel()
		running.Wait()
		w.http.CloseIdleConnections()
	}
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, fmt.Errorf(format, args...))
	}
}

// look checks that what each store may hold is its share of the budget. Those who come and go meanwhile are not asked.
func (w *watcher) look(ctx context.Context, p *harness.Process) {
	asked := time.Now()
	f, err := w.scrape(ctx, p)
	if err != nil {
		return // it is down, or not up yet
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[p] = scraped{asked, f}
	w.looks++
	w.opens[int(f.open)]++
	w.lag[p.Name] = max(w.lag[p.Name], f.lag)
	w.most[p.Name] = max(w.most[p.Name], f.held)
	life := fmt.Sprint(p.Name, p.PID())
	w.over[life] = max(w.over[life], f.over)
	if f.budget > budget || f.budget <= 0 {
		w.fault("%s divides %.0f bytes, of %d", p.Name, f.budget, budget)
	}
	if most := f.budget / max(f.listed, 1); f.share > most || f.share < most-1 {
		w.fault("%s gives %.0f bytes to each of %.0f stores, of %.0f", p.Name, f.share, f.listed, f.budget)
	}
}

// get reads a page of a process that runs, line by line.
func (w *watcher) get(ctx context.Context, p *harness.Process, path string, line func(string)) error {
	if p.PID() == 0 {
		return errors.New(p.Name + " is down")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addrs[0]+path, nil)
	if err != nil {
		return err
	}
	res, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s of %s: %s", path, p.Name, res.Status)
	}
	lines := bufio.NewReader(res.Body)
	for {
		s, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line(strings.TrimSuffix(s, "\n"))
	}
}

// values calls found for each series of a process.
func (w *watcher) values(ctx context.Context, p *harness.Process, found func(name string, v float64)) error {
	var bad error
	err := w.get(ctx, p, "/metrics", func(s string) {
		name, _, ok := strings.Cut(s, "{")
		if !ok || strings.HasPrefix(s, "#") {
			return
		}
		v, err := strconv.ParseFloat(s[strings.LastIndexByte(s, ' ')+1:], 64)
		if err != nil {
			bad = err
			return
		}
		found(name, v)
	})
	return errors.Join(err, bad)
}

func (w *watcher) scrape(ctx context.Context, p *harness.Process) (f figures, err error) {
	seen := 0
	err = w.values(ctx, p, func(name string, v float64) {
		if set := families[name]; set != nil {
			set(&f, v)
			seen++
		}
	})
	if err == nil && seen < len(families)-1 { // no store may be open
		err = fmt.Errorf("%s shows %d families", p.Name, seen)
	}
	return f, err
}

// stacks looks at all goroutines. That which beats does nothing for memory, and what divides memory is a goroutine of its own.
func (w *watcher) stacks(ctx context.Context, p *harness.Process) {
	var stack []string
	done := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.judge(p.Name, strings.Join(stack, "\n"))
		stack = nil
	}
	err := w.get(ctx, p, "/debug/pprof/goroutine?debug=1", func(s string) {
		if s == "" {
			done()
			return
		}
		stack = append(stack, s)
	})
	if err == nil {
		done()
	}
}

const (
	beatFrame   = "membership.(*Attendance).beat+"
	divideFrame = "memory.(*Controller).Run"
)

func (w *watcher) judge(process, stack string) {
	beats := strings.Contains(stack, beatFrame)
	if beats {
		w.beats++
	}
	if strings.Contains(stack, divideFrame) {
		w.divides++
	}
	for _, work := range []string{"reprise/pkg/memory.", "reprise/pkg/partitionstore.(*Store).Flush", "pebble/v2.(*DB).Flush", "pebble/v2.(*DB).AsyncFlush"} {
		if beats && strings.Contains(stack, work) {
			w.fault("%s: a beat waits for memory to be divided:\n%s", process, stack)
		}
	}
}

// shows returns what a worker was asked for after a time.
func (w *watcher) shows(p *harness.Process, since time.Time) (figures, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.last[p]
	if s.asked.Before(since) {
		return figures{}, errors.New(p.Name + " shows nothing")
	}
	return s.figures, nil
}

// held waits until each of the workers has that many stores open, and divides its budget over them.
func (w *watcher) held(ctx context.Context, workers []*harness.Process, n float64) error {
	since := time.Now()
	return harness.Wait(ctx, settle, "stores that are open", func(context.Context) error {
		for _, p := range workers {
			f, err := w.shows(p, since)
			if err != nil {
				return err
			}
			if f.open != n || f.listed != n {
				return fmt.Errorf("%s has %.0f open, and divides its memory over %.0f", p.Name, f.open, f.listed)
			}
		}
		return nil
	})
}

// together waits until all workers have that many stores open together, each has some, and each divides its budget over its own.
func (w *watcher) together(ctx context.Context, n int) error {
	since := time.Now()
	return harness.Wait(ctx, settle, fmt.Sprintf("%d stores that are open", n), func(context.Context) error {
		sum := 0.0
		for _, p := range w.workers {
			f, err := w.shows(p, since)
			if err != nil {
				return err
			}
			if f.open == 0 || f.listed != f.open {
				return fmt.Errorf("%s has %.0f open, and divides its memory over %.0f", p.Name, f.open, f.listed)
			}
			sum += f.open
		}
		if int(sum) != n {
			return fmt.Errorf("%.0f are open", sum)
		}
		return nil
	})
}

// leads waits until a worker leads that many partitions.
func (w *watcher) leads(ctx context.Context, p *harness.Process, n float64) error {
	since := time.Now()
	return harness.Wait(ctx, settle, p.Name+" leads", func(context.Context) error {
		f, err := w.shows(p, since)
		if err == nil && f.led != n {
			err = fmt.Errorf("it leads %.0f", f.led)
		}
		return err
	})
}

// missed waits until the metadata daemon knows that who was ended is dead.
func (w *watcher) missed(ctx context.Context) error {
	p, err := w.form.Process("metadata")
	if err != nil {
		return err
	}
	return harness.Wait(ctx, settle, "who was ended is dead", func(ctx context.Context) error {
		n := 0.0
		if err := w.values(ctx, p, func(name string, v float64) {
			if name == deathsTotal {
				n += v
			}
		}); err != nil {
			return err
		}
		if int(n) != w.ended {
			return fmt.Errorf("%.0f died, %d were ended", n, w.ended)
		}
		return nil
	})
}

// check reports what was seen. It must have been enough to mean something.
func (w *watcher) check(t *testing.T) {
	t.Helper()
	for _, err := range w.faults {
		t.Error(err)
	}
	if w.beats == 0 || w.divides == 0 {
		t.Errorf("of the goroutines, %d stacks of beats and %d of the memory controller were seen", w.beats, w.divides)
	}
	if w.opens[partitions] == 0 || w.opens[partitions] == w.looks {
		t.Errorf("the number of open stores did not change: %v", w.opens)
	}
	over := 0.0
	for _, n := range w.over {
		over += n
	}
	for _, p := range w.workers {
		t.Logf("%s: the longest lag of a beat was %.1f ms (goal: under 100 ms); %.1f MiB of new rows at most, of %d MiB", p.Name, 1000*w.lag[p.Name], w.most[p.Name]/(1<<20), budget>>20)
	}
	t.Logf("%d looks with %d numbers of open stores, %d stacks of beats, %d of the memory controller; %.0f flushes of stores above their share", w.looks, len(w.opens), w.beats, w.divides, over)
}
