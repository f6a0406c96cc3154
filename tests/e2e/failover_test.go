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
