package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"

	"google.golang.org/grpc"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/partition"
	"reprise/pkg/rpc"
	"reprise/pkg/telemetry"
	"reprise/services/internal/daemon"
)

// Node is a process that has joined its cluster.
type Node struct {
	daemon.Daemon
	Member membership.Member
	Meta   *metastore.Store
	View   *metastore.View
	Peers  *rpc.LogPeers
	Status *rpc.NodeStatus

	// Detector shows who lives in the view of this process.
	Detector *membership.Detector

	fabric  net.Listener
	members *metastore.Etcd // client of the metadata daemons; nil: another store
	closers []io.Closer     // in the order of opening
}

// Store opens the metadata store of a process whose fabric port is told to others as host.
type Store func(ctx context.Context, d *daemon.Daemon, host string) (kv metastore.KV, urls []string, c io.Closer, err error)

// Dial is the Store of a daemon that finds the metadata daemons, or an external etcd.
func Dial(ctx context.Context, d *daemon.Daemon, _ string) (metastore.KV, []string, io.Closer, error) {
	kv, urls, err := rpc.DialMetadata(ctx, &d.Config, d.Secure, d.External, d.Host)
	if err != nil {
		return nil, nil, nil, err
	}
	return kv, urls, kv, nil
}

// Join opens the data folder, the fabric port and the metadata store, and registers the process with
// what describe adds to its entry. Close gives all back.
func Join(ctx context.Context, d daemon.Daemon, open Store, describe func(*storedv1.Node)) (n *Node, err error) {
	cfg, h := &d.Config, d.Host
	n = &Node{Daemon: d}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err = n.openCerts(); err != nil {
		return n, err
	}
	folder, err := membership.OpenFolder(h.FS, cfg.DataDir(), cfg.ClusterName, cfg.NodeName)
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, folder)
	at := cfg.Fabric()
	if n.fabric, err = rpc.Listen(ctx, at); err != nil {
		return n, err
	}
	n.closers = append(n.closers, onceClosed{n.fabric})
	if err := n.Secure.CheckHost(at.Host(n.fabric.Addr())); err != nil {
		return n, err
	}
	kv, urls, closer, err := open(ctx, &n.Daemon, at.Host(n.fabric.Addr()))
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, closer)
	if client, ok := closer.(*metastore.Etcd); ok && cfg.EmbeddedMetadata() { // not that of a member in this process
		n.members = client
	}
	n.Meta = metastore.New(kv, cfg.ClusterName, h)
	spec := &storedv1.Node{
		Name: cfg.NodeName, Address: at.URL(n.fabric.Addr()), Location: cfg.Location, Version: daemon.Version, PartitionVersion: partition.VersionMax,
	}
	describe(spec)
	join := membership.Config{Node: spec, ForceID: cfg.ForceNodeID, InitTimeout: cfg.InitTimeout.D()}
	if slices.Contains(spec.Roles, metastore.RoleMetadata) {
		cluster := cfg.NewCluster()
		cluster.Name = cfg.ClusterName
		cluster.PartitionVersion = partition.VersionMax // older binaries are refused from the start
		if cfg.AutoProvision {
			join.Provision = cluster
		} else {
			join.Vacant = func(ctx context.Context) func() error { return n.awaitFounder(ctx, cluster) }
		}
	}
	n.Status = rpc.NewNodeStatus(cfg, spec.Roles, daemon.Version, h)
	n.Status.SetMetadata(func() []string { return urls })
	if n.Member, err = membership.Join(ctx, join, n.Meta, folder, h); err != nil {
		return n, err
	}
	n.Status.SetMember(n.Member.Cluster, n.Member.ID)
	n.View = metastore.NewView(n.Meta, cfg.SchemaDefaults(), h)
	d.Live.OnChange(func(c *config.Config) { n.View.SetDefaults(c.SchemaDefaults()) })
	n.Detector = membership.NewDetector(n.Member.ID, n.View, n.Host)
	n.Status.SetMetadata(func() []string {
		if known := rpc.MetadataURLs(n.Nodes()); len(known) > 0 {
			return known
		}
		return urls
	})
	n.Status.SetView(n.View.Current)
	to := peersConfig(cfg)
	to.TLS = n.Secure
	n.Peers = rpc.NewPeers(to, n.Nodes)
	n.Peers.Measure(n.Host)
	n.closers = append(n.closers, n.Peers)
	return n, nil
}

// openCerts reads the certificates that this process shows to other daemons, and to an external etcd. All faults are reported at once.
func (n *Node) openCerts() (err error) {
	if t := &n.Config.Networking.TLS; t.On() {
		c := certs.MutualConfig{Cert: t.Cert, Key: t.Key, CA: t.CA, Names: t.Names, Strict: t.Strict()}
		n.Secure, err = certs.OpenMutual(c, "networking.tls", n.Host)
	}
	if t := &n.Config.MetadataClient.TLS; t.On() && !n.Config.EmbeddedMetadata() {
		var errExternal error
		n.External, errExternal = certs.OpenClient(certs.Config{Cert: t.Cert, Key: t.Key, CA: t.CA}, "metadata-client.tls", n.Host)
		err = errors.Join(err, errExternal)
	}
	return err
}

// Nodes are the nodes as this process knows them now.
func (n *Node) Nodes() []*storedv1.Node { return n.View.Current().Nodes }

// Fingerprint is that of the cluster.
func (n *Node) Fingerprint() uint64 { return n.Member.Cluster.Fingerprint }

// Parts are those that every daemon begins with.
func (n *Node) Parts() []lifecycle.Part {
	parts := []lifecycle.Part{n.View, membership.NewPresence(n.Member.ID, n.Meta, n.View, n.Host), lifecycle.Func(n.compactOnHangup)}
	if n.Secure != nil {
		parts = append(parts, n.Secure)
	}
	if n.External != nil {
		parts = append(parts, n.External)
	}
	if n.members != nil {
		parts = append(parts, lifecycle.Func(n.followMembers))
	}
	return parts
}

// compactOnHangup compacts the databases of the process, one after the other, on each SIGHUP. One that comes meanwhile is seen to afterwards.
func (n *Node) compactOnHangup(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.Hangups:
		}
		begun := n.Host.Clock.Now()
		n.Host.Log.Info("compaction begins")
		done, err := n.Status.Compact(ctx, &clusterv1.CompactRequest{})
		took := slog.Duration(logkey.Elapsed, n.Host.Clock.Now().Sub(begun))
		if err != nil {
			n.Host.Log.Warn("compaction broke off", slog.Any(logkey.Err, err), took)
			continue
		}
		var bytes uint64
		for _, d := range done.Databases {
			bytes += d.BytesAfter
		}
		n.Host.Log.Info("databases are compacted", slog.Int(logkey.Count, len(done.Databases)), slog.Uint64(logkey.Bytes, bytes), took)
	}
}

// followMembers tells the client of the metadata store of all metadata daemons: when it was made, few were known.
func (n *Node) followMembers(ctx context.Context) error {
	var told []string
	for {
		changed := n.View.Changed()
		if urls := rpc.MetadataURLs(n.Nodes()); len(urls) > 0 && !slices.Equal(urls, told) {
			n.members.SetEndpoints(urls)
			told = urls
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Attendance tells the metadata daemons that this process lives. It is a part of a daemon; its Departure comes after Fabric,
// so that a worker that stops serves until others lead. worker is nil where the process is none.
func (n *Node) Attendance(worker membership.Worker) *membership.Attendance {
	client := rpc.NewControlClient(n.Fingerprint(), n.Member.ID, n.Peers)
	a := membership.NewAttendance(n.Member.ID, n.View, client, worker, n.Host)
	a.SetInterval(n.Config.BeatInterval())
	n.Detector.Attends(a)
	return a
}

// Fabric is the last part that a daemon needs: it serves the fabric port, with what register adds. Others see
// the process as alive while it runs.
func (n *Node) Fabric(register ...func(grpc.ServiceRegistrar)) lifecycle.Part {
	c := n.fabricConfig()
	c.Bundle = &telemetry.Bundle{Version: daemon.Version, Settings: func(w io.Writer) error { return n.Live.Current().Dump(w) }, Log: n.Log, Host: n.Host}
	if !n.Config.DisablePrometheus {
		c.Metrics = telemetry.MetricsHandler(&n.Config, n.Host)
	}
	if n.Config.PprofEnabled {
		c.Flame = telemetry.FlameHandler(n.Host)
	}
	f := rpc.NewFabric(c, n.fabric, n.Status, n.Host)
	for _, r := range register {
		r(f.GRPC())
	}
	return fabricPart{Fabric: f, status: n.Status, log: n.Host.Log, at: n.fabric.Addr().String()}
}

func (n *Node) fabricConfig() rpc.FabricConfig {
	cfg := &n.Config
	return rpc.FabricConfig{
		KeepAlive: cfg.Networking.KeepAlive.D(), KeepAliveTimeout: cfg.Networking.KeepAliveTimeout.D(), Pprof: cfg.PprofEnabled,
		WindowBytes: cfg.Networking.DataWindow.Int(), TLS: n.Secure, OpenMetrics: cfg.Networking.TLS.OpenMetrics,
	}
}

// awaitFounder serves the fabric port to operators who create the cluster, until leave is called.
func (n *Node) awaitFounder(ctx context.Context, defaults *storedv1.Cluster) (leave func() error) {
	lent, giveBack, err := rpc.Lend(n.fabric)
	if err != nil {
		return func() error { return err }
	}
	f := rpc.NewFabric(n.fabricConfig(), lent, n.Status, n.Host)
	rpc.NewFounderServer(n.Meta, defaults, n.Host).Register(f.GRPC())
	ctx, cancel := context.WithCancel(ctx)
	g := lifecycle.NewGroup(ctx)
	g.Go("await a founder", f.Run)
	return func() error {
		cancel()
		return errors.Join(g.Wait(), giveBack())
	}
}

type fabricPart struct {
	*rpc.Fabric
	status *rpc.NodeStatus
	log    *slog.Logger
	at     string
}

// Run serves; whoever looks sees the process stopping before a call is refused.
func (f fabricPart) Run(ctx context.Context) error {
	f.status.SetAlive()
	f.log.Info("fabric port is served", slog.String(logkey.Peer, f.at))
	stop := context.AfterFunc(ctx, f.status.SetStopping)
	defer stop()
	return f.Fabric.Run(ctx)
}

// Close gives back what Join opened, last first.
func (n *Node) Close() (err error) {
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs.CloseInto(&err, n.closers[i])
	}
	n.closers = nil
	return err
}

// onceClosed closes a listener that its server has closed already, unless it was never started.
type onceClosed struct{ net.Listener }

func (c onceClosed) Close() error {
	if err := c.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
