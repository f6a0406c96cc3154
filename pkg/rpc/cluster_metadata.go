package rpc

import (
	"context"
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/metastore"
)

// DialMetadata returns a client of the cluster's metadata and the URLs it uses: those of an external
// etcd, or of the metadata daemons, which it asks metadata-client.addresses for until
// initialization-timeout is over.
func DialMetadata(ctx context.Context, cfg *config.Config, m *certs.Mutual, h host.Host) (*metastore.Etcd, []string, error) {
	mc := cfg.MetadataClient
	urls := mc.Addresses
	if cfg.EmbeddedMetadata() {
		ctx, cancel := context.WithTimeout(ctx, cfg.InitTimeout.D())
		defer cancel()
		var err error
		if urls, err = FindMetadata(ctx, mc.Addresses, cfg.ClusterName, m, h); err != nil {
			return nil, nil, err
		}
	}
	kv, err := metastore.Dial(metastore.ClientConfig{
		Endpoints: urls, ConnectTimeout: mc.ConnectTimeout.D(), KeepAlive: mc.KeepAlive.D(), KeepAliveTimeout: mc.KeepAliveTimeout.D(),
		RequestBytesMax: mc.MessageSizeLimit.Int(),
	}, h)
	return kv, urls, err
}

// MetadataMember is the etcd member of this process, in dir. host is that of its advertised fabric URL.
// alone: nobody else joins, so it listens nowhere.
func MetadataMember(cfg *config.Config, dir, host string, alone bool) metastore.EmbedConfig {
	ms, m := cfg.MetadataServer, cfg.EtcdMember(host)
	e := metastore.EmbedConfig{
		Name: cfg.NodeName, Dir: dir, PeerURL: m.PeerURL, Token: cfg.ClusterName,
		Tick: ms.TickInterval.D() * time.Duration(ms.HeartbeatTicks), Election: ms.TickInterval.D() * time.Duration(ms.ElectionTicks),
		SnapshotCount: ms.LogTrimThreshold, RequestBytesMax: uint(cfg.MetadataClient.MessageSizeLimit), ReadyTimeout: cfg.InitTimeout.D(),
	}
	if !alone {
		e.ListenPeer, e.ListenClient, e.ClientURL = m.ListenPeer, m.ListenClient, m.ClientURL
		e.InitialCluster = ms.InitialCluster
	}
	return e
}

// MetadataURLs are the client URLs of the etcd members among the nodes.
func MetadataURLs(nodes []*storedv1.Node) []string {
	var urls []string
	for _, n := range nodes {
		for _, u := range n.EtcdClientUrls {
			if !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls
}
