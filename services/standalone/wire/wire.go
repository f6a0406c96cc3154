package wire

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	adminwire "reprise/services/admin/wire"
	ingresswire "reprise/services/ingress/wire"
	"reprise/services/internal/daemon"
	logserverwire "reprise/services/log-server/wire"
	workerwire "reprise/services/worker/wire"
)

// Run builds the roles and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	cfg, h := &d.Config, d.Host
	folder, err := membership.OpenFolder(h.FS, cfg.DataDir(), cfg.ClusterName, cfg.NodeName)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, folder)
	listener, err := ingresswire.Listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the ingress has closed it already, unless it was never started
	etcd, err := metastore.OpenEmbedded(ctx, embedConfig(cfg), h)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, etcd)
	meta := metastore.New(etcd.KV(), cfg.ClusterName, h)
	member, err := membership.Join(ctx, joinConfig(cfg, listener.Addr()), meta, folder, h)
	if err != nil {
		return err
	}
	logs, err := logserverwire.Open(ctx, cfg, member, meta, h)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, logs)
	view := metastore.NewView(meta, adminwire.SchemaDefaults(cfg), h)
	joint := newJoint(logs.Server, view)
	worker, err := workerwire.New(cfg, workerwire.Deps{Member: member, Meta: meta, View: view, Dialer: joint, Servers: joint}, h)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, worker)
	front, err := ingresswire.New(cfg, listener, worker.Node, view, h)
	if err != nil {
		return err
	}
	ingressURL := cfg.IngressEndpoint().URL(listener.Addr())
	admin, err := adminwire.New(cfg, ingressURL+"/", meta, view, h)
	if err != nil {
		return err
	}
	assign := controller.Default()
	assign.Settle = 0 // there is one worker
	parts := []lifecycle.Part{
		etcd, view, membership.NewPresence(member.ID, meta, view, h), logs.Server,
		controller.New(assign, member.ID.Node, view, meta, h),
	}
	parts = append(parts, worker.Parts()...)
	parts = append(parts, front, admin, lifecycle.Func(func(ctx context.Context) error {
		banner(d, ingressURL, cfg.AdminEndpoint().URL(admin.Addr()))
		<-ctx.Done()
		return nil
	}))
	return lifecycle.Run(ctx, parts...)
}

func embedConfig(cfg *config.Config) metastore.EmbedConfig {
	return metastore.EmbedConfig{
		Name: cfg.NodeName, Dir: filepath.Join(cfg.DataDir(), "metadata"), Token: cfg.ClusterName,
		PeerURL: cfg.EtcdMember(cfg.Fabric().Host(anywhere(0))).PeerURL,
	}
}

func joinConfig(cfg *config.Config, ingress net.Addr) membership.Config {
	return membership.Config{
		Node: &storedv1.Node{
			Name: cfg.NodeName, Address: cfg.Fabric().URL(anywhere(int(cfg.BindPort))), Location: cfg.Location, Version: daemon.Version,
			Roles: []string{
				metastore.RoleMetadata, metastore.RoleLogServer, metastore.RoleWorker, metastore.RoleIngress, metastore.RoleAdmin,
			},
			IngressUrl: cfg.IngressEndpoint().URL(ingress),
		},
		ForceID: cfg.ForceNodeID, InitTimeout: cfg.InitTimeout.D(),
		Provision: &storedv1.Cluster{
			Name: cfg.ClusterName, Partitions: cfg.NumPartitions, Replication: string(cfg.Replication),
			NodesetSize: cfg.Bifrost.Loglet.NodesetSize,
		},
	}
}

func banner(d daemon.Daemon, ingress, admin string) {
	_, _ = fmt.Fprintf(d.Banner, `
Reprise %s: durable execution for ordinary handlers.

  ingress  %s
  admin    %s
  data     %s

Next:
  go run ./tests/e2e/greeter                               # an example service on port 9080
  bin/reprise deployments register http://localhost:9080 -y
  curl %s/Greeter/Greet --json '"Ada"'

`, daemon.Version, ingress, admin, d.Config.DataDir(), ingress) // a closed stdout is no reason to stop
}

// anywhere stands for a listener that does not exist: a lone node needs none, but is told to others by address.
func anywhere(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: port} }
