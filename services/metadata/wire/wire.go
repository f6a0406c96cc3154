package wire

import (
	"context"
	"io"
	"path/filepath"

	"google.golang.org/grpc"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
)

// Run builds a metadata daemon and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	var member Member
	n, err := node.Join(ctx, d, member.Open, func(s *storedv1.Node) {
		s.Roles = []string{metastore.RoleMetadata}
		member.Describe(s)
	})
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	control := NewControl(n)
	attendance := n.Attendance(nil)
	parts := append(member.Parts(), n.Parts()...)
	parts = append(parts, member.Joins(n)...)
	parts = append(parts, control.Parts()...)
	parts = append(parts, attendance, n.Fabric(control.Register), attendance.Departure())
	return lifecycle.Run(ctx, parts...)
}

// Control decides which workers hold partitions and who leads them.
type Control struct {
	n      *node.Node
	roster *controller.Roster
}

// NewControl builds the control of a metadata daemon.
func NewControl(n *node.Node) *Control {
	roster := controller.NewRoster(rpc.Prober(n.Nodes), n.Host)
	roster.SetDeadAfter(n.Config.DeadAfter())
	n.Detector.Hears(heard{roster})
	return &Control{n: n, roster: roster}
}

// heard shows the roster as the detector asks for it.
type heard struct{ *controller.Roster }

// States implements membership.Roster.
func (h heard) States() map[id.Node]membership.State {
	all := map[id.Node]membership.State{}
	for _, s := range h.Standings() {
		switch {
		case s.Dead:
			all[s.Node] = membership.Dead
		case s.Suspect:
			all[s.Node] = membership.Suspect
		case s.Leave:
			all[s.Node] = membership.FailingOver
		default:
			all[s.Node] = membership.Alive
		}
	}
	return all
}

// Parts are what the control runs.
func (c *Control) Parts() []lifecycle.Part {
	self := c.n.Member.ID.Node
	return []lifecycle.Part{
		controller.New(controller.Default(), self, c.n.View, c.roster, c.n.Meta, c.n.Host),
		controller.NewVersions(c.n.View, c.n.Meta, c.n.Host),
		c.roster, controller.NewLeaders(self, c.n.View, c.roster, c.n.Host),
	}
}

// Register adds where processes attend, and what operators ask.
func (c *Control) Register(r grpc.ServiceRegistrar) {
	rpc.NewControlServer(c.n.Fingerprint(), c.roster).Register(r)
	c.n.Operator(c.roster, c.n.LogDialer(nil)).Register(r)
}

// Member is the etcd member of this process, unless the configuration names an external etcd.
type Member struct {
	Alone   bool // nobody else joins: it listens nowhere
	etcd    *metastore.Embedded
	standby *standby // nil: it is one, or there is an external etcd
	urls    []string
	peerURL string
}

// Open is a node.Store: it starts the member, or connects to the external etcd.
func (m *Member) Open(ctx context.Context, d *daemon.Daemon, host string) (metastore.KV, []string, io.Closer, error) {
	if !d.Config.EmbeddedMetadata() {
		kv, urls, closer, err := node.Dial(ctx, d, host)
		m.urls = urls
		return kv, urls, closer, err
	}
	c := rpc.MetadataMember(&d.Config, d.Secure, filepath.Join(d.Config.DataDir(), "metadata"), host, m.Alone)
	if !m.Alone {
		m.peerURL = c.PeerURL
		comes, err := stands(ctx, d, c)
		if err != nil {
			return nil, nil, nil, err
		}
		if comes {
			return m.openStandby(ctx, d, host, c)
		}
	}
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

// Describe adds where others find the member to what they are told of its process.
func (m *Member) Describe(s *storedv1.Node) {
	s.EtcdClientUrls, s.EtcdPeerUrl = m.urls, m.peerURL
}

// Parts are what the member runs.
func (m *Member) Parts() []lifecycle.Part {
	if m.etcd == nil {
		return nil
	}
	return []lifecycle.Part{m.etcd}
}
