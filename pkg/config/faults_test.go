package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/pkg/errs"
)

// Each fault names the key, the value and what to do.
func TestEachFaultNamesKeyValueAndFix(t *testing.T) {
	dir := t.TempDir()
	noKey, plain := filepath.Join(dir, "none.pem"), filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ key, value, shown, fix string }{
		// Wrong units.
		{"shutdown-timeout", `5`, "5 has no unit", `"5s"`},
		{"shutdown-timeout", `"5 parsecs"`, `"5 parsecs"`, `"1m"`},
		{"shutdown-timeout", `"-1s"`, `"-1s"`, `"1m"`},
		{"rocksdb-total-memory-size", `"2 gigs"`, `"2 gigs"`, `"32 MiB"`},
		{"rocksdb-total-memory-size", `-5`, "-5", "no size"},
		{"rocksdb-total-memory-size", `1.5`, "1.5", "32 MiB"},
		{"bifrost.replicated-loglet.store-timeout", `"1m..1s"`, `"1m..1s"`, "start is above its end"},
		{"admin.query-engine.rate-limiting.rate", `"7"`, "7", `"10/s"`},
		{"default-retry-policy.max-attempts", `0`, "0", "unlimited"},
		{"default-retry-policy.max-attempts", `"many"`, "many", "unlimited"},
		// Ratios above 1, and other bounds.
		{"rocksdb-total-memtables-ratio", `1.5`, "1.5", "at most 1"},
		{"rocksdb-total-memtables-ratio", `nan`, "NaN", "at most 1"},
		{"worker.storage.rocksdb-memory-ratio", `0`, "0", "above 0"},
		{"log-server.rocksdb-memory-ratio", `-0.5`, "-0.5", "above 0"},
		{"worker.invoker.http2-keep-alive-jitter", `2`, "2", "from 0 to 1"},
		{"default-num-partitions", `0`, "0", "from 1 to 65535"},
		{"default-num-partitions", `100000`, "100000", "from 1 to 65535"},
		{"bind-port", `70000`, "70000", "from 0 to 65535"},
		{"networking.message-size-limit", `"32 KiB"`, "32.0 KiB", "from 64 KiB to 1 GiB"},
		{"gossip-failure-threshold", `1`, "1", "from 4 to 1000"},
		{"gossip-tick-interval", `"1ms"`, "1ms", "from 10ms to 1m"},
		{"shutdown-timeout", `"0s"`, "0s", "at least 1ms"},
		{"default-retry-policy.exponentiation-factor", `0.5`, "0.5", "at least 1"},
		{"default-retry-policy.max-interval", `"1ms"`, "1ms", "initial-interval (500ms)"},
		{"worker.snapshots.object-store-retry-policy.max-interval", `"1ms"`, "1ms", "initial-interval (100ms)"},
		{"metadata-server.raft-election-tick", `5`, "", ""}, // fits
		{"metadata-server.raft-heartbeat-tick", `3`, "10", "five times"},
		// Budgets above the total.
		{"worker.storage.rocksdb-memory-budget", `"3 GiB"`, "3.0 GiB", "rocksdb-total-memory-size (2.0 GiB)"},
		{"rocksdb-total-memory-size", `"1 MiB"`, "1.0 MiB", "at least 16 MiB"},
		{"worker.invoker.memory-limit", `"33 MiB"`, "33.0 MiB", "per-invocation-memory-limit (32.0 MiB)"},
		{"worker.invoker.per-invocation-initial-memory", `"1 GiB"`, "1.0 GiB", "per-invocation-memory-limit (32.0 MiB)"},
		// Words.
		{"log-format", `"xml"`, `"xml"`, "pretty, compact, json"},
		{"log-filter", `"loud"`, `"loud"`, "off, error, warn"},
		{"log-filter", `3`, "3", "warn,restate=info"},
		{"worker.durability-mode", `"always"`, `"always"`, "balanced"},
		{"default-retry-policy.on-max-attempts", `"retry"`, `"retry"`, "pause, kill"},
		{"metadata-client.type", `"object-store"`, `"object-store"`, "etcd"},
		{"networking.connect-retry-policy.type", `"linear"`, `"linear"`, "exponential"},
		{"listen-mode", `"unix"`, `"unix"`, "all, tcp"},
		{"roles", `["king"]`, `"king"`, "worker"},
		{"roles", `[]`, "empty", "worker"},
		{"node-name", `"../x"`, `"../x"`, "letters"},
		{"cluster-name", `""`, `""`, "must not be empty"},
		{"location", `"a.b.c"`, `"a.b.c"`, "region.zone"},
		{"bind-ip", `"nowhere"`, `"nowhere"`, "IP address"},
		{"ingress.bind-address", `":8080"`, `":8080"`, "ip:port"},
		{"admin.advertised-address", `"host"`, `"host"`, "http://host:port"},
		{"admin.postgres.bind-address", `"5432"`, `"5432"`, "ip:port"},
		{"tracing-endpoint", `"collector:4317"`, `"collector:4317"`, "http://host:4317"},
		{"default-replication", `"{zone: 3, node: 2}"`, "2", "from 3"},
		{"default-replication", `"{rack: 2}"`, `"rack"`, "region, zone or node"},
		// Wrong types.
		{"auto-provision", `"perhaps"`, `"perhaps"`, "true nor false"},
		{"auto-provision", `1`, "1", "true nor false"},
		{"worker", `3`, "3", "no table"},
		{"worker.invoker", `[]`, "[]", "no table"},
		{"node-name", `["a"]`, "[a]", "no text"},
		{"metadata-client.addresses", `[1]`, "1", "no text"},
		{"metadata-client.addresses", `{a = 1}`, "map[a:1]", "no list"},
		{"worker.invoker.additional-request-headers", `{a = {b = 1}}`, "a", "no text"},
		{"cluster-name", `1979-05-27`, "1979-05-27", "no text"},
		// Certificates and folders.
		{"worker.invoker.request-identity-private-key-pem-file", quote(noKey), noKey, "may read"},
		{"worker.invoker.request-identity-private-key-pem-file", quote(plain), plain, "openssl"},
		{"networking.tls.mode", `"strict"`, `"strict"`, "networking.tls.ca: name files"},
		{"networking.tls.mode", `"on"`, `"on"`, "off, optional, strict"},
		{"admin.query-engine.tmp-dir", quote(plain), plain, "name a folder"},
		{"base-dir", quote(plain), plain, "name a folder"},
	} {
		_, _, err := Load(Options{File: file(t, tree2toml(row.key, row.value)), Hostname: "host"})
		if row.fix == "" {
			if err != nil {
				t.Errorf("%s = %s: %v", row.key, row.value, err)
			}
			continue
		}
		if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s = %s: %v", row.key, row.value, err)
			continue
		}
		key := row.key
		if key == "metadata-server.raft-heartbeat-tick" {
			key = "metadata-server.raft-election-tick"
		}
		for _, want := range []string{key, row.shown, row.fix} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %s: %q does not say %q", row.key, row.value, err, want)
			}
		}
	}
}

// All faults of all sources come at once, each with where it is.
func TestAllFaultsOfAllSourcesAtOnce(t *testing.T) {
	_, _, err := Load(Options{
		File:    file(t, "bind-port = 70000\nrocksdb-total-memtables-ratio = 2.0\n[worker.invoker]\nabort-timeout = \"soon\"\n"),
		Environ: []string{"RESTATE_ADMIN__BIND_PORT=none", "RESTATE_SHUTDOWN_TIMEOUT=7"},
		Flags:   map[string]string{"log-format": "xml"}, Hostname: "host",
	})
	if err == nil {
		t.Fatal("no fault")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{"bind-port in /", "memtables-ratio is 2", "worker.invoker.abort-timeout in /", "environment variable RESTATE_ADMIN__BIND_PORT", "RESTATE_SHUTDOWN_TIMEOUT", "log-format is \"xml\""} {
		found := 0
		for _, l := range lines {
			if strings.Contains(l, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines say %q in %q", found, want, lines)
		}
	}
	if len(lines) != 6 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

// A value that is secret is not shown, not even when it is wrong.
func TestFaultsDoNotShowSecrets(t *testing.T) {
	for _, text := range []string{
		"[worker.snapshots]\naws-secret-access-key = [\"hush\"]", "tracing-headers = \"hush\"", "tracing-headers = {a = [\"hush\"]}", "[worker.invoker]\nhttp-proxy = {hush = 1}",
	} {
		_, _, err := Load(Options{File: file(t, text), Hostname: "host"})
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is not TOML is refused with the place.
func TestBrokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		"not toml": "line 1 column", "a = 1\nb = \n": "line 2 column", "a = 1\na = 2": "already defined", "[worker]\n[worker]\n": "worker", "a = \"\x00\"": "line 1", "\xff\xfe": "line 1",
		"a = \"" + strings.Repeat("x", 100): "line 1", "[[worker]]\nx = 1": "no table",
	} {
		_, _, err := Load(Options{File: file(t, text), Hostname: "host"})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Two ratios that are more than the whole are a doubt, not a fault: each may be of a process of its own.
func TestRatiosThatAreMoreThanTheWhole(t *testing.T) {
	_, got := load(t, Options{File: file(t, "[log-server]\nrocksdb-memory-ratio = 0.9\n[worker.storage]\nrocksdb-memory-ratio = 0.6\n")})
	if len(got) != 1 || !strings.Contains(got[0], "add up to 1.5") {
		t.Errorf("%q", got)
	}
}

// Whatever a file holds, it is read or refused in words.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "worker = 3", "[worker.invoker]\nabort-timeout = \"1m\"", "roles = [\"worker\"]", "default-replication = {zone = 2, node = 3}", "tracing-headers = {a = \"b\"}", "log-filter = \"warn,a::b=debug\"", "a.b.c = [1, {d = 2}]", "bind-port = 0x1F"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, _, err := Options{File: "fuzz.toml", Hostname: "host"}.parse(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		var b strings.Builder
		if err := cfg.Dump(&b); err != nil {
			t.Fatal(err)
		}
		if _, _, err := (Options{File: "dump.toml", Hostname: "host"}).parse([]byte(b.String())); err != nil {
			t.Errorf("the dump of %q does not read back: %v\n%s", text, err, b.String())
		}
	})
}
