package histories

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/workload"
)

// fault is something that befalls one process, and what ends it.
type fault struct {
	name  string
	begin func(*harness.Process) error
	end   func(context.Context, *harness.Process) error
	of    []string      // processes
	least time.Duration // that it lasts
}

// hung is how long a process hangs at least: others lead what it led by then.
const hung = 2500 * time.Millisecond

func signal(s syscall.Signal) func(*harness.Process) error {
	return func(p *harness.Process) error { return p.Signal(s) }
}

func restart(ctx context.Context, p *harness.Process) error { return p.Restart(ctx) }

func wake(_ context.Context, p *harness.Process) error { return p.Signal(syscall.SIGCONT) }

var (
	workers    = []string{"worker-1", "worker-2"}
	logServers = []string{"log-server-1", "log-server-2", "log-server-3"}
	faults     = []fault{
		{"kill -9", (*harness.Process).Kill, restart, workers, 0},
		{"SIGTERM", (*harness.Process).Stop, restart, workers, 0},
		{"SIGSTOP", signal(syscall.SIGSTOP), wake, workers, hung},
		{"SIGSTOP", signal(syscall.SIGSTOP), wake, workers, hung}, // twice as often: what a leader says that wakes up is what may be stale
		{"kill -9", (*harness.Process).Kill, restart, logServers, 0},
		{"kill -9", (*harness.Process).Kill, restart, []string{"metadata"}, 0},
	}
)

// befall has one fault after the other befall a form until the time is over, in an order that random gives: each kind once
// before any comes again. In between, clients get on.
func befall(t *testing.T, form *harness.Form, w *workload.Load, random *rand.Rand) error {
	t.Helper()
	ctx, begin := t.Context(), time.Now()
	for {
		for _, i := range random.Perm(len(faults)) {
			f := faults[i]
			name := f.of[random.IntN(len(f.of))]
			what := f.name + " of " + name
			p, err := form.Process(name)
			if err != nil {
				return err
			}
			if err := w.Progress(ctx); err != nil {
				return fmt.Errorf("before %s: %w", what, err)
			}
			w.Slowest()
			if err := f.begin(p); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			for started := time.Now(); ; {
				if err := w.Progress(ctx); err != nil {
					return fmt.Errorf("after %s: %w", what, err)
				}
				if time.Since(started) > f.least {
					break
				}
			}
			if err := f.end(ctx, p); err != nil {
				return fmt.Errorf("the end of %s: %w", what, err)
			}
			if err := w.Progress(ctx); err != nil {
				return fmt.Errorf("after the end of %s: %w", what, err)
			}
			t.Logf("%s: the worst gap of a caller was %s", what, w.Slowest())
			if time.Since(begin) > *timeFlag {
				return nil
			}
		}
	}
}
