package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// contractKey is a line of testdata/contract.tsv.
type contractKey struct{ key, kind, fallback, dayOne string }

func contract(t *testing.T) []contractKey {
	t.Helper()
	text, err := os.ReadFile("testdata/contract.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []contractKey
	for line := range strings.Lines(string(text)) {
		if c := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(c) == 4 {
			out = append(out, contractKey{c[0], c[1], c[2], c[3]})
		}
	}
	if len(out) < 200 {
		t.Fatalf("the contract has %d keys only", len(out))
	}
	return out
}

func keysByName(t *testing.T) map[string]Key {
	t.Helper()
	keys, err := Keys()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Key{}
	for _, k := range keys {
		if out[k.Name].Name != "" {
			t.Errorf("%s is there twice", k.Name)
		}
		out[k.Name] = k
	}
	return out
}

// Every key that the contract marks for day one is read; the others are taken, and none of them is called unknown.
func TestEveryKeyOfTheContractIsTaken(t *testing.T) {
	known := keysByName(t)
	for _, c := range contract(t) {
		_, leaf := known[c.key]
		_, inert := isInert(c.key)
		if !leaf && !inert && known[c.key+".type"].Name == "" && known[c.key+".rate"].Name == "" {
			t.Errorf("%s is unknown", c.key)
		}
		if c.dayOne == "x" && !leaf && known[c.key+".type"].Name == "" {
			t.Errorf("%s is not read", c.key)
		}
	}
}

// deviations are defaults that are not those of the contract, with the reason.
var deviations = map[string]string{
	"base-dir":                                       "ours has its own folder",
	"metadata-server.raft-tick-interval":             "the meaning says so",
	"metadata-server.raft-heartbeat-tick":            "with the tick above",
	"networking.connect-timeout":                     "the meaning says so",
	"networking.handshake-timeout":                   "the meaning says so",
	"networking.data-stream-window-size":             "the meaning says so",
	"bifrost.append-retry-min-interval":              "the meaning says so",
	"bifrost.append-retry-max-interval":              "the meaning says so",
	"bifrost.replicated-loglet.read-batch-size":      "the meaning says so",
	"worker.max-command-batch-size":                  "the meaning says so",
	"worker.shuffle.inflight-memory-budget":          "the meaning says so",
	"default-replication":                            "written out: {node: 1}",
	"bifrost.replicated-loglet.default-nodeset-size": "0 is chosen automatically there, too",
}

// Defaults are those of the contract, but where the meaning of the key says otherwise.
func TestDefaultsOfTheContract(t *testing.T) {
	known := keysByName(t)
	for _, c := range contract(t) {
		k, ok := known[c.key]
		if !ok || k.Default == "" || c.fallback == "-" || strings.Contains(c.fallback, " (") || k.Type == "table of texts" || strings.HasSuffix(c.key, "bind-port") {
			continue
		}
		cfg := Default()
		tag, field, _ := fieldAt(&cfg, c.key)
		d := decoder{}
		fresh := reflect.New(field.Type())
		d.value([]string{c.key}, c.fallback, fresh.Elem())
		if len(d.errs) > 0 {
			t.Errorf("%s: the default of the contract, %s, is not read: %v", c.key, c.fallback, d.errs)
			continue
		}
		same := reflect.DeepEqual(fresh.Elem().Interface(), field.Interface())
		why := deviations[c.key]
		if same != (why == "") && c.key != "default-replication" && c.key != "bifrost.replicated-loglet.default-nodeset-size" {
			t.Errorf("%s is %s, and %s in the contract (%s) %s", c.key, k.Default, c.fallback, why, tag.Get("else"))
		}
		if why == "the meaning says so" && !strings.Contains(k.Meaning, "in the contract") {
			t.Errorf("%s: its meaning does not say what it is in the contract", c.key)
		}
	}
}

// fieldAt finds a leaf by its dotted key.
func fieldAt(c *Config, key string) (tag reflect.StructTag, v reflect.Value, ok bool) {
	v = reflect.ValueOf(c).Elem()
	for _, part := range strings.Split(key, ".") {
		if tag, v, ok = fieldOf(v, part); !ok {
			return tag, v, false
		}
	}
	return tag, v, true
}

// other is a value of a key, as TOML, that is not its default.
func other(k Key) string {
	switch {
	case k.Enum != nil:
		for _, e := range k.Enum {
			if quote(e) != k.Default {
				return quote(e)
			}
		}
	case strings.HasSuffix(k.Name, "bind-ip"):
		return `"127.0.0.9"`
	case strings.HasSuffix(k.Name, "bind-address"):
		return `"127.0.0.9:99"`
	case strings.Contains(k.Name, "advertised-address"), strings.HasSuffix(k.Name, "tracing-endpoint"), strings.HasSuffix(k.Name, "runtime-endpoint"), strings.HasSuffix(k.Name, "services-endpoint"):
		return `"http://other:99"`
	case k.Name == "roles":
		return `["worker"]`
	case k.Name == "metadata-server.raft-heartbeat-tick":
		return "2"
	case strings.HasSuffix(k.Name, "initial-interval"), strings.HasSuffix(k.Name, "min-interval"):
		return `"5ms"`
	case strings.HasSuffix(k.Name, "block-size"), strings.HasSuffix(k.Name, "max-frame-size"), strings.HasSuffix(k.Name, "per-invocation-initial-memory"):
		return `"64.0 KiB"`
	case strings.HasSuffix(k.Name, "worker.invoker.memory-limit"):
		return `"1.0 GiB"`
	case strings.HasSuffix(k.Name, "factor"):
		return "3.5"
	case k.Type == "size" && k.Default == `"64.0 MiB"`:
		return `"128.0 MiB"`
	}
	return map[string]string{
		"duration": `"9s"`, "range of durations": `"45s..46s"`, "size": `"64.0 MiB"`, "number or unlimited": "77", "replication": `"{node: 3}"`, "rate": `"7/s"`,
		"filter": `"warn,restate=debug"`, "number": "0.75", "true or false": map[string]string{"true": "false"}[k.Default], "text": `"other"`,
		"list of texts": `["other"]`, "table of texts": `{"other" = "1"}`, "whole number": "9",
	}[k.Type]
}

// Each key has the same value from a file, from the environment and from a flag, and is shown and read back by the dump.
func TestEachKeyFromEachSource(t *testing.T) {
	for name, k := range keysByName(t) {
		value := other(k)
		switch {
		case k.Type == "true or false" && value == "":
			value = "true"
		case name == "admin.query-engine.rate-limiting.capacity", name == "worker.invoker.request-identity-private-key-pem-file", name == "networking.tls.mode":
			continue // one needs a rate, the others files
		}
		text := tree2toml(name, value)
		fromFile, _, err := Load(Options{File: file(t, text), Hostname: "host"})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		plain := strings.Trim(value, `"`)
		fromEnv, _, err := Load(Options{Environ: []string{k.Env() + "=" + plain}, Hostname: "host"})
		if err != nil || !reflect.DeepEqual(fromEnv, fromFile) {
			t.Errorf("%s=%s differs from the file: %v", k.Env(), plain, err)
		}
		fromFlag, _, err := Load(Options{Flags: map[string]string{name: plain}, Hostname: "host"})
		if err != nil || !reflect.DeepEqual(fromFlag, fromFile) {
			t.Errorf("flag %s=%s differs from the file: %v", name, plain, err)
		}
		untouched, _, err := Load(Options{Hostname: "host"})
		if err != nil || reflect.DeepEqual(untouched, fromFile) {
			t.Errorf("%s has no effect on the settings: %v", text, err)
		}
		if k.Secret {
			continue // the dump masks it
		}
		var b strings.Builder
		if err := fromFile.Dump(&b); err != nil {
			t.Fatal(err)
		}
		if again, _, err := Load(Options{File: file(t, b.String()), Hostname: "host"}); err != nil || !reflect.DeepEqual(again, fromFile) {
			t.Errorf("%s: the dump does not read back: %v", text, err)
		}
	}
}

func tree2toml(key, value string) string {
	section, name, ok := cutLast(key)
	if !ok {
		return fmt.Sprintf("%s = %s\n", name, value)
	}
	return fmt.Sprintf("[%s]\n%s = %s\n", section, name, value)
}

// A key without effect is named once, with the reason, if it is set to something else than its default.
func TestKeysWithoutEffectAreNamedOnce(t *testing.T) {
	for name, k := range keysByName(t) {
		if k.Inert == "" || other(k) == "" {
			continue
		}
		value := other(k)
		cfg, got := load(t, Options{File: file(t, tree2toml(name, value))})
		want := "configuration keys without effect: " + name + ": " + k.Inert
		if len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		var b strings.Builder
		if err := cfg.Dump(&b); err != nil || !k.Secret && !strings.Contains(b.String(), last(name)+" = "+value) {
			t.Errorf("%s is not shown as it was set, %s: %v", name, value, err)
		}
		if k.Default == "" {
			continue
		}
		if _, got := load(t, Options{File: file(t, tree2toml(name, k.Default))}); len(got) != 0 {
			t.Errorf("%s = %s, which is the default: %q", name, k.Default, got)
		}
	}
}

// A key that nobody knows is one warning, with the known key that looks most like it.
func TestUnknownKeyNamesTheNearest(t *testing.T) {
	for text, want := range map[string]string{
		"rocksdb-total-memory-sise = 1":                    "rocksdb-total-memory-size",
		"[worker.invoker]\nabort-timout = \"1m\"":          "worker.invoker.abort-timeout",
		"abort-timeout = \"1m\"":                           "worker.invoker.abort-timeout",
		"[worker.snapshot]\ndestination = \"s3://x\"":      "worker.snapshots",
		"[gossip]\nx = 1":                                  "",
		"[admin]\nquery-engin = {memory-size = \"1 GiB\"}": "admin.query-engine",
		"experimental-enable-vqueue = true":                "experimental-enable-vqueues",
		"zzzzzzzz = 1":                                     "",
	} {
		_, got := load(t, Options{File: file(t, text)})
		if len(got) != 1 || !strings.Contains(got[0], "unknown configuration key") || want != "" && !strings.HasSuffix(got[0], "did you mean "+want+"?") || want == "" && strings.Contains(got[0], "mean") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	_, got := load(t, Options{Environ: []string{"RESTATE_WORKER__CLEANUP_INTERVALL=1h"}})
	if len(got) != 1 || !strings.Contains(got[0], "RESTATE_WORKER__CLEANUP_INTERVALL") || !strings.HasSuffix(got[0], "did you mean worker.cleanup-interval?") {
		t.Errorf("environment: %q", got)
	}
}

// RUST_LOG overrides log-filter, wherever it stands in the environment.
func TestRustLogOverrides(t *testing.T) {
	for _, env := range [][]string{{"RUST_LOG=debug", "RESTATE_LOG_FILTER=error"}, {"RESTATE_LOG_FILTER=error", "RUST_LOG=debug"}} {
		if cfg, _ := load(t, Options{Environ: env}); cfg.LogFilter != "debug" {
			t.Errorf("%v: %s", env, cfg.LogFilter)
		}
	}
}

// Each meaning is there, so is the JSON schema's and the page's.
func TestEveryKeyHasAMeaning(t *testing.T) {
	page, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range keysByName(t) {
		if len(k.Meaning) < 5 {
			t.Errorf("%s has no meaning", name)
		}
		if strings.Count(page, "| `"+name+"`<br>`"+k.Env()+"` |") != 1 {
			t.Errorf("%s is not on the page, or twice", name)
		}
	}
}

// Bounds in the tags can be read, and defaults are within them.
func TestTagsAreSane(t *testing.T) {
	cfg := Default()
	cfg.NodeName = "n"
	for _, s := range settings(&cfg) {
		for _, tag := range []string{"min", "max"} {
			text := s.tag.Get(tag)
			if text == "" {
				continue
			}
			typ := s.value.Type()
			if typ.Kind() == reflect.Pointer {
				typ = typ.Elem()
			}
			fresh := reflect.New(typ)
			d := decoder{}
			d.value([]string{s.key}, text, fresh.Elem())
			if len(d.errs) > 0 {
				t.Errorf("%s %s: %v", s.key, tag, d.errs)
			}
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// Files that are none, or that nobody may read, are refused in words.
func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("# nothing\n", 200_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(dir, "hidden")
	if err := os.WriteFile(hidden, nil, 0); err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{dir: "is a directory", filepath.Join(dir, "none"): "no such file", large: "more than 1 MiB"}
	if os.Getuid() != 0 {
		rows[hidden] = "permission denied"
	}
	for path, want := range rows {
		if _, _, err := Load(Options{File: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
