package rpc

import (
	"context"
	"net"
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
// initialization-timeout is over. external is for the former.
func DialMetadata(ctx context.Context, cfg *config.Config, m *certs.Mutual, external *certs.Certs, h host.Host) (*metastore.Etcd, []string, error) {
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
	to := metastore.ClientConfig{
		Endpoints: urls, ConnectTimeout: mc.ConnectTimeout.D(), KeepAlive: mc.KeepAlive.D(), KeepAliveTimeout: mc.KeepAliveTimeout.D(),
		RequestBytesMax: mc.MessageSizeLimit.Int(),
	}
	if cfg.EmbeddedMetadata() {
		to.Dial = memberDialer(m)
	} else if external != nil {
		to.Dial = externalDialer(external)
	}
	kv, err := metastore.Dial(to, h)
	return kv, urls, err
}

// externalDialer connects to members of an etcd that is not ours.
func externalDialer(c *certs.Certs) metastore.Dialer {
	return func(ctx context.Context, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return c.Client(ctx, conn, host)
	}
}

// memberDialer connects to etcd members of metadata daemons. One may have got TLS, or lost it, since it was last heard of, and perhaps it
// is the only one: so where TLS is optional it is tried.
func memberDialer(m *certs.Mutual) metastore.Dialer {
	r := reach{tls: m, url: func(string) string { return "" }, tries: true}
	return r.dial
}

// MetadataMember is the etcd member of this process, in dir. host is that of its advertised fabric URL.
// alone: nobody else joins, so it listens nowhere.
func MetadataMember(cfg *config.Config, m *certs.Mutual, dir, host string, alone bool) metastore.EmbedConfig {
	ms, at := cfg.MetadataServer, cfg.EtcdMember(host)
	e := metastore.EmbedConfig{
		Name: cfg.NodeName, Dir: dir, PeerURL: at.PeerURL, Token: cfg.ClusterName,
		Tick: ms.TickInterval.D() * time.Duration(ms.HeartbeatTicks), Election: ms.TickInterval.D() * time.Duration(ms.ElectionTicks),
		SnapshotCount: ms.LogTrimThreshold, RequestBytesMax: uint(cfg.MetadataClient.MessageSizeLimit), ReadyTimeout: cfg.InitTimeout.D(),
	}
	if !alone {
		e.ListenPeer, e.ListenClient, e.ClientURL, e.PeerSchemes = at.ListenPeer, at.ListenClient, at.ClientURL, at.PeerSchemes
		e.InitialCluster = at.InitialCluster
		e.Secure = secureMember(cfg, m, host)
	}
	return e
}

// secureMember is the TLS of the member.
func secureMember(cfg *config.Config, m *certs.Mutual, host string) *metastore.Secure {
	if m == nil {
		return nil
	}
	t := &cfg.Networking.TLS
	return &metastore.Secure{
		Cert: t.Cert, Key: t.Key, CA: t.CA, ServerName: m.SharedName(host), Dial: memberDialer(m),
		Listener: func(ln net.Listener) net.Listener { return m.Listener(ln, true) },
	}
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
