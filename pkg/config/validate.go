package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Validate reports all faults at once. Each line names the key to change.
func (c *Config) Validate() error {
	var faults []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		bad(!slices.Contains(allowed, value), "%s is %q: use one of %s", key, value, strings.Join(allowed, ", "))
	}
	ratio := func(key string, f float64) {
		bad(!(f > 0 && f <= 1), "%s is %v: it must be above 0 and at most 1", key, f) // also NaN
	}

	switch c.MetadataClient.Type {
	case "replicated", "embedded", "etcd":
	case "object-store", "dynamo-db":
		// An empty store in the place of that one would look like loss.
		bad(true, "metadata-client.type %q is not supported: use embedded, or etcd with its addresses", c.MetadataClient.Type)
	default:
		oneOf("metadata-client.type", c.MetadataClient.Type, "embedded", "replicated", "etcd")
	}
	bad(c.MetadataClient.Type == "etcd" && len(c.MetadataClient.Addresses) == 0, "metadata-client.addresses is empty: name the members of the external etcd")
	bad(c.NodeName == "", "node-name is empty and the host has no name: set node-name")
	bad(strings.ContainsAny(c.NodeName, "/\\ \t\n") || c.NodeName == "." || c.NodeName == "..", "node-name %q names a folder: use letters, digits, dots, dashes", c.NodeName)
	bad(c.ClusterName == "" || strings.ContainsAny(c.ClusterName, "/ \t\n"), "cluster-name %q: it must not be empty nor hold slashes or spaces", c.ClusterName)
	bad(c.BaseDir == "", "base-dir is empty")
	bad(c.NumPartitions < 1 || c.NumPartitions > 65535, "default-num-partitions is %d: it must be from 1 to 65535", c.NumPartitions)
	bad(len(strings.Split(c.Location, ".")) > 2, "location %q: write region or region.zone", c.Location)
	for _, r := range c.Roles {
		oneOf("roles", r, "http-ingress", "admin", "worker", "log-server", "metadata-server")
	}
	if l := c.Admin.QueryEngine.RateLimiting; l.Capacity != nil {
		bad(l.Rate == nil, "admin.query-engine.rate-limiting has a capacity and no rate: write rate = \"10/s\"")
		bad(*l.Capacity == 0, "admin.query-engine.rate-limiting.capacity must be above 0")
	}
	if at := c.Admin.Postgres.BindAddress; at != "" {
		_, err := netip.ParseAddrPort(at)
		bad(err != nil, "admin.postgres.bind-address is %q: write ip:port", at)
	}
	bad(c.Admin.Postgres.ConnectionsMax == 0, "admin.postgres.concurrent-connections-limit must be above 0")
	oneOf("log-format", c.LogFormat, "pretty", "compact", "json")
	oneOf("default-retry-policy.on-max-attempts", c.Retry.OnMaxAttempts, "pause", "kill")
	oneOf("bifrost.default-provider", c.Bifrost.DefaultProvider, "replicated", "local")
	if c.Worker.DurabilityMode != "" {
		oneOf("worker.durability-mode", c.Worker.DurabilityMode, "none", "snapshot-and-replica-set", "balanced", "replica-set-only", "snapshot-only")
	}
	oneOf("worker.snapshots.object-store-retry-policy.type", c.Worker.Snapshots.Retry.Type, "none", "fixed-delay", "exponential")
	bad(!(c.Retry.Factor >= 1), "default-retry-policy.exponentiation-factor is %v: it must be at least 1", c.Retry.Factor)
	bad(c.Retry.InitialInterval <= 0, "default-retry-policy.initial-interval must be above 0")
	bad(c.Retry.MaxInterval < c.Retry.InitialInterval, "default-retry-policy.max-interval is below initial-interval")
	ratio("rocksdb-total-memtables-ratio", c.MemoryMemtablesRatio)
	ratio("worker.storage.rocksdb-memory-ratio", c.Worker.Storage.MemoryRatio)
	ratio("log-server.rocksdb-memory-ratio", c.LogServer.MemoryRatio)
	bad(c.MemoryTotal < 16*mib, "rocksdb-total-memory-size is %s: it must be at least 16 MiB", c.MemoryTotal)
	bad(c.Networking.MessageSizeLimit < 64*kib || c.Networking.MessageSizeLimit > gib, "networking.message-size-limit is %s: it must be from 64 KiB to 1 GiB", c.Networking.MessageSizeLimit)
	bad(c.Worker.Invoker.ConcurrentMax == 0, "worker.invoker.concurrent-invocations-limit must be above 0")
	bad(c.Worker.Invoker.AwaitDepthMax < 1 || c.Worker.Invoker.AwaitDepthMax > 10_000, "worker.invoker.max-awaited-future-depth is %d: it must be from 1 to 10000", c.Worker.Invoker.AwaitDepthMax)
	bad(c.Worker.Invoker.StreamsPerConnection == 0, "worker.invoker.http2-streams-per-connection-limit must be above 0")
	bad(c.Bifrost.Loglet.InflightRecordsMax == 0, "bifrost.replicated-loglet.maximum-inflight-records must be above 0")
	bad(c.Bifrost.Loglet.StoreTimeout.Min == 0, "bifrost.replicated-loglet.store-timeout must be above 0")
	bad(c.Bifrost.Loglet.NodesetSize > 128, "bifrost.replicated-loglet.default-nodeset-size is %d: it must be at most 128", c.Bifrost.Loglet.NodesetSize)
	if n := c.LogServer.BatchBytesMax; n != nil {
		bad(*n < 4*kib, "log-server.write-batch-commit-bytes is %s: it must be at least 4 KiB", n)
	}
	bad(c.DiskReserve != nil && *c.DiskReserve < mib, "disk-reserve-size must be at least 1 MiB: a full disk ends the process")
	bad(c.ShutdownTimeout <= 0, "shutdown-timeout must be above 0")
	bad(c.InitTimeout <= 0, "initialization-timeout must be above 0")
	bad(c.MetadataServer.TickInterval < 5*ms, "metadata-server.raft-tick-interval is %s: it must be at least 5 ms", c.MetadataServer.TickInterval)
	bad(c.MetadataServer.HeartbeatTicks == 0 || c.MetadataServer.ElectionTicks < 5*c.MetadataServer.HeartbeatTicks,
		"metadata-server.raft-election-tick is %d: it must be at least five times raft-heartbeat-tick (%d)", c.MetadataServer.ElectionTicks, c.MetadataServer.HeartbeatTicks)
	faults = append(faults, c.Listen.validate(""), c.Admin.Listen.validate("admin."), c.Ingress.Listen.validate("ingress."))
	return errors.Join(faults...)
}

func (l Listen) validate(section string) error {
	var faults []error
	if l.BindIP != "" {
		if _, err := netip.ParseAddr(l.BindIP); err != nil {
			faults = append(faults, fmt.Errorf("%sbind-ip %q is no IP address", section, l.BindIP))
		}
	}
	if l.BindAddress != "" {
		if _, err := netip.ParseAddrPort(l.BindAddress); err != nil {
			faults = append(faults, fmt.Errorf("%sbind-address %q: write ip:port", section, l.BindAddress))
		}
	}
	if l.AdvertisedAddress != "" {
		if u, err := url.Parse(l.AdvertisedAddress); err != nil || u.Host == "" {
			faults = append(faults, fmt.Errorf("%sadvertised-address %q: write a URL such as http://host:port", section, l.AdvertisedAddress))
		}
	}
	switch l.Mode {
	case "", "all", "tcp":
	case "unix":
		faults = append(faults, fmt.Errorf("%slisten-mode unix is not supported: use tcp", section))
	default:
		faults = append(faults, fmt.Errorf("%slisten-mode is %q: use all or tcp", section, l.Mode))
	}
	return errors.Join(faults...)
}
