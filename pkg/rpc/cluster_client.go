package rpc

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

const (
	// identTimeout bounds one question to one address.
	identTimeout = 2 * time.Second
	// findPause is waited after all addresses were asked in vain.
	findPause = 200 * time.Millisecond
)

// FindMetadata asks the given fabric addresses, again and again until ctx ends, where the metadata
// daemons are, and returns the client URLs of their etcd members. One address of any daemon of the
// cluster is enough.
func FindMetadata(ctx context.Context, addresses []string, cluster string, m *certs.Mutual, h host.Host) ([]string, error) {
	if len(addresses) == 0 {
		return nil, errs.Newf(errs.Invalid, "metadata-client.addresses is empty: name the fabric address of any daemon of the cluster, such as http://host:5122")
	}
	for said := false; ; said = true {
		var last error
		for _, a := range addresses {
			ident, err := ask(ctx, a, cluster, m)
			switch {
			case errs.Is(err, errs.Invalid): // it can never be right
				return nil, err
			case err != nil:
				last = err
			case len(ident.MetadataUrls) == 0:
				last = errs.Newf(errs.Unavailable, "%s knows no metadata daemon yet", a)
			default:
				return ident.MetadataUrls, nil
			}
		}
		if !said {
			h.Log.Info("waiting for the metadata daemons", slog.Any(logkey.Peer, addresses), slog.Any(logkey.Err, last))
		}
		t := h.Clock.NewTimer(findPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, errs.Newf(errs.Unavailable, "no metadata daemon found through metadata-client.addresses %v before initialization-timeout: start one, or correct the addresses: %w", addresses, last)
		case <-t.C():
		}
	}
}

// ClusterExists asks the daemons at metadata-client.addresses, but for this one, once whether one of them is in the cluster already.
// errs.Invalid: it is in another one.
func ClusterExists(ctx context.Context, cfg *config.Config, m *certs.Mutual) (bool, error) {
	addresses := cfg.MetadataClient.Addresses
	found := make([]bool, len(addresses))
	g := lifecycle.NewGroup(ctx)
	for i, a := range addresses {
		if isOwn(cfg, a) { // it would not answer yet
			continue
		}
		g.Go("ask", func(ctx context.Context) error {
			ident, err := ask(ctx, a, cfg.ClusterName, m)
			found[i] = ident.GetClusterFingerprint() != 0
			if errs.Is(err, errs.Invalid) {
				return err
			}
			return nil // nobody is there yet
		})
	}
	err := g.Wait()
	return slices.Contains(found, true), err
}

// isOwn tells whether an address is that of this process.
func isOwn(cfg *config.Config, address string) bool {
	at, err := hostPort(address)
	if err != nil {
		return false
	}
	told, err := hostPort(cfg.AdvertisedAddress)
	return at == cfg.Fabric().Addr || err == nil && at == told
}

// ask asks a daemon who it is. errs.Invalid: the address can never be right.
func ask(ctx context.Context, address, cluster string, m *certs.Mutual) (*clusterv1.IdentResponse, error) {
	target, err := hostPort(address)
	if err != nil {
		return nil, err
	}
	r := reach{tls: m, url: func(string) string { return address }, tries: true}
	conn, err := grpc.NewClient("passthrough:///"+target, append(DialOptions(), grpc.WithContextDialer(r.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "metadata-client.addresses: %w", err)
	}
	defer func() { _ = conn.Close() }() // it only read
	ctx, cancel := context.WithTimeout(ctx, identTimeout)
	defer cancel()
	ident, err := clusterv1.NewNodeServiceClient(conn).Ident(ctx, &clusterv1.IdentRequest{})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "ask %s: %s", address, status.Convert(err).Message())
	}
	if ident.ClusterName != cluster {
		return nil, errs.Newf(errs.Invalid, "%s is a node of cluster %q, not %q: change metadata-client.addresses or cluster-name", address, ident.ClusterName, cluster)
	}
	return ident, nil
}
