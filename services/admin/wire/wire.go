package wire

import (
	"context"
	"net"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/admin"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/registry"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
	"reprise/services/internal/outbound"
)

// Run builds an admin daemon and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	ln, err := rpc.Listen(ctx, d.Config.AdminEndpoint()) // a port that is taken is told before anything is changed
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // the server has closed it, unless it was never started
	n, err := node.Join(ctx, d, node.Dial, func(s *storedv1.Node) { s.Roles = []string{metastore.RoleAdmin} })
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	workers, err := n.Workers()
	if err != nil {
		return err
	}
	server, err := New(n, ln, workers)
	if err != nil {
		return err
	}
	return lifecycle.Run(ctx, append(n.Parts(), workers, server, n.Fabric())...)
}

// New builds the admin API on a listener, which it closes when it ends.
func New(n *node.Node, ln net.Listener, partitions admin.Partitions) (*admin.Server, error) {
	cfg := &n.Config
	r := registry.Default()
	r.Headers = outbound.Headers(cfg)
	functions, err := outbound.Lambda(cfg) // its idle connections end with the process
	if err != nil {
		return nil, err
	}
	r.Lambda = functions
	if r.Identity, err = outbound.Identity(cfg, n.Host); err != nil {
		return nil, err
	}
	dialer, err := outbound.Dialer(cfg)
	if err != nil {
		return nil, err
	}
	r.Connect = dialer.Dial
	r.ConnectTimeout = cfg.Worker.Invoker.ConnectTimeout.D()
	r.Defaults = cfg.SchemaDefaults()
	reg, err := registry.New(r, n.Meta, registry.Watched(n.View), n.Host)
	if err != nil {
		return nil, err
	}
	a := admin.Default()
	a.Listener = ln
	a.IngressEndpoint = func() string { return ingressURL(n) }
	a.ConcurrentRequestsMax = int(cfg.Admin.RequestsMax)
	return admin.New(a, reg, partitions, n.Host)
}

// ingressURL is where clients reach an ingress: what is configured here, else what one has announced.
func ingressURL(n *node.Node) string {
	for _, known := range n.Nodes() {
		if known.IngressUrl != "" {
			return known.IngressUrl + "/"
		}
	}
	return ""
}
