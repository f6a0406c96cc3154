package e2e

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// beforeClusters is the last commit before clusters: the previous release, until there is a tag.
const beforeClusters = "a63fa6430822"

var upgradeFlag = flag.String("upgrade-from", "", "commit from whose binaries TestUpgrade begins, such as "+beforeClusters+"; it takes minutes")

// A cluster of an older release becomes one of this release, process by process in a random order, under load: no client sees
// an error, nothing is lost or done twice. Then its partitions are raised to the version of this release, and the older
// one is refused.
func TestUpgrade(t *testing.T) {
	if *upgradeFlag == "" {
		t.Skip("make test-long runs it, with -upgrade-from " + beforeClusters)
	}
	dir := filepath.Join(env.dir, t.Name())
	old, err := harness.BuildAt(t.Context(), *upgradeFlag, filepath.Join(dir, "bin"), "metadata", "log-server", "worker", "ingress", "admin")
	if errors.Is(err, harness.ErrNoCommit) {
		t.Skipf("%s: %v", *upgradeFlag, err)
	}
	ok(t, err)
	form, err := harness.NewCluster(old, env.ports, filepath.Join(dir, "cluster"), nil)
	ok(t, err)
	t.Cleanup(func() {
		if err := form.Stop(); err != nil {
			t.Error(err)
		}
	})
	ok(t, form.Start(t.Context()))
	underLoad(t, form, true, upgrade)
}

// upgrade replaces the program of each process.
func upgrade(t *testing.T, w *workload, random *rand.Rand) error {
	t.Helper()
	for _, i := range random.Perm(len(w.form.Processes)) {
		p := w.form.Processes[i]
		if err := w.progress(t.Context(), withoutAnswers); err != nil {
			return fmt.Errorf("before %s: %w", p.Name, err)
		}
		begin := time.Now()
		if err := p.Stop(); err != nil {
			return err
		}
		p.Use(env.bins.Path("reprise-" + strings.TrimRight(p.Name, "-0123456789")))
		if err := p.Restart(t.Context()); err != nil {
			return err
		}
		if err := w.progress(t.Context(), withoutAnswers); err != nil {
			return fmt.Errorf("after %s: %w", p.Name, err)
		}
		t.Logf("%s is upgraded, and %d calls are answered, after %s", p.Name, withoutAnswers, time.Since(begin).Round(time.Millisecond))
	}
	newOperator(t, fabricOf(w.form.Processes[0])).waits("metadata get -k cluster", 0, `"partition_version": 1`)
	return w.progress(t.Context(), withoutAnswers)
}
