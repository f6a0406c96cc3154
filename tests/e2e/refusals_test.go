package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// refused starts the program of a process with other settings, in vain, and checks what it says.
func refused(t *testing.T, p *harness.Process, says string, settings ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, env.bins.Path("reprise-"+strings.TrimRight(p.Name, "-0123456789")))
	c.Env = append(p.Settings(), settings...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) {
		t.Fatalf("%s with %v ended with %v\n%s", p.Name, settings, err, out)
	}
	if !regexp.MustCompile(says).Match(out) {
		t.Errorf("%s with %v does not say %q:\n%s", p.Name, settings, says, out)
	}
}

// elsewhere are settings of a process that disturb no other: a folder and a port of its own.
func elsewhere(t *testing.T, more ...string) []string {
	t.Helper()
	at, err := env.ports.Take()
	ok(t, err)
	return append([]string{"RESTATE_BASE_DIR=" + t.TempDir(), "RESTATE_BIND_ADDRESS=" + at, "RESTATE_ADVERTISED_ADDRESS=http://" + at}, more...)
}

// Processes that must not be part of a cluster are refused with a reason, and those that are go on.
func TestRefusals(t *testing.T) {
	f := newForm(t, "daemons")
	process := func(name string) *harness.Process {
		t.Helper()
		p, err := f.Process(name)
		ok(t, err)
		return p
	}
	n := newOperator(t, fabricOf(process("metadata")))
	command := func(line string) string { t.Helper(); return n.run(line, 0) }
	nodes := func() string { t.Helper(); return command("nodes list") }

	t.Run("two nodes with one name", func(t *testing.T) {
		before := nodes()
		for _, name := range []string{"log-server-1", "worker-1"} {
			refused(t, process(name), `a node `+name+` runs as N\d:1 at http://.*give this process another node-name`, elsewhere(t)...)
		}
		if now := nodes(); now != before {
			t.Errorf("nodes before:\n%s\nafter:\n%s", before, now)
		}
	})
	t.Run("another cluster's folder", func(t *testing.T) {
		p := process("worker-2")
		ok(t, p.Stop())
		refused(t, p, `belongs to cluster "daemons-[^"]*", not "another"`, "RESTATE_CLUSTER_NAME=another")
		ok(t, p.Restart(t.Context()))
	})
	t.Run("another cluster of the same name", func(t *testing.T) { testOtherCluster(t, f, process("worker-2")) })
	t.Run("a wiped disk", func(t *testing.T) { testWipedDisk(t, f, process("log-server-1"), command) })
	t.Run("an older binary behind a barrier", func(t *testing.T) {
		p := process("worker-2")
		version := func(n string) {
			command("-y metadata patch -k cluster -p [{\"op\":\"replace\",\"path\":\"/partition_version\",\"value\":" + n + "}]")
		}
		version("99") // as if all workers had been of a later release
		defer version("1")
		says := `partitions of this cluster may have version 99, this binary applies up to \d+: run the release that the other workers run`
		refused(t, p, says, elsewhere(t, "RESTATE_NODE_NAME=worker-3")...)
		ok(t, p.Stop())
		refused(t, p, says)
		version("1")
		ok(t, p.Restart(t.Context()))
	})
	t.Run("provisioning twice", func(t *testing.T) {
		if out := command("provision"); !strings.Contains(out, "already provisioned: nothing was changed") {
			t.Error(out)
		}
	})
}

// testOtherCluster starts a member of one cluster with addresses of another one that has the same name.
func testOtherCluster(t *testing.T, f *harness.Form, p *harness.Process) {
	t.Helper()
	dir := t.TempDir()
	other, err := harness.NewDaemons(env.bins, env.ports, dir)
	ok(t, err)
	name := "RESTATE_CLUSTER_NAME=daemons-" + filepath.Base(f.Dir)
	m := other.Processes[0]
	m.Set(name)
	ok(t, m.Restart(t.Context()))
	defer func() { ok(t, m.Stop()) }()
	ok(t, p.Stop())
	refused(t, p, `belongs to another cluster of this name \(fingerprint [0-9a-f]{16}, not [0-9a-f]{16}\)`,
		fmt.Sprintf(`RESTATE_METADATA_CLIENT__ADDRESSES=["http://%s"]`, fabricOf(m)))
	ok(t, p.Restart(t.Context()))
}

// testWipedDisk starts a log-server without what it stored, which puts it aside, and takes it back with its folder.
func testWipedDisk(t *testing.T, f *harness.Form, p *harness.Process, command func(string) string) {
	t.Helper()
	ok(t, p.Stop())
	folder, away := filepath.Join(f.Dir, p.Name), filepath.Join(f.Dir, p.Name+"-away")
	ok(t, os.Rename(folder, away))
	refused(t, p, `the log store of N\d is empty although it held data: the node is now in state data-loss and does not serve; put its data folder back`)
	row := regexp.MustCompile(` N(\d) +N\d:\d+ +` + p.Name + ` .* data-loss `).FindStringSubmatch(command("nodes list"))
	if row == nil {
		t.Fatalf("it is not in state data-loss:\n%s", command("nodes list"))
	}
	refused(t, p, `is empty although it held data \(state data-loss\): put its data folder back`)
	ok(t, os.RemoveAll(folder))
	ok(t, os.Rename(away, folder))
	refused(t, p, `node N`+row[1]+` was started once without its log store \(state data-loss\), which is here now.*set-storage-state --nodes `+row[1]+` --storage-state read-write --force`)
	command("-y nodes set-storage-state --nodes " + row[1] + " --storage-state read-write --force")
	ok(t, p.Restart(t.Context()))
	ok(t, harness.Wait(t.Context(), time.Minute, "it serves", func(context.Context) error {
		if out := command("replicated-loglet info 0_0"); strings.Contains(out, "?") {
			return errors.New(out)
		}
		return nil
	}))
}
