package e2e

import (
	"bytes"
	"cmp"
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

// badStart is a start that must fail.
type badStart struct {
	name    string
	program string // default reprise-standalone
	args    []string
	env     []string
	prepare func(t *testing.T) // and undoes it in Cleanup
	code    int                // default 1
	want    string             // part of the one line
	waits   string             // part of a line that comes before, of one that waits first
}

// A server that cannot start says so in one line that names what to change, and ends at once.
func TestStartsThatFail(t *testing.T) {
	if *standaloneFlag != "" {
		t.Log("about our own binary; -standalone is ignored")
	}
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer taken.Close()
	at := taken.Addr().String()
	_, port, err := net.SplitHostPort(at)
	ok(t, err)
	file := filepath.Join(dir, "file")
	ok(t, os.WriteFile(file, []byte("no folder"), 0o644))
	bad := filepath.Join(dir, "bad.toml")
	ok(t, os.WriteFile(bad, []byte("default-num-partitions = 0\n[worker]\ninvoker = 3\n"), 0o644))
	other := filepath.Join(dir, "other")
	ok(t, firstStart(t, other, "RESTATE_CLUSTER_NAME=first-cluster"))
	ok(t, os.Symlink("n", filepath.Join(other, "m")))
	mine := []string{"RESTATE_BASE_DIR=" + other, "RESTATE_CLUSTER_NAME=first-cluster"}
	nobody := "RESTATE_METADATA_CLIENT__ADDRESSES=[\"http://127.0.0.1:1\"]"
	free := func() string {
		addr, err := env.ports.Take()
		ok(t, err)
		return addr[strings.LastIndex(addr, ":")+1:]
	}

	for _, row := range []badStart{
		{name: "ingress port taken", env: []string{"RESTATE_INGRESS__BIND_ADDRESS=" + at}, want: "choose another ingress.bind-port"},
		{name: "admin port taken", env: []string{"RESTATE_ADMIN__BIND_ADDRESS=" + at}, want: "choose another admin.bind-port"},
		{name: "fabric port taken", env: []string{"RESTATE_BIND_ADDRESS=" + at}, want: "choose another bind-port"},
		{name: "etcd client port taken", program: "reprise-metadata", want: "choose another metadata-server.client-port",
			env: []string{"RESTATE_METADATA_SERVER__CLIENT_PORT=" + port, "RESTATE_METADATA_SERVER__PEER_PORT=" + free()}},
		{name: "etcd peer port taken", program: "reprise-metadata", want: "choose another metadata-server.peer-port",
			env: []string{"RESTATE_METADATA_SERVER__CLIENT_PORT=" + free(), "RESTATE_METADATA_SERVER__PEER_PORT=" + port}},
		{name: "data folder is a file", env: []string{"RESTATE_BASE_DIR=" + file}, want: "change base-dir"},
		{name: "data folder cannot be made", env: []string{"RESTATE_BASE_DIR=/proc/reprise"}, want: "change base-dir"},
		{name: "data of another cluster", env: []string{"RESTATE_BASE_DIR=" + other, "RESTATE_CLUSTER_NAME=second-cluster"}, want: `belongs to cluster "first-cluster"`},
		{name: "data of another node", env: append([]string{"RESTATE_NODE_NAME=m"}, mine...), want: `belongs to node "n"`},
		{name: "data of a newer format", env: mine, prepare: edit(other, "identity", `"format": 1`, `"format": 2`), want: "this binary reads up to 1"},
		{name: "damaged identity", env: mine, prepare: edit(other, "identity", `"generation": 1`, `"generation":`), want: "identity is damaged"},
		{name: "identity without an id", env: mine, prepare: edit(other, "identity", `"id": 1`, `"id": 0`), want: "identity is damaged"},
		{name: "newer log store", env: mine, prepare: edit(other, "log/FORMAT", "1", "2"), want: "start a newer one"},
		{name: "newer partition store", env: mine, prepare: edit(other, "partitions/3/FORMAT", "1", "2"), want: "start a newer one"},
		{name: "bad configuration file", args: []string{"--config-file", bad}, want: "default-num-partitions is 0"},
		{name: "no configuration file", args: []string{"--config-file", file + ".toml"}, want: file + ".toml"},
		{name: "no number", env: []string{"RESTATE_DEFAULT_NUM_PARTITIONS=many"}, want: "default-num-partitions"},
		{name: "a metadata store that is not there", env: []string{"RESTATE_METADATA_CLIENT__TYPE=object-store"}, want: "object-store"},
		{name: "unknown flag", args: []string{"--nonsense"}, code: 2, want: "nonsense"},
		{name: "flag with a bad value", args: []string{"--bind-port", "many"}, code: 2, want: "bind-port"},
		{name: "argument", args: []string{"serve"}, code: 2, want: "serve"},
		{name: "no address of the cluster", program: "reprise-worker", want: "metadata-client.addresses is empty"},
		{name: "nobody at the address", program: "reprise-worker", env: []string{nobody, "RESTATE_INITIALIZATION_TIMEOUT=1s"},
			waits: "waiting for the metadata daemons", want: "initialization-timeout"},
		{name: "no etcd at the address", program: "reprise-metadata", waits: "waiting for the metadata store", want: "initialization-timeout",
			env: []string{nobody, "RESTATE_METADATA_CLIENT__TYPE=etcd", "RESTATE_INITIALIZATION_TIMEOUT=3s"}},
	} {
		t.Run(row.name, row.run)
	}
}

func (b badStart) run(t *testing.T) {
	if b.prepare != nil {
		b.prepare(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(env.bins.Dir, cmp.Or(b.program, "reprise-standalone")), b.args...)
	c.Env = append(serverEnv(t, filepath.Join(t.TempDir(), "data")), b.env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err := c.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() != max(b.code, 1) {
		t.Fatalf("ended with %v\n%s", err, stderr.String())
	}
	var said []string
	waited := b.waits == ""
	for line := range strings.Lines(stderr.String()) {
		if !waited && strings.Contains(line, b.waits) {
			waited = true
		} else if !strings.Contains(line, " INFO ") {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], b.want) || !waited {
		t.Errorf("it does not say %q in one line, or not before that it waits:\n%s", b.want, stderr.String())
	}
}

// edit changes a file in the data folder of node n for one test.
func edit(base, name, old, text string) func(t *testing.T) {
	return func(t *testing.T) {
		path := filepath.Join(base, "n", name)
		was, err := os.ReadFile(path)
		ok(t, err)
		changed := bytes.Replace(was, []byte(old), []byte(text), 1)
		if bytes.Equal(changed, was) {
			t.Fatalf("%s does not contain %q:\n%s", path, old, was)
		}
		ok(t, os.WriteFile(path, changed, 0o644))
		t.Cleanup(func() { ok(t, os.WriteFile(path, was, 0o644)) })
	}
}

// A folder has one process at a time; what the second one says does not disturb the first.
func TestFolderInUse(t *testing.T) {
	f := newForm(t, "standalone")
	badStart{env: []string{"RESTATE_NODE_NAME=standalone", "RESTATE_BASE_DIR=" + filepath.Join(f.Dir, "data")}, want: "is in use by another process"}.run(t)
	ok(t, f.Processes[0].WaitReady(t.Context()))
}

// A configuration file of the reference starts: keys that nobody knows are one warning each.
func TestUnknownKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	ok(t, os.WriteFile(file, []byte("no-such-key = 1\n[worker]\nneither = true\n"), 0o644))
	c := exec.CommandContext(t.Context(), filepath.Join(env.bins.Dir, "reprise-standalone"), "--config-file", file, "--dump-config")
	c.Env = serverEnv(t, t.TempDir())
	var stderr bytes.Buffer
	c.Stderr = &stderr
	ok(t, c.Run())
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "no-such-key") || !strings.Contains(lines[1], "worker.neither") {
		t.Errorf("warnings:\n%s", stderr.String())
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
