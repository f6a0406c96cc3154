package config

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// inert are keys of the contract that are taken and have no effect, with the reason. Whoever sets one is told once. Some are in
// the tree, so that their values are read and shown. A trailing dot means all below.
var inert = []struct {
	why  string
	keys []string
}{
	{"metadata is watched, so changes come at once", []string{"metadata-update-interval", "metadata-fetch-from-peer-timeout"}},
	{"daemons try again after pauses of their own, which fail-over depends on", []string{
		"network-error-retry-policy", "metadata-client.backoff-policy", "bifrost.seal-retry-interval", "bifrost.read-retry-policy",
		"bifrost.replicated-loglet.rpc-timeout", "worker.shuffle.connection-retry-policy",
		"bifrost.replicated-loglet.log-server-rpc-timeout", "bifrost.replicated-loglet.log-server-retry-policy",
	}},
	{"nothing gossips: processes tell the metadata daemons that they live", []string{
		"gossip-num-peers", "gossip-fd-stability-threshold", "gossip-suspect-interval", "gossip-loneliness-threshold",
		"gossip-extras-exchange-frequency", "gossip-time-skew-threshold", "admin.heartbeat-interval",
	}},
	{"a metadata daemon calls who is to recover a log, and at once", []string{"bifrost.auto-recovery-interval"}},
	{"spans go to collectors: tracing-endpoint", []string{"tracing-json-path"}},
	{"messages between daemons are never compressed", []string{"networking.disable-compression"}},
	{"a message that comes in is bounded by networking.message-size-limit, what is on its way by networking.data-stream-window-size, and what waits by the pools of its service", []string{
		"networking.fabric-memory-limit",
	}},
	{"logs are always kept by log-servers, if only by one", []string{"bifrost.default-provider", "bifrost.local."}},
	{"metadata is kept by etcd, which has no memtables: their hundredth stays unused", []string{"metadata-server.rocksdb-memory-budget", "metadata-server.rocksdb-memory-ratio"}},
	{"recent records are read from the memtables of the log store (ADR 13)", []string{"bifrost.record-cache-memory-size"}},
	{"a record holds what one request or one message of a handler holds: their limits bound it", []string{"bifrost.record-size-limit"}},
	{"one writer of the process sends what all partitions have in one frame, up to 4 MiB, and one frame at a time", []string{
		"bifrost.replicated-loglet.maximum-inflight-records",
	}},
	{"a sequencer hears of a seal from the first log-server that it writes to", []string{"bifrost.replicated-loglet.sequencer-inactivity-timeout"}},
	{"reads are bounded by their bytes: bifrost.replicated-loglet.read-batch-size", []string{
		"bifrost.replicated-loglet.readahead-records", "bifrost.replicated-loglet.readahead-trigger-ratio",
	}},
	{"queues are bounded by their bytes: worker.self-proposal-queue-memory-limit", []string{"worker.internal-queue-length"}},
	{"rows are written every 20 ms or 1 MiB, whatever comes first", []string{"worker.max-command-batch-bytes"}},
	{"messages to another partition go out as they come, together with what waits", []string{"worker.shuffle.request-batch-size"}},
	{"timers of the next two minutes are in memory, some 60 bytes each", []string{"worker.num-timers-in-memory-limit"}},
	{"there are no Kafka subscriptions yet", []string{"ingress.ingestion.", "ingress.kafka-clusters"}},
	{"there is one way to do this here", []string{
		"hlc-max-drift", "disable-config-sql-table", "metadata-server.status-update-interval", "metadata-server.request-queue-length",
		"networking.http2-adaptive-window", "log-server.incoming-network-queue-length",
		"worker.rule-book-poll-interval", "worker.disable-scheduler", "worker.snapshots.enable-cleanup", "worker.invoker.in-memory-queue-length-limit",
		"worker.invoker.tmp-dir", "worker.invoker.http2-initial-max-send-streams", "admin.disable-cluster-controller", "ingress.http2-max-concurrent-streams",
		"metadata-client.path", "metadata-client.table", "metadata-client.aws-",
		"default-thread-stack-size", "storage-high-priority-bg-threads", "storage-low-priority-bg-threads", "tokio-console-bind-address",
	}},
	{"attempts and actions are not throttled yet", []string{"worker.invoker.invocation-throttling", "worker.invoker.action-throttling"}},
	{"an experiment of the reference", []string{
		"experimental-enable-vqueues", "experimental-enable-vqueues-migration-skip-completed", "experimental-enable-vqueues-async-refill",
		"experimental-enable-vqueue-obsolete-cleanup", "experimental-enable-invoker-yield", "experimental-enable-unique-random-seeds",
		"experimental-enable-scoped-virtual-objects", "experimental-enable-scoped-state-table-migration",
		"experimental-enable-scoped-promise-table-migration", "experimental-enable-kafka-scope",
		"experimental-enable-preflight-invocation-termination-retention",
	}},
}

// databaseSections may each hold the keys of a database engine that is not ours.
var databaseSections = []string{"", "worker.storage.", "log-server.", "metadata-server.", "bifrost.local."}

const whyDatabase = "stores are Pebble, which has no such setting"

// inertIndex is inert by key; the names of tables stand for all below.
var inertIndex = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, group := range inert {
		for _, k := range group.keys {
			out[strings.TrimSuffix(k, ".")] = group.why
		}
	}
	return out
})

// whyInert is why a key has no effect; "": it has one, or nobody knows it.
func whyInert(key string) string {
	index := inertIndex()
	for i, r := range key {
		if why := index[key[:i]]; r == '.' && why != "" {
			return why
		}
		if why := index[key[:i+1]]; r == '-' && why != "" { // all that begin so
			return why
		}
	}
	return index[key]
}

// isInert tells why a key that is not in the tree is taken.
func isInert(key string) (why string, ok bool) {
	if why := whyInert(key); why != "" {
		return why, true
	}
	for _, s := range databaseSections {
		if rest, ok := strings.CutPrefix(key, s); ok && strings.HasPrefix(rest, "rocksdb-") && !misspelt(key) {
			return whyDatabase, true
		}
	}
	return "", false
}

// lettersMax is how many letters of a key that is known may be wrong.
const lettersMax = 2

// misspelt tells whether a key is that of a setting but for some letters.
func misspelt(key string) bool {
	defaults := Default()
	return slices.ContainsFunc(settings(&defaults), func(s setting) bool { return distance(key, s.key) <= lettersMax })
}

// inertWarnings says what was set in vain, a line for each reason. given are such keys that are not in the tree.
func (c *Config) inertWarnings(given map[string]string) []string {
	byReason := map[string][]string{}
	for key, why := range given {
		byReason[why] = append(byReason[why], key)
	}
	defaults := Default()
	was := settings(&defaults)
	for i, s := range settings(c) {
		if why := whyInert(s.key); why != "" && s.text() != was[i].text() {
			byReason[why] = append(byReason[why], s.key)
		}
	}
	out := make([]string, 0, len(byReason))
	for why, keys := range byReason {
		slices.Sort(keys)
		out = append(out, fmt.Sprintf("configuration keys without effect: %s: %s", strings.Join(keys, ", "), why))
	}
	slices.Sort(out)
	return out
}
