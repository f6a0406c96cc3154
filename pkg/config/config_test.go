package config

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/schema"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files")

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reprise.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, o Options) (Config, []string) {
	t.Helper()
	o.Hostname = "host"
	cfg, warnings, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

func TestOrderOfSources(t *testing.T) {
	path := file(t, "cluster-name = \"file\"\nbind-port = 1\nbase-dir = \"file\"\n[worker.invoker]\nabort-timeout = \"2m\"\n")
	env := []string{"RESTATE_CONFIG=" + path, "RESTATE_CLUSTER_NAME=env", "RESTATE_BIND_PORT=2", "HOME=/x", "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT=PT3M"}
	cfg, warnings := load(t, Options{Environ: env, Flags: map[string]string{"bind-port": "3"}})
	got := []any{cfg.NodeName, cfg.ClusterName, cfg.BindPort, cfg.BaseDir, cfg.Worker.Invoker.AbortTimeout.D(), cfg.Worker.Invoker.InactivityTimeout.D(), cfg.Ingress.BindPort}
	want := []any{"host", "env", uint16(3), "file", 2 * time.Minute, 3 * time.Minute, uint16(8080)}
	if !reflect.DeepEqual(got, want) || len(warnings) != 0 {
		t.Errorf("got %v, want %v, warnings %v", got, want, warnings)
	}
}

func TestEnvironmentForms(t *testing.T) {
	cfg, warnings := load(t, Options{Environ: []string{
		`RESTATE_METADATA_CLIENT={type="etcd", addresses=["a:1", "b:2"]}`,
		`RESTATE_METADATA_CLIENT__CONNECT_TIMEOUT=1s 500ms`,
		`RESTATE_METADATA_CLIENT__ADDRESSES=["c:3"]`,
		`RESTATE_ROLES=worker, admin`,
		`RESTATE_DEFAULT_REPLICATION={zone: 2, node: 3}`,
		`RESTATE_WORKER__INVOKER__ADDITIONAL_REQUEST_HEADERS={"x-a": "1"}`,
		`RESTATE_DEFAULT_RETRY_POLICY={"max-attempts": "unlimited", "initial-interval": "50ms"}`,
		`RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=1.5 GiB`,
		`RESTATE_BIFROST__REPLICATED_LOGLET__STORE_TIMEOUT=100ms..2s`,
		`RESTATE_USE_RANDOM_PORTS=true`,
		`RESTATE_ADMIN_URL=http://x`,
	}})
	mc := cfg.MetadataClient
	if mc.Type != "etcd" || !reflect.DeepEqual(mc.Addresses, []string{"c:3"}) || mc.ConnectTimeout.D() != 1500*time.Millisecond || cfg.EmbeddedMetadata() {
		t.Errorf("metadata client: %+v", mc)
	}
	got := []any{cfg.Roles, string(cfg.Replication), cfg.Worker.Invoker.AdditionalRequestHeaders, cfg.Retry.MaxAttempts, cfg.Retry.InitialInterval.D(), cfg.Retry.Factor, int64(cfg.MemoryTotal), cfg.Bifrost.Loglet.StoreTimeout.String(), cfg.IngressEndpoint().Addr}
	want := []any{[]string{"worker", "admin"}, "{zone: 2, node: 3}", map[string]string{"x-a": "1"}, Limit(0), 50 * time.Millisecond, 2.0, int64(1536 << 20), "100ms..2s", ":0"}
	if !reflect.DeepEqual(got, want) || len(warnings) != 0 {
		t.Errorf("got %v\nwant %v\nwarnings %v", got, want, warnings)
	}
}

func TestUnknownKeysWarn(t *testing.T) {
	path := file(t, `
nonsense = 1
rocksdb-perf-level = "enable-count"
gossip-num-peers = 3
[worker]
also-nonsense = {a = 1}
[worker.storage]
rocksdb-log-level = "error"
[bifrost.local]
x = 1
`)
	_, got := load(t, Options{File: path, Environ: []string{"RESTATE_NOT_A_KEY=1"}})
	want := []string{
		"unknown configuration key nonsense in " + path,
		"unknown configuration key worker.also-nonsense in " + path,
		"unknown configuration key not-a-key in environment variable RESTATE_NOT_A_KEY",
		"configuration keys without effect: bifrost.local: logs are always kept by log-servers, if only by one",
		"configuration keys without effect: gossip-num-peers: nothing gossips: processes tell the metadata daemons that they live",
		"configuration keys without effect: rocksdb-perf-level, worker.storage.rocksdb-log-level: stores are Pebble, which has no such setting",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestFaultsAreNamedAllAtOnce(t *testing.T) {
	for text, want := range map[string][]string{
		"[metadata-client]\ntype = \"object-store\"": {"metadata-client.type"},
		"[metadata-client]\ntype = \"dynamo-db\"":    {"metadata-client.type"},
		"[metadata-client]\ntype = \"etcd\"":         {"metadata-client.addresses"},
		"shutdown-timeout = 5\nbind-port = 70000\ndefault-num-partitions = 0\n[worker.invoker]\nabort-timeout = \"soon\"": {
			"shutdown-timeout", "bind-port", "default-num-partitions", "worker.invoker.abort-timeout"},
		"default-replication = \"{zone: 3, node: 2}\"": {"default-replication"},
		"default-replication = 0":                      {"default-replication"},
		"default-replication = \"{rack: 2}\"":          {"default-replication"},
		"[ingress]\nbind-ip = \"nowhere\"":             {"ingress.bind-ip"},
		"[default-retry-policy]\nmax-attempts = 0":     {"default-retry-policy.max-attempts"},
		"worker = 3":                          {"worker"},
		"rocksdb-total-memtables-ratio = nan": {"rocksdb-total-memtables-ratio"},
		"node-name = \"../x\"":                {"node-name"},
		"not toml":                            {"line 1"},
	} {
		_, _, err := Load(Options{File: file(t, text), Hostname: "h"})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(want) {
			t.Errorf("%q: %q", text, lines)
			continue
		}
		for i, key := range want {
			found := false
			for _, l := range lines {
				found = found || strings.Contains(l, key)
			}
			if !found {
				t.Errorf("%q: no line names %s in %q", text, want[i], lines)
			}
		}
	}
	if _, _, err := Load(Options{File: "/does/not/exist"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("missing file: %v", err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "1m": time.Minute, "1s 500ms": 1500 * time.Millisecond, "1s500ms": 1500 * time.Millisecond,
		"1.5h": 90 * time.Minute, "2 days": 48 * time.Hour, "1 hour, 3 min": 63 * time.Minute, "1w": 168 * time.Hour,
		"PT1M30S": 90 * time.Second, "P1DT2H": 26 * time.Hour, "P2D": 48 * time.Hour, "pt0.5s": 500 * time.Millisecond, "P1W": 168 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
		if back, err := ParseDuration(Duration(want).String()); err != nil || back != want {
			t.Errorf("%v printed as %q", want, Duration(want))
		}
	}
	for _, text := range []string{"", "1", "m", "1x", "-1s", "1..2s", "P", "PT", "P1DT", "P1H", "PT1D", "1s 2", "PT1S1", "P1H1HT1H", "400000000000000h", "1s;2s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q read as %v", text, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "5": 5, "2.0 GiB": 2 << 30, "64MB": 64e6, "32 MiB": 32 << 20, "1kib": 1024, "1_000": 1000, "7.0 GiB": 7 << 30,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1 XiB", "1e30", "99999999 TiB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q read as %d", text, got)
		}
	}
	for b, want := range map[Bytes]string{0: "0 B", 1023: "1023 B", 32 << 20: "32.0 MiB", 3 << 29: "1.5 GiB"} {
		if b.String() != want {
			t.Errorf("%d printed as %s", b, b)
		}
	}
}

func TestDump(t *testing.T) {
	cfg, _ := load(t, Options{})
	var b strings.Builder
	if err := cfg.Dump(&b); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile("testdata/default.toml", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/default.toml")
	if err != nil || b.String() != string(want) {
		t.Errorf("the dump differs from testdata/default.toml (%v); rewrite with -rewrite:\n%s", err, b.String())
	}
	again, warnings := load(t, Options{File: "testdata/default.toml"})
	if !reflect.DeepEqual(cfg, again) || len(warnings) != 0 {
		t.Errorf("the dump reads back as %+v, %v", again, warnings)
	}
}

func TestDumpMasksSecrets(t *testing.T) {
	cfg, _ := load(t, Options{Environ: []string{"RESTATE_WORKER__SNAPSHOTS__AWS_SECRET_ACCESS_KEY=hush", `RESTATE_TRACING_HEADERS={authorization="hush"}`}})
	var b strings.Builder
	if err := cfg.Dump(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hush") || !strings.Contains(b.String(), "aws-secret-access-key = \"***\"") {
		t.Errorf("dump: %s", b.String())
	}
}

func TestProduction(t *testing.T) {
	cfg, _ := load(t, Options{Production: true})
	told, _ := load(t, Options{Production: true, Environ: []string{"RESTATE_AUTO_PROVISION=true"}})
	if cfg.AutoProvision || !told.AutoProvision {
		t.Error("--production must only change the default")
	}
}

func TestEndpoints(t *testing.T) {
	cfg, _ := load(t, Options{Flags: map[string]string{"bind-ip": "127.0.0.1", "advertised-host": "me", "admin.bind-address": "[::1]:99", "ingress.advertised-address": "https://in/"}})
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}
	got := []string{cfg.Fabric().Addr, cfg.Fabric().URL(at), cfg.Fabric().Host(at), cfg.AdminEndpoint().Addr, cfg.AdminEndpoint().URL(at), cfg.IngressEndpoint().Addr, cfg.IngressEndpoint().URL(at)}
	want := []string{"127.0.0.1:5122", "http://me:7", "me", "[::1]:99", "http://me:7", "127.0.0.1:8080", "https://in/"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	plain, _ := load(t, Options{Flags: map[string]string{"bind-ip": "127.0.0.1"}})
	if u := plain.Fabric().URL(at); u != "http://127.0.0.1:7" {
		t.Errorf("advertised %s", u)
	}
}

func TestMemoryAndClamps(t *testing.T) {
	cfg, _ := load(t, Options{Environ: []string{"RESTATE_LOG_SERVER__ROCKSDB_MEMORY_BUDGET=1 MiB", "RESTATE_INGRESS__REQUEST_SIZE_LIMIT=1 GiB", "RESTATE_WORKER__INVOKER__MESSAGE_SIZE_LIMIT=1 MiB", "RESTATE_WORKER__INVOKER__EAGER_STATE_SIZE_LIMIT=0"}})
	m := cfg.Memory()
	got := []int64{m.BlockCache >> 20, m.WorkerMemtables >> 20, m.LogServerMemtables >> 20, int64(cfg.IngressRequestSizeLimit()) >> 20, int64(cfg.InvokerMessageSizeLimit()) >> 20, int64(cfg.EagerStateSizeLimit()), int64(cfg.InvocationMemoryLimit()) >> 20}
	if want := []int64{307, 852, 1, 32, 1, 0, 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSchemaDefaults(t *testing.T) {
	plain, _ := load(t, Options{})
	if got := plain.SchemaDefaults(); !reflect.DeepEqual(got, schema.Default()) {
		t.Errorf("defaults of a server that is told nothing differ: %+v, %+v", got, schema.Default())
	}
	cfg, _ := load(t, Options{Environ: []string{"RUST_LOG=debug", "RESTATE_MAX_JOURNAL_RETENTION=0", "RESTATE_DEFAULT_RETRY_POLICY__ON_MAX_ATTEMPTS=kill", "RESTATE_AUTO_PROVISION=false"}})
	got := cfg.SchemaDefaults()
	if got.MaxJournalRetention == nil || *got.MaxJournalRetention != 0 || !got.Retry.Kill || cfg.LogFilter != "debug" || cfg.ClusterSpec() != nil {
		t.Errorf("got %+v", got)
	}
	if c := plain.ClusterSpec(); c.Partitions != 24 || c.Replication != "{node: 1}" {
		t.Errorf("cluster %v", c)
	}
}

func TestFlagsNameKeys(t *testing.T) {
	for _, f := range Flags() {
		path := strings.Split(f.KeyOf(), ".")
		cfg := Default()
		v := reflect.ValueOf(&cfg).Elem()
		for _, key := range path {
			var ok bool
			if _, v, ok = fieldOf(v, key); !ok {
				t.Errorf("flag --%s sets %s, which is no key", f.Name, f.KeyOf())
				break
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1s", "PT1H", "2 GiB", "{zone: 2, node: 3}", "[\"a\"]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if d < 0 {
				t.Errorf("%q is %v", s, d)
			}
			if back, err := ParseDuration(Duration(d).String()); err != nil || back != d {
				t.Errorf("%q is %v, printed %q reads %v (%v)", s, d, Duration(d), back, err)
			}
		}
		if n, err := ParseBytes(s); err == nil && n < 0 {
			t.Errorf("%q is %d", s, n)
		}
		var r Replication
		if err := r.set(s); err == nil {
			again := r
			if err := again.set(string(r)); err != nil || again != r {
				t.Errorf("%q is %q, which reads %q (%v)", s, r, again, err)
			}
		}
	})
}
