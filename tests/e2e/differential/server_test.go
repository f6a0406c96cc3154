package differential

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

const referencePackage = "@restatedev/restate-server@1.7.12"

var (
	referenceFlag = flag.String("reference", "", "the reference server's binary; empty: install "+referencePackage+" with npm")
	oursFlag      = flag.String("ours", "", "our standalone server's binary; empty: build it")
)

// installLimit bounds the installation: a machine without a registry is told apart from a slow one by npm itself.
const installLimit = 5 * time.Minute

// reference returns the binary of the reference server, or skips the test if there is none to be had.
func reference(t *testing.T) string {
	t.Helper()
	if *referenceFlag != "" {
		return *referenceFlag
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("SKIP: npm is not installed, so there is no reference server to compare with")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), installLimit)
	defer cancel()
	if out, err := exec.CommandContext(ctx, npm, "install", "--no-audit", "--no-fund", "--prefix", dir, referencePackage).CombinedOutput(); err != nil {
		t.Skipf("SKIP: %s cannot be installed here, so there is nothing to compare with: %v\n%s", referencePackage, err, out)
	}
	// Not the script in .bin: it runs the server as a child, which would outlive it.
	found, err := filepath.Glob(filepath.Join(dir, "node_modules", "@restatedev", "restate-server-*", "bin", "restate-server"))
	if err != nil || len(found) != 1 {
		t.Fatalf("binaries of the reference server: %v, %v", found, err)
	}
	return found[0]
}

// ours returns the binary of our server.
func ours(t *testing.T) string {
	t.Helper()
	if *oursFlag != "" {
		return *oursFlag
	}
	root, err := harness.Root()
	ok(t, err)
	to := filepath.Join(t.TempDir(), "reprise-standalone")
	c := exec.CommandContext(t.Context(), "go", "build", "-tags=duckdb_arrow", "-ldflags=-w", "-o", to, "./services/standalone")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return to
}

// server is one of the two, with what it answered so far.
type server struct {
	name   string
	form   *harness.Form
	client *harness.Client
	vars   map[string]string // saved from answers
}

func start(t *testing.T, name, binary string, ports *harness.Ports) *server {
	t.Helper()
	f, err := harness.NewStandalone(&harness.Binaries{Standalone: binary}, ports, filepath.Join(t.TempDir(), name))
	ok(t, err)
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	ok(t, f.Start(t.Context()))
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	s := &server{name: name, form: f, client: c, vars: map[string]string{}}
	ok(t, harness.Wait(t.Context(), time.Minute, name+": a leader", func(ctx context.Context) error {
		res, err := c.Do(ctx, harness.Request{Method: "PATCH", URL: f.Admin + "/invocations/" + unknownInvocation + "/cancel"})
		if err == nil && res.Status != http.StatusNotFound {
			err = fmt.Errorf("status %d", res.Status)
		}
		return err
	}))
	return s
}

// fill puts what was saved in the place of {names}.
func (s *server) fill(text string) string {
	for name, value := range s.vars {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// await waits until an invocation is in a state, as SQL shows it.
func (s *server) await(ctx context.Context, invocation, want string) error {
	return harness.Wait(ctx, time.Minute, s.name+": "+invocation+" "+want, func(ctx context.Context) error {
		res, err := s.client.Do(ctx, harness.Request{
			URL:    s.form.Admin + "/query",
			Body:   map[string]string{"query": "SELECT status, last_failure_error_code, pinned_deployment_id FROM sys_invocation WHERE id = '" + invocation + "'"},
			Header: map[string]string{"Accept": "application/json"},
		})
		if err != nil {
			return err
		}
		if !strings.Contains(string(res.Body), want) {
			return fmt.Errorf("it is %s", res.Body)
		}
		return nil
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
