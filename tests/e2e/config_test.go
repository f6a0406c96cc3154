package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// configLimit bounds the wait for what a process says or does after its file changed.
const configLimit = 20 * time.Second

// The configuration file of a server that runs is followed: what is live acts on the next request, a bad file changes nothing,
// SIGUSR1 shows what is in effect, and a start and a stop are told in the log.
func TestConfigurationFileIsFollowed(t *testing.T) {
	dir, err := os.MkdirTemp(env.dir, t.Name())
	ok(t, err)
	f, err := harness.NewStandalone(env.bins, env.ports, dir)
	ok(t, err)
	p := f.Processes[0]
	file := filepath.Join(dir, "reprise.toml")
	write := func(text string) {
		t.Helper()
		ok(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("[ingress]\nrequest-size-limit = \"1 MiB\"\n[worker.snapshots]\naws-secret-access-key = \"hush\"\n")
	p.Set("RESTATE_CONFIG="+file, "RESTATE_DEFAULT_NUM_PARTITIONS=1")
	ok(t, f.Start(t.Context()))
	t.Cleanup(func() { _ = f.Stop() }) // it has ended by then
	post := func(size int) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.Ingress+"/Nobody/nothing", bytes.NewReader(make([]byte, size)))
		ok(t, err)
		resp, err := http.DefaultClient.Do(req)
		ok(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := post(2048); got != http.StatusNotFound {
		t.Fatalf("before: %d", got)
	}
	log := filepath.Join(dir, "standalone.log")
	says := func(what string) {
		t.Helper()
		ok(t, harness.Wait(t.Context(), configLimit, what, func(context.Context) error {
			text, err := os.ReadFile(log)
			if err == nil && !strings.Contains(string(text), what) {
				err = fmt.Errorf("the log does not say %q:\n%s", what, text)
			}
			return err
		}))
	}
	says("starting role=standalone")
	says(`request-size-limit = \"1.0 MiB\"`)

	write("[ingress]\nrequest-size-limit = \"1 KiB\"\nbind-port = 1\n")
	says(`request-size-limit: \"1.0 MiB\" -> \"1.0 KiB\"`)
	says("need a restart")
	if got := post(2048); got != http.StatusRequestEntityTooLarge {
		t.Errorf("above the new limit: %d", got)
	}
	write("[ingress]\nrequest-size-limit = \"1 MiB\"\nlisten-mode = \"unix\"\n")
	ok(t, p.Signal(syscall.SIGHUP))
	says("the new configuration file is refused")
	says("databases are compacted")
	if got := post(2048); got != http.StatusRequestEntityTooLarge {
		t.Errorf("with a bad file: %d", got)
	}
	ok(t, p.Signal(syscall.SIGUSR1))
	says("# Go heap: limit")
	says("request-size-limit = \"1.0 KiB\"")
	ok(t, p.Stop())
	says("stopping role=standalone")
	says("stopped role=standalone")
	if text, err := os.ReadFile(log); err != nil || strings.Contains(string(text), "hush") {
		t.Errorf("the log shows a secret: %v", err)
	}
}

// The all-in-one program runs those roles that it is told to: two processes with some each are one cluster.
func TestRolesOfTheAllInOneProgram(t *testing.T) {
	dir, err := os.MkdirTemp(env.dir, t.Name())
	ok(t, err)
	take := func() string {
		addr, err := env.ports.Take()
		ok(t, err)
		return addr
	}
	ingress, admin := take(), take()
	start := func(name, fabric, roles string, ready []string, more ...string) *harness.Process {
		p := harness.NewProcess(harness.Spec{
			Name: name, Path: filepath.Join(env.bins.Dir, "reprise-standalone"), Dir: dir, Ready: ready,
			Env: append([]string{
				"RESTATE_NODE_NAME=" + name, "RESTATE_BASE_DIR=" + filepath.Join(dir, "data"), "RESTATE_BIND_ADDRESS=" + fabric, "RESTATE_ROLES=" + roles,
				"RESTATE_INGRESS__BIND_ADDRESS=" + ingress, "RESTATE_ADMIN__BIND_ADDRESS=" + admin, "RESTATE_DEFAULT_NUM_PARTITIONS=2",
			}, more...),
		})
		ok(t, p.Start())
		t.Cleanup(func() { ok(t, p.Stop()) })
		return p
	}
	back, front := take(), take()
	peer, client := take(), take()
	stores := start("stores", back, `["metadata-server", "log-server", "worker"]`, []string{"http://" + back + "/health"},
		"RESTATE_METADATA_SERVER__PEER_PORT="+peer[strings.LastIndex(peer, ":")+1:], "RESTATE_METADATA_SERVER__CLIENT_PORT="+client[strings.LastIndex(client, ":")+1:])
	ok(t, stores.WaitReady(t.Context()))
	fronts := start("fronts", front, "http-ingress,admin", []string{"http://" + ingress + "/restate/health", "http://" + admin + "/health"},
		`RESTATE_METADATA_CLIENT__ADDRESSES=["http://`+back+`"]`)
	ok(t, fronts.WaitReady(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(&harness.Form{Ingress: "http://" + ingress, Admin: "http://" + admin})
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	var got string
	ok(t, c.Call(t.Context(), "/Plain/echo", "Ada", &got))
	if got != "Ada" {
		t.Errorf("answer %q", got)
	}
}
