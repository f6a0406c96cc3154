package rpc

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
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
func FindMetadata(ctx context.Context, addresses []string, cluster string, h host.Host) ([]string, error) {
	if len(addresses) == 0 {
		return nil, errs.Newf(errs.Invalid, "metadata-client.addresses is empty: name the fabric address of any daemon of the cluster, such as http://host:5122")
	}
	for said := false; ; said = true {
		var last error
		for _, a := range addresses {
			urls, err := ask(ctx, a, cluster)
			if err == nil {
				return urls, nil
			}
			if errs.Is(err, errs.Invalid) {
				return nil, err
			}
			last = err
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

// ask returns errs.Invalid if the address can never be right.
func ask(ctx context.Context, address, cluster string) ([]string, error) {
	target, err := hostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+target, append(DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
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
	if len(ident.MetadataUrls) == 0 {
		return nil, errs.Newf(errs.Unavailable, "%s knows no metadata daemon yet", address)
	}
	return ident.MetadataUrls, nil
}
