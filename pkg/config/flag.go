package config

// Flag is a command-line flag of a daemon. It overrides the key.
type Flag struct {
	Name  string
	Key   string
	Bool  bool
	Usage string
}

// Flags lists the flags that every daemon takes, beside --config-file, --dump-config, --production
// and --no-logo, which are not settings.
func Flags() []Flag {
	return []Flag{
		{Name: "node-name", Usage: "unique and stable `NAME` of this node; default: the host's name"},
		{Name: "force-node-id", Usage: "insist on this plain node `ID`"},
		{Name: "cluster-name", Usage: "`NAME` of the cluster; all nodes must agree"},
		{Name: "location", Usage: "`REGION[.ZONE]` of this node"},
		{Name: "base-dir", Usage: "root `FOLDER` of local data"},
		{Name: "roles", Usage: "`LIST` of roles, of the all-in-one process"},
		{Name: "auto-provision", Bool: true, Usage: "create the cluster if there is none"},
		{Name: "default-num-partitions", Usage: "`NUMBER` of partitions, at provisioning"},
		{Name: "default-replication", Usage: "copies, as 2 or {zone: 2, node: 3}, at provisioning"},
		{Name: "metadata-store-address", Key: "metadata-client.addresses", Usage: "`ADDRESSES` of any daemons, with commas"},
		{Name: "bind-ip", Usage: "`IP` to listen on"},
		{Name: "bind-port", Usage: "`PORT` of the fabric"},
		{Name: "bind-address", Usage: "`IP:PORT` of the fabric"},
		{Name: "advertised-host", Usage: "`HOST` in all advertised URLs"},
		{Name: "advertised-address", Usage: "`URL` that other nodes use for the fabric"},
		{Name: "listen-mode", Usage: "all or tcp"},
		{Name: "use-random-ports", Bool: true, Usage: "listen on any free ports"},
		{Name: "shutdown-timeout", Usage: "total `TIME` of a graceful stop"},
		{Name: "log-filter", Usage: "what is logged, such as warn,restate=info"},
		{Name: "log-format", Usage: "pretty, compact or json"},
		{Name: "log-disable-ansi-codes", Bool: true, Usage: "no colours"},
		{Name: "tracing-endpoint", Usage: "OTLP `URL` for spans"},
		{Name: "tracing-runtime-endpoint", Usage: "OTLP `URL` for spans of the engine"},
		{Name: "tracing-services-endpoint", Usage: "OTLP `URL` for spans of invocations"},
		{Name: "tracing-filter", Usage: "which spans of the engine are exported"},
		{Name: "tracing-headers", Usage: "headers for the exporter, as a table"},
	}
}

// KeyOf is the dotted key that the flag sets.
func (f Flag) KeyOf() string {
	if f.Key != "" {
		return f.Key
	}
	return f.Name
}
