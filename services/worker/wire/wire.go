package wire

import (
	"context"
	"path/filepath"
	"runtime"
	"sort"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/partitionstore"
	"reprise/pkg/processor"
	"reprise/pkg/sequencer"
)

// Deps is what a worker needs from its process.
type Deps struct {
	Member  membership.Member
	Meta    *metastore.Store
	View    *metastore.View
	Dialer  sequencer.Dialer // log-servers, to append
	Servers loglet.Servers   // log-servers, to seal and read
	Peers   processor.Peers  // other workers; nil if there are none
}

// Worker is the worker role.
type Worker struct {
	Writer *sequencer.Writer
	Node   *processor.Node
	shared *partitionstore.Shared
}

// New builds a worker; its Parts start it.
func New(cfg *config.Config, d Deps, h host.Host) (*Worker, error) {
	w := &Worker{
		Writer: sequencer.NewWriter(sequencer.Default(), d.Member.ID, d.Dialer, h),
		shared: partitionstore.NewShared(cfg.Memory().BlockCache / 2),
	}
	reads := loglet.Default()
	reads.Self = d.Member.ID.Node
	node, err := processor.New(processorConfig(cfg), processor.Parts{
		Self: d.Member.ID, Writer: logWriter{w.Writer}, Meta: d.Meta, View: d.View, Peers: d.Peers,
		Log:     logs{Client: loglet.NewClient(reads, d.Servers, h), deps: d, host: h},
		Invoker: invokerConfig(cfg), Shared: w.shared,
	}, h)
	if err != nil {
		return nil, err
	}
	w.Node = node
	return w, nil
}

// Parts are what runs, in the order of their start.
func (w *Worker) Parts() []lifecycle.Part { return []lifecycle.Part{w.Writer, w.Node} }

// Close gives back what the stores shared; call it after the parts have ended.
func (w *Worker) Close() error { return w.shared.Close() }

func processorConfig(cfg *config.Config) processor.Config {
	c := processor.Default(runtime.GOMAXPROCS(0))
	c.Dir = filepath.Join(cfg.DataDir(), "partitions")
	return c
}

func invokerConfig(cfg *config.Config) invoker.Config {
	c := invoker.Default()
	w := &cfg.Worker.Invoker
	c.ConcurrentMax = int(w.ConcurrentMax)
	c.MessageBytesMax = uint32(cfg.InvokerMessageSizeLimit())
	c.EagerStateBytesMax = cfg.EagerStateSizeLimit()
	if cfg.ProtocolV7 {
		c.ProtocolMax = 7
	}
	headers := map[string]string{"x-restate-cluster-name": cfg.ClusterName}
	for name, value := range w.AdditionalRequestHeaders {
		headers[name] = value
	}
	for name, value := range headers {
		c.AdditionalHeaders = append(c.AdditionalHeaders, h2.Field{Name: name, Value: value})
	}
	sort.Slice(c.AdditionalHeaders, func(i, j int) bool { return c.AdditionalHeaders[i].Name < c.AdditionalHeaders[j].Name })
	c.HTTP2.ConnectTimeout = time.Duration(w.ConnectTimeout)
	return c
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
	deps Deps
	host host.Host
}

// Read implements processor.Log.
func (l logs) Read(ctx context.Context, chain *storedv1.Chain, from, to lsn.LSN, f func(lsn.LSN, int, []byte) error) error {
	return l.Client.Read(ctx, chain, from, to, f)
}

// NewLoglet implements processor.Log.
func (l logs) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	snap := l.deps.View.Current()
	if snap.Cluster == nil {
		return nil, errs.Newf(errs.Unavailable, "the cluster is not known yet")
	}
	return loglet.NewLoglet(p, index, l.deps.Member.ID, snap.Cluster, snap.Nodes, l.host.Rand.Uint64())
}
