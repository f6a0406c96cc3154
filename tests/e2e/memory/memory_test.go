package memory

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

var (
	roundsFlag = flag.Int("rounds", 1, "how often each worker goes: one is killed, the other stopped, and the next time the other way round")
	binFlag    = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
)

const (
	partitions = 64
	// budget is a worker's memory for new rows: so little that stores are over their share under load.
	budget = 32 << 20
	// settle is how long all partitions may take to be held, or led, as they should.
	settle = 2 * time.Minute
)

var settings = []string{
	fmt.Sprintf("RESTATE_DEFAULT_NUM_PARTITIONS=%d", partitions),
	fmt.Sprintf("RESTATE_WORKER__STORAGE__ROCKSDB_MEMORY_BUDGET=%d", budget),
	// Dead is who is silent for 5 s, not for one: the machine that tests share may hold a process up for long, and how late beats
	// are is reported. One that was killed is missed at once, as before.
	"RESTATE_GOSSIP_FAILURE_THRESHOLD=50",
	"RESTATE_DEFAULT_REPLICATION={node: 1}", // at first
	"RESTATE_ENABLE_PPROF=true",
}

func TestPartitionsFailOver(t *testing.T) {
	f := start(t)
	l := newLoad(f)
	endpoint, err := harness.Serve(l.service())
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))
	var both [2]*harness.Process
	for i := range both {
		both[i], err = f.Process(fmt.Sprintf("worker-%d", i+1))
		ok(t, err)
	}

	w := watch(t, f, both[:])
	stop := l.start(t.Context())
	failed := rounds(t, w, l, both)
	stop()
	w.stop()
	ok(t, failed)
	ok(t, l.check(t.Context(), control))
	w.check(t)
	deaths(t, f, w, both)
}

// rounds has each partition be held by one worker and then by both, and each worker go, killed in one round and stopped in the next.
func rounds(t *testing.T, w *watcher, l *load, both [2]*harness.Process) error {
	ctx := t.Context()
	if err := w.together(ctx, partitions); err != nil {
		return err
	}
	if err := l.progress(ctx); err != nil {
		return err
	}
	if err := w.form.Control(ctx, nil, "config", "set", "-y", "--partition-replication", "2"); err != nil {
		return err
	}
	if err := w.held(ctx, both[:], partitions); err != nil {
		return err
	}
	ways := []func(*harness.Process) error{(*harness.Process).Kill, (*harness.Process).Stop}
	for round := range *roundsFlag {
		for i, gone := range both {
			if err := l.progress(ctx); err != nil {
				return err
			}
			if err := ways[(round+i)%len(ways)](gone); err != nil {
				return err
			}
			w.ended++
			if err := w.leads(ctx, both[1-i], partitions); err != nil {
				return err
			}
			if err := w.missed(ctx); err != nil { // before it is back
				return err
			}
			if err := l.progress(ctx); err != nil {
				return err
			}
			if err := gone.Restart(ctx); err != nil {
				return err
			}
			if err := w.held(ctx, both[:], partitions); err != nil {
				return fmt.Errorf("%s is back: %w", gone.Name, err)
			}
		}
	}
	return nil
}

// declared is what the metadata daemon says of one that it declares dead.
var declared = regexp.MustCompile(`a process is dead.*peer=(N\d+):\d+`)

// deaths checks that those were declared dead who were ended, each time once.
func deaths(t *testing.T, f *harness.Form, w *watcher, both [2]*harness.Process) {
	t.Helper()
	var nodes []struct{ Node, Name string }
	ok(t, f.Control(t.Context(), &nodes, "nodes", "list"))
	names := map[string]string{}
	for _, n := range nodes {
		names[n.Node] = n.Name
	}
	text, err := os.ReadFile(filepath.Join(f.Dir, "metadata.log"))
	ok(t, err)
	dead := map[string]int{}
	for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
		dead[names[m[1]]]++
	}
	for _, p := range both {
		if each := w.ended / 2; dead[p.Name] != each {
			t.Errorf("%s was declared dead %d times, and ended %d times", p.Name, dead[p.Name], each)
		}
		delete(dead, p.Name)
	}
	if len(dead) > 0 {
		t.Errorf("declared dead were %v, whom nobody had ended", dead)
	}
}

func start(t *testing.T) *harness.Form {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-memory-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	f, err := harness.NewDaemons(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "form"))
	ok(t, err)
	for _, p := range f.Processes {
		p.Set(settings...)
	}
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
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	ok(t, f.Start(ctx))
	return f
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
