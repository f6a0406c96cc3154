package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/workload"
)

var (
	timeFlag = flag.Duration("time", 0, "how long faults befall the cluster; each at least once")
	binFlag  = flag.String("bin", "", "folder with the programs, as scripts/build makes it; empty: they are built")
	seedFlag = flag.Uint64("seed", 0, "seed of load and faults; 0: a new one")
)

// slow is the delay of a slow link, each way.
const slow = 50 * time.Millisecond

// cluster is one under test.
type cluster struct {
	form *harness.Form
	net  *network
	link *link // in front of the fabric port of a log-server
}

// What clients see is right whatever befalls the network.
func TestNetworkFaults(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./tests/faults -run '^%s$' -time %s -seed %d", t.Name(), *timeFlag, seed)
	c := newCluster(t)
	w := workload.New(c.form, seed)
	endpoint, err := harness.ServeAt(c.net.gateway(), w.Services()...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(c.form)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	stop := w.Start(t.Context())
	err = c.befall(t, w, rand.New(rand.NewPCG(seed, 0)))
	stop()
	ok(t, err)
	for _, err := range w.Check(t.Context(), t.Logf) {
		t.Error(err)
	}
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	n, err := newNetwork()
	if err != nil {
		t.Skipf("network namespaces are not permitted here: %v", err)
	}
	c := &cluster{net: n}
	dir, err := os.MkdirTemp("", "reprise-faults-") //nolint:usetesting // it is kept where the test fails
	ok(t, err)
	t.Cleanup(func() {
		var errs []error
		if c.form != nil {
			errs = append(errs, c.form.Stop())
		}
		if c.link != nil {
			errs = append(errs, c.link.Close())
		}
		if err := errors.Join(append(errs, n.close())...); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("logs and data are kept in %s", dir)
			return
		}
		ok(t, os.RemoveAll(dir))
	})
	bins := &harness.Binaries{Dir: *binFlag}
	if *binFlag == "" {
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"))
		ok(t, err)
	}
	c.form, err = harness.NewCluster(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "cluster"), c.place)
	ok(t, err)
	ok(t, c.form.Start(t.Context()))
	return c
}

// place puts each process into a namespace, and one log-server behind the link.
func (c *cluster) place(name string) (harness.Place, error) {
	p, err := c.net.place(name)
	if name == "log-server-2" {
		p.Via = func(fabric string) (_ string, err error) {
			if c.link, err = newLink(c.net.gateway(), fabric); err != nil {
				return "", err
			}
			return c.link.ln.Addr().String(), nil
		}
	}
	return p, err
}

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fault is something that befalls the cluster. It returns what ends it.
type fault struct {
	name  string
	begin func(*cluster) (end func(context.Context) error, err error)
}

// least is how long each fault lasts: whoever is cut off or hangs is dead for the others by then.
const least = 2500 * time.Millisecond

// partition cuts off a process.
func partition(name string, out, in bool) func(*cluster) (func(context.Context) error, error) {
	return func(c *cluster) (func(context.Context) error, error) {
		heal, err := c.net.cut(name, out, in)
		return func(context.Context) error { return heal() }, err
	}
}

// kill kills processes, together.
func kill(names ...string) func(*cluster) (func(context.Context) error, error) {
	return func(c *cluster) (func(context.Context) error, error) {
		var killed []*harness.Process
		for _, name := range names {
			p, err := c.form.Process(name)
			if err == nil {
				err = p.Kill()
			}
			if err != nil {
				return nil, err
			}
			killed = append(killed, p)
		}
		return func(ctx context.Context) error {
			for _, p := range killed {
				if err := p.Restart(ctx); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

func hang(name string) func(*cluster) (func(context.Context) error, error) {
	return func(c *cluster) (func(context.Context) error, error) {
		p, err := c.form.Process(name)
		if err != nil {
			return nil, err
		}
		return func(context.Context) error { return p.Signal(syscall.SIGCONT) }, p.Signal(syscall.SIGSTOP)
	}
}

// metadata-1 came first: it replaces dead leaders, and moves replicas.
var faults = []fault{
	{"a partition of worker-1", partition("worker-1", true, true)},
	{"worker-2 is not heard", partition("worker-2", true, false)},
	{"worker-3 hears nothing", partition("worker-3", false, true)},
	{"a partition of metadata-1", partition("metadata-1", true, true)},
	{"metadata-1 is not heard", partition("metadata-1", true, false)},
	{"a partition of log-server-1", partition("log-server-1", true, true)},
	{"a slow link to log-server-2", func(c *cluster) (func(context.Context) error, error) {
		c.link.delay.Store(int64(slow))
		return func(context.Context) error { c.link.delay.Store(0); return nil }, nil
	}},
	{"kill -9 of worker-1", kill("worker-1")},
	{"kill -9 of metadata-1", kill("metadata-1")},
	{"kill -9 of worker-2, metadata-1 and log-server-3", kill("worker-2", "metadata-1", "log-server-3")},
	{"SIGSTOP of worker-3", hang("worker-3")},
	{"SIGSTOP of metadata-1", hang("metadata-1")},
	{"no quorum of metadata", kill("metadata-2", "metadata-3")},
}

// befall has one fault after the other befall the cluster, in an order that random gives, until the time is over and each was
// there. Clients get on before, during and after each.
func (c *cluster) befall(t *testing.T, w *workload.Load, random *rand.Rand) error {
	t.Helper()
	ctx, begin := t.Context(), time.Now()
	for {
		for _, i := range random.Perm(len(faults)) {
			f := faults[i]
			if err := w.Progress(ctx); err != nil {
				return fmt.Errorf("before %s: %w", f.name, err)
			}
			w.Slowest()
			end, err := f.begin(c)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			for started := time.Now(); ; {
				if err := w.Progress(ctx); err != nil {
					return fmt.Errorf("after %s: %w", f.name, err)
				}
				if time.Since(started) > least {
					break
				}
			}
			if err := end(ctx); err != nil {
				return fmt.Errorf("the end of %s: %w", f.name, err)
			}
			if err := w.Progress(ctx); err != nil {
				return fmt.Errorf("after the end of %s: %w", f.name, err)
			}
			t.Logf("%s: the worst gap of a caller was %s", f.name, w.Slowest())
		}
		if time.Since(begin) > *timeFlag {
			return nil
		}
	}
}
