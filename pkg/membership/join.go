package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
)

// Store is the part of metastore.Store that joining needs.
type Store interface {
	Provision(ctx context.Context, spec *storedv1.Cluster) (*storedv1.Cluster, error)
	Cluster(ctx context.Context) (*storedv1.Cluster, error)
	RegisterNode(ctx context.Context, spec *storedv1.Node, forceID, lastGeneration uint32) (*storedv1.Node, error)
	AnnouncePresence(ctx context.Context, me id.GenerationalNode, ttl time.Duration, held func()) error
}

// Config says who joins.
type Config struct {
	Node      *storedv1.Node    // name, address, roles, location, version, URLs
	ForceID   uint32            // insist on this plain id; 0: any
	Provision *storedv1.Cluster // create the cluster like this if there is none; nil: wait for it
	// Vacant is called while it waits for that, so that operators may create it; leave, once there is one. nil: they may not here.
	Vacant      func(ctx context.Context) (leave func() error)
	InitTimeout time.Duration // give up after this
}

// answerTimeout is after what time without an answer a waiting node says so.
const answerTimeout = 2 * time.Second

// pollPause is how often a waiting node asks whether the cluster is provisioned.
const pollPause = 250 * time.Millisecond

// Member is this process as the cluster knows it.
type Member struct {
	ID      id.GenerationalNode
	Node    *storedv1.Node
	Cluster *storedv1.Cluster
}

// Join registers the process. The folder is the witness: a cluster with another fingerprint, or a
// metadata store that lost the cluster, is refused, and generations never go back.
func Join(ctx context.Context, cfg Config, store Store, f *Folder, h host.Host) (Member, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.InitTimeout,
		errs.Newf(errs.Unavailable, "no answer from the metadata store within %s (initialization-timeout): check metadata-client.addresses", cfg.InitTimeout))
	defer cancel()
	m, err := join(ctx, cfg, store, f, h)
	if err != nil && ctx.Err() != nil {
		return Member{}, fmt.Errorf("join cluster: %w: %w", context.Cause(ctx), err)
	}
	if err != nil {
		return Member{}, fmt.Errorf("join cluster: %w", err)
	}
	return m, nil
}

func join(ctx context.Context, cfg Config, store Store, f *Folder, h host.Host) (Member, error) {
	was, known := f.Identity()
	cluster, err := findCluster(ctx, cfg, store, f, h)
	if err != nil {
		return Member{}, err
	}
	print := fmt.Sprintf("%016x", cluster.Fingerprint)
	if known && was.Fingerprint != print {
		return Member{}, errs.Newf(errs.Invalid, "data folder %s belongs to another cluster of this name (fingerprint %s, not %s): change base-dir or metadata-client.addresses", f.dir, was.Fingerprint, print)
	}
	force := cfg.ForceID
	if known {
		if force != 0 && force != was.ID {
			return Member{}, errs.Newf(errs.Invalid, "data folder %s belongs to N%d, force-node-id says N%d: change base-dir or force-node-id", f.dir, was.ID, force)
		}
		force = was.ID
	}
	node, err := register(ctx, cfg, store, force, was.Generation, h)
	if err != nil {
		return Member{}, err
	}
	me := id.GenerationalNode{Node: id.Node(node.Id), Generation: node.Generation}
	err = f.write(Identity{Cluster: cluster.Name, Fingerprint: print, Node: node.Name, ID: node.Id, Generation: node.Generation})
	if err != nil {
		return Member{}, err
	}
	h.Log.Info("joined the cluster", slog.String(logkey.Node, me.String()), slog.Any(logkey.Roles, node.Roles))
	return Member{ID: me, Node: node, Cluster: cluster}, nil
}

// register enters the process. With an empty folder under the name of a node that seems to run it waits until that one's lease
// would have ended, if it died.
func register(ctx context.Context, cfg Config, store Store, force, last uint32, h host.Host) (*storedv1.Node, error) {
	until := h.Clock.Now().Add(2 * presenceTTL)
	for {
		node, err := store.RegisterNode(ctx, cfg.Node, force, last)
		if !errs.Is(err, errs.Conflict) || h.Clock.Now().After(until) {
			return node, err
		}
		t := h.Clock.NewTimer(pollPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, err
		case <-t.C():
		}
	}
}

// findCluster returns the cluster, creates it or waits for it.
func findCluster(ctx context.Context, cfg Config, store Store, f *Folder, h host.Host) (_ *storedv1.Cluster, failed error) {
	_, known := f.Identity()
	silent := false
	leave := func() error { return nil }
	defer func() { failed = errors.Join(failed, leave()) }()
	for said := false; ; {
		tctx, cancel := context.WithTimeout(ctx, answerTimeout)
		cluster, err := store.Cluster(tctx)
		cancel()
		if errs.Is(err, errs.Unavailable) && ctx.Err() == nil {
			if !silent {
				silent = true
				h.Log.Warn("waiting for the metadata store, which does not answer", slog.Any(logkey.Err, err))
			}
			continue // it waited
		}
		if !errs.Is(err, errs.NotFound) {
			return cluster, err
		}
		if known { // an empty store in the place of ours would look like loss
			return nil, errs.Newf(errs.Invalid, "data folder %s belongs to a cluster that the metadata store does not have: restore its data, or correct metadata-client, or change base-dir", f.dir)
		}
		if cfg.Provision != nil {
			return store.Provision(ctx, cfg.Provision)
		}
		if !said {
			said = true
			h.Log.Info("waiting for the cluster to be provisioned, by a node with auto-provision or 'reprisectl provision'")
			if cfg.Vacant != nil {
				leave = cfg.Vacant(ctx)
			}
		}
		t := h.Clock.NewTimer(pollPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, errs.Newf(errs.Unavailable, "the cluster is not provisioned: start the node that may (auto-provision), or run 'reprisectl provision'")
		case <-t.C():
		}
	}
}
