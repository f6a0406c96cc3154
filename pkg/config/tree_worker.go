package config

// Worker is about partitions. Workers read it.
type Worker struct {
	QueueLength          uint32    `toml:"internal-queue-length"`                                                                                                                                             // requests that wait inside of a partition
	CleanupInterval      Duration  `toml:"cleanup-interval" min:"1s"`                                                                                                                                         // how often completed invocations are looked for that were kept long enough
	BatchCommandsMax     uint32    `toml:"max-command-batch-size" min:"1" max:"100000"`                                                                                                                       // records of a partition that are applied in a turn; 32 in the contract
	BatchBytesMax        Bytes     `toml:"max-command-batch-bytes"`                                                                                                                                           // bytes of them
	TimersMax            Limit     `toml:"num-timers-in-memory-limit"`                                                                                                                                        // timers in memory
	DurabilityMode       string    `toml:"durability-mode" live:"y" enum:"none,snapshot-and-replica-set,balanced,replica-set-only,snapshot-only" else:"balanced with several workers, else replica-set-only"` // where the state must be before records are taken off a log
	TrimDelay            Duration  `toml:"trim-delay-interval" live:"y"`                                                                                                                                      // how much longer records stay then
	DataServiceBytesMax  Bytes     `toml:"data-service-memory-limit" live:"y" min:"1 MiB"`                                                                                                                    // memory of all requests that wait to be committed and applied, and as much again of messages between partitions; above, callers are told to try again
	SelfProposalBytesMax Bytes     `toml:"self-proposal-queue-memory-limit" min:"1 MiB"`                                                                                                                      // memory of the requests of a partition that wait to be committed; above, callers are told to try again
	Shuffle              Shuffle   `toml:"shuffle"`
	Storage              Storage   `toml:"storage"`
	Snapshots            Snapshots `toml:"snapshots"`
	Invoker              Invoker   `toml:"invoker"`
}

// Shuffle is about messages between partitions. Workers read it.
type Shuffle struct {
	InflightBytes Bytes `toml:"inflight-memory-budget" min:"64 KiB"` // messages from one partition to another that are not acknowledged; 10 MiB in the contract, of all
	BatchBytes    Bytes `toml:"request-batch-size"`                  // size of a batch
	Retry         Retry `toml:"connection-retry-policy"`             // after failed connections
}

// Storage is about partition stores. Workers read it.
type Storage struct {
	MemoryRatio      float64 `toml:"rocksdb-memory-ratio" live:"y" ratio:"y"`                       // share of the memtables, of all open stores together
	MemoryBudget     *Bytes  `toml:"rocksdb-memory-budget" live:"y" min:"1 MiB" else:"the ratio's"` // memory of memtables, instead of the ratio
	DisableReclaimer bool    `toml:"rocksdb-disable-auto-memory-reclaimer" live:"y"`                // do not flush stores that are above their share
	Database
}

// Snapshots is about copies of partition stores in an object store. Workers read it.
type Snapshots struct {
	Destination       string    `toml:"destination" else:"none"`                                     // s3://bucket/prefix, or file:///folder for one machine
	Interval          *Duration `toml:"snapshot-interval" live:"y" else:"none"`                      // make one after this time; with both set, both must be over
	IntervalRecords   *uint64   `toml:"snapshot-interval-num-records" live:"y" min:"1" else:"none"`  // make one after so many records
	Retained          uint32    `toml:"num-retained" live:"y" min:"1" max:"1000"`                    // how many are kept
	ExportConcurrency uint32    `toml:"export-concurrency-limit" live:"y" min:"1" max:"1000"`        // how many are made at a time
	Retry             Retry     `toml:"object-store-retry-policy" live:"y"`                          // after failed requests to the object store
	AWSProfile        string    `toml:"aws-profile" else:"that of the environment"`                  // of the AWS configuration files
	AWSRegion         string    `toml:"aws-region" else:"that of the environment"`                   // of the bucket
	AWSAccessKeyID    string    `toml:"aws-access-key-id" secret:"y" else:"that of the environment"` // credentials
	AWSSecretKey      string    `toml:"aws-secret-access-key" secret:"y"`                            // credentials
	AWSSessionToken   string    `toml:"aws-session-token" secret:"y"`                                // credentials
	AWSEndpoint       string    `toml:"aws-endpoint-url" else:"that of AWS"`                         // of another object store that speaks S3
	AWSAllowHTTP      bool      `toml:"aws-allow-http"`                                              // that may be plain http
}

// Invoker is about calls to deployments. Workers read it, and admin, to discover services, what is about connections and identity.
type Invoker struct {
	ConcurrentMax            uint32            `toml:"concurrent-invocations-limit" live:"y" min:"1"`                                // attempts that run at a time in a process
	InactivityTimeout        Duration          `toml:"inactivity-timeout" live:"y"`                                                  // how long an attempt may be silent before it is asked to suspend, unless its service says otherwise
	AbortTimeout             Duration          `toml:"abort-timeout" live:"y"`                                                       // how long it may take to do so before it is cut off
	MessageSizeWarning       Bytes             `toml:"message-size-warning" live:"y"`                                                // size from which a message is logged
	MessageSizeLimit         *Bytes            `toml:"message-size-limit" live:"y" min:"1 KiB" else:"networking.message-size-limit"` // largest message of a handler. Never above networking.message-size-limit
	EagerStateBytesMax       *Bytes            `toml:"eager-state-size-limit" live:"y" else:"message-size-limit"`                    // state that is sent with the start of an attempt; 0: all is read when asked for
	MemoryBytes              Bytes             `toml:"memory-limit" live:"y"`                                                        // memory of the messages of all attempts
	InvocationBytesMax       *Bytes            `toml:"per-invocation-memory-limit" live:"y" min:"1 KiB" else:"message-size-limit"`   // memory of the messages of one attempt
	InvocationBytesFirst     Bytes             `toml:"per-invocation-initial-memory"`                                                // that an attempt has from its start
	ConnectTimeout           Duration          `toml:"connect-timeout" min:"1ms"`                                                    // for a connection to a deployment
	KeepAlive                Duration          `toml:"http2-keep-alive-interval" min:"1ms"`                                          // silence after which a deployment is asked whether it is there
	KeepAliveTimeout         Duration          `toml:"http2-keep-alive-timeout" min:"1ms"`                                           // how long the answer may take
	StreamsPerConnection     uint32            `toml:"http2-streams-per-connection-limit" min:"1"`                                   // attempts on one connection
	IdleConnectionTimeout    Duration          `toml:"http2-idle-connection-timeout" min:"1ms"`                                      // after which an unused connection is closed
	StreamWindow             Bytes             `toml:"http2-initial-stream-window-size" min:"64 KiB" max:"1 GiB"`                    // flow-control window of an attempt
	ConnectionWindow         Bytes             `toml:"http2-initial-connection-window-size" min:"64 KiB" max:"1 GiB"`                // flow-control window of a connection
	MaxFrameSize             Bytes             `toml:"http2-max-frame-size" min:"16 KiB" max:"16777215 B"`                           // of HTTP/2
	AwaitDepthMax            uint32            `toml:"max-awaited-future-depth" min:"1" max:"10000"`                                 // of what a handler awaits
	HTTPProxy                string            `toml:"http-proxy" secret:"y" else:"none"`                                            // for connections to deployments
	NoProxy                  string            `toml:"no-proxy"`                                                                     // hosts that are reached without it
	AdditionalRequestHeaders map[string]string `toml:"additional-request-headers"`                                                   // of each request, beside x-restate-cluster-name
	IdentityKeyFile          string            `toml:"request-identity-private-key-pem-file" else:"none"`                            // ed25519 key that signs requests
	IdentityExpiration       Duration          `toml:"request-identity-expiration" min:"1s"`                                         // of a signature
	KeepAliveJitter          float64           `toml:"http2-keep-alive-jitter" min:"0" max:"1"`                                      // by which share intervals differ
	CompressBytesMin         Bytes             `toml:"request-compression-threshold"`                                                // size from which bodies for Lambda functions are compressed
	AWSProfile               string            `toml:"aws-profile" else:"that of the environment"`                                   // for Lambda functions
	AWSExternalID            string            `toml:"aws-assume-role-external-id" secret:"y"`                                       // for roles of Lambda functions
}
