package e2e

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// withoutAnswers is how many answers a dead worker is missed for: more than clients, so each of them got some from
// partitions that it led.
const withoutAnswers = 20 * clients

// A worker dies and stays away: the other one leads what it led, and takes what it missed when it is back. It then dies
// itself, and so on; now and then it is asked to stop, or hangs.
func TestFailover(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		if kind != "daemons" {
			t.Skip("one process: see TestCrash")
		}
		crash(t, newForm(t, kind), loseWorkers)
	})
}

// ends are the ways in which a worker goes.
var ends = []struct {
	name string
	end  func(*harness.Process) error
	back func(*testing.T, *harness.Process) error
}{
	{"kill -9", (*harness.Process).Kill, restart},
	{"SIGTERM", (*harness.Process).Stop, restart},
	{"SIGSTOP", func(p *harness.Process) error { return p.Signal(syscall.SIGSTOP) }, func(_ *testing.T, p *harness.Process) error {
		return p.Signal(syscall.SIGCONT)
	}},
}

func restart(t *testing.T, p *harness.Process) error { return p.Restart(t.Context()) }

// loseWorkers ends each worker kills times in each way.
func loseWorkers(t *testing.T, w *workload, random *rand.Rand) error {
	for round := range *killsFlag {
		for _, way := range ends {
			for _, name := range []string{"worker-1", "worker-2"} {
				what := fmt.Sprintf("%s %d of %s", way.name, round+1, name)
				p, err := w.form.Process(name)
				if err != nil {
					return err
				}
				if err := w.progress(t.Context(), withoutAnswers+random.IntN(answersMax)); err != nil {
					return fmt.Errorf("before %s: %w", what, err)
				}
				begin := time.Now()
				if err := way.end(p); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
				if err := w.progress(t.Context(), withoutAnswers); err != nil {
					return fmt.Errorf("after %s: %w", what, err)
				}
				took := time.Since(begin)
				if err := way.back(t, p); err != nil {
					return fmt.Errorf("back after %s: %w", what, err)
				}
				t.Logf("%s: %d answers without it after %s", what, withoutAnswers, took.Round(time.Millisecond))
			}
		}
	}
	return w.progress(t.Context(), withoutAnswers)
}

// A log-server hangs or dies: commits go on with the other two, and so do take-overs, one of which follows at once.
func TestLogServersFail(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		if kind != "daemons" {
			t.Skip("one process: see TestCrash")
		}
		crash(t, newForm(t, kind), loseLogServers)
	})
}

// loseLogServers ends each log-server in each way and, while it is away, kills a worker.
func loseLogServers(t *testing.T, w *workload, random *rand.Rand) error {
	for i, name := range []string{"log-server-1", "log-server-2", "log-server-3"} {
		for _, way := range ends {
			server, err := w.form.Process(name)
			if err != nil {
				return err
			}
			worker, err := w.form.Process(fmt.Sprintf("worker-%d", i%2+1))
			if err != nil {
				return err
			}
			if err := w.progress(t.Context(), withoutAnswers+random.IntN(answersMax)); err != nil {
				return fmt.Errorf("before %s of %s: %w", way.name, name, err)
			}
			begin := time.Now()
			if err := way.end(server); err != nil {
				return fmt.Errorf("%s of %s: %w", way.name, name, err)
			}
			if err := w.progress(t.Context(), withoutAnswers); err != nil {
				return fmt.Errorf("after %s of %s: %w", way.name, name, err)
			}
			alone := time.Since(begin)
			begin = time.Now()
			if err := worker.Kill(); err != nil {
				return err
			}
			if err := w.progress(t.Context(), withoutAnswers); err != nil {
				return fmt.Errorf("without %s and %s: %w", name, worker.Name, err)
			}
			t.Logf("%s of %s: %d answers without it after %s, without %s too after %s", way.name, name, withoutAnswers,
				alone.Round(time.Millisecond), worker.Name, time.Since(begin).Round(time.Millisecond))
			if err := worker.Restart(t.Context()); err != nil {
				return err
			}
			if err := way.back(t, server); err != nil {
				return fmt.Errorf("back after %s of %s: %w", way.name, name, err)
			}
		}
	}
	return w.progress(t.Context(), withoutAnswers)
}
