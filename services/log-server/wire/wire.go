package wire

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/logserver"
	"reprise/pkg/logstore"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
)

// LogServer is the log-server role.
type LogServer struct {
	Server *logserver.Server // the part that runs
	store  *logstore.Store
}

// Open opens the store and asks whether this node may serve it.
func Open(ctx context.Context, cfg *config.Config, m membership.Member, meta *metastore.Store, h host.Host) (*LogServer, error) {
	c := logstore.Default()
	store, err := logstore.Open(c, h, filepath.Join(cfg.DataDir(), "log"))
	if err != nil {
		return nil, fmt.Errorf("log store: %w", err)
	}
	if err := logserver.Admit(ctx, store, m.Node, m.Cluster.Fingerprint, meta, h); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &LogServer{Server: logserver.New(logserver.Default(), store, m.ID, h), store: store}, nil
}

// Close closes the store; call it after the server has ended.
func (l *LogServer) Close() error { return l.store.Close() }
