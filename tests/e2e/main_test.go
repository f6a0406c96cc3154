package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

var (
	formsFlag      = flag.String("forms", "standalone,daemons", "forms of the product to test")
	standaloneFlag = flag.String("standalone", "", "server to test in place of the tree's reprise-standalone")
	killsFlag      = flag.Int("kills", 3, "how often the crash test kills each process")
	matrixFlag     = flag.Bool("matrix", false, "run the conformance suite with each SDK, transport and protocol version, not only what CI has time for")
	pendingFlag    = flag.Bool("pending", false, "run also the calls of the Restate command line that the server does not answer yet")
	binFlag        = flag.String("bin", "", "folder with the programs, as scripts/build makes it, and with the suite's runner; empty: they are built")
	seedFlag       = flag.Uint64("seed", 0, "seed of the crash test's load; 0: a new one")
)

// env is what the tests share: the binaries, and one running form of each kind.
var env struct {
	dir   string
	bins  *harness.Binaries
	ports *harness.Ports

	mu    sync.Mutex
	forms map[string]*shared
}

// shared is a form that tests use together, with the test services registered.
type shared struct {
	form     *harness.Form
	endpoint *harness.Endpoint
	probe    *probe
}

func TestMain(m *testing.M) {
	if where := os.Getenv(fakeS3Env); where != "" {
		fmt.Fprintln(os.Stderr, serveFakeS3(where))
		os.Exit(1)
	}
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "reprise-e2e-")
	if err != nil {
		return 1, err
	}
	env.dir, env.ports, env.forms = dir, harness.NewPorts(os.Getpid()), map[string]*shared{}
	env.bins = &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		if env.bins, err = harness.Build(context.Background(), filepath.Join(dir, "bin")); err != nil {
			return 1, errors.Join(err, os.RemoveAll(dir))
		}
	}
	env.bins.Standalone = *standaloneFlag
	code = m.Run()
	var errs []error
	for _, s := range env.forms {
		s.endpoint.Close()
		errs = append(errs, s.form.Stop())
	}
	if err := errors.Join(errs...); code == 0 && err == nil {
		return 0, os.RemoveAll(dir)
	}
	return code, errors.Join(append(errs, fmt.Errorf("logs and data are kept in %s", dir))...)
}

// newForm starts a form of its own for one test and stops it afterwards.
func newForm(t *testing.T, kind string) *harness.Form {
	t.Helper()
	f, err := startForm(t.Context(), kind, filepath.Join(env.dir, strings.ReplaceAll(t.Name(), "/", "-")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func startForm(ctx context.Context, kind, dir string) (*harness.Form, error) {
	makers := map[string]func(*harness.Binaries, *harness.Ports, string) (*harness.Form, error){
		"standalone": harness.NewStandalone, "daemons": harness.NewDaemons,
		"cluster": func(b *harness.Binaries, ports *harness.Ports, dir string) (*harness.Form, error) {
			return harness.NewCluster(b, ports, dir, nil)
		},
	}
	if makers[kind] == nil {
		return nil, fmt.Errorf("no form %q", kind)
	}
	f, err := makers[kind](env.bins, env.ports, dir)
	if err != nil {
		return nil, err
	}
	if err := f.Start(ctx); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// eachForm runs the test on each form that was asked for.
func eachForm(t *testing.T, test func(t *testing.T, kind string)) {
	for kind := range strings.SplitSeq(*formsFlag, ",") {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// onShared runs the test on each form, started at first use and kept for later tests.
func onShared(t *testing.T, test func(t *testing.T, c *harness.Client, p *probe)) {
	eachForm(t, func(t *testing.T, kind string) {
		s, err := sharedForm(kind)
		if err != nil {
			t.Fatal(err)
		}
		c := harness.NewClient(s.form)
		t.Cleanup(c.Close)
		test(t, c, s.probe)
	})
}

func sharedForm(kind string) (*shared, error) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if s := env.forms[kind]; s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	f, err := startForm(ctx, kind, filepath.Join(env.dir, kind))
	if err != nil {
		return nil, err
	}
	s := &shared{form: f, probe: newProbe()}
	if s.endpoint, err = harness.Serve(services(s.probe)...); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	c := harness.NewClient(f)
	defer c.Close()
	if err := c.Register(ctx, s.endpoint.URI); err != nil {
		s.endpoint.Close()
		return nil, errors.Join(err, f.Stop())
	}
	env.forms[kind] = s
	return s, nil
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
