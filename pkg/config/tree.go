package config

// Config is everything that can be set. What stands behind a field is its meaning in the reference page and the schema, which
// are made of this file; its tags say the rest:
//
//	toml    key
//	live    may change while the process runs
//	else    what an absent value stands for, where the default is none
//	enum    the values that there are
//	min max bounds, written as the value is
//	secret  masked wherever settings are shown
//	ours    not a key of the contract
//
// Keys that are read and have no effect are in inert.go.
type Config struct {
	Identity
	Listen
	Logging
	Tracing
	Gossip
	Invocation
	Database

	MemoryTotal          Bytes   `toml:"rocksdb-total-memory-size" live:"y" min:"16 MiB"`  // budget of block caches and memtables of all stores of the process, which are Pebble; the Go heap comes besides
	MemoryMemtablesRatio float64 `toml:"rocksdb-total-memtables-ratio" live:"y" ratio:"y"` // share of that for memtables; the rest is the block cache
	ProtocolV7           bool    `toml:"experimental-enable-protocol-v7"`                  // offer service protocol V7; not to be taken back

	MetadataClient MetadataClient `toml:"metadata-client"`
	MetadataServer MetadataServer `toml:"metadata-server"`
	Networking     Networking     `toml:"networking"`
	LogServer      LogServer      `toml:"log-server"`
	Bifrost        Bifrost        `toml:"bifrost"`
	Worker         Worker         `toml:"worker"`
	Admin          Admin          `toml:"admin"`
	Ingress        Ingress        `toml:"ingress"`
}

// Identity says who this process is and of which cluster. All daemons read it.
type Identity struct {
	Roles                 []string    `toml:"roles"`                                                                                // what reprise-standalone runs; each other daemon has its role
	NodeName              string      `toml:"node-name" else:"the name of the host"`                                                // unique and stable; names the folder of the data
	ForceNodeID           uint32      `toml:"force-node-id" else:"any"`                                                             // insist on this plain node id at the first start
	ClusterName           string      `toml:"cluster-name"`                                                                         // all nodes must agree; services get it as x-restate-cluster-name
	Location              string      `toml:"location"`                                                                             // region or region.zone of this node, for replication over them; never change it later
	BaseDir               string      `toml:"base-dir"`                                                                             // root of local data: <base-dir>/<node-name>
	AutoProvision         bool        `toml:"auto-provision"`                                                                       // may this node create the cluster if there is none; false with --production
	NumPartitions         uint32      `toml:"default-num-partitions" min:"1" max:"65535"`                                           // partitions of a cluster that this node creates
	Replication           Replication `toml:"default-replication"`                                                                  // copies of records and of partitions in a cluster that this node creates: 2, or {zone: 2, node: 3}
	ShutdownTimeout       Duration    `toml:"shutdown-timeout" live:"y" min:"1ms"`                                                  // how long a stop may take
	InitTimeout           Duration    `toml:"initialization-timeout" min:"1ms"`                                                     // how long joining the cluster may take
	MetadataInterval      Duration    `toml:"metadata-update-interval"`                                                             // how often metadata is polled
	NetworkRetry          Retry       `toml:"network-error-retry-policy"`                                                           // after errors between nodes
	DiskReserve           *Bytes      `toml:"disk-reserve-size" ours:"y" min:"1 MiB" else:"1.0 GiB, at most an eighth of the disk"` // free space below which a node takes nothing new: a full disk ends the process
	DisablePrometheus     bool        `toml:"disable-prometheus"`                                                                   // no /metrics
	DisableTelemetry      bool        `toml:"disable-telemetry"`                                                                    // nothing is ever sent home, with or without it
	PprofEnabled          bool        `toml:"enable-pprof" ours:"y"`                                                                // serve /debug/pprof and /debug/heap/flamegraph on the fabric port
	DefaultThreadPoolSize uint32      `toml:"default-thread-pool-size" else:"what the machine or the cgroup has"`                   // cores to use (GOMAXPROCS)
}

// Listen is where a server listens and how others find it. In a section an absent value is that of the root.
type Listen struct {
	Mode              string `toml:"listen-mode" enum:"all,tcp" else:"that of the root"`                    // unix sockets are not served
	RandomPorts       *bool  `toml:"use-random-ports" else:"that of the root, or false"`                    // any free port, for tests
	BindIP            string `toml:"bind-ip" else:"that of the root"`                                       // address to listen on
	BindPort          uint16 `toml:"bind-port"`                                                             // port to listen on
	BindAddress       string `toml:"bind-address" else:"bind-ip and bind-port"`                             // as ip:port, instead of the two
	AdvertisedHost    string `toml:"advertised-host" else:"that of the root, or an address of the machine"` // host in the URLs that others are told
	AdvertisedAddress string `toml:"advertised-address" else:"made of the host and the port"`               // URL that others are told
}

// Logging says what is logged and how. All daemons read it.
type Logging struct {
	LogFilter      Filter `toml:"log-filter" live:"y"`                   // levels, for all and for packages: warn,restate=info,processor=debug; RUST_LOG sets it, too
	LogFormat      string `toml:"log-format" enum:"pretty,compact,json"` // compact leaves the date out
	LogDisableANSI bool   `toml:"log-disable-ansi-codes"`                // no colours, not even on a terminal
}

// Tracing says where spans go. Ingresses and workers have some.
type Tracing struct {
	Endpoint         string            `toml:"tracing-endpoint" else:"none"`                      // OTLP URL for spans: http://host:4317 (gRPC), or otlp+http://host:4318/v1/traces
	RuntimeEndpoint  string            `toml:"tracing-runtime-endpoint" else:"tracing-endpoint"`  // OTLP URL for spans of the engine
	ServicesEndpoint string            `toml:"tracing-services-endpoint" else:"tracing-endpoint"` // OTLP URL for spans of invocations
	Filter           string            `toml:"tracing-filter"`                                    // off: no spans of the engine
	SamplingRatio    float64           `toml:"tracing-sampling-ratio" ours:"y" min:"0" max:"1"`   // of traces that begin here; the headers of clients decide on others
	Headers          map[string]string `toml:"tracing-headers" secret:"y"`                        // headers for the exporter
}

// Database is about the files of Pebble, in the words of the contract. What is absent in a section is that of the root; what is
// absent there, too, is what the store was measured with. Workers and log-servers read it.
type Database struct {
	BlockSize      *Bytes  `toml:"rocksdb-block-size" min:"1 KiB" max:"16 MiB" else:"that of the root, or 4 KiB of partitions, 32 KiB of the log"`    // of what is read at once
	MaxFileSize    *Bytes  `toml:"rocksdb-max-file-size" min:"64 KiB" max:"4 GiB" else:"that of the root, or 2 MiB of partitions, 16 MiB of the log"` // of files
	L0Trigger      *uint32 `toml:"rocksdb-l0-num-compaction-trigger" min:"1" max:"1000" else:"that of the root, or 16 of partitions, 32 of the log"`  // files that overlap before they are merged
	CompactionsMax *uint32 `toml:"rocksdb-max-background-compactions" min:"1" max:"64" else:"that of the root, or 1 of partitions, 2 of the log"`     // merges of a store at a time
}

// Gossip keeps the names of the failure detector's keys; ours does not gossip. A process tells the metadata daemons every two
// intervals that it lives, and is dead after so many intervals without a word. All nodes must have the same.
type Gossip struct {
	TickInterval     Duration `toml:"gossip-tick-interval" min:"10ms" max:"1m"`    // length of an interval
	FailureThreshold uint32   `toml:"gossip-failure-threshold" min:"4" max:"1000"` // intervals without a word before a process is dead
	Peers            uint32   `toml:"gossip-num-peers"`                            // peers that are told in an interval
	Stability        uint32   `toml:"gossip-fd-stability-threshold"`               // messages before others are judged
	SuspectInterval  Duration `toml:"gossip-suspect-interval"`                     // how long one that comes back is suspected
	Loneliness       uint32   `toml:"gossip-loneliness-threshold"`                 // intervals without a word before a process counts as cut off
	ExtrasFrequency  uint32   `toml:"gossip-extras-exchange-frequency"`            // how often more is told
	SkewThreshold    Duration `toml:"gossip-time-skew-threshold"`                  // how far the clocks of two may differ
}

// Invocation is what services get that do not say otherwise. Ingresses, workers and admin read it; set it alike on all of them.
type Invocation struct {
	Retry                   InvocationRetry `toml:"default-retry-policy" live:"y"`                          // after failed attempts
	RetryMaxAttemptsMax     Limit           `toml:"max-retry-policy-max-attempts" live:"y"`                 // ceiling for what services ask
	JournalRetention        Duration        `toml:"default-journal-retention" live:"y"`                     // how long a journal is kept after its invocation
	JournalRetentionMax     *Duration       `toml:"max-journal-retention" live:"y" else:"none"`             // ceiling for what services ask; 0: none is kept
	IdempotencyRetention    Duration        `toml:"default-idempotency-retention" live:"y"`                 // how long the result of a call with an idempotency key is kept
	IdempotencyRetentionMax *Duration       `toml:"max-idempotency-retention" live:"y" else:"none"`         // ceiling for what services ask
	WorkflowRetention       Duration        `toml:"default-workflow-completion-retention" live:"y"`         // how long the result of a workflow is kept
	WorkflowRetentionMax    *Duration       `toml:"max-workflow-completion-retention" live:"y" else:"none"` // ceiling for what services ask
}

// InvocationRetry is the policy for failed attempts.
type InvocationRetry struct {
	InitialInterval Duration `toml:"initial-interval" min:"1ms"`        // before the second attempt
	Factor          float64  `toml:"exponentiation-factor" min:"1"`     // by which it grows
	MaxInterval     Duration `toml:"max-interval"`                      // to which it grows
	MaxAttempts     Limit    `toml:"max-attempts"`                      // the first one included
	OnMaxAttempts   string   `toml:"on-max-attempts" enum:"pause,kill"` // what becomes of the invocation then
}

// Retry is a policy for calls between daemons.
type Retry struct {
	Type            string   `toml:"type" enum:"none,fixed-delay,exponential"` // how pauses grow
	Interval        Duration `toml:"interval"`                                 // pause, of fixed-delay
	InitialInterval Duration `toml:"initial-interval"`                         // first pause, of exponential
	Factor          float64  `toml:"factor" min:"1"`                           // by which it grows
	MaxAttempts     Limit    `toml:"max-attempts"`                             // the first one included
	MaxInterval     Duration `toml:"max-interval"`                             // to which it grows
}

// MetadataClient says where the metadata store is. All daemons read it.
type MetadataClient struct {
	Type             string    `toml:"type" enum:"replicated,embedded,etcd"`       // replicated and embedded: etcd in the metadata daemons; etcd: an external one
	Addresses        []string  `toml:"addresses"`                                  // fabric URLs of any daemons of the cluster; of an external etcd: host:port
	ConnectTimeout   Duration  `toml:"connect-timeout" min:"1ms"`                  // for a connection to a member
	KeepAlive        Duration  `toml:"keep-alive-interval" min:"1s"`               // silence after which a member is asked whether it is there
	KeepAliveTimeout Duration  `toml:"keep-alive-timeout" min:"1ms"`               // how long the answer may take
	MessageSizeLimit Bytes     `toml:"message-size-limit" min:"1 MiB" max:"1 GiB"` // largest request
	Backoff          Retry     `toml:"backoff-policy"`                             // after failed requests
	TLS              ClientTLS `toml:"tls"`
}

// ClientTLS is about TLS towards an external etcd. The files are followed while they change.
type ClientTLS struct {
	Cert string `toml:"cert" ours:"y" else:"none"`              // file in PEM: the certificate that is shown, and what it was signed with
	Key  string `toml:"key" ours:"y" else:"none"`               // file in PEM: its private key
	CA   string `toml:"ca" ours:"y" else:"those of the system"` // file in PEM: what certificates of members are signed with
}

// On tells whether there is TLS.
func (t *ClientTLS) On() bool { return *t != ClientTLS{} }

// MetadataServer is the etcd member in a metadata daemon. Its times must be the same on all members.
type MetadataServer struct {
	AutoJoin         bool     `toml:"auto-join"`                              // become a member by itself
	TickInterval     Duration `toml:"raft-tick-interval" min:"5ms" max:"10s"` // length of a tick; 100ms in the contract, which alone would cost more than a fail-over may
	ElectionTicks    uint32   `toml:"raft-election-tick" min:"5" max:"1000"`  // ticks without a leader before an election; at least five heartbeats
	HeartbeatTicks   uint32   `toml:"raft-heartbeat-tick" min:"1" max:"100"`  // ticks between heartbeats of a leader
	LogTrimThreshold uint64   `toml:"log-trim-threshold" min:"1"`             // entries before a snapshot of etcd
	ClientPort       uint16   `toml:"client-port" ours:"y"`                   // of etcd, for clients
	PeerPort         uint16   `toml:"peer-port" ours:"y"`                     // of etcd, for members
	InitialCluster   []string `toml:"initial-cluster" ours:"y"`               // name=peer URL of each member of a new cluster of several
}

// Networking is about calls between daemons. All daemons read it.
type Networking struct {
	ConnectTimeout     Duration `toml:"connect-timeout" min:"10ms" max:"1m"`                  // for a connection to another daemon; 3s in the contract
	HandshakeTimeout   Duration `toml:"handshake-timeout" min:"10ms" max:"1m"`                // until the other side has said who it is; 3s in the contract
	ConnectRetry       Retry    `toml:"connect-retry-policy"`                                 // pauses before a daemon is connected to again, which goes on for as long as it is in the cluster; 250ms to 3s in the contract
	KeepAlive          Duration `toml:"http2-keep-alive-interval" min:"1ms"`                  // silence after which a daemon asks its client whether it is there, at least 1s; the other way it is 10s
	KeepAliveTimeout   Duration `toml:"http2-keep-alive-timeout" min:"100ms" max:"5m"`        // how long an answer may take, either way, and bytes may be unacknowledged
	DataWindow         Bytes    `toml:"data-stream-window-size" min:"64 KiB" max:"512 MiB"`   // flow-control window of a stream; that of a connection is twice as large. 2 MiB in the contract
	DisableCompression bool     `toml:"disable-compression"`                                  // do not compress messages
	MessageSizeLimit   Bytes    `toml:"message-size-limit" live:"y" min:"64 KiB" max:"1 GiB"` // upper bound of all other size limits
	TLS                Mutual   `toml:"tls"`
}

// Mutual is about certificates between daemons: at the fabric port, and at those of etcd in metadata daemons. The files are followed while they
// change. All daemons read it.
type Mutual struct {
	Mode        string   `toml:"mode" ours:"y" enum:"off,optional,strict"`            // optional: connections with and without TLS are taken, so that a cluster can be moved one process at a time; strict: only those of whom the CA signed
	Cert        string   `toml:"cert" ours:"y" else:"none"`                           // file in PEM: the certificate of this process, for servers and clients, and what it was signed with
	Key         string   `toml:"key" ours:"y" else:"none"`                            // file in PEM: its private key
	CA          string   `toml:"ca" ours:"y" else:"none"`                             // file in PEM: what certificates of this cluster are signed with
	Names       []string `toml:"allowed-names" ours:"y" else:"whoever the CA signed"` // names of those who may connect, one of which must be in a certificate (DNS, URI, IP, CN); *.example.org is any label before it. They stand for any host
	OpenMetrics bool     `toml:"metrics-without-certificate" ours:"y"`                // answer GET /metrics also to those without a certificate
}

// On tells whether there is TLS between daemons.
func (t *Mutual) On() bool { return t.Mode == "optional" || t.Strict() }

// Strict tells whether there is nothing else.
func (t *Mutual) Strict() bool { return t.Mode == "strict" }

// LogServer is about the store of the log. Log-servers read it.
type LogServer struct {
	MemoryRatio         float64 `toml:"rocksdb-memory-ratio" ratio:"y"`                              // share of the memtables
	MemoryBudget        *Bytes  `toml:"rocksdb-memory-budget" min:"1 MiB" else:"the ratio's"`        // memory of memtables, instead of the ratio; from the next start on
	DisableFsync        bool    `toml:"rocksdb-disable-wal-fsync"`                                   // answer before records are on the disk: a machine that dies loses them. For tests only
	WALDir              string  `toml:"rocksdb-wal-dir" else:"beside the store"`                     // folder for the records that come in, such as one on a disk of its own
	BatchRecordsMax     Limit   `toml:"write-batch-commit-count"`                                    // records that are stored with one sync
	BatchBytesMax       *Bytes  `toml:"write-batch-commit-bytes" min:"4 KiB" else:"32.0 MiB"`        // bytes that are stored with one sync
	DataServiceBytesMax *Bytes  `toml:"data-service-memory-limit" else:"a quarter of the memtables"` // memory of records that wait to be stored; never below networking.message-size-limit
	Database
}

// Bifrost is about logs: their sequencers and readers. Workers read it.
type Bifrost struct {
	DefaultProvider        string           `toml:"default-provider" enum:"replicated,local"` // how logs are kept
	SealRetryInterval      Duration         `toml:"seal-retry-interval"`                      // after a failed seal
	AutoRecoveryInterval   Duration         `toml:"auto-recovery-interval"`                   // before others than the preferred writer recover a log
	AppendRetryMin         Duration         `toml:"append-retry-min-interval" min:"1ms"`      // before a log-server that failed is tried again; 10ms in the contract
	AppendRetryMax         Duration         `toml:"append-retry-max-interval"`                // to which that grows; 1s in the contract
	ReadRetry              Retry            `toml:"read-retry-policy"`                        // after failed reads
	RecordCacheBytes       Bytes            `toml:"record-cache-memory-size"`                 // cache of recent records
	RecordSizeLimit        Bytes            `toml:"record-size-limit"`                        // largest record
	DisableAutoImprovement bool             `toml:"disable-auto-improvement"`                 // logs do not move to better log-servers by themselves
	Loglet                 ReplicatedLoglet `toml:"replicated-loglet"`
}

// ReplicatedLoglet is about one segment of a log. Workers read it.
type ReplicatedLoglet struct {
	InflightRecordsMax uint32        `toml:"maximum-inflight-records" min:"1"`             // records of a segment that are on their way
	RPCTimeout         DurationRange `toml:"rpc-timeout"`                                  // for questions to log-servers
	StoreTimeout       DurationRange `toml:"store-timeout"`                                // how long a log-server may take to store, from the first try to later ones
	InactivityTimeout  Duration      `toml:"sequencer-inactivity-timeout"`                 // how often an idle sequencer looks whether it is sealed
	NodesetSize        uint32        `toml:"default-nodeset-size" max:"128" else:"chosen"` // log-servers of a segment, in a cluster that this node creates
	ReadaheadRecords   uint32        `toml:"readahead-records"`                            // records that are asked for ahead
	ReadBatchBytes     Bytes         `toml:"read-batch-size" min:"1 KiB" max:"64 MiB"`     // how much is asked of a log-server at once; 32 KiB in the contract
	ReadaheadTrigger   float64       `toml:"readahead-trigger-ratio"`                      // share of them that is read before more are asked for
}

// Admin is about the admin API. Admin daemons read it.
type Admin struct {
	Listen
	AdvertisedEndpoint string      `toml:"advertised-admin-endpoint"`              // old name of advertised-address
	RequestsMax        Limit       `toml:"concurrent-api-requests-limit" live:"y"` // requests at a time; 429 above
	DisableWebUI       bool        `toml:"disable-web-ui"`                         // answer 404 at /ui
	RoutingHeaders     []string    `toml:"deployment-routing-headers"`             // headers that tell deployments of one URI apart
	HeartbeatInterval  Duration    `toml:"heartbeat-interval"`                     // how often the state of the cluster is asked for
	TLS                TLS         `toml:"tls"`
	TokensFile         string      `toml:"tokens-file" ours:"y" else:"everybody may do everything"` // tokens of those who may do something, one a line: SHA-256 of the token, role (viewer, operator, admin), name; followed while it changes
	QueryEngine        QueryEngine `toml:"query-engine"`
	Postgres           Postgres    `toml:"postgres"`
}

// Postgres is ours: SQL over the wire protocol of Postgres, for psql and BI tools. Admin daemons read it.
type Postgres struct {
	BindAddress    string `toml:"bind-address" ours:"y" else:"off"`              // as ip:port. There are no passwords: whoever reaches the port reads everything
	ConnectionsMax uint32 `toml:"concurrent-connections-limit" ours:"y" min:"1"` // connections at a time
}

// QueryEngine is about SQL. Admin daemons read it.
type QueryEngine struct {
	MemoryBytes  Bytes      `toml:"memory-size" live:"y" min:"1 MiB"`             // memory of all statements together
	TmpDir       string     `toml:"tmp-dir" else:"that of the system"`            // folder for what does not fit there
	Parallelism  *uint32    `toml:"query-parallelism" else:"the number of cores"` // cores that a statement may use
	RateLimiting Throttling `toml:"rate-limiting" live:"y"`                       // statements that this node takes
}

// Ingress is about the HTTP ingress. Ingresses read it.
type Ingress struct {
	Listen
	AdvertisedEndpoint string    `toml:"advertised-ingress-endpoint"`                                                // old name of advertised-address
	RequestsMax        Limit     `toml:"concurrent-api-requests-limit" live:"y"`                                     // requests at a time, those that wait included; 429 above
	RequestSizeLimit   *Bytes    `toml:"request-size-limit" live:"y" min:"1 B" else:"networking.message-size-limit"` // largest body; 413 above. Never above networking.message-size-limit
	TLS                TLS       `toml:"tls"`
	TokensFile         string    `toml:"tokens-file" ours:"y" else:"everybody may call"` // tokens of those who may call, one a line: SHA-256 of the token, the role caller, name; followed while it changes
	Ingestion          Ingestion `toml:"ingestion"`
}

// TLS is about the certificate of a listener. With one, it speaks HTTPS alone. The files are followed while they change.
type TLS struct {
	Cert       string `toml:"cert" ours:"y" else:"no TLS"`                                    // file in PEM: the certificate, and what it was signed with
	Key        string `toml:"key" ours:"y"`                                                   // file in PEM: its private key
	CA         string `toml:"ca" ours:"y" else:"those of the system"`                         // file in PEM: what certificates of clients are signed with
	ClientAuth string `toml:"client-auth" ours:"y" enum:"none,optional,required" else:"none"` // whether clients show a certificate
}

// On tells whether there is TLS.
func (t *TLS) On() bool { return *t != TLS{} }

// Ingestion is about batches from other sources than HTTP. Ingresses read it.
type Ingestion struct {
	InflightBytes Bytes `toml:"inflight-memory-budget"`  // memory of batches on their way
	BatchBytes    Bytes `toml:"request-batch-size"`      // size of a batch
	Retry         Retry `toml:"connection-retry-policy"` // after failed connections
}

// Throttling is a token bucket, or none.
type Throttling struct {
	Rate     *Rate   `toml:"rate" else:"all"`                   // how many there may be: 10/s, 600/min or 100/h
	Capacity *uint32 `toml:"capacity" else:"those of a second"` // how many may come at once
}
