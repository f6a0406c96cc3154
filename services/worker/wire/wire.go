package wire

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/dbstat"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/invoker"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/lambda"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/lsn"
	"reprise/pkg/memory"
	"reprise/pkg/metastore"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
	"reprise/pkg/query/table"
	"reprise/pkg/rpc"
	"reprise/pkg/schema"
	"reprise/pkg/sequencer"
	"reprise/pkg/serviceproto"
	"reprise/pkg/snapshot/bucket"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
	"reprise/services/internal/outbound"
)

// Run builds a worker and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	n, err := node.Join(ctx, d, node.Dial, func(s *storedv1.Node) { s.Roles = []string{metastore.RoleWorker} })
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	others, err := n.Workers()
	if err != nil {
		return err
	}
	w, err := New(n, n.LogDialer(nil), others)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, w)
	server, err := w.Service(n)
	if err != nil {
		return err
	}
	attendance := n.Attendance(w.Node)
	parts := append(n.Parts(), others, attendance)
	parts = append(parts, w.Parts()...)
	return lifecycle.Run(ctx, append(parts, n.Fabric(server.Register), attendance.Departure())...)
}

// Worker is the worker role.
type Worker struct {
	Node    *processor.Node
	Scanner *table.Scanner // of the partitions that are led here
	logs    *rpc.LogDialer
	writer  *sequencer.Writer
	shared  *partitionstore.Shared

	functions *lambda.Client
	objects   *bucket.Bucket // where snapshots are; nil: nowhere
}

// aloneTimeout is how long a sync may take before a worker without others gives its partitions up.
const aloneTimeout = 30 * time.Second

// New builds a worker; its Parts start it. peers is nil where there are no other workers.
func New(n *node.Node, logServers *rpc.LogDialer, peers processor.Peers) (*Worker, error) {
	cfg := &n.Config
	writes := writerConfig(cfg, peers == nil)
	cache, _ := cacheBytes(cfg.Memory())
	w := &Worker{
		logs:   logServers,
		writer: sequencer.NewWriter(writes, n.Member.ID, logServers, n.Host),
		shared: partitionstore.NewShared(cache),
	}
	functions, err := outbound.Lambda(cfg)
	if err != nil {
		return nil, errors.Join(err, w.shared.Close())
	}
	w.functions = functions
	calls, err := invokerConfig(cfg, functions, n.Host)
	if err != nil {
		return nil, errors.Join(err, w.shared.Close())
	}
	if w.objects, err = openObjects(cfg); err != nil {
		return nil, errors.Join(err, w.shared.Close())
	}
	snapshots, err := w.snapshots(n)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	log := logs{Client: loglet.NewClient(n.LogReads(), logServers, n.Host), node: n}
	var nodesets processor.Nodesets = log
	if cfg.Bifrost.DisableAutoImprovement {
		nodesets = nil
	}
	w.Node, err = processor.New(processorConfig(cfg), processor.Parts{
		Self: n.Member.ID, Writer: logWriter{w.writer}, Meta: n.Meta, View: n.View, Peers: peers,
		Log: log, Nodesets: nodesets, Snapshots: snapshots, Workers: rpc.NewStandingClient(n.Nodes, n.Peers),
		Invoker: calls, Shared: w.shared,
	}, n.Host)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	n.Live.OnChange(func(c *config.Config) {
		w.Node.SetInvokerLimits(int(c.Worker.Invoker.ConcurrentMax), int64(c.Worker.Invoker.MemoryBytes), sizes(c))
		functions.SetResponseBytesMax(outbound.LambdaResponseBytes(c))
		w.Node.SetPolicy(policy(c))
		_, blocks := cacheBytes(c.Memory())
		w.shared.KeepBlocks(blocks)
		w.Node.SetMemory(memory.Budget{Bytes: c.Memory().WorkerMemtables, NoReclaim: c.Worker.Storage.DisableReclaimer})
		dbstat.SetBudget(n.Host, "partitions", c.Memory().WorkerMemtables)
	})
	n.Status.AddDatabase(rpc.Database{Name: "partition-store", Compact: w.Node.Compact})
	catalog, err := table.NewCatalog()
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	partitions := func() uint32 { return n.View.Current().Partitions }
	registry := func() *schema.Registry { return n.View.Current().Registry }
	w.Scanner = table.NewScanner(catalog, rows{w.Node}, partitions, registry, max(runtime.GOMAXPROCS(0)/2, 1))
	return w, nil
}

func writerConfig(cfg *config.Config, alone bool) sequencer.Config {
	c := sequencer.Default()
	c.RetryMin, c.RetryMax = cfg.Bifrost.AppendRetryMin.D(), cfg.Bifrost.AppendRetryMax.D()
	c.StoreTimeout, c.StoreTimeoutMax = cfg.Bifrost.Loglet.StoreTimeout.Min, cfg.Bifrost.Loglet.StoreTimeout.Max
	if alone { // nobody could take over, and the log-server is this process: to give up would only cost time
		c.CommitTimeout, c.CommitTimeoutMax, c.StoreTimeout = aloneTimeout, aloneTimeout, max(aloneTimeout, c.StoreTimeout)
		c.StoreTimeoutMax = max(c.StoreTimeout, c.StoreTimeoutMax)
	}
	return c
}

// rows shows the processor's rows as the scanner asks for them.
type rows struct{ node *processor.Node }

// Read implements table.Reader.
func (r rows) Read(ctx context.Context, what table.Reading, f func(context.Context, *partitionstore.Snapshot, []invocation.Live) error) error {
	return r.node.Read(ctx, processor.Reading(what), f)
}

// Service is what other processes ask of the worker.
func (w *Worker) Service(n *node.Node) (*rpc.WorkerServer, error) {
	server, err := rpc.NewWorkerServer(rpc.DefaultWorker(), n.Member.ID, n.Fingerprint, w.Node)
	if err != nil {
		return nil, err
	}
	server.ServeScans(w.Scanner)
	server.ServeKeeper(w.Node)
	return server, nil
}

// Parts are what runs, in the order of their start.
func (w *Worker) Parts() []lifecycle.Part { return append(w.LogParts(), w.Node) }

// LogParts are what Node needs.
func (w *Worker) LogParts() []lifecycle.Part { return []lifecycle.Part{w.logs, w.writer} }

// Close gives back what the stores shared; call it after the parts have ended.
func (w *Worker) Close() error {
	err := errors.Join(w.functions.Close(), w.shared.Close())
	if w.objects != nil {
		err = errors.Join(err, w.objects.Close())
	}
	return err
}

// cacheBytes is how large the cache of the partition stores is, and how much of it blocks may take: half of what there is for
// blocks, as the log store of a process with both roles has a small one.
func cacheBytes(m config.Memory) (all, blocks int64) {
	blocks = m.BlockCache / 2
	return blocks + m.WorkerMemtables, blocks
}

// memTableMax has room for a few thousand commands: the replay budget has it flushed before it is larger.
const memTableMax = 8 << 20

func processorConfig(cfg *config.Config) processor.Config {
	c := processor.Default(runtime.GOMAXPROCS(0))
	c.Dir = filepath.Join(cfg.DataDir(), "partitions")
	c.BatchCommandsMax, c.CallBytesMax = int(cfg.Worker.BatchCommandsMax), cfg.Worker.SelfProposalBytesMax.Int()
	c.LaneBytesMax = cfg.Worker.Shuffle.InflightBytes.Int()
	c.CleanupInterval = cfg.Worker.CleanupInterval.D()
	now := policy(cfg)
	c.RequestBytesMax, c.SnapshotRecords, c.SnapshotInterval, c.Durability, c.TrimDelay = now.RequestBytesMax, now.SnapshotRecords, now.SnapshotInterval, now.Durability, now.TrimDelay
	// Who wants it done soon does not wait for what is looked at twice a minute.
	c.TrimInterval = min(c.TrimInterval, max(c.TrimDelay, time.Second))
	c.TrimFirst = min(c.TrimFirst, 2*c.TrimInterval)
	if c.SnapshotInterval > 0 {
		c.SnapshotDelay = min(c.SnapshotDelay, c.SnapshotInterval)
	}
	c.SnapshotsMax = int(cfg.Worker.Snapshots.ExportConcurrency)
	c.Store.MemTableBytes = memTableMax
	t := &c.Store.Tuning
	t.BlockBytes, t.FileBytes, t.L0Layers, t.CompactionsMax = cfg.Worker.Storage.Database.Over(cfg.Database).Tuning()
	if cfg.DiskReserve != nil {
		c.ReserveBytes = uint64(*cfg.DiskReserve)
	}
	return c
}

// policy is what may change while the worker runs.
func policy(cfg *config.Config) processor.Policy {
	p := processor.Policy{
		Durability: placement.Durability(cfg.Worker.DurabilityMode), TrimDelay: cfg.Worker.TrimDelay.D(), SnapshotsMax: int(cfg.Worker.Snapshots.ExportConcurrency),
		RequestBytesMax: cfg.Worker.DataServiceBytesMax.Int(),
	}
	if n := cfg.Worker.Snapshots.IntervalRecords; n != nil {
		p.SnapshotRecords = *n
	}
	if d := cfg.Worker.Snapshots.Interval; d != nil {
		p.SnapshotInterval = d.D()
	}
	return p
}

// sizes of the messages of attempts, which may change while the worker runs.
func sizes(cfg *config.Config) invoker.Sizes {
	return invoker.Sizes{
		MessageBytesMax: uint32(cfg.InvokerMessageSizeLimit()), MessageWarnBytes: cfg.Worker.Invoker.MessageSizeWarning.Int(),
		EagerStateBytesMax: cfg.EagerStateSizeLimit(), InvocationBytesMax: cfg.InvocationMemoryLimit(),
	}
}

func invokerConfig(cfg *config.Config, functions *lambda.Client, h host.Host) (invoker.Config, error) {
	c := invoker.Default()
	w := &cfg.Worker.Invoker
	c.ConcurrentMax = int(w.ConcurrentMax)
	c.Sizes = sizes(cfg)
	c.MemoryBytesMax = int64(w.MemoryBytes)
	c.InvocationBytesFirst = w.InvocationBytesFirst.Int()
	if cfg.ProtocolV7 {
		c.ProtocolMax = serviceproto.MaxVersion
	}
	c.AwaitDepthMax = int(w.AwaitDepthMax)
	for _, h := range outbound.Headers(cfg) {
		c.AdditionalHeaders = append(c.AdditionalHeaders, h2.Field{Name: h.GetName(), Value: h.GetValue()})
	}
	c.HTTP2.ConnectTimeout = w.ConnectTimeout.D()
	c.HTTP2.KeepAliveInterval, c.HTTP2.KeepAliveTimeout = w.KeepAlive.D(), w.KeepAliveTimeout.D()
	c.HTTP2.IdleTimeout = w.IdleConnectionTimeout.D()
	c.HTTP2.StreamsMax = w.StreamsPerConnection
	c.HTTP2.StreamWindowBytes, c.HTTP2.ConnWindowBytes, c.HTTP2.FrameBytesMax = uint32(w.StreamWindow), uint32(w.ConnectionWindow), uint32(w.MaxFrameSize)
	c.HTTP2.KeepAliveJitter = w.KeepAliveJitter
	var err error
	if c.Identity, err = outbound.Identity(cfg, h); err != nil {
		return c, err
	}
	c.Lambda = functions
	dialer, err := outbound.Dialer(cfg)
	if err != nil {
		return c, err
	}
	c.Connect = dialer.Dial
	return c, nil
}

// logWriter shows the sequencer's types as those that the processor declares.
type logWriter struct{ *sequencer.Writer }

// Open implements processor.LogWriter.
func (w logWriter) Open(l *storedv1.Loglet, _ lsn.LSN, n processor.Notify) (processor.Appender, error) {
	opened, err := w.Writer.Open(l, n)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// logs is the log as the processor asks for it.
type logs struct {
	*loglet.Client
	node *node.Node
}

// NewLoglet implements processor.Log.
func (l logs) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	return loglet.NewLoglet(p, index, l.node.Member.ID, l.node.View.Current(), l.node.Host.Rand.Uint64())
}

// Improve implements processor.Nodesets.
func (l logs) Improve(x *storedv1.Loglet) (why string, err error) {
	return loglet.Improve(x, l.node.Member.ID.Node, l.node.View.Current())
}
