package wire

import (
	"context"
	"io"
	"path/filepath"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/quorum"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
)

// Run builds a metadata daemon and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	var member Member
	n, err := node.Join(ctx, d, member.Open, func(s *storedv1.Node) {
		s.Roles = []string{metastore.RoleMetadata}
		s.EtcdClientUrls = member.urls
	})
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	property, err := quorum.Parse(n.Member.Cluster.Replication)
	if err != nil {
		return err
	}
	placing := controller.Default()
	placing.Copies = property.Copies()
	attendance := n.Attendance(nil)
	roster := controller.NewRoster(rpc.Prober(n.Nodes), n.Host)
	parts := member.Parts()
	parts = append(parts, n.Parts()...)
	parts = append(parts,
		controller.New(placing, n.Member.ID.Node, n.View, n.Meta, n.Host),
		roster, controller.NewLeaders(n.Member.ID.Node, n.View, roster, n.Host),
		attendance, n.Fabric(rpc.NewControlServer(n.Fingerprint(), roster).Register), attendance.Departure())
	return lifecycle.Run(ctx, parts...)
}

// Member is the etcd member of this process, unless the configuration names an external etcd.
type Member struct {
	Alone bool // nobody else joins: it listens nowhere
	etcd  *metastore.Embedded
	urls  []string
}

// Open is a node.Store: it starts the member, or connects to the external etcd.
func (m *Member) Open(ctx context.Context, d *daemon.Daemon, host string) (metastore.KV, []string, io.Closer, error) {
	if !d.Config.EmbeddedMetadata() {
		kv, urls, closer, err := node.Dial(ctx, d, host)
		m.urls = urls
		return kv, urls, closer, err
	}
	c := rpc.MetadataMember(&d.Config, filepath.Join(d.Config.DataDir(), "metadata"), host, m.Alone)
	etcd, err := metastore.OpenEmbedded(ctx, c, d.Host)
	if err != nil {
		return nil, nil, nil, err
	}
	m.etcd = etcd
	if c.ClientURL != "" {
		m.urls = []string{c.ClientURL}
	}
	return etcd.KV(), m.urls, etcd, nil
}

// Parts are what the member runs.
func (m *Member) Parts() []lifecycle.Part {
	if m.etcd == nil {
		return nil
	}
	return []lifecycle.Part{m.etcd}
}
