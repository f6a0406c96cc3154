package config

import (
	"cmp"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/retry"
	"reprise/pkg/schema"
)

// DataDir is the folder of this node.
func (c *Config) DataDir() string { return filepath.Join(c.BaseDir, c.NodeName) }

// DeadAfter is how long a process may be silent before it counts as dead.
func (c *Config) DeadAfter() time.Duration {
	return c.TickInterval.D() * time.Duration(c.FailureThreshold)
}

// BeatInterval is how often a process says that it lives.
func (c *Config) BeatInterval() time.Duration { return 2 * c.TickInterval.D() }

// EmbeddedMetadata tells whether etcd runs in the metadata daemons.
func (c *Config) EmbeddedMetadata() bool { return c.MetadataClient.Type != "etcd" }

// Endpoint is one listener of this process.
type Endpoint struct {
	Key  string // prefix of its keys: "", "admin." or "ingress."
	Addr string // to listen on; port 0 is any
	// what others are told
	host string
	url  string
	tls  bool
}

// Fabric is the listener for other daemons.
func (c *Config) Fabric() Endpoint {
	e := endpoint("", c.Listen, c.Listen, "")
	e.tls = c.Networking.TLS.On()
	// Others connect as this says, which may change when the process is started again; so nobody has to write it twice.
	if _, rest, ok := strings.Cut(e.url, "://"); ok {
		e.url = e.Scheme() + rest
	}
	return e
}

// AdminEndpoint is the listener of the admin API.
func (c *Config) AdminEndpoint() Endpoint {
	e := endpoint("admin.", c.Admin.Listen, c.Listen, c.Admin.AdvertisedEndpoint)
	e.tls = c.Admin.TLS.On()
	return e
}

// PostgresEndpoint is the listener for SQL over the protocol of Postgres; false: there is none.
func (c *Config) PostgresEndpoint() (Endpoint, bool) {
	l := Listen{BindAddress: c.Admin.Postgres.BindAddress}
	return endpoint("admin.postgres.", l, c.Listen, ""), l.BindAddress != ""
}

// IngressEndpoint is the listener for invocations.
func (c *Config) IngressEndpoint() Endpoint {
	e := endpoint("ingress.", c.Ingress.Listen, c.Listen, c.Ingress.AdvertisedEndpoint)
	e.tls = c.Ingress.TLS.On()
	return e
}

func endpoint(key string, l, root Listen, oldURL string) Endpoint {
	e := Endpoint{Key: key, host: l.AdvertisedHost, url: l.AdvertisedAddress}
	if e.url == "" {
		e.url = oldURL
	}
	if e.host == "" {
		e.host = root.AdvertisedHost
	}
	ip := l.BindIP
	if ip == "" {
		ip = root.BindIP
	}
	port := strconv.Itoa(int(l.BindPort))
	if l.BindAddress != "" {
		at, _ := netip.ParseAddrPort(l.BindAddress) // Validate read it
		ip, port = at.Addr().String(), strconv.Itoa(int(at.Port()))
	}
	random := l.RandomPorts
	if random == nil {
		random = root.RandomPorts
	}
	if random != nil && *random {
		port = "0"
	}
	if ip == "::" {
		ip = "" // both families, or the one that there is
	}
	e.Addr = net.JoinHostPort(ip, port)
	return e
}

// URL is what others are told, once the listener has its address.
func (e Endpoint) URL(at net.Addr) string {
	if e.url != "" {
		return e.url
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return e.Scheme() + at.String()
	}
	if e.host != "" {
		host = e.host
	} else if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = routableHost()
	}
	return e.Scheme() + net.JoinHostPort(host, port)
}

// Scheme is how URLs of the endpoint begin.
func (e Endpoint) Scheme() string {
	if e.tls {
		return "https://"
	}
	return "http://"
}

// Host is the host in URL, for other listeners of this process.
func (e Endpoint) Host(at net.Addr) string {
	u := strings.TrimPrefix(strings.TrimPrefix(e.URL(at), "http://"), "https://")
	u, _, _ = strings.Cut(u, "/")
	if host, _, err := net.SplitHostPort(u); err == nil {
		return host
	}
	return u
}

// routableHost is an address of this machine that others can reach, if it has one.
func routableHost() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	v4 := ""
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() == nil {
			return n.IP.String()
		}
		if v4 == "" {
			v4 = n.IP.String()
		}
	}
	if v4 == "" {
		return "127.0.0.1"
	}
	return v4
}

// Memory is how the node's storage memory is split.
type Memory struct {
	BlockCache         int64 // shared by all stores
	WorkerMemtables    int64 // over all open partition stores
	LogServerMemtables int64
}

// Memory splits rocksdb-total-memory-size.
func (c *Config) Memory() Memory {
	pool := int64(float64(c.MemoryTotal) * c.MemoryMemtablesRatio)
	share := func(ratio float64, budget *Bytes) int64 {
		if budget != nil {
			return int64(*budget)
		}
		return int64(float64(pool) * ratio)
	}
	return Memory{
		BlockCache:         int64(c.MemoryTotal) - pool,
		WorkerMemtables:    share(c.Worker.Storage.MemoryRatio, c.Worker.Storage.MemoryBudget),
		LogServerMemtables: share(c.LogServer.MemoryRatio, c.LogServer.MemoryBudget),
	}
}

// Over is d, with what it leaves out as in root.
func (d Database) Over(root Database) Database {
	return Database{
		BlockSize: cmp.Or(d.BlockSize, root.BlockSize), MaxFileSize: cmp.Or(d.MaxFileSize, root.MaxFileSize),
		L0Trigger: cmp.Or(d.L0Trigger, root.L0Trigger), CompactionsMax: cmp.Or(d.CompactionsMax, root.CompactionsMax),
	}
}

// Tuning is d as stores take it; 0 is their own choice.
func (d Database) Tuning() (blockBytes int, fileBytes int64, l0Layers, compactionsMax int) {
	if d.BlockSize != nil {
		blockBytes = d.BlockSize.Int()
	}
	if d.MaxFileSize != nil {
		fileBytes = int64(*d.MaxFileSize)
	}
	if d.L0Trigger != nil {
		l0Layers = int(*d.L0Trigger)
	}
	if d.CompactionsMax != nil {
		compactionsMax = int(*d.CompactionsMax)
	}
	return blockBytes, fileBytes, l0Layers, compactionsMax
}

// IngressRequestSizeLimit is never above networking.message-size-limit.
func (c *Config) IngressRequestSizeLimit() int {
	return bounded(c.Ingress.RequestSizeLimit, c.Networking.MessageSizeLimit)
}

// InvokerMessageSizeLimit is never above networking.message-size-limit.
func (c *Config) InvokerMessageSizeLimit() int {
	return bounded(c.Worker.Invoker.MessageSizeLimit, c.Networking.MessageSizeLimit)
}

// EagerStateSizeLimit is never above the invoker's message size; 0: all state is read lazily.
func (c *Config) EagerStateSizeLimit() int {
	return bounded(c.Worker.Invoker.EagerStateBytesMax, Bytes(c.InvokerMessageSizeLimit()))
}

// InvocationMemoryLimit is never above the invoker's message size.
func (c *Config) InvocationMemoryLimit() int {
	return bounded(c.Worker.Invoker.InvocationBytesMax, Bytes(c.InvokerMessageSizeLimit()))
}

func bounded(b *Bytes, limit Bytes) int {
	if b == nil {
		return int(limit)
	}
	return int(min(*b, limit))
}

// EtcdMember is where this process's etcd member listens and how others find it.
type EtcdMember struct {
	PeerURL, ClientURL, ListenPeer, ListenClient string
	PeerSchemes                                  []string // of the peer URLs that others are told from now on
	InitialCluster                               []string // of a new cluster, name=peer URL
}

// EtcdMember derives the member's addresses; host is that of the advertised fabric address.
func (c *Config) EtcdMember(host string) EtcdMember {
	ip := c.BindIP
	if c.BindAddress != "" {
		at, _ := netip.ParseAddrPort(c.BindAddress) // Validate read it
		ip = at.Addr().String()
	}
	peer, client := strconv.Itoa(int(c.MetadataServer.PeerPort)), strconv.Itoa(int(c.MetadataServer.ClientPort))
	m := EtcdMember{
		ClientURL:  c.Fabric().Scheme() + net.JoinHostPort(host, client),
		ListenPeer: net.JoinHostPort(ip, peer), ListenClient: net.JoinHostPort(ip, client),
	}
	scheme := "http://" // of a new cluster: also the members that have no TLS yet must reach this one
	switch t := &c.Networking.TLS; {
	case t.Strict():
		scheme, m.PeerSchemes = "https://", []string{"https"}
	case t.On():
		m.PeerSchemes = []string{"http", "https"}
	default:
		m.PeerSchemes = []string{"http"}
	}
	m.PeerURL = scheme + net.JoinHostPort(host, peer)
	for _, entry := range c.MetadataServer.InitialCluster {
		if name, u, ok := strings.Cut(entry, "="); ok {
			if _, rest, ok := strings.Cut(u, "://"); ok {
				entry = name + "=" + scheme + rest
			}
		}
		m.InitialCluster = append(m.InitialCluster, entry)
	}
	return m
}

// Policy is r as those take it who repeat something.
func (r Retry) Policy() retry.Policy {
	switch r.Type {
	case "none":
		return retry.Policy{MaxAttempts: 1}
	case "fixed-delay":
		return retry.Policy{Initial: r.Interval.D(), Max: r.Interval.D(), Factor: 1, MaxAttempts: uint32(r.MaxAttempts)}
	default:
		return retry.Policy{Initial: r.InitialInterval.D(), Max: r.MaxInterval.D(), Factor: r.Factor, MaxAttempts: uint32(r.MaxAttempts)}
	}
}

// SchemaDefaults is what services get that do not say otherwise.
func (c *Config) SchemaDefaults() schema.Defaults {
	return schema.Defaults{
		Inactivity:           c.Worker.Invoker.InactivityTimeout.D(),
		Abort:                c.Worker.Invoker.AbortTimeout.D(),
		JournalRetention:     c.JournalRetention.D(),
		IdempotencyRetention: c.IdempotencyRetention.D(),
		WorkflowRetention:    c.WorkflowRetention.D(),
		Retry: retry.Policy{
			Initial: c.Retry.InitialInterval.D(), Max: c.Retry.MaxInterval.D(), Factor: c.Retry.Factor,
			MaxAttempts: uint32(c.Retry.MaxAttempts), Kill: c.Retry.OnMaxAttempts == "kill",
		},
		MaxJournalRetention:     (*time.Duration)(c.JournalRetentionMax),
		MaxIdempotencyRetention: (*time.Duration)(c.IdempotencyRetentionMax),
		MaxWorkflowRetention:    (*time.Duration)(c.WorkflowRetentionMax),
		MaxAttempts:             uint32(c.RetryMaxAttemptsMax),
	}
}

// ClusterSpec is the cluster that this node creates if there is none; nil: it must not.
func (c *Config) ClusterSpec() *storedv1.Cluster {
	if !c.AutoProvision {
		return nil
	}
	return c.NewCluster()
}

// NewCluster is a new cluster as this node would create it, or an operator who says nothing else.
func (c *Config) NewCluster() *storedv1.Cluster {
	return &storedv1.Cluster{Partitions: c.NumPartitions, Replication: string(c.Replication), NodesetSize: c.Bifrost.Loglet.NodesetSize}
}
