package config

// Worker is about partitions.
type Worker struct {
	QueueLength          uint32    `toml:"internal-queue-length"`
	CleanupInterval      Duration  `toml:"cleanup-interval"`
	BatchCommandsMax     uint32    `toml:"max-command-batch-size"`
	BatchBytesMax        Bytes     `toml:"max-command-batch-bytes"`
	TimersMax            Limit     `toml:"num-timers-in-memory-limit"`
	DurabilityMode       string    `toml:"durability-mode"` // empty: balanced in a cluster, else replica-set-only
	TrimDelay            Duration  `toml:"trim-delay-interval"`
	DataServiceBytesMax  Bytes     `toml:"data-service-memory-limit"`
	SelfProposalBytesMax Bytes     `toml:"self-proposal-queue-memory-limit"`
	Shuffle              Shuffle   `toml:"shuffle"`
	Storage              Storage   `toml:"storage"`
	Snapshots            Snapshots `toml:"snapshots"`
	Invoker              Invoker   `toml:"invoker"`
}

// Shuffle is about messages between partitions.
type Shuffle struct {
	InflightBytes Bytes `toml:"inflight-memory-budget"`
	BatchBytes    Bytes `toml:"request-batch-size"`
	Retry         Retry `toml:"connection-retry-policy"`
}

// Storage is about partition stores.
type Storage struct {
	MemoryRatio      float64 `toml:"rocksdb-memory-ratio"`  // share of the memtable pool
	MemoryBudget     *Bytes  `toml:"rocksdb-memory-budget"` // instead of the ratio
	DisableReclaimer bool    `toml:"rocksdb-disable-auto-memory-reclaimer"`
}

// Snapshots is about copies of partition stores in an object store.
type Snapshots struct {
	Destination       string    `toml:"destination"`
	Interval          *Duration `toml:"snapshot-interval"`
	IntervalRecords   *uint64   `toml:"snapshot-interval-num-records"`
	Retained          uint32    `toml:"num-retained"`
	ExportConcurrency uint32    `toml:"export-concurrency-limit"`
	Retry             Retry     `toml:"object-store-retry-policy"`
	AWSProfile        string    `toml:"aws-profile"`
	AWSRegion         string    `toml:"aws-region"`
	AWSAccessKeyID    string    `toml:"aws-access-key-id" secret:"true"`
	AWSSecretKey      string    `toml:"aws-secret-access-key" secret:"true"`
	AWSSessionToken   string    `toml:"aws-session-token" secret:"true"`
	AWSEndpoint       string    `toml:"aws-endpoint-url"`
	AWSAllowHTTP      bool      `toml:"aws-allow-http"`
}

// Invoker is about calls to deployments.
type Invoker struct {
	ConcurrentMax            uint32            `toml:"concurrent-invocations-limit"`
	InactivityTimeout        Duration          `toml:"inactivity-timeout"`
	AbortTimeout             Duration          `toml:"abort-timeout"`
	MessageSizeWarning       Bytes             `toml:"message-size-warning"`
	MessageSizeLimit         *Bytes            `toml:"message-size-limit"`     // default and bound: networking.message-size-limit
	EagerStateBytesMax       *Bytes            `toml:"eager-state-size-limit"` // 0: lazy; default and bound: message-size-limit
	MemoryBytes              Bytes             `toml:"memory-limit"`
	InvocationBytesMax       *Bytes            `toml:"per-invocation-memory-limit"` // default and bound: message-size-limit
	InvocationBytesFirst     Bytes             `toml:"per-invocation-initial-memory"`
	ConnectTimeout           Duration          `toml:"connect-timeout"`
	KeepAlive                Duration          `toml:"http2-keep-alive-interval"`
	KeepAliveTimeout         Duration          `toml:"http2-keep-alive-timeout"`
	StreamsPerConnection     uint32            `toml:"http2-streams-per-connection-limit"`
	IdleConnectionTimeout    Duration          `toml:"http2-idle-connection-timeout"`
	StreamWindow             Bytes             `toml:"http2-initial-stream-window-size"`
	ConnectionWindow         Bytes             `toml:"http2-initial-connection-window-size"`
	MaxFrameSize             Bytes             `toml:"http2-max-frame-size"`
	AwaitDepthMax            uint32            `toml:"max-awaited-future-depth"`
	HTTPProxy                string            `toml:"http-proxy" secret:"true"`
	NoProxy                  string            `toml:"no-proxy"`
	AdditionalRequestHeaders map[string]string `toml:"additional-request-headers"` // beside x-restate-cluster-name
	IdentityKeyFile          string            `toml:"request-identity-private-key-pem-file"`
	IdentityExpiration       Duration          `toml:"request-identity-expiration"`
	KeepAliveJitter          float64           `toml:"http2-keep-alive-jitter"`
	CompressBytesMin         Bytes             `toml:"request-compression-threshold"` // of bodies for Lambda functions
	AWSProfile               string            `toml:"aws-profile"`
	AWSExternalID            string            `toml:"aws-assume-role-external-id" secret:"true"`
}
