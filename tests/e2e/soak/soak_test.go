package soak

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

var (
	timeFlag = flag.Duration("time", 20*time.Second, "how long it takes; levels are checked from five minutes on")
	binFlag  = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
	outFlag  = flag.String("out", "", "folder for soak.svg, soak.csv and soak.txt; empty: they are not kept")
	sqlFlag  = flag.Bool("sql", true, "ask SQL, too; the programs need the tag duckdb_arrow")
	seedFlag = flag.Uint64("seed", 1, "seed of what clients ask for")
)

// levelTime is how long a run must be for its levels to mean something: caches fill, and the Go runtime collects at least every
// two minutes.
const levelTime = 5 * time.Minute

func TestMain(m *testing.M) {
	if at := os.Getenv(endpointEnv); at != "" {
		fmt.Fprintln(os.Stderr, serve(at))
		os.Exit(1)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// A run has two loads of the same kind, each followed by a quiet time. What the second one leaves is compared with what the first
// one left: a cache fills once, a leak grows with the time.
func TestSoak(t *testing.T) {
	total := *timeFlag
	warm, quiet := total/5, total/12
	if *outFlag != "" { // half an hour is too late to find out that it is not there
		ok(t, os.MkdirAll(*outFlag, 0o750))
	}
	form, endpoint := start(t)
	l, control := newLoad(form, *seedFlag), harness.NewClient(form)
	t.Cleanup(control.Close)
	r := newRecorder(form, max(time.Second/2, total/1200))
	stopRecorder := r.start(t.Context())
	f := &faults{form: form, endpoint: endpoint, record: r, pause: max(4*time.Second, total/40), log: t.Logf}

	work := func(phase string, lasts time.Duration) {
		r.phase(phase)
		ctx, cancel := context.WithTimeout(t.Context(), lasts)
		defer cancel()
		stop := l.start(t.Context())
		f.befall(ctx, l.fault)
		stop()
	}
	rest := func(phase string) {
		if err := form.WaitSettled(t.Context()); err != nil {
			l.fault(err)
		}
		r.phase(phase)
		select {
		case <-time.After(quiet):
		case <-t.Context().Done():
		}
	}
	work("load 1", warm)
	rest("quiet 1")
	work("load 2", total-warm-2*quiet)
	rest("quiet 2")
	r.phase("check")
	stopRecorder()

	for _, err := range l.faults {
		t.Error(err)
	}
	if err := l.check(t.Context(), control); err != nil {
		t.Error(err)
	}
	levels := r.levels("quiet 1", "quiet 2")
	summary := fmt.Sprintf("%s\n%s\n%s", l.summary(), f.summary(), table(levels))
	t.Log("\n" + summary)
	if *outFlag != "" {
		ok(t, r.write(*outFlag, summary))
	}
	if total < levelTime {
		return
	}
	for _, lv := range levels {
		if err := lv.returned(); err != nil {
			t.Error(err)
		}
	}
}

// start starts the daemons and the service.
func start(t *testing.T) (*harness.Form, *harness.Process) {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-soak-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	ports := harness.NewPorts(os.Getpid())
	form, err := harness.NewDaemons(bins, ports, filepath.Join(dir, "form"))
	ok(t, err)
	form.Partitions = partitions
	for _, p := range form.Processes {
		p.Set(settings...)
	}
	at, err := ports.Take()
	ok(t, err)
	program, err := os.Executable()
	ok(t, err)
	endpoint := harness.NewProcess(harness.Spec{
		Name: "service", Path: program, Dir: form.Dir, Addrs: []string{at}, Env: []string{endpointEnv + "=" + at},
	})
	t.Cleanup(func() {
		for _, err := range []error{form.Stop(), endpoint.Kill()} {
			if err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Logf("logs and data are kept in %s", dir)
			return
		}
		ok(t, os.RemoveAll(dir))
	})
	ok(t, form.Start(t.Context()))
	ok(t, form.WaitSettled(t.Context()))
	ok(t, endpoint.Start())
	ok(t, endpoint.WaitListening(t.Context()))
	c := harness.NewClient(form)
	defer c.Close()
	ok(t, c.Register(t.Context(), "http://"+at))
	return form, endpoint
}

const partitions = 8

// settings let caches reach their size, and what is retained its number, within the first load.
var settings = []string{
	fmt.Sprintf("RESTATE_DEFAULT_NUM_PARTITIONS=%d", partitions),
	"RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=256MiB",
	"RESTATE_WORKER__DURABILITY_MODE=replica-set-only", // logs are trimmed without an object store
	"RESTATE_WORKER__TRIM_DELAY_INTERVAL=10s",
	"RESTATE_WORKER__CLEANUP_INTERVAL=15s",
	"RESTATE_ENABLE_PPROF=true",
	// Dead is who is silent for 5 s, not for one: the machine may be busy with other things for half an hour. One that was killed is
	// missed at once, as before.
	"RESTATE_GOSSIP_FAILURE_THRESHOLD=50",
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
