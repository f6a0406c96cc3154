package metastore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"google.golang.org/grpc"

	"reprise/pkg/errs"
	"reprise/pkg/guest"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// EmbedConfig describes this process's member of the etcd cluster.
type EmbedConfig struct {
	Name string // of the member: the node name
	Dir  string
	// PeerURL is where other members will find this one, also while it is alone and listens nowhere:
	// it can not be changed afterwards.
	PeerURL string
	// ListenPeer and ListenClient are host:port; both empty: no listener, for a lone member.
	ListenPeer, ListenClient string
	ClientURL                string        // advertised to clients; needed if it listens
	InitialCluster           []string      // name=peer URL of all members of a new cluster; empty: this one alone
	Join                     bool          // the cluster exists already
	Token                    string        // the cluster's name: members of two clusters never talk
	Tick, Election           time.Duration // 0: 20 ms and 200 ms. Equal on all members
	SnapshotCount            uint64        // 0: etcd's own
	RequestBytesMax          uint          // 0: 32 MiB
	ReadyTimeout             time.Duration // 0: 60 s
	// PeerSchemes are those of the URLs under which other members are to find this one from now on: http, https or both. A running
	// cluster is told of a change. Empty: as it is.
	PeerSchemes []string
	Secure      *Secure // nil: no TLS
}

const (
	defaultTick            = 20 * time.Millisecond
	defaultElection        = 200 * time.Millisecond
	defaultRequestBytesMax = 32 << 20
	defaultReadyTimeout    = time.Minute
	// compactRevisions is how much history is kept: a watch further behind reads everything again.
	// Without compaction a full quota would forbid every write, so every election of ours.
	compactRevisions = "10000"
	quotaBytes       = 4 << 30
	// handOverMax is how long a member that stops tries to have another one lead: that one may stop as well.
	handOverMax = time.Second
)

// Embedded is an etcd server in this process.
type Embedded struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	kv     *Etcd
	clock  host.Clock
	guests *guest.Book
	closed sync.Once
	served *served
	doors  *doors   // nil: etcd listens itself, or nowhere
	told   []string // EmbedConfig.PeerSchemes
}

// OpenEmbedded starts the server and returns once it has a leader. A member of a new cluster of
// several waits for its peers.
func OpenEmbedded(ctx context.Context, cfg EmbedConfig, h host.Host) (*Embedded, error) {
	ec, err := embedConfig(cfg, h)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "embedded etcd: %w", err)
	}
	guests := guest.NewBook() // who watches, or keeps a lease
	s := newServed(h)
	ec.GRPCAdditionalServerOptions = append(guests.Options(), grpc.ChainUnaryInterceptor(s.intercept))
	d, err := openDoors(ctx, cfg)
	if err != nil {
		return nil, startError(cfg, err)
	}
	e, err := embed.StartEtcd(ec)
	if err != nil {
		d.close()
		return nil, startError(cfg, err)
	}
	d.servePeers(e)
	wait := cfg.ReadyTimeout
	if wait == 0 {
		wait = defaultReadyTimeout
	}
	if err := awaitQuorum(ctx, e, wait, h); err != nil {
		e.Close()
		d.close()
		return nil, fmt.Errorf("embedded etcd in %s: %w", cfg.Dir, err)
	}
	d.serveClients(e)
	c := v3client.New(e.Server)
	kv := newEtcd(c, h.Clock)
	kv.own = uint64(e.Server.MemberID())
	if cfg.Secure != nil {
		kv.dial = cfg.Secure.Dial
	}
	h.Metrics.MustRegister(memberMetrics{e.Server}, etcdMetrics{prometheus.DefaultGatherer})
	return &Embedded{etcd: e, client: c, kv: kv, clock: h.Clock, guests: guests, served: s, doors: d, told: cfg.PeerSchemes}, nil
}

// startError names the setting to change, where there is one.
func startError(cfg EmbedConfig, err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "listen":
		key := "metadata-server.peer-port"
		if op.Addr != nil && op.Addr.String() == cfg.ListenClient {
			key = "metadata-server.client-port"
		}
		return errs.Newf(errs.Invalid, "embedded etcd: %w: choose another %s", err, key)
	case errors.Is(err, fs.ErrPermission):
		return errs.Newf(errs.Invalid, "embedded etcd in %s: %w: change base-dir or its permissions", cfg.Dir, err)
	default:
		return fmt.Errorf("embedded etcd in %s: %w", cfg.Dir, err)
	}
}

// sayAfter is after what time without a quorum a member says that it waits.
const sayAfter = 2 * time.Second

func awaitQuorum(ctx context.Context, e *embed.Etcd, wait time.Duration, h host.Host) error {
	members := e.Config().InitialCluster
	timer := h.Clock.NewTimer(min(sayAfter, wait))
	defer timer.Stop()
	for said := wait <= sayAfter; ; said = true {
		select {
		case <-e.Server.ReadyNotify():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.Server.StopNotify():
			return errs.Newf(errs.Invalid, "the server stopped: if this member was removed from the metadata quorum, start with an empty data folder under a new node-name")
		case <-timer.C():
		}
		if said {
			return errs.Newf(errs.Unavailable, "no quorum of %s within %s (initialization-timeout): start the other members, or correct metadata-server.initial-cluster", members, wait)
		}
		h.Log.Info("waiting for a quorum of the metadata members", slog.String(logkey.Peer, members))
		timer.Reset(wait - sayAfter)
	}
}

// KV reads and writes by direct call, without a socket.
func (e *Embedded) KV() KV { return newCounted(e.kv, e.served.clock, e.served.ops) }

// ClientAddrs are the addresses on which it serves clients; none for a lone member.
func (e *Embedded) ClientAddrs() []string {
	if e.doors != nil {
		return []string{e.doors.client.Addr().String()}
	}
	addrs := make([]string, len(e.etcd.Clients))
	for i, l := range e.etcd.Clients {
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// Leads tells whether this member leads the etcd cluster, as far as it knows.
func (e *Embedded) Leads() bool { return e.etcd.Server.Leader() == e.etcd.Server.MemberID() }

// ID is that of the member.
func (e *Embedded) ID() uint64 { return uint64(e.etcd.Server.MemberID()) }

// Learns tells whether the member does not count yet.
func (e *Embedded) Learns() bool { return e.etcd.Server.IsLearner() }

// Run watches the server until ctx ends; a server that stops by itself ends the process.
func (e *Embedded) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	g.Go("peer URLs", e.tellPeerURLs)
	g.Go("server", e.watch)
	return g.Wait()
}

func (e *Embedded) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.doors.failures():
		return fmt.Errorf("embedded etcd: %w", err)
	case err := <-e.etcd.Err():
		return fmt.Errorf("embedded etcd: %w", err)
	case <-e.etcd.Server.StopNotify():
		return errors.New("embedded etcd: the server stopped by itself")
	}
}

// Close stops the server. It hands the leadership over first, so that nobody has to notice a death; then it shows out those who
// watch, which go on at another member: etcd would wait for them. What else was asked is answered. It is idempotent.
func (e *Embedded) Close() (err error) {
	e.closed.Do(func() {
		err = e.kv.Close()
		e.handOver()
		e.guests.ShowOut()
		e.doors.closeClients(e.clock)
		e.etcd.Close()
		e.doors.close()
	})
	return err
}

// handOver has another member lead, if there is one that takes it in time; else the others notice.
func (e *Embedded) handOver() {
	done := make(chan struct{})
	g := lifecycle.NewGroup(context.Background())
	g.Go("hand over", func(context.Context) error {
		defer close(done)
		_ = e.etcd.Server.TryTransferLeadershipOnShutdown() // etcd tries and logs it once more
		return nil
	})
	timer := e.clock.NewTimer(handOverMax)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C():
		e.etcd.Server.HardStop() // ends the try, and keeps Close from another one
	}
	_ = g.Wait() // its goroutine returns no error
}

func embedConfig(cfg EmbedConfig, h host.Host) (*embed.Config, error) {
	ec := embed.NewConfig()
	ec.Name, ec.Dir = cfg.Name, cfg.Dir
	ec.InitialClusterToken = cfg.Token
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(h.Log))
	ec.TickMs, ec.ElectionMs = millis(cfg.Tick, defaultTick), millis(cfg.Election, defaultElection)
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModeRevision, compactRevisions
	ec.QuotaBackendBytes = quotaBytes
	ec.MaxTxnOps = TxnOpsMax
	ec.MaxRequestBytes = defaultRequestBytesMax
	if cfg.RequestBytesMax > 0 {
		ec.MaxRequestBytes = cfg.RequestBytesMax
	}
	if cfg.SnapshotCount > 0 {
		ec.SnapshotCount = cfg.SnapshotCount
	}
	ec.ListenPeerUrls, ec.ListenClientUrls, ec.AdvertiseClientUrls = nil, nil, nil
	peer, err := url.Parse(cfg.PeerURL)
	if err != nil || peer.Host == "" {
		return nil, fmt.Errorf("peer URL %q", cfg.PeerURL)
	}
	ec.AdvertisePeerUrls = []url.URL{*peer}
	if cfg.Secure != nil {
		ec.PeerTLSInfo = transport.TLSInfo{
			CertFile: cfg.Secure.Cert, KeyFile: cfg.Secure.Key, TrustedCAFile: cfg.Secure.CA, ServerName: cfg.Secure.ServerName, ClientCertAuth: true,
		}
	}
	if cfg.ListenPeer != "" && cfg.Secure == nil {
		ec.ListenPeerUrls = []url.URL{{Scheme: "http", Host: cfg.ListenPeer}}
	}
	if cfg.ListenClient != "" {
		client, err := url.Parse(cfg.ClientURL)
		if err != nil || client.Host == "" {
			return nil, fmt.Errorf("client URL %q", cfg.ClientURL)
		}
		if cfg.Secure == nil {
			ec.ListenClientUrls = []url.URL{{Scheme: "http", Host: cfg.ListenClient}}
		}
		ec.AdvertiseClientUrls = []url.URL{*client}
	}
	ec.InitialCluster = strings.Join(cfg.InitialCluster, ",")
	if ec.InitialCluster == "" {
		ec.InitialCluster = cfg.Name + "=" + cfg.PeerURL
	}
	if cfg.Join {
		ec.ClusterState = embed.ClusterStateFlagExisting
	}
	return ec, nil
}

func millis(d, def time.Duration) uint {
	if d == 0 {
		d = def
	}
	return uint(d / time.Millisecond)
}
