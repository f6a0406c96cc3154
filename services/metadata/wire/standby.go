package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
)

// standbyPause is how often a metadata daemon that stands by asks whether it is a member, and is promoted.
const standbyPause = 500 * time.Millisecond

// standby is a member in the making: its cluster exists, and it is not one of its members yet. Until the process starts the
// next time it reads the metadata as all other daemons do.
type standby struct {
	client   *metastore.Etcd
	cfg      metastore.EmbedConfig
	autoJoin bool
}

// stands tells whether this process has to come into a cluster that exists: it was no member before, names no other members to make
// one with, and may not make one, or somebody at metadata-client.addresses is in one already.
func stands(ctx context.Context, d *daemon.Daemon, cfg metastore.EmbedConfig) (bool, error) {
	c := &d.Config
	if len(c.MetadataServer.InitialCluster) > 0 || len(c.MetadataClient.Addresses) == 0 {
		return false, nil
	}
	if _, err := d.Host.FS.Stat(d.Host.FS.PathJoin(cfg.Dir, "member")); err == nil {
		return false, nil
	}
	if !c.AutoProvision {
		return true, nil
	}
	return rpc.ClusterExists(ctx, c, d.Secure)
}

// openStandby is a node.Store that finds the metadata daemons there are.
func (m *Member) openStandby(ctx context.Context, d *daemon.Daemon, host string, cfg metastore.EmbedConfig) (metastore.KV, []string, io.Closer, error) {
	kv, urls, closer, err := node.Dial(ctx, d, host)
	if err != nil {
		return nil, nil, nil, err
	}
	client, ok := closer.(*metastore.Etcd)
	if !ok {
		return nil, nil, nil, errs.Newf(errs.Internal, "the metadata daemons are reached by %T", closer)
	}
	cfg.Join = true
	m.standby = &standby{client: client, cfg: cfg, autoJoin: d.Config.MetadataServer.AutoJoin}
	return kv, urls, closer, nil
}

// Joins are the parts of a process that has joined its cluster: one that stands by becomes a member.
func (m *Member) Joins(n *node.Node) []lifecycle.Part {
	if m.standby == nil {
		return nil
	}
	return []lifecycle.Part{lifecycle.Func(func(ctx context.Context) error { return m.standby.run(ctx, n, m.peerURL) })}
}

// run waits until this is a member, learns what there is, and serves.
func (s *standby) run(ctx context.Context, n *node.Node, peerURL string) (err error) {
	if !s.autoJoin {
		n.Host.Log.Info("this metadata daemon stands by: 'reprisectl metadata-server add-node' lets it into the quorum", slog.String(logkey.Node, n.Member.ID.String()))
	}
	if s.cfg.InitialCluster, err = s.awaitMembership(ctx, n, peerURL); err != nil || ctx.Err() != nil {
		return err
	}
	etcd, err := metastore.OpenEmbedded(ctx, s.cfg, n.Host)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer errs.CloseInto(&err, etcd)
	for etcd.Learns() {
		if err := s.client.Promote(ctx, etcd.ID()); err != nil && ctx.Err() == nil {
			n.Host.Log.Debug("this member of the metadata quorum still learns", slog.Any(logkey.Err, err))
		}
		if !pause(ctx, n.Host) {
			return nil
		}
	}
	_, err = n.Meta.ChangeNode(ctx, n.Member.ID.Node, func(f *metastore.Facts) (*storedv1.Node, error) {
		next := proto.CloneOf(f.Node(n.Member.ID.Node))
		next.EtcdClientUrls = []string{s.cfg.ClientURL}
		return next, nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("tell others of this metadata member: %w", err)
	}
	n.Host.Log.Info("this is a member of the metadata quorum now", slog.String(logkey.Node, n.Member.ID.String()))
	return etcd.Run(ctx)
}

// awaitMembership returns the members, name=peer URL, once this is one of them.
func (s *standby) awaitMembership(ctx context.Context, n *node.Node, peerURL string) ([]string, error) {
	for said := false; ; {
		if s.autoJoin {
			err := n.Meta.AddMember(ctx, peerURL, func([]metastore.Member) error { return nil })
			if err != nil && ctx.Err() == nil && !said {
				said = true
				n.Host.Log.Warn("coming into the metadata quorum, will try again", slog.Any(logkey.Err, err))
			}
		}
		members, err := s.client.Members(ctx)
		if err == nil {
			all, mine, err := initialCluster(members, s.cfg.Name, peerURL)
			if mine != "" {
				s.cfg.PeerURL = mine // it may have been let in while it had no TLS
			}
			if mine != "" || err != nil {
				return all, err
			}
		}
		if !pause(ctx, n.Host) {
			return nil, nil
		}
	}
}

// initialCluster writes members as etcd wants to be told of them; mine is the URL of the one that is to be this one, or "".
func initialCluster(members []metastore.Member, name, peerURL string) (all []string, mine string, err error) {
	for _, m := range members {
		me := m.IsAt(peerURL)
		if me && m.Name != "" {
			return nil, "", errs.Newf(errs.Invalid, "the metadata member %s has been started before, and this data folder is not its own: put that back, or run 'reprisectl metadata-server remove-node' for it and start with a new node-name", m.Name)
		}
		for _, u := range m.PeerURLs {
			if me {
				mine = u
				all = append(all, name+"="+u)
			} else {
				all = append(all, fmt.Sprintf("%s=%s", m.Name, u))
			}
		}
	}
	return all, mine, nil
}

// pause returns false when ctx ended.
func pause(ctx context.Context, h host.Host) bool {
	t := h.Clock.NewTimer(standbyPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C():
		return true
	}
}
