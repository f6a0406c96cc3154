package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, o Options) *Live {
	t.Helper()
	o.Hostname = "host"
	l, _, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Settings that are live take effect, those that are not are named, and all parts are told in their order.
func TestLiveKeysTakeEffect(t *testing.T) {
	path := file(t, "log-filter = \"info\"\ncluster-name = \"a\"\n")
	l := open(t, Options{File: path})
	var heard []string
	for _, who := range []string{"first", "second"} {
		l.OnChange(func(c *Config) { heard = append(heard, who+" "+string(c.LogFilter)) })
	}
	heard = nil // both were told what there is
	change, err := l.Take([]byte("log-filter = \"debug\"\ncluster-name = \"b\"\nmax-journal-retention = \"1h\"\n[ingress]\nrequest-size-limit = \"1 MiB\"\n[default-retry-policy]\nmax-attempts = 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"log-filter: \"info\" -> \"debug\"", "default-retry-policy.max-attempts: 70 -> 3", "max-journal-retention: not set -> \"1h\"", "ingress.request-size-limit: not set -> \"1.0 MiB\""}
	if !reflect.DeepEqual(change.Applied, want) || !reflect.DeepEqual(change.Restart, []string{"cluster-name: \"a\" -> \"b\""}) || len(change.Warnings) > 0 {
		t.Errorf("%+v", change)
	}
	now := l.Current()
	if now.LogFilter != "debug" || now.ClusterName != "a" || now.Retry.MaxAttempts != 3 || now.JournalRetentionMax.D() != time.Hour || now.IngressRequestSizeLimit() != 1<<20 {
		t.Errorf("in effect: %+v", now)
	}
	if !slices.Equal(heard, []string{"first debug", "second debug"}) {
		t.Errorf("heard %q", heard)
	}
	// Back, by leaving them out.
	if _, err := l.Take([]byte("cluster-name = \"a\"\n")); err != nil || l.Current().LogFilter != "warn,restate=info" || l.Current().JournalRetentionMax != nil {
		t.Errorf("back: %v, %+v", err, l.Current())
	}
}

// A file with a fault is refused whole, and the old settings stay.
func TestBadFileIsRefused(t *testing.T) {
	path := file(t, "log-filter = \"info\"\n")
	l := open(t, Options{File: path})
	l.OnChange(func(c *Config) {
		if c.LogFilter != "info" {
			t.Errorf("told %s", c.LogFilter)
		}
	})
	for text, want := range map[string]string{
		"log-filter = \"debug\"\nbind-port = 70000\nlog-format = \"xml\"": "log-format", "log-filter = ": "line 1", "log-filter = \"loud\"": "loud",
		"log-filter = \"debug\"\n[worker.invoker]\nmemory-limit = \"1 MiB\"": "memory-limit",
	} {
		if _, err := l.Take([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		if l.Current().LogFilter != "info" || !l.Seen([]byte(text)) {
			t.Errorf("%q: %s", text, l.Current().LogFilter)
		}
	}
}

// A live value that does not fit one that needs a restart is refused, too.
func TestLiveValueMustFitWhatStays(t *testing.T) {
	l := open(t, Options{File: file(t, "")})
	text := "[worker.invoker]\nper-invocation-initial-memory = \"1 KiB\"\nper-invocation-memory-limit = \"16 KiB\"\n"
	if _, err := l.Take([]byte(text)); err == nil || !strings.Contains(err.Error(), "per-invocation-initial-memory is 32.0 KiB") {
		t.Errorf("%v", err)
	}
	if b := l.Current().Worker.Invoker.InvocationBytesMax; b != nil {
		t.Errorf("%s", *b)
	}
}

// Flags and the environment win over a new file as over the old one.
func TestNewFileDoesNotBeatFlagsAndEnvironment(t *testing.T) {
	l := open(t, Options{File: file(t, ""), Environ: []string{"RESTATE_LOG_FILTER=error"}, Flags: map[string]string{"shutdown-timeout": "3s"}})
	change, err := l.Take([]byte("log-filter = \"debug\"\nshutdown-timeout = \"9s\"\n"))
	if err != nil || len(change.Applied)+len(change.Restart) > 0 || l.Current().LogFilter != "error" || l.Current().ShutdownTimeout != 3*sec {
		t.Errorf("%+v %v", change, err)
	}
}

// Warnings come once, also over new files.
func TestWarningsComeOnce(t *testing.T) {
	path := file(t, "nonsense = 1\n")
	l, first, err := Open(Options{File: path, Hostname: "host"})
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	for i, want := range []int{1, 0} {
		change, err := l.Take([]byte("nonsense = 1\nother-nonsense = 1\n"))
		if err != nil || len(change.Warnings) != want {
			t.Errorf("%d: %+v %v", i, change, err)
		}
	}
}

// What changes is shown without secrets.
func TestChangesAreMasked(t *testing.T) {
	l := open(t, Options{File: file(t, "[worker.snapshots]\naws-secret-access-key = \"hush\"\n")})
	change, err := l.Take([]byte("tracing-headers = {a = \"hush\"}\n[worker.snapshots]\naws-secret-access-key = \"hush hush\"\n"))
	if err != nil || len(change.Restart) != 2 || strings.Contains(strings.Join(change.Restart, " "), "hush") {
		t.Errorf("%+v %v", change, err)
	}
}

// What is logged at the start is what differs from the defaults, without secrets.
func TestDifferences(t *testing.T) {
	cfg, _ := load(t, Options{Environ: []string{"RESTATE_BIND_PORT=1", "RESTATE_WORKER__SNAPSHOTS__AWS_SECRET_ACCESS_KEY=hush", "RESTATE_WORKER__SNAPSHOTS__NUM_RETAINED=1"}})
	want := []string{`node-name = "host"`, "bind-port = 1", `worker.snapshots.aws-secret-access-key = "***"`}
	if got := cfg.Differences(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A process without a file has none to watch.
func TestNoFile(t *testing.T) {
	if l := open(t, Options{}); l.File() != "" {
		t.Error(l.File())
	}
	path := file(t, "bind-port = 1\n")
	l := open(t, Options{Environ: []string{"RESTATE_CONFIG=" + path}})
	if err := os.WriteFile(path, []byte("bind-port = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := l.Read(); err != nil || string(text) != "bind-port = 2\n" || l.Seen(text) {
		t.Errorf("%q %v", text, err)
	}
}
