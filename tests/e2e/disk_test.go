package e2e

import (
	"context"
	"errors"
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

// Below the reserve of free space nothing new is done, what was done can be read, also after a restart,
// and what waits is done when there is space. The reserve moves in place of the disk's content.
func TestDiskNearlyFull(t *testing.T) {
	var disk syscall.Statfs_t
	ok(t, syscall.Statfs(t.TempDir(), &disk))
	free := disk.Bavail * uint64(disk.Bsize)
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	defer endpoint.Close()
	dir := filepath.Join(env.dir, t.Name())
	ok(t, os.MkdirAll(dir, 0o755))
	settings := serverEnv(t, filepath.Join(dir, "data"))
	f := &harness.Form{Name: "standalone", Dir: dir}
	start := func(reserve string) *harness.Process {
		t.Helper()
		p := standaloneWith(f, append(settings, "RESTATE_DISK_RESERVE_SIZE="+reserve))
		ok(t, p.Start())
		ok(t, p.WaitReady(t.Context()))
		return p
	}
	p := start("1 MiB")
	c := harness.NewClient(f)
	defer c.Close()
	ok(t, c.Register(t.Context(), endpoint.URI))
	id, err := c.Send(t.Context(), "Plain/echo", "before")
	ok(t, err)
	var out string
	ok(t, c.Attach(t.Context(), id, &out))
	ok(t, p.Kill())

	p = start(fmt.Sprint(free + free/4)) // more than is free: the log-server stops, the others need not
	res, err := c.Do(t.Context(), harness.Request{Method: http.MethodGet, URL: f.Ingress + "/restate/output/" + id})
	if err != nil || res.Status != http.StatusOK || string(res.Body) != `"before"` {
		t.Errorf("output on a full disk: %+v, %v", res, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	err = c.Call(ctx, "Plain/echo", "meanwhile", nil, "idempotency-key", "meanwhile")
	if cancel(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call on a full disk: %v", err)
	}
	if n := strings.Count(p.Tail(), "disk is nearly full"); n != 1 {
		t.Errorf("said %d times:\n%s", n, p.Tail())
	}
	ok(t, p.Stop())

	p = start("1 MiB")
	ok(t, c.Call(t.Context(), "Plain/echo", "meanwhile", &out, "idempotency-key", "meanwhile"))
	if out != "meanwhile" {
		t.Errorf("got %q", out)
	}
	ok(t, p.Stop())
}

// standaloneWith describes a standalone server and tells f its addresses.
func standaloneWith(f *harness.Form, settings []string) *harness.Process {
	s := harness.Spec{Name: "standalone", Path: filepath.Join(env.bins.Dir, "reprise-standalone"), Dir: f.Dir, Env: settings}
	for _, v := range settings {
		if addr, is := strings.CutPrefix(v, "RESTATE_ADMIN__BIND_ADDRESS="); is {
			f.Admin = "http://" + addr
		}
		if addr, is := strings.CutPrefix(v, "RESTATE_INGRESS__BIND_ADDRESS="); is {
			f.Ingress = "http://" + addr
		}
	}
	s.Ready = []string{f.Admin + "/health", f.Ingress + "/restate/health"}
	return harness.NewProcess(s)
}
