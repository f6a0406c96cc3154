package config

import "strings"

// unusedKeys are keys of the contract that have nothing to act on in this engine, or nothing yet: they
// are named in one line and ignored. A trailing dot means all below.
var unusedKeys = []string{
	"metadata-fetch-from-peer-timeout", "hlc-max-drift", "default-thread-stack-size", "storage-high-priority-bg-threads",
	"storage-low-priority-bg-threads", "disable-config-sql-table", "tokio-console-bind-address", "tracing-json-path",
	"gossip-num-peers", "gossip-fd-stability-threshold", "gossip-suspect-interval", "gossip-loneliness-threshold",
	"gossip-extras-exchange-frequency", "gossip-time-skew-threshold",
	"metadata-client.path", "metadata-client.table",
	"metadata-server.status-update-interval", "metadata-server.request-queue-length",
	"networking.http2-adaptive-window", "networking.fabric-memory-limit",
	"log-server.incoming-network-queue-length",
	"bifrost.local.", "bifrost.replicated-loglet.log-server-rpc-timeout", "bifrost.replicated-loglet.log-server-retry-policy",
	"worker.rule-book-poll-interval", "worker.disable-scheduler", "worker.snapshots.enable-cleanup",
	"worker.invoker.in-memory-queue-length-limit", "worker.invoker.tmp-dir", "worker.invoker.invocation-throttling", "worker.invoker.action-throttling",
	"worker.invoker.http2-initial-max-send-streams",
	"admin.disable-cluster-controller",
	"ingress.http2-max-concurrent-streams", "ingress.kafka-clusters",
	"experimental-enable-vqueues", "experimental-enable-vqueues-migration-skip-completed", "experimental-enable-vqueues-async-refill",
	"experimental-enable-vqueue-obsolete-cleanup", "experimental-enable-invoker-yield", "experimental-enable-unique-random-seeds",
	"experimental-enable-scoped-virtual-objects", "experimental-enable-scoped-state-table-migration",
	"experimental-enable-scoped-promise-table-migration", "experimental-enable-kafka-scope",
	"experimental-enable-preflight-invocation-termination-retention",
}

// databaseSections may each hold the keys of a database engine that is not ours.
var databaseSections = []string{"", "worker.storage.", "log-server.", "metadata-server.", "bifrost.local."}

func withoutEffect(key string) bool {
	for _, k := range unusedKeys {
		if key == k || strings.HasPrefix(key, strings.TrimSuffix(k, ".")+".") || key+"." == k {
			return true
		}
	}
	for _, s := range databaseSections {
		if rest, ok := strings.CutPrefix(key, s); ok && strings.HasPrefix(rest, "rocksdb-") {
			return true
		}
	}
	return strings.HasPrefix(key, "metadata-client.aws-")
}
