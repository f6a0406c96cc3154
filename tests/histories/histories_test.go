package histories

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/workload"
)

var (
	timeFlag = flag.Duration("time", 15*time.Second, "how long faults befall the processes")
	binFlag  = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
	seedFlag = flag.Uint64("seed", 0, "seed of load and faults; 0: a new one")
)

// What clients see of objects, workflows and timers is right whatever befalls the processes.
func TestHistories(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./tests/histories -run '^%s$' -time %s -seed %d", t.Name(), *timeFlag, seed)
	form := newForm(t)
	w := workload.New(form, seed)
	endpoint, err := harness.Serve(w.Services()...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(form)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	stop := w.Start(t.Context())
	err = befall(t, form, w, rand.New(rand.NewPCG(seed, 0)))
	stop()
	ok(t, err)
	for _, err := range w.Check(t.Context(), t.Logf) {
		t.Error(err)
	}
}

func newForm(t *testing.T) *harness.Form {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-histories-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	form, err := harness.NewDaemons(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "daemons"))
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
	return form
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
