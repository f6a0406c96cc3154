package wire

import (
	"context"
	"fmt"
	"net"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/ingress"
	"reprise/pkg/metastore"
)

// Listen opens the ingress port. It is done early: its address is part of what the node announces.
func Listen(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	at := cfg.IngressEndpoint()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", at.Addr)
	if err != nil {
		return nil, fmt.Errorf("ingress: %w: stop what uses it or change ingress.bind-port", err)
	}
	return ln, nil
}

// New builds the ingress on a listener, which it closes when it ends.
func New(cfg *config.Config, ln net.Listener, partitions ingress.Partitions, view *metastore.View, h host.Host) (*ingress.Server, error) {
	c := ingress.Default()
	c.RequestBytesMax = int64(cfg.IngressRequestSizeLimit())
	c.RequestsMax = int64(cfg.Ingress.RequestsMax)
	core, err := ingress.New(c, ingress.Parts{
		Partitions: partitions, Schema: view.Registry,
		PartitionCount: func() uint32 { return view.Current().Partitions },
	}, h)
	if err != nil {
		return nil, err
	}
	return ingress.NewServer(core, []net.Listener{ln}, h), nil
}
