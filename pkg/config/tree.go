package config

// Config is everything that can be set. A key is the toml tag; durations and sizes have units. Changes
// of addresses, names and folders need a restart, so at present do all others.
type Config struct {
	Identity
	Listen
	Logging
	Tracing
	Gossip
	Invocation

	MemoryTotal          Bytes   `toml:"rocksdb-total-memory-size"`     // node-wide budget of block caches and memtables
	MemoryMemtablesRatio float64 `toml:"rocksdb-total-memtables-ratio"` // share of that for memtables

	MetadataClient MetadataClient `toml:"metadata-client"`
	MetadataServer MetadataServer `toml:"metadata-server"`
	Networking     Networking     `toml:"networking"`
	LogServer      LogServer      `toml:"log-server"`
	Bifrost        Bifrost        `toml:"bifrost"`
	Worker         Worker         `toml:"worker"`
	Admin          Admin          `toml:"admin"`
	Ingress        Ingress        `toml:"ingress"`

	ProtocolV7 bool `toml:"experimental-enable-protocol-v7"` // offer service protocol V7; not to be taken back
}

// Identity says who this process is and of which cluster.
type Identity struct {
	Roles                 []string    `toml:"roles"`         // of the all-in-one process; a daemon has its own
	NodeName              string      `toml:"node-name"`     // unique and stable; default: the host's name
	ForceNodeID           uint32      `toml:"force-node-id"` // insist on this plain id; 0: any
	ClusterName           string      `toml:"cluster-name"`
	Location              string      `toml:"location"` // region[.zone]; never change it later
	BaseDir               string      `toml:"base-dir"` // root of local data: <base-dir>/<node-name>
	AutoProvision         bool        `toml:"auto-provision"`
	NumPartitions         uint32      `toml:"default-num-partitions"` // at provisioning only
	Replication           Replication `toml:"default-replication"`    // at provisioning only
	ShutdownTimeout       Duration    `toml:"shutdown-timeout"`
	InitTimeout           Duration    `toml:"initialization-timeout"`
	MetadataInterval      Duration    `toml:"metadata-update-interval"`
	NetworkRetry          Retry       `toml:"network-error-retry-policy"`
	DiskReserve           *Bytes      `toml:"disk-reserve-size"` // ours: free space below which a node takes nothing new; default 1 GiB, at most an eighth of the disk
	DisablePrometheus     bool        `toml:"disable-prometheus"`
	DisableTelemetry      bool        `toml:"disable-telemetry"`        // there is none
	PprofEnabled          bool        `toml:"enable-pprof"`             // ours: serve /debug/pprof on the fabric port
	DefaultThreadPoolSize uint32      `toml:"default-thread-pool-size"` // GOMAXPROCS; 0: what the machine or cgroup has
}

// Listen is where a server listens and how others find it. In a section an absent value is that of the root.
type Listen struct {
	Mode              string `toml:"listen-mode"` // all, tcp; unix sockets are not served
	RandomPorts       *bool  `toml:"use-random-ports"`
	BindIP            string `toml:"bind-ip"`
	BindPort          uint16 `toml:"bind-port"`
	BindAddress       string `toml:"bind-address"` // ip:port, instead of the two above
	AdvertisedHost    string `toml:"advertised-host"`
	AdvertisedAddress string `toml:"advertised-address"` // URL, instead of one made of the host
}

// Logging says what is logged and how.
type Logging struct {
	LogFilter      string `toml:"log-filter"` // warn,restate=info
	LogFormat      string `toml:"log-format"` // pretty, compact, json
	LogDisableANSI bool   `toml:"log-disable-ansi-codes"`
}

// Tracing says where spans go.
type Tracing struct {
	Endpoint         string            `toml:"tracing-endpoint"`
	RuntimeEndpoint  string            `toml:"tracing-runtime-endpoint"`
	ServicesEndpoint string            `toml:"tracing-services-endpoint"`
	Filter           string            `toml:"tracing-filter"`
	SamplingRatio    float64           `toml:"tracing-sampling-ratio"` // ours: of traces that begin here; the headers of clients decide on others
	Headers          map[string]string `toml:"tracing-headers" secret:"true"`
}

// Gossip keeps the names of the failure detector's keys. A process is dead after TickInterval times
// FailureThreshold without a heartbeat; the other keys have nothing to act on, for ours does not gossip.
type Gossip struct {
	TickInterval     Duration `toml:"gossip-tick-interval"`
	FailureThreshold uint32   `toml:"gossip-failure-threshold"`
}

// Invocation is what services get that do not say otherwise.
type Invocation struct {
	Retry                   InvocationRetry `toml:"default-retry-policy"`
	RetryMaxAttemptsMax     Limit           `toml:"max-retry-policy-max-attempts"` // ceiling for what services ask
	JournalRetention        Duration        `toml:"default-journal-retention"`
	JournalRetentionMax     *Duration       `toml:"max-journal-retention"`
	IdempotencyRetention    Duration        `toml:"default-idempotency-retention"`
	IdempotencyRetentionMax *Duration       `toml:"max-idempotency-retention"`
	WorkflowRetention       Duration        `toml:"default-workflow-completion-retention"`
	WorkflowRetentionMax    *Duration       `toml:"max-workflow-completion-retention"`
}

// InvocationRetry is the policy for failed attempts.
type InvocationRetry struct {
	InitialInterval Duration `toml:"initial-interval"`
	Factor          float64  `toml:"exponentiation-factor"`
	MaxInterval     Duration `toml:"max-interval"`
	MaxAttempts     Limit    `toml:"max-attempts"`
	OnMaxAttempts   string   `toml:"on-max-attempts"` // pause or kill
}

// Retry is a policy for calls between daemons.
type Retry struct {
	Type            string   `toml:"type"`     // none, fixed-delay, exponential
	Interval        Duration `toml:"interval"` // of fixed-delay
	InitialInterval Duration `toml:"initial-interval"`
	Factor          float64  `toml:"factor"`
	MaxAttempts     Limit    `toml:"max-attempts"`
	MaxInterval     Duration `toml:"max-interval"`
}

// MetadataClient says where the control-plane store is.
type MetadataClient struct {
	Type             string   `toml:"type"`      // replicated or embedded: etcd in the metadata daemons; etcd: an external one
	Addresses        []string `toml:"addresses"` // fabric URLs of any daemons; of an external etcd: host:port
	ConnectTimeout   Duration `toml:"connect-timeout"`
	KeepAlive        Duration `toml:"keep-alive-interval"`
	KeepAliveTimeout Duration `toml:"keep-alive-timeout"`
	MessageSizeLimit Bytes    `toml:"message-size-limit"`
	Backoff          Retry    `toml:"backoff-policy"`
}

// MetadataServer is the etcd member in a metadata daemon. Timing must be equal on all members.
type MetadataServer struct {
	AutoJoin         bool     `toml:"auto-join"`
	TickInterval     Duration `toml:"raft-tick-interval"`
	ElectionTicks    uint32   `toml:"raft-election-tick"`
	HeartbeatTicks   uint32   `toml:"raft-heartbeat-tick"`
	LogTrimThreshold uint64   `toml:"log-trim-threshold"` // entries before a snapshot
	ClientPort       uint16   `toml:"client-port"`        // ours: etcd's, 2379
	PeerPort         uint16   `toml:"peer-port"`          // ours: etcd's, 2380
	InitialCluster   []string `toml:"initial-cluster"`    // ours: name=peer URL of each member of a new cluster of several
}

// Networking is about calls between daemons.
type Networking struct {
	ConnectTimeout     Duration `toml:"connect-timeout"`
	HandshakeTimeout   Duration `toml:"handshake-timeout"`
	ConnectRetry       Retry    `toml:"connect-retry-policy"`
	KeepAlive          Duration `toml:"http2-keep-alive-interval"`
	KeepAliveTimeout   Duration `toml:"http2-keep-alive-timeout"`
	DataWindow         Bytes    `toml:"data-stream-window-size"`
	DisableCompression bool     `toml:"disable-compression"`
	MessageSizeLimit   Bytes    `toml:"message-size-limit"` // upper bound of all other size limits
}

// LogServer is about the store of the log.
type LogServer struct {
	MemoryRatio         float64 `toml:"rocksdb-memory-ratio"`  // share of the memtable pool
	MemoryBudget        *Bytes  `toml:"rocksdb-memory-budget"` // instead of the ratio
	DisableFsync        bool    `toml:"rocksdb-disable-wal-fsync"`
	WALDir              string  `toml:"rocksdb-wal-dir"`
	BatchRecordsMax     Limit   `toml:"write-batch-commit-count"`
	BatchBytesMax       *Bytes  `toml:"write-batch-commit-bytes"`
	DataServiceBytesMax *Bytes  `toml:"data-service-memory-limit"`
}

// Bifrost is about logs: their sequencers and readers.
type Bifrost struct {
	DefaultProvider        string           `toml:"default-provider"`
	SealRetryInterval      Duration         `toml:"seal-retry-interval"`
	AutoRecoveryInterval   Duration         `toml:"auto-recovery-interval"`
	AppendRetryMin         Duration         `toml:"append-retry-min-interval"`
	AppendRetryMax         Duration         `toml:"append-retry-max-interval"`
	ReadRetry              Retry            `toml:"read-retry-policy"`
	RecordCacheBytes       Bytes            `toml:"record-cache-memory-size"` // nothing to act on: ADR 13
	RecordSizeLimit        Bytes            `toml:"record-size-limit"`
	DisableAutoImprovement bool             `toml:"disable-auto-improvement"`
	Loglet                 ReplicatedLoglet `toml:"replicated-loglet"`
}

// ReplicatedLoglet is about one segment of a log.
type ReplicatedLoglet struct {
	InflightRecordsMax uint32        `toml:"maximum-inflight-records"`
	RPCTimeout         DurationRange `toml:"rpc-timeout"`
	StoreTimeout       DurationRange `toml:"store-timeout"`
	InactivityTimeout  Duration      `toml:"sequencer-inactivity-timeout"`
	NodesetSize        uint32        `toml:"default-nodeset-size"` // 0: all; at provisioning only
	ReadaheadRecords   uint32        `toml:"readahead-records"`
	ReadBatchBytes     Bytes         `toml:"read-batch-size"`
	ReadaheadTrigger   float64       `toml:"readahead-trigger-ratio"`
}

// Admin is about the admin server.
type Admin struct {
	Listen
	AdvertisedEndpoint string      `toml:"advertised-admin-endpoint"` // old name of advertised-address
	RequestsMax        Limit       `toml:"concurrent-api-requests-limit"`
	DisableWebUI       bool        `toml:"disable-web-ui"`             // answer 404 at /ui
	RoutingHeaders     []string    `toml:"deployment-routing-headers"` // tell deployments of one URI apart
	HeartbeatInterval  Duration    `toml:"heartbeat-interval"`
	QueryEngine        QueryEngine `toml:"query-engine"`
	Postgres           Postgres    `toml:"postgres"`
}

// Postgres is ours: SQL over the wire protocol of Postgres, for psql and BI tools.
type Postgres struct {
	BindAddress    string `toml:"bind-address"` // ip:port; empty: off. There are no passwords: whoever reaches the port reads everything
	ConnectionsMax uint32 `toml:"concurrent-connections-limit"`
}

// QueryEngine is about SQL.
type QueryEngine struct {
	MemoryBytes  Bytes      `toml:"memory-size"`
	TmpDir       string     `toml:"tmp-dir"`
	Parallelism  *uint32    `toml:"query-parallelism"` // default: the number of cores
	RateLimiting Throttling `toml:"rate-limiting"`     // statements that this node takes; default: all
}

// Ingress is about the HTTP ingress.
type Ingress struct {
	Listen
	AdvertisedEndpoint string    `toml:"advertised-ingress-endpoint"` // old name of advertised-address
	RequestsMax        Limit     `toml:"concurrent-api-requests-limit"`
	RequestSizeLimit   *Bytes    `toml:"request-size-limit"` // default and bound: networking.message-size-limit
	Ingestion          Ingestion `toml:"ingestion"`
}

// Ingestion is about batches from other sources than HTTP.
type Ingestion struct {
	InflightBytes Bytes `toml:"inflight-memory-budget"`
	BatchBytes    Bytes `toml:"request-batch-size"`
	Retry         Retry `toml:"connection-retry-policy"`
}
