package wire

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host/dbstat"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logserver"
	"reprise/pkg/logstore"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
)

// Run builds a log-server and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	n, err := node.Join(ctx, d, node.Dial, func(s *storedv1.Node) { s.Roles = []string{metastore.RoleLogServer} })
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	logs, err := Open(ctx, n)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, logs)
	attendance := n.Attendance(nil)
	parts := append(n.Parts(), attendance, logs.Server,
		n.Fabric(rpc.NewLogService(logs.Server, n.Fingerprint()).Register), attendance.Departure())
	return lifecycle.Run(ctx, parts...)
}

// LogServer is the log-server role.
type LogServer struct {
	Server *logserver.Server // the part that runs
	store  *logstore.Store
}

// Open opens the store and asks whether this node may serve it.
func Open(ctx context.Context, n *node.Node) (*LogServer, error) {
	dbstat.SetBudget(n.Host, "log-server", n.Config.Memory().LogServerMemtables)
	store, err := logstore.Open(storeConfig(&n.Config), n.Host, filepath.Join(n.Config.DataDir(), "log"))
	if err != nil {
		return nil, fmt.Errorf("log store: %w", err)
	}
	if n.Config.LogServer.DisableFsync {
		n.Host.Log.Warn("log-server.rocksdb-disable-wal-fsync is set: a machine that dies loses what was answered as stored")
	}
	if err := logserver.Admit(ctx, store, n.Member.Node, n.Fingerprint(), n.Meta, n.Host); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	n.Status.AddDatabase(rpc.Database{Name: metastore.RoleLogServer, Compact: store.Compact})
	return &LogServer{Server: logserver.New(serverConfig(&n.Config), store, n.Member.ID, n.Host), store: store}, nil
}

func serverConfig(cfg *config.Config) logserver.Config {
	c := logserver.Default()
	if cfg.DiskReserve != nil {
		c.ReserveBytes = uint64(*cfg.DiskReserve)
	}
	l := &cfg.LogServer
	c.Unsynced, c.BatchRecordsMax = l.DisableFsync, uint32(l.BatchRecordsMax)
	if l.BatchBytesMax != nil {
		c.BatchBytesMax = l.BatchBytesMax.Int()
	}
	c.QueueBytesMax = int(cfg.Memory().LogServerMemtables / 4) // all that waits is in one more memtable soon
	if l.DataServiceBytesMax != nil {
		c.QueueBytesMax = l.DataServiceBytesMax.Int()
	}
	c.QueueBytesMax = max(c.QueueBytesMax, cfg.Networking.MessageSizeLimit.Int())
	return c
}

// A restart reads what is in memtables from Pebble's log, and has to be quick.
const (
	memtableMin = 1 << 20
	memtableMax = 16 << 20
	// memtablesMin may be full before writes wait, memtablesMax however large the budget is.
	memtablesMin, memtablesMax = 4, 64
)

func storeConfig(cfg *config.Config) logstore.Config {
	c := logstore.Default()
	m := cfg.Memory()
	c.MemtableBytes = uint64(min(max(m.LogServerMemtables/4, memtableMin), memtableMax)) // up to four wait for their flush
	c.MemtablesMax = min(max(int(m.LogServerMemtables/int64(c.MemtableBytes)), memtablesMin), memtablesMax)
	c.CacheBytes = min(m.BlockCache/8, c.CacheBytes)
	t := &c.Tuning
	t.BlockBytes, t.FileBytes, t.L0Layers, t.CompactionsMax = cfg.LogServer.Database.Over(cfg.Database).Tuning()
	if dir := cfg.LogServer.WALDir; dir != "" {
		c.WALDir = filepath.Join(dir, cfg.NodeName) // nodes of one machine may share the disk
	}
	return c
}

// Close closes the store; call it after the server has ended.
func (l *LogServer) Close() error { return l.store.Close() }
