package daemon

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/memory"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files")

// watched is a watcher of a file that a test writes.
type watched struct {
	t    *testing.T
	live *config.Live
	w    *watcher
	log  bytes.Buffer
	text string
	err  error
}

func newWatched(t *testing.T, text string) *watched {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reprise.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	live, _, err := config.Open(config.Options{File: path, Hostname: "n"})
	if err != nil {
		t.Fatal(err)
	}
	x := &watched{t: t, live: live, text: text}
	h := hosttest.New(hosttest.NewClock(), 1)
	h.Log = slog.New(slog.NewTextHandler(&x.log, nil))
	x.w = newWatcher(live, h)
	x.w.read = func() ([]byte, error) { return []byte(x.text), x.err }
	return x
}

// said returns what was logged since it was last called.
func (x *watched) said() string {
	defer x.log.Reset()
	return x.log.String()
}

func (x *watched) filter(want config.Filter) {
	x.t.Helper()
	if got := x.live.Current().LogFilter; got != want {
		x.t.Errorf("log-filter is %q, want %q", got, want)
	}
}

// A new file takes effect once it reads the same twice: one that is being written does not.
func TestFileIsTakenWhenItRests(t *testing.T) {
	x := newWatched(t, "log-filter = \"info\"\nshutdown-timeout = \"9s\"\n")
	x.w.look()
	x.text = "log-filter = \"debug\"\n" // half of it
	x.w.look()
	x.text = "log-filter = \"debug\"\nshutdown-timeout = \"9s\"\n"
	x.w.look()
	x.filter("info")
	if got := x.said(); got != "" {
		t.Errorf("said %s", got)
	}
	x.w.look()
	x.filter("debug")
	if got := x.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "configuration changed") || !strings.Contains(got, `log-filter: \"info\" -> \"debug\"`) || strings.Contains(got, "shutdown") {
		t.Errorf("said %s", got)
	}
	x.w.look()
	x.w.look()
	if got := x.said(); got != "" {
		t.Errorf("again: %s", got)
	}
}

// What needs a restart is one warning, and keeps its value.
func TestWhatNeedsARestartIsNamed(t *testing.T) {
	x := newWatched(t, "")
	x.text = "cluster-name = \"other\"\nlog-filter = \"debug\"\nnonsense = 1\n"
	x.w.look()
	x.w.look()
	x.filter("debug")
	got := x.said()
	if strings.Count(got, "\n") != 3 || !strings.Contains(got, "need a restart") || !strings.Contains(got, `cluster-name: \"localcluster\" -> \"other\"`) || !strings.Contains(got, "unknown configuration key nonsense") {
		t.Errorf("said %s", got)
	}
	if x.live.Current().ClusterName != "localcluster" {
		t.Error("the cluster has another name")
	}
}

// A bad file is refused in one line that names all faults, once, and the old settings stay.
func TestBadFileIsRefusedOnce(t *testing.T) {
	x := newWatched(t, "log-filter = \"info\"\n")
	x.text = "log-filter = \"debug\"\nbind-port = 70000\nlog-format = \"xml\"\n"
	for range 4 {
		x.w.look()
	}
	x.filter("info")
	if got := x.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "bind-port") || !strings.Contains(got, "log-format") {
		t.Errorf("said %s", got)
	}
	x.text = "log-filter = \"debug\"\n"
	x.w.look()
	x.w.look()
	x.filter("debug")
}

// A file that is gone, or a folder, is said once; settings stay, and follow it when it is back.
func TestFileThatIsGone(t *testing.T) {
	x := newWatched(t, "log-filter = \"info\"\n")
	x.err = errors.New("no such file")
	for range 3 {
		x.w.look()
	}
	if got := x.said(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no such file") {
		t.Errorf("said %s", got)
	}
	x.filter("info")
	x.err, x.text = nil, "log-filter = \"debug\"\n"
	x.w.look()
	x.w.look()
	x.filter("debug")
}

// The file is read every second, SIGHUP reads it at once and is passed on, without waiting for who takes it, and other signals are passed on.
func TestWatchAndSignals(t *testing.T) {
	x := newWatched(t, "log-filter = \"info\"\n")
	clock := hosttest.NewClock()
	x.w.host.Clock = clock
	reads := make(chan struct{})
	x.w.read = func() ([]byte, error) {
		reads <- struct{}{}
		return []byte("log-filter = \"debug\"\n"), nil
	}
	changed := make(chan struct{}, 2) // told once at the begin, and once of the change
	x.live.OnChange(func(*config.Config) { changed <- struct{}{} })
	<-changed
	signals, asked := make(chan os.Signal), make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("watch", func(ctx context.Context) error {
		return x.w.run(ctx, signals, func(s os.Signal) { asked <- s })
	})
	signals <- syscall.SIGUSR1
	if s := <-asked; s != syscall.SIGUSR1 {
		t.Errorf("asked for %v", s)
	}
	clock.Await(1)
	clock.Advance(watchInterval)
	<-reads
	clock.Await(1)
	x.filter("info") // it was read once
	signals <- syscall.SIGHUP
	<-reads
	<-changed
	x.filter("debug")
	<-x.w.hangups
	for range 3 { // nobody takes them
		signals <- syscall.SIGHUP
		<-reads
	}
	signals <- syscall.SIGUSR2
	if s := <-asked; s != syscall.SIGUSR2 || len(x.w.hangups) != 1 {
		t.Errorf("asked for %v, and %d hangups wait", s, len(x.w.hangups))
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// SIGHUP without a file is answered, too.
func TestNoFileToReadAgain(t *testing.T) {
	x := newWatched(t, "")
	x.w.live = config.Fixed(config.Default())
	x.w.reread()
	if got := x.said(); !strings.Contains(got, "there is no configuration file") {
		t.Errorf("said %s", got)
	}
}

// openStores are two that hold something.
type openStores struct{ looked chan struct{} }

func (s openStores) Standing() []memory.Standing {
	s.looked <- struct{}{}
	return []memory.Standing{{ID: 0, Bytes: 3 << 20}, {ID: 17, Bytes: 1 << 20}}
}

func (openStores) Flush(context.Context, id.Partition) error { return nil }

// shareMemory has a memory controller divide 32 MiB over two stores.
func shareMemory(t *testing.T, h host.Host) {
	t.Helper()
	stores := openStores{make(chan struct{}, 10)} // it looks thrice
	c, err := memory.New(memory.Default(), stores, h)
	if err != nil {
		t.Fatal(err)
	}
	c.Set(memory.Budget{Bytes: 32 << 20})
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("memory", c.Run)
	<-stores.looked
	c.Wake()
	<-stores.looked // what it saw at first is taken down
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// SIGUSR1 writes what is in effect, without secrets, and the state of the memory; all but that is TOML that can be read again.
func TestStateOnSignal(t *testing.T) {
	x := newWatched(t, "[worker.snapshots]\naws-secret-access-key = \"hush\"\n")
	if _, err := x.live.Take([]byte("log-filter = \"debug\"\n[worker.snapshots]\naws-secret-access-key = \"hush\"\n")); err != nil {
		t.Fatal(err)
	}
	d := Daemon{Role: "worker", Config: *x.live.Current(), Live: x.live, Host: x.w.host}
	d.Host.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "restate_memory_pool_usage_bytes", Help: "x", ConstLabels: prometheus.Labels{"name": "invoker"}}, func() float64 { return 1 << 20 }))
	shareMemory(t, d.Host)
	var b bytes.Buffer
	d.dump(&b, syscall.SIGUSR1, memoryBounds{root: limitedTo("1073741824\n"), limit: 1 << 30})
	got := b.String()
	for _, want := range []string{
		"log-filter = \"debug\"", "[worker.snapshots]", "limit of the cgroup: 1.0 GiB", "used by the cgroup: 512.0 MiB", "Go heap: limit", "block cache: 307.2 MiB",
		"memtables of partitions (worker.storage): 853.0 MiB", "memtables of the log (log-server): 870.4 MiB", `# restate_memory_pool_usage_bytes{name="invoker"} 1.0 MiB`,
		"# restate_partition_store_memtable_budget_bytes{} 16.0 MiB", `# reprise_memory_store_bytes{partition="0"} 3.0 MiB`, `# reprise_memory_store_bytes{partition="17"} 1.0 MiB`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hush") {
		t.Errorf("secrets are shown:\n%s", got)
	}
	path := filepath.Join(t.TempDir(), "again.toml")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, warnings, err := config.Load(config.Options{File: path, Hostname: "n"}); err != nil || len(warnings) > 0 || again.LogFilter != "debug" {
		t.Errorf("read again: %v %v", warnings, err)
	}
}

// SIGUSR2 writes the stacks of all goroutines.
func TestStacksOnSignal(t *testing.T) {
	x := newWatched(t, "")
	d := Daemon{Role: "worker", Live: x.live, Host: x.w.host}
	var b bytes.Buffer
	d.dump(&b, syscall.SIGUSR2, memoryBounds{})
	if !strings.Contains(b.String(), "TestStacksOnSignal") {
		t.Errorf("%s", b.String())
	}
}

// Each start is two lines: who starts, and with which settings, without secrets.
func TestStartIsLogged(t *testing.T) {
	x := newWatched(t, "bind-port = 7\n[worker.snapshots]\naws-secret-access-key = \"hush\"\n")
	d := Daemon{Role: "worker", Config: *x.live.Current(), Live: x.live, Host: x.w.host}
	d.sayStart()
	got := x.said()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "msg=starting") || !strings.Contains(got, "bind-port = 7") || !strings.Contains(got, `aws-secret-access-key = \"***\"`) {
		t.Errorf("said %s", got)
	}
}

// The flags of a daemon are those of the contract that it has.
func TestHelp(t *testing.T) {
	app := newApp("worker", "leads partitions", nil)
	var b bytes.Buffer
	app.Writer = &b
	if err := app.Run([]string{app.Name, "--help"}); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/help.txt"
	if *rewrite {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || b.String() != string(want) {
		t.Errorf("differs from %s (%v); rewrite with -rewrite:\n%s", golden, err, b.String())
	}
	for _, flag := range []string{
		"config-file", "dump-config", "production", "no-logo", "listen-mode", "use-random-ports", "advertised-host", "bind-ip", "bind-port", "roles", "node-name", "location", "force-node-id",
		"cluster-name", "auto-provision", "base-dir", "metadata-store-address", "bind-address", "advertised-address", "default-num-partitions", "shutdown-timeout", "tracing-endpoint",
		"log-filter", "log-format", "log-disable-ansi-codes",
	} {
		if !strings.Contains(b.String(), "--"+flag+" ") {
			t.Errorf("no flag --%s", flag)
		}
	}
}
