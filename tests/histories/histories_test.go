package histories

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/fault"
	"reprise/tests/histories/workload"
)

var (
	timeFlag = flag.Duration("time", 15*time.Second, "how long faults befall the processes of each form; each comes at least once")
	binFlag  = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
	seedFlag = flag.Uint64("seed", 0, "seed of load and faults; 0: a new one")
)

// What clients see of objects, workflows and timers is right whatever befalls three nodes with all roles.
func TestNodes(t *testing.T) {
	check(t, harness.NewNodes)
}

// The same for three daemons each of metadata, log-servers and workers.
func TestCluster(t *testing.T) {
	check(t, func(b *harness.Binaries, ports *harness.Ports, dir string) (*harness.Form, error) {
		return harness.NewCluster(b, ports, dir, nil)
	})
}

func check(t *testing.T, maker func(*harness.Binaries, *harness.Ports, string) (*harness.Form, error)) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./tests/histories -run '^%s$' -time %s -seed %d", t.Name(), *timeFlag, seed)
	form := newForm(t, maker)
	w := workload.New(form, seed)
	endpoint, err := harness.Serve(w.Services()...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(form)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	stop := w.Start(t.Context())
	err = fault.Befall(t.Context(), fault.Plan{
		Form: form, Load: w, Random: rand.New(rand.NewPCG(seed, 0)), Faults: fault.Processes(form.Name), Time: *timeFlag, Log: t.Logf,
	})
	stop()
	ok(t, err)
	for _, err := range w.Check(t.Context(), t.Logf) {
		t.Error(err)
	}
}

func newForm(t *testing.T, maker func(*harness.Binaries, *harness.Ports, string) (*harness.Form, error)) *harness.Form {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-histories-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	form, err := maker(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "form"))
	ok(t, err)
	t.Cleanup(func() {
		if err := form.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("logs and data are kept in %s", dir)
			return
		}
		ok(t, os.RemoveAll(dir))
	})
	ok(t, form.Start(t.Context()))
	ok(t, form.WaitSettled(t.Context()))
	return form
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
