package failover

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

var (
	killsFlag = flag.Int("kills", 1, "how often the busiest process goes in each way")
	waysFlag  = flag.String("ways", "", "only those whose names match this regular expression")
	binFlag   = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
)

// way is how a process goes and comes back. The goals are those of docs/reliability.md, of the median and of the worst.
type way struct {
	name  string
	begin func(*harness.Process) error
	end   func(context.Context, *harness.Process) error
	goals map[string]string
}

func restart(ctx context.Context, p *harness.Process) error { return p.Restart(ctx) }

var ways = []way{
	{"kill -9", (*harness.Process).Kill, restart, map[string]string{"nodes": "p50 0.6 s, p99 1 s", "daemons": "0.25 s"}},
	{
		"SIGSTOP",
		func(p *harness.Process) error { return p.Signal(syscall.SIGSTOP) },
		func(_ context.Context, p *harness.Process) error { return p.Signal(syscall.SIGCONT) },
		map[string]string{"nodes": "1.5 s", "daemons": "1.5 s"},
	},
	{"SIGTERM", (*harness.Process).Stop, restart, map[string]string{"nodes": "0.3 s", "daemons": "0.3 s"}},
}

// Of three nodes with all roles, the one that leads most partitions goes.
func TestNodes(t *testing.T) {
	measure(t, harness.NewNodes)
}

// Of two workers, the one that leads most partitions goes. Nothing else does.
func TestWorkers(t *testing.T) {
	measure(t, harness.NewDaemons)
}

func measure(t *testing.T, form func(*harness.Binaries, *harness.Ports, string) (*harness.Form, error)) {
	t.Helper()
	f := start(t, form)
	l := newLoad(f)
	endpoint, err := harness.Serve(l.service())
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	stop := l.start(t.Context())
	gaps, failed := lose(t, f, l)
	stop()
	ok(t, failed)
	for _, w := range ways {
		if len(gaps[w.name]) == 0 {
			continue // it was not asked for
		}
		report(t, f.Name, w, gaps[w.name])
	}
	for _, err := range l.faults {
		t.Error(err)
	}
	ok(t, l.check(t.Context(), control))
}

// lose has the busiest process go again and again, and returns the worst gap of any caller for each time.
func lose(t *testing.T, f *harness.Form, l *load) (map[string][]time.Duration, error) {
	ctx, gaps := t.Context(), map[string][]time.Duration{}
	chosen, err := regexp.Compile(*waysFlag)
	if err != nil {
		return nil, err
	}
	for round := range *killsFlag {
		for _, w := range ways {
			if !chosen.MatchString(w.name) {
				continue
			}
			if err := f.WaitSettled(ctx); err != nil {
				return nil, err
			}
			if err := l.progress(ctx, l.answersOf()); err != nil {
				return nil, fmt.Errorf("before %s %d: %w", w.name, round+1, err)
			}
			p, leads, err := f.Busiest(ctx)
			if err != nil {
				return nil, err
			}
			quiet := l.worst() // since the last one came back
			l.forget(p)
			before, at := l.answersOf(), time.Now()
			if err := w.begin(p); err != nil {
				return nil, fmt.Errorf("%s of %s: %w", w.name, p.Name, err)
			}
			l.shut(p)
			if err := l.progress(ctx, before); err != nil {
				return nil, fmt.Errorf("after %s %d of %s: %w", w.name, round+1, p.Name, err)
			}
			gap := l.worst()
			gaps[w.name] = append(gaps[w.name], gap)
			t.Logf("%s %s %d of %s, which led %d: the worst gap was %s, after %s without a fault", at.UTC().Format("15:04:05.000"), w.name, round+1, p.Name, leads,
				gap.Round(time.Millisecond), quiet.Round(time.Millisecond))
			if err := w.end(ctx, p); err != nil {
				return nil, fmt.Errorf("back after %s %d of %s: %w", w.name, round+1, p.Name, err)
			}
			l.open(p)
			l.forget(p)
		}
	}
	return gaps, nil
}

// report logs what the gaps of a way were. The goals are for a quiet machine: nothing fails here for being slow.
func report(t *testing.T, form string, w way, gaps []time.Duration) {
	slices.Sort(gaps)
	rank := func(share float64) time.Duration {
		return gaps[max(0, int(math.Ceil(share*float64(len(gaps))))-1)].Round(time.Millisecond)
	}
	t.Logf("%s of the busiest of the %s form, %d times: p50 %s, p99 %s, worst %s (goal %s)",
		w.name, form, len(gaps), rank(0.5), rank(0.99), rank(1), w.goals[form])
}

func start(t *testing.T, form func(*harness.Binaries, *harness.Ports, string) (*harness.Form, error)) *harness.Form {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-failover-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	f, err := form(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "form"))
	ok(t, err)
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("logs and data are kept in %s", dir)
			return
		}
		ok(t, os.RemoveAll(dir))
	})
	ok(t, f.Start(t.Context()))
	return f
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
