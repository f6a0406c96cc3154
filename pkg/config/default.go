package config

import (
	"slices"
	"time"
)

const (
	ms  = Duration(time.Millisecond)
	sec = Duration(time.Second)
	mn  = Duration(time.Minute)
	dy  = Duration(day)

	kib = Bytes(1 << 10)
	mib = Bytes(1 << 20)
	gib = Bytes(1 << 30)
)

func exponential(initial Duration, factor float64, max Duration, attempts Limit) Retry {
	return Retry{Type: "exponential", InitialInterval: initial, Factor: factor, MaxInterval: max, MaxAttempts: attempts}
}

// Default returns the settings of one that sets nothing. Values that derive from others are left out;
// methods of Config give them.
func Default() Config {
	return Config{
		Identity: Identity{
			Roles:            slices.Clone(allRoles),
			ClusterName:      "localcluster",
			BaseDir:          "./reprise-data",
			AutoProvision:    true,
			NumPartitions:    24,
			Replication:      "{node: 1}",
			ShutdownTimeout:  mn,
			InitTimeout:      5 * mn,
			MetadataInterval: 10 * sec,
			NetworkRetry:     exponential(10*ms, 2, 5*sec, 15),
		},
		Listen:  Listen{Mode: "all", BindIP: "::", BindPort: 5122},
		Logging: Logging{LogFilter: "warn,restate=info", LogFormat: "pretty"},
		Tracing: Tracing{Filter: "info", SamplingRatio: 1},
		Gossip: Gossip{
			TickInterval: 100 * ms, FailureThreshold: 10, Peers: 2, Stability: 3, SuspectInterval: 5 * sec, Loneliness: 30, ExtrasFrequency: 10, SkewThreshold: sec,
		},
		Invocation: Invocation{
			Retry:                InvocationRetry{InitialInterval: 500 * ms, Factor: 2, MaxInterval: mn, MaxAttempts: 70, OnMaxAttempts: "pause"},
			JournalRetention:     dy,
			IdempotencyRetention: dy,
			WorkflowRetention:    dy,
		},
		MemoryTotal:          2 * gib,
		MemoryMemtablesRatio: 0.85,
		MetadataClient: MetadataClient{
			Type: "replicated", ConnectTimeout: 3 * sec, KeepAlive: 5 * sec, KeepAliveTimeout: 5 * sec,
			MessageSizeLimit: 32 * mib, Backoff: exponential(100*ms, 1.4, sec, 10),
		},
		MetadataServer: MetadataServer{
			AutoJoin: true, TickInterval: 20 * ms, ElectionTicks: 10, HeartbeatTicks: 1, LogTrimThreshold: 1000, ClientPort: 2379, PeerPort: 2380,
		},
		Networking: Networking{
			ConnectTimeout: sec, HandshakeTimeout: 2 * sec, ConnectRetry: exponential(20*ms, 1.6, sec, 0),
			KeepAlive: sec, KeepAliveTimeout: 3 * sec, DataWindow: 8 * mib, MessageSizeLimit: 32 * mib, TLS: Mutual{Mode: "off"},
		},
		LogServer: LogServer{MemoryRatio: 0.5},
		Bifrost: Bifrost{
			DefaultProvider: "replicated", SealRetryInterval: 2 * sec, AutoRecoveryInterval: 15 * sec,
			AppendRetryMin: 20 * ms, AppendRetryMax: 200 * ms, ReadRetry: exponential(50*ms, 2, sec, 50),
			RecordCacheBytes: 250 * mib, RecordSizeLimit: 32 * mib,
			Loglet: ReplicatedLoglet{
				InflightRecordsMax: 1000,
				RPCTimeout:         DurationRange{Min: 250 * time.Millisecond, Max: time.Minute},
				StoreTimeout:       DurationRange{Min: 2 * time.Second, Max: time.Minute},
				InactivityTimeout:  15 * sec, ReadaheadRecords: 20, ReadBatchBytes: mib, ReadaheadTrigger: 0.5,
			},
		},
		Worker:  defaultWorker(),
		Admin:   Admin{Listen: Listen{BindPort: 9070}, HeartbeatInterval: 1500 * ms, QueryEngine: QueryEngine{MemoryBytes: gib}, Postgres: Postgres{ConnectionsMax: 64}},
		Ingress: Ingress{Listen: Listen{BindPort: 8080}, Ingestion: Ingestion{InflightBytes: mib, BatchBytes: 50 * kib, Retry: exponential(250*ms, 2, 3*sec, 0)}},
	}
}

func defaultWorker() Worker {
	return Worker{
		QueueLength: 1000, CleanupInterval: 60 * mn, BatchCommandsMax: 256, BatchBytesMax: mib, TrimDelay: 10 * mn,
		DataServiceBytesMax: 256 * mib, SelfProposalBytesMax: 64 * mib,
		Shuffle:   Shuffle{InflightBytes: 8 * mib, BatchBytes: 50 * kib, Retry: exponential(250*ms, 2, 3*sec, 0)},
		Storage:   Storage{MemoryRatio: 0.49},
		Snapshots: Snapshots{Retained: 1, ExportConcurrency: 4, Retry: exponential(100*ms, 2, 10*sec, 10)},
		Invoker: Invoker{
			ConcurrentMax: 1000, InactivityTimeout: mn, AbortTimeout: 10 * mn, MessageSizeWarning: 10 * mib,
			MemoryBytes: 1536 * mib, InvocationBytesFirst: 32 * kib, ConnectTimeout: 10 * sec,
			KeepAlive: 40 * sec, KeepAliveTimeout: 20 * sec, StreamsPerConnection: 128, IdleConnectionTimeout: 5 * mn,
			StreamWindow: 2 * mib, ConnectionWindow: 5 * mib, MaxFrameSize: 16 * kib, AwaitDepthMax: 1000, IdentityExpiration: mn, KeepAliveJitter: 0.2, CompressBytesMin: 4 * mib,
		},
	}
}
