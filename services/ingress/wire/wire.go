package wire

import (
	"context"
	"net"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/ingress"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/door"
	"reprise/services/internal/node"
)

// Run builds an ingress and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	ln, err := rpc.Listen(ctx, d.Config.IngressEndpoint()) // its address is part of what the node announces
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // the server has closed it, unless it was never started
	n, err := node.Join(ctx, d, node.Dial, func(s *storedv1.Node) {
		s.Roles = []string{metastore.RoleIngress}
		s.IngressUrl = d.Config.IngressEndpoint().URL(ln.Addr())
	})
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

// New builds the ingress on a listener, which it closes when it ends.
func New(n *node.Node, ln net.Listener, partitions ingress.Partitions) (*ingress.Server, error) {
	c := ingress.Default()
	c.RequestBytesMax = int64(n.Config.IngressRequestSizeLimit())
	c.RequestsMax = int64(n.Config.Ingress.RequestsMax)
	certs, tokens, err := door.Open("ingress.", n.Config.Ingress.TLS, n.Config.Ingress.TokensFile, n.Host)
	if err != nil {
		return nil, err
	}
	core, err := ingress.New(c, ingress.Parts{
		Partitions: partitions, Schema: n.View.Registry, Routes: rpc.NewRoutes(n.View), Certs: certs, Tokens: tokens,
	}, n.Host)
	if err != nil {
		return nil, err
	}
	n.Live.OnChange(func(c *config.Config) {
		core.SetLimits(int64(c.IngressRequestSizeLimit()), int64(c.Ingress.RequestsMax))
	})
	return ingress.NewServer(core, []net.Listener{ln}, n.Host), nil
}
