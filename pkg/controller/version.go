package controller

import (
	"context"
	"log/slog"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/metastore"
)

// VersionStore is the part of metastore.Store that Versions writes.
type VersionStore interface {
	RaiseVersion(ctx context.Context) (version uint32, err error)
}

// Versions raises the version of the cluster's partitions once all workers know a newer one: an upgrade is complete. It is a
// lifecycle.Part of each metadata daemon; all may write, and the first one does.
type Versions struct {
	view  View
	store VersionStore
	host  host.Host
}

var _ lifecycle.Part = (*Versions)(nil)

// NewVersions returns the part of a metadata daemon.
func NewVersions(view View, store VersionStore, h host.Host) *Versions {
	return &Versions{view: view, store: store, host: h}
}

// versionPause is waited after a failed write.
const versionPause = time.Second

// Run looks at each change until ctx ends.
func (v *Versions) Run(ctx context.Context) error {
	timer := v.host.Clock.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := v.view.Changed()
		timer.Stop()
		if !v.look(ctx) {
			timer.Reset(versionPause)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C():
		}
	}
	return nil
}

// look returns false if a write failed.
func (v *Versions) look(ctx context.Context) bool {
	s := v.view.Current()
	if s.Cluster == nil || metastore.CommonVersion(s.Nodes) <= s.Cluster.PartitionVersion {
		return true
	}
	version, err := v.store.RaiseVersion(ctx)
	if err != nil {
		if ctx.Err() == nil && !errs.Is(err, errs.Conflict) {
			v.host.Log.Warn("raising the version of partitions, will try again", slog.Any(logkey.Err, err))
		}
		return false
	}
	v.host.Log.Info("all workers know a newer version: partitions are raised to it, and older binaries are refused", slog.Uint64(logkey.Count, uint64(version)))
	return true
}
