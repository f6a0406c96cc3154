package faults

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/fault"
	"reprise/tests/histories/workload"
)

var (
	timeFlag = flag.Duration("time", 0, "how long faults befall the cluster; each at least once")
	onlyFlag = flag.String("only", "", "only the faults whose names match this regular expression")
	binFlag  = flag.String("bin", "", "folder with the programs, as scripts/build makes it, but built with the tag faults; empty: they are built")
	seedFlag = flag.Uint64("seed", 0, "seed of load and faults; 0: a new one")
)

// cluster is one under test.
type cluster struct {
	form *harness.Form
	net  *network
	link *link // in front of the fabric port of a log-server
	disk *disk // of a log-server
}

// What clients see is right whatever befalls network, disks, clocks and processes.
func TestFaults(t *testing.T) {
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
	err = fault.Befall(t.Context(), fault.Plan{
		Form: c.form, Load: w, Random: rand.New(rand.NewPCG(seed, 0)), Faults: c.faults(t), Time: *timeFlag, Log: t.Logf,
	})
	stop()
	ok(t, err)
	for _, err := range w.Check(t.Context(), t.Logf) {
		t.Error(err)
	}
}

// faults are all, or those that were asked for.
func (c *cluster) faults(t *testing.T) []fault.Fault {
	t.Helper()
	all := append(fault.Processes(c.form.Name), fault.Machines()...)
	all = append(all, c.networkFaults(t)...)
	all = append(all, c.diskFaults()...)
	only, err := regexp.Compile(*onlyFlag)
	ok(t, err)
	return slices.DeleteFunc(all, func(f fault.Fault) bool { return !only.MatchString(f.Name) })
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
		errs = append(errs, n.close())
		if c.disk != nil {
			errs = append(errs, c.disk.close())
		}
		if err := errors.Join(errs...); err != nil {
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
		bins, err = harness.Build(t.Context(), filepath.Join(dir, "bin"), "faults")
		ok(t, err)
	}
	c.form, err = harness.NewCluster(bins, harness.NewPorts(os.Getpid()), filepath.Join(dir, "cluster"), c.place)
	ok(t, err)
	c.disk, err = newDisk(filepath.Join(c.form.Dir, smallDisk))
	ok(t, err)
	ok(t, c.form.Start(t.Context()))
	ok(t, c.form.WaitSettled(t.Context()))
	return c
}

// place puts each process into a namespace, and one log-server behind the link.
func (c *cluster) place(name string) (harness.Place, error) {
	p, err := c.net.place(name)
	if name == slowLink {
		p.Via = func(fabric string) (_ string, err error) {
			if c.link, err = newLink(c.net.gateway(), fabric); err != nil {
				return "", err
			}
			return c.link.ln.Addr().String(), nil
		}
	}
	return p, err
}

// Who has what of which there is one.
const (
	slowLink  = "log-server-2"
	smallDisk = "log-server-3"
)

// ok fails the test at once if err is not nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
