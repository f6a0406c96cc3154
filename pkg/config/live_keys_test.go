package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// meantLive are the keys of the first day that the contract means by "log filter, memory sizes, timeouts, limits, snapshots options".
var meantLive = regexp.MustCompile(`^log-filter$|^worker\.snapshots\.|(timeout|limit|limiting|retention|memory-size|memory-ratio|memtables-ratio|budget|memory|size-warning|concurrency-limit)$`)

// keptByProcess are those of them that a running process keeps, with the reason.
var keptByProcess = []struct {
	why  string
	keys []string
}{
	{"it is over when a process runs", []string{"initialization-timeout"}},
	{"connections have it from their beginning: a change would hold for some of them", []string{
		"metadata-client.connect-timeout", "metadata-client.keep-alive-timeout", "networking.connect-timeout", "networking.handshake-timeout",
		"networking.http2-keep-alive-timeout", "worker.invoker.connect-timeout", "worker.invoker.http2-keep-alive-timeout",
		"worker.invoker.http2-idle-connection-timeout", "worker.invoker.http2-streams-per-connection-limit",
	}},
	{"the members of etcd must have the same", []string{"metadata-client.message-size-limit"}},
	{"logs of one process are written with one set of timeouts, and fail-over depends on them", []string{"bifrost.replicated-loglet.store-timeout"}},
	{"queues have it from their beginning: what waits was let in by it", []string{
		"log-server.data-service-memory-limit", "worker.self-proposal-queue-memory-limit", "worker.shuffle.inflight-memory-budget",
	}},
	{"it is counted with every token to run that is out", []string{"worker.invoker.per-invocation-initial-memory"}},
	{"the object store is opened with it", []string{
		"worker.snapshots.destination", "worker.snapshots.aws-profile", "worker.snapshots.aws-region", "worker.snapshots.aws-access-key-id",
		"worker.snapshots.aws-secret-access-key", "worker.snapshots.aws-session-token", "worker.snapshots.aws-endpoint-url", "worker.snapshots.aws-allow-http",
	}},
	{"the database is opened with it", []string{"log-server.rocksdb-memory-ratio", "log-server.rocksdb-memory-budget"}},
}

// Each key that the contract means is live, does nothing, or is kept for a reason that still holds.
func TestKeysThatAreMeantToBeLive(t *testing.T) {
	known := keysByName(t)
	kept := map[string]bool{}
	for _, group := range keptByProcess {
		for _, key := range group.keys {
			kept[key] = true
			if k, there := known[key]; !there || k.Live || k.Inert != "" || !meantLive.MatchString(key) {
				t.Errorf("%s needs no reason: %+v", key, k)
			}
		}
	}
	checked := 0
	for _, c := range contract(t) {
		if c.dayOne != "x" || !meantLive.MatchString(c.key) {
			continue
		}
		checked++
		k, leaf := known[c.key]
		if !leaf { // a table
			k = known[c.key+".type"]
		}
		if _, inert := isInert(c.key); !k.Live && !inert && !kept[c.key] {
			t.Errorf("%s is not live: %+v", c.key, k)
		}
	}
	if checked < 50 {
		t.Errorf("%d keys", checked)
	}
}

// another is a value of a setting that is not the default.
func another(t *testing.T, k Key) string {
	t.Helper()
	switch special := map[string]string{
		"log-filter": `"warn"`, "worker.invoker.memory-limit": `"3.0 GiB"`, "admin.query-engine.rate-limiting.rate": `"10/s"`, "admin.query-engine.rate-limiting.capacity": "17\nrate = \"10/s\"",
		"default-retry-policy.initial-interval": `"1s"`, "worker.snapshots.object-store-retry-policy.initial-interval": `"1s"`,
		"default-retry-policy.exponentiation-factor": "17.0", "worker.snapshots.object-store-retry-policy.factor": "17.0",
		"networking.message-size-limit": `"16.0 MiB"`, "worker.invoker.message-size-limit": `"16.0 MiB"`, "worker.invoker.eager-state-size-limit": `"16.0 MiB"`,
	}[k.Name]; {
	case special != "":
		return special
	case strings.HasSuffix(k.Name, "-ratio"):
		return "0.3"
	case len(k.Enum) > 0:
		for _, e := range k.Enum {
			if q := `"` + e + `"`; q != k.Default {
				return q
			}
		}
	}
	for like, value := range map[string]string{
		"duration": `"7m"`, "size": `"17.0 MiB"`, "number": "17", "count": "17", "text": `"x"`, "true or false": "true",
	} {
		if strings.Contains(k.Type, like) && value != k.Default {
			return value
		}
	}
	t.Fatalf("%s: no other value for %s", k.Name, k.Type)
	return ""
}

// A file that changes a live key puts it into effect: the parts are told of the new value, and no restart is asked for.
func TestEveryLiveKeyTakesEffect(t *testing.T) {
	n := 0
	for _, k := range keysByName(t) {
		if !k.Live {
			continue
		}
		n++
		l := open(t, Options{File: file(t, "")})
		var told *Config
		l.OnChange(func(c *Config) { told = c })
		value := another(t, k)
		at := strings.LastIndexByte(k.Name, '.')
		text := k.Name[at+1:] + " = " + value + "\n"
		if at > 0 {
			text = "[" + k.Name[:at] + "]\n" + text
		}
		change, err := l.Take([]byte(text))
		if err != nil || !slices.ContainsFunc(change.Applied, func(s string) bool { return strings.HasPrefix(s, k.Name+": ") }) || len(change.Restart) > 0 {
			t.Errorf("%s = %s: %+v, %v", k.Name, value, change, err)
			continue
		}
		for _, s := range settings(told) {
			if s.key == k.Name && !strings.HasPrefix(value, s.text()) {
				t.Errorf("%s is %s, want %s", k.Name, s.text(), value)
			}
		}
	}
	if n < 35 {
		t.Errorf("%d live keys", n)
	}
}
