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
	"workflows|signals|combinators|cancellation|kill|protocol|suspension|attach|long|introspection|admin|deployments"

// transportGroups are those in which what is between server and handler matters most.
const transportGroups = "services|objects|awakeables|run|retries|workflows|signals|combinators"

// suiteRun is one run of the suite: which SDK serves its services, and how.
type suiteRun struct{ sdk, mode, versions, groups string }

func (r suiteRun) name() string { return r.sdk + "-" + r.mode + "-" + r.versions }

func (r suiteRun) setUp() string { return r.mode + " " + r.versions }

// suiteRuns are what CI has time for, or, with -matrix, all of them.
func suiteRuns(kind string) []suiteRun {
	if !*matrixFlag {
		runs := []suiteRun{{"go", "bidi", "5-7", groups}, {"typescript", "bidi", "5-7", groups + "|ts-client"}}
		if kind == "standalone" { // the transport is the same code in all forms
			for _, mode := range []string{"request-response", "http1"} {
				runs = append(runs, suiteRun{"go", mode, "5-7", transportGroups}, suiteRun{"typescript", mode, "5-7", transportGroups})
			}
		}
		return runs
	}
	var runs []suiteRun
	for _, sdk := range []string{"go", "typescript"} {
		for _, mode := range []string{"bidi", "request-response", "http1"} {
			for _, versions := range []string{"5-5", "6-6", "7-7"} {
				runs = append(runs, suiteRun{sdk, mode, versions, groups + "|ts-client"})
			}
		}
	}
	return runs
}

// The groups of the conformance suite on each form, with both SDKs and over each transport. The suite
// starts the server itself, since its crash cases kill it.
func TestConformance(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		for _, r := range suiteRuns(kind) {
			t.Run(r.name(), func(t *testing.T) {
				if r.sdk == "typescript" || *matrixFlag {
					needTypeScript(t)
				}
				runSuite(t, kind, r)
			})
		}
	})
}

// suiteReport is what the suite writes with -json.
type suiteReport struct {
	Cases []struct{ Group, Name, Result, Reason, Expected string }
}

func runSuite(t *testing.T, kind string, r suiteRun) {
	t.Helper()
	dir := filepath.Join(env.dir, "conformance-"+kind+"-"+r.name())
	ok(t, os.MkdirAll(dir, 0o755))
	command, ingress, admin := serverCommand(t, kind)
	file := filepath.Join(dir, "report.json")
	c := suiteCommand(t, r, "http://"+ingress, "http://"+admin, file, "-server-dir", dir, "-server-cmd", command)
	out, err := c.CombinedOutput()
	judge(t, file, r, out, err)
	if t.Failed() {
		t.Logf("the servers' output is in %s", filepath.Join(dir, "server.log"))
	}
}

// suiteCommand runs the suite on a server.
func suiteCommand(t *testing.T, r suiteRun, ingress, admin, file string, more ...string) *exec.Cmd {
	t.Helper()
	typescript, err := filepath.Abs("../conformance/typescript")
	ok(t, err)
	c := exec.CommandContext(t.Context(), env.bins.Path("conformance"), append([]string{
		"-sdk", r.sdk, "-mode", r.mode, "-protocol-versions", r.versions, "-typescript", typescript,
		"-ingress", ingress, "-admin", admin, "-run", "^(" + r.groups + ")/", "-json", file,
	}, more...)...)
	c.Env = append(os.Environ(), "RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7="+strconv.FormatBool(r.versions == "7-7"))
	return c
}

// judge reads what a run of the suite has reported: its file, its output, and how it ended.
func judge(t *testing.T, file string, r suiteRun, out []byte, err error) {
	t.Helper()
	var report suiteReport
	b, readErr := os.ReadFile(file)
	if readErr == nil {
		readErr = json.Unmarshal(b, &report)
	}
	if readErr != nil {
		t.Fatalf("no report: %v\nthe suite: %v\n%s", readErr, err, out)
	}
	passed := 0
	for _, c := range report.Cases {
		switch {
		case c.Result == "PASS":
			passed++
		case c.Result == "SKIP" && r.setUp() != "bidi 5-7": // it says what a case is about that this lacks
			t.Logf("SKIP %s/%s: %s", c.Group, c.Name, c.Reason)
		default:
			t.Errorf("%s %s/%s: %s (expected: %s)", c.Result, c.Group, c.Name, c.Reason, c.Expected)
		}
	}
	t.Logf("%d of %d cases passed", passed, len(report.Cases))
	if err != nil {
		t.Errorf("the suite: %v\n%s", err, out[max(0, len(out)-outputTail):])
	}
}

// outputTail is how many bytes of the suite's output are shown when it fails.
const outputTail = 3000

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
