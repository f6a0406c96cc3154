package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// A server that cannot start says so in one line that names what to change, and ends at once.
func TestStartsThatFail(t *testing.T) {
	if *standaloneFlag != "" {
		t.Log("about our own binary; -standalone is ignored")
	}
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer taken.Close()
	file := filepath.Join(dir, "file")
	ok(t, os.WriteFile(file, []byte("no folder"), 0o644))
	other := filepath.Join(dir, "other")
	ok(t, firstStart(t, other, "RESTATE_CLUSTER_NAME=first-cluster"))

	for _, row := range []struct {
		name string
		env  []string
		want string // part of the line
	}{
		{"ingress port taken", []string{"RESTATE_INGRESS__BIND_ADDRESS=" + taken.Addr().String()}, taken.Addr().String()},
		{"admin port taken", []string{"RESTATE_ADMIN__BIND_ADDRESS=" + taken.Addr().String()}, taken.Addr().String()},
		{"fabric port taken", []string{"RESTATE_BIND_ADDRESS=" + taken.Addr().String()}, taken.Addr().String()},
		{"data folder is a file", []string{"RESTATE_BASE_DIR=" + file}, file},
		{"data folder cannot be made", []string{"RESTATE_BASE_DIR=/proc/reprise"}, "/proc/reprise"},
		{"data of another cluster", []string{"RESTATE_BASE_DIR=" + other, "RESTATE_CLUSTER_NAME=second-cluster"}, "first-cluster"},
		{"no number", []string{"RESTATE_DEFAULT_NUM_PARTITIONS=many"}, "default-num-partitions"},
		{"a metadata store that is not there", []string{"RESTATE_METADATA_CLIENT__TYPE=object-store"}, "object-store"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, filepath.Join(env.bins.Dir, "reprise-standalone"))
			c.Env = append(serverEnv(t, filepath.Join(t.TempDir(), "data")), row.env...)
			var stderr bytes.Buffer
			c.Stderr = &stderr
			err := c.Run()
			var exit *exec.ExitError
			if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() <= 0 {
				t.Fatalf("ended with %v\n%s", err, stderr.String())
			}
			lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, row.want) || strings.Contains(stderr.String(), "goroutine ") {
				t.Errorf("the last line does not name %q:\n%s", row.want, stderr.String())
			}
		})
	}
}

// serverEnv are settings with free ports and a data folder of its own; what is appended wins.
func serverEnv(t *testing.T, dir string) []string {
	t.Helper()
	out := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "RESTATE_NODE_NAME=n", "RESTATE_BASE_DIR=" + dir}
	for _, key := range []string{"RESTATE_BIND_ADDRESS", "RESTATE_INGRESS__BIND_ADDRESS", "RESTATE_ADMIN__BIND_ADDRESS"} {
		addr, err := env.ports.Take()
		ok(t, err)
		out = append(out, key+"="+addr)
	}
	return out
}

// firstStart lets a server make a data folder, and stops it.
func firstStart(t *testing.T, dir string, more ...string) error {
	t.Helper()
	settings := append(serverEnv(t, dir), more...)
	admin := ""
	for _, s := range settings {
		if addr, is := strings.CutPrefix(s, "RESTATE_ADMIN__BIND_ADDRESS="); is {
			admin = addr
		}
	}
	p := harness.NewProcess(harness.Spec{
		Name: "first-start", Path: filepath.Join(env.bins.Dir, "reprise-standalone"), Dir: t.TempDir(),
		Env: settings, Ready: []string{fmt.Sprintf("http://%s/health", admin)},
	})
	if err := p.Start(); err != nil {
		return err
	}
	return errors.Join(p.WaitReady(t.Context()), p.Stop())
}
