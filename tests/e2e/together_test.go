package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// together are the processes that are killed at the same time: more copies of the log than may be lost,
// all workers with those that place them, and everything.
var together = [][]string{
	{"log-server-1", "log-server-2"},
	{"log-server-1", "log-server-2", "log-server-3"},
	{"metadata", "worker-1", "worker-2"},
	{"metadata", "log-server-1", "log-server-2", "log-server-3", "worker-1", "worker-2", "ingress", "admin"},
}

// A power failure takes several processes at once. They come back with their disks: nothing is lost.
func TestCrashTogether(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		if kind != "daemons" {
			t.Skip("one process: see TestCrash")
		}
		crash(t, newForm(t, kind), killSets)
	})
}

// killSets kills each set of processes, a third as often as the other test kills each process.
func killSets(t *testing.T, w *workload, random *rand.Rand) error {
	for round := range (*killsFlag + 2) / 3 {
		for _, names := range together {
			set := make([]*harness.Process, len(names))
			for i, name := range names {
				p, err := w.form.Process(name)
				if err != nil {
					return err
				}
				set[i] = p
			}
			what := fmt.Sprintf("kill %d of %s", round+1, strings.Join(names, ", "))
			if err := w.progress(t.Context(), answersMin+random.IntN(answersMax-answersMin)); err != nil {
				return fmt.Errorf("before %s: %w", what, err)
			}
			begin := time.Now()
			if err := killTogether(set); err != nil {
				return err
			}
			for _, p := range set {
				if err := p.Start(); err != nil {
					return err
				}
			}
			for _, p := range set {
				if err := p.WaitReady(t.Context()); err != nil {
					return err
				}
			}
			ready := time.Since(begin)
			if err := w.progress(t.Context(), 1); err != nil {
				return fmt.Errorf("after %s: %w", what, err)
			}
			t.Logf("%s: ready after %s, next answer after %s", what, ready.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		}
	}
	return w.progress(t.Context(), answersMin)
}

// killTogether kills processes at the same time.
func killTogether(set []*harness.Process) error {
	failed := make([]error, len(set))
	var killers sync.WaitGroup
	for i, p := range set {
		killers.Go(func() { failed[i] = p.Kill() })
	}
	killers.Wait()
	return errors.Join(failed...)
}
