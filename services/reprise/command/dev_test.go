package command_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/pkg/admin"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
	"reprise/services/reprise/command"
)

const asServer = "REPRISE_TEST_AS_SERVER" // what this program does as a server: serve, or fail

func TestMain(m *testing.M) {
	if role := os.Getenv(asServer); role != "" {
		if err := serveAdmin(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveAdmin is a server with an admin API alone, until SIGTERM.
func serveAdmin(role string) error {
	if role == "fail" {
		return errors.New("the port is taken")
	}
	dir := os.Args[2] // --base-dir
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		return err
	}
	h := hosttest.Real(1)
	store := registrytest.New(schema.Default())
	reg, err := registry.New(registry.Default(), store, store, h)
	if err != nil {
		return err
	}
	s, err := admin.New(admin.Default(), reg, nil, h)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: os.Getenv("RESTATE_ADMIN__BIND_ADDRESS"), Handler: s.Handler(), ReadHeaderTimeout: time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() }) // what is open is of no more use
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// screen collects output and tells when a text stands in it.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and made anew with each write
}

func newScreen() *screen { return &screen{more: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) await(ctx context.Context, t *testing.T, part string) {
	t.Helper()
	for {
		s.mu.Lock()
		found, more := strings.Contains(s.text.String(), part), s.more
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("%q is not in:\n%s", part, s)
		}
	}
}

// devRun is a run of `reprise dev` with this program as the server.
type devRun struct {
	out, err *screen
	code     int
	done     chan struct{}
	stop     context.CancelFunc
}

func startDev(t *testing.T, role string, args ...string) *devRun {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(asServer, role)
	t.Setenv("TMPDIR", t.TempDir())
	programs := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(programs, "reprise-standalone")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d := &devRun{out: newScreen(), err: newScreen(), done: make(chan struct{}), stop: stop}
	g := lifecycle.NewGroup(ctx)
	g.Go("dev", func(ctx context.Context) error {
		defer close(d.done)
		d.code = command.Run(ctx, append([]string{"dev", "-r"}, args...), command.Env{
			In: strings.NewReader(""), Out: d.out, Err: d.err, Clock: hosttest.Real(1).Clock, Programs: programs,
			Lookup: func(name string) (string, bool) { return map[string]string{"HOME": programs}[name], name == "HOME" },
		})
		return nil
	})
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *devRun) data(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`Data: +(\S+)`).FindStringSubmatch(d.out.String())
	if m == nil {
		t.Fatalf("no data in:\n%s", d.out)
	}
	return m[1]
}

func TestDev(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var manifest atomic.Value
	offer := func(handler string) {
		manifest.Store(`{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":[{"name":"Greeter","ty":"SERVICE","handlers":[{"name":"` + handler + `"}]}]}`)
	}
	manifest.Store("")
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.restate.endpointmanifest.v4+json")
		m := manifest.Load().(string)
		if m == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, m)
	}))
	defer endpoint.Close()
	d := startDev(t, "serve", "--deployment", endpoint.URL)
	d.out.await(ctx, t, "Ctrl-C ends it") // the last line of what it says first
	dir := d.data(t)
	if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
		t.Errorf("the server has no data there: %v", err)
	}
	d.err.await(ctx, t, "META0003") // it is not up yet
	offer("hello")
	d.out.await(ctx, t, "is deployment dp_")
	offer("bye")
	d.out.await(ctx, t, "has changed")
	d.out.await(ctx, t, "Revision: 1 -> 2")
	d.stop()
	<-d.done
	if d.code != 0 {
		t.Errorf("exit %d, %s", d.code, d.err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
	if n := strings.Count(d.err.String(), "[WARNING]"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, d.err)
	}
}

func TestDevRetains(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := startDev(t, "serve", "--retain")
	d.out.await(ctx, t, "Ctrl-C ends it")
	d.stop()
	<-d.done
	if _, err := os.Stat(filepath.Join(d.data(t), "data")); err != nil || d.code != 0 {
		t.Errorf("exit %d, data: %v", d.code, err)
	}
}

// A server that cannot start ends it, and leaves nothing.
func TestDevOfAServerThatFails(t *testing.T) {
	d := startDev(t, "fail")
	<-d.done
	text := d.err.String()
	if d.code != 1 || !strings.Contains(text, "the port is taken") || !strings.Contains(text, "--use-random-ports") {
		t.Errorf("exit %d, %s", d.code, text)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestDevRefuses(t *testing.T) {
	w := newWorld(t)
	t.Setenv("PATH", "")
	for line, want := range map[string]string{
		"dev -u":               "no unix sockets",
		"dev --deployment ://": "invalid value",
		"dev x":                "unexpected argument",
		"dev":                  "is neither in",
	} {
		if got := w.run(line); !strings.Contains(got, want) || strings.HasSuffix(got, "exit 0\n") {
			t.Errorf("%s: %s", line, got)
		}
	}
}
