package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"reprise/tests/e2e/harness"
)

// groups of the conformance suite that the product passes.
const groups = "ingress|errors|services|objects|state|timers|awakeables|run|retries|idempotency|ordering|crash|" +
	"workflows|signals|combinators|cancellation|protocol|suspension|attach|long"

// The groups of the conformance suite, each case once on each form. The suite starts the server
// itself, since its crash cases kill it.
func TestConformance(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		dir := filepath.Join(env.dir, "conformance-"+kind)
		ok(t, os.MkdirAll(dir, 0o755))
		command, ingress, admin := serverCommand(t, kind)
		report := filepath.Join(dir, "report.json")
		c := exec.CommandContext(t.Context(), env.bins.Path("conformance"),
			"-ingress", "http://"+ingress, "-admin", "http://"+admin, "-server-dir", dir, "-server-cmd", command,
			"-run", "^("+groups+")/", "-skip-tags", "sql,admin", "-json", report)
		out, err := c.CombinedOutput()
		var results struct {
			Cases []struct{ Group, Name, Result, Reason, Expected string }
		}
		b, readErr := os.ReadFile(report)
		if readErr == nil {
			readErr = json.Unmarshal(b, &results)
		}
		if readErr != nil {
			t.Fatalf("no report: %v\nthe suite: %v\n%s", readErr, err, out)
		}
		passed := 0
		for _, r := range results.Cases {
			if r.Result == "PASS" {
				passed++
			} else {
				t.Errorf("%s %s/%s: %s (expected: %s)", r.Result, r.Group, r.Name, r.Reason, r.Expected)
			}
		}
		t.Logf("%d of %d cases passed", passed, len(results.Cases))
		if err != nil {
			t.Errorf("the suite: %v", err)
		}
		if t.Failed() {
			t.Logf("the servers' output is in %s", filepath.Join(dir, "server.log"))
		}
	})
}

// serverCommand is a shell command that runs a form in the foreground, and its two addresses.
func serverCommand(t *testing.T, kind string) (command, ingress, admin string) {
	t.Helper()
	take := func() string {
		a, err := env.ports.Take()
		ok(t, err)
		return a
	}
	ingress, admin = take(), take()
	if kind == "standalone" {
		return fmt.Sprintf("env RESTATE_NODE_NAME=standalone RESTATE_BASE_DIR={dir}/data RESTATE_BIND_ADDRESS=%s "+
			"RESTATE_INGRESS__BIND_ADDRESS=%s RESTATE_ADMIN__BIND_ADDRESS=%s %s",
			take(), ingress, admin, env.bins.Path("reprise-standalone")), ingress, admin
	}
	root, err := harness.Root()
	ok(t, err)
	return fmt.Sprintf("%s --bin %s --base-dir {dir}/data --ingress %s --admin %s --fabric-port %d",
		filepath.Join(root, "scripts", "cluster-up"), env.bins.Dir, ingress, admin, portsInARow(t, 10)), ingress, admin
}

// portsInARow returns the first of n free ports.
func portsInARow(t *testing.T, n int) int {
	t.Helper()
	first, last := 0, 0
	for {
		a, err := env.ports.Take()
		ok(t, err)
		_, text, err := net.SplitHostPort(a)
		ok(t, err)
		port, err := strconv.Atoi(text)
		ok(t, err)
		if port != last+1 {
			first = port
		}
		if last = port; last-first == n-1 {
			return first
		}
	}
}
