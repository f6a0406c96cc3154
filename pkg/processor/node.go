package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/memory"
	"reprise/pkg/metastore"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
	"reprise/pkg/span"
)

// LogWriter appends to the loglets that this process sequences.
type LogWriter interface {
	// Open makes this process the sequencer of an empty loglet whose first offset has LSN base.
	Open(l *storedv1.Loglet, base lsn.LSN, n Notify) (Appender, error)
	// Flush sends what was appended since.
	Flush()
}

// Appender appends to one loglet. Append keeps records, which never change, until they are committed.
type Appender interface {
	Append(first lsn.Offset, count uint32, records []byte)
	Close()
}

// Notify is told what became of appended records, by any goroutine. It never blocks.
type Notify interface {
	Committed(l id.Loglet, tail lsn.Offset)
	Failed(l id.Loglet, err error)
}

// Log seals and reads loglets.
type Log interface {
	Seal(ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error)
	// Unsealed returns nil if nobody had sealed the loglet when it was called.
	Unsealed(ctx context.Context, l *storedv1.Loglet) error
	// Bound returns an offset that no record is at or behind which was committed before the call.
	Bound(ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error)
	Read(ctx context.Context, chain *storedv1.Chain, from, to lsn.LSN, f func(first lsn.LSN, count int, records []byte) error) error
	// WaitForTail waits until records at past or behind it are known to be committed: all below tail are. It
	// returns at once if the loglet is sealed; there may be more below its final tail then.
	WaitForTail(ctx context.Context, l *storedv1.Loglet, past lsn.Offset) (tail lsn.Offset, sealed bool, err error)
	// Trim deletes the records that the chain says are trimmed, and returns the first segment of which some may be left.
	Trim(ctx context.Context, chain *storedv1.Chain) (first uint32, err error)
	// NewLoglet chooses the nodeset of a loglet that this process will sequence.
	NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error)
}

// Nodesets judges where loglets are stored.
type Nodesets interface {
	// Improve tells why a loglet that this process sequences should be followed by one on other log-servers; "" if it
	// should not.
	Improve(l *storedv1.Loglet) (why string, err error)
}

// Meta is the control-plane store.
type Meta interface {
	Lineage(ctx context.Context, p id.Partition) (metastore.Lineage, error)
	TakeOver(ctx context.Context, p id.Partition, was metastore.Lineage, next *storedv1.Epoch, chain *storedv1.Chain, me id.GenerationalNode) (metastore.Lineage, error)
	Trim(ctx context.Context, p id.Partition, was metastore.Lineage, through lsn.LSN, first uint32) (metastore.Lineage, error)
}

// View is what this process knows of the cluster.
type View interface {
	Current() *metastore.Snapshot
	Changed() <-chan struct{}
}

// Peers reaches the partitions that other nodes lead.
type Peers interface {
	// Send hands over a record without waiting; acked is called once, by any goroutine, unless Send returns an
	// error. Records to one target arrive in the order of Send, or not at all after the first that failed.
	Send(target id.Partition, record []byte, acked func(error)) error
}

// Parts is what a Node is built from.
type Parts struct {
	Self     id.GenerationalNode
	Writer   LogWriter
	Log      Log
	Nodesets Nodesets // nil: loglets stay where they are
	Meta     Meta
	View     View
	Peers    Peers // nil: all partitions are led here
	Invoker  invoker.Config
	Shared   *partitionstore.Shared

	Snapshots Snapshots // nil: none are made, and none restored
	Workers   Workers   // nil: there are no others
}

// Node runs the partitions of this process.
type Node struct {
	cfg        Config
	host       host.Host
	self       id.GenerationalNode
	writer     LogWriter
	log        Log
	nodesets   Nodesets // or nil
	meta       Meta
	view       View
	peers      Peers
	invokerCfg invoker.Config
	limits     *invoker.Limits // of all loops
	current    atomic.Pointer[Policy]
	exports    gate // of snapshots that are due
	shared     *partitionstore.Shared
	snapshots  Snapshots // or nil
	workers    Workers   // or nil
	loops      []*Loop
	memory     *memory.Controller
	metrics    *metrics
	ready      chan struct{}
	ended      chan struct{} // closed when Run has ended: nobody takes what is left in a mailbox
	waiting    waiting
	full       atomic.Bool   // no new requests are taken: the disk is nearly full
	replays    chan struct{} // one slot for each partition that may be replayed at a time
	calls      sync.Pool     // of *call that were answered: none is left with a loop then

	partitions uint32                  // set before parts
	parts      atomic.Pointer[[]*part] // by partition, set once the partition table is known
	settled    atomic.Int64            // partitions that are led here or parked
	wanted     atomic.Int64            // partitions assigned to this node; -1 while some are nobody's yet

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	group *lifecycle.Group
}

// New checks cfg and builds a Node; Run starts it.
func New(cfg Config, parts Parts, h host.Host) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	n := &Node{
		cfg: cfg, host: h, self: parts.Self, writer: parts.Writer, log: parts.Log, nodesets: parts.Nodesets, meta: parts.Meta, view: parts.View,
		peers: parts.Peers, invokerCfg: parts.Invoker, shared: parts.Shared, snapshots: parts.Snapshots, workers: parts.Workers, metrics: newMetrics(h.Metrics), ready: make(chan struct{}), ended: make(chan struct{}),
		replays: make(chan struct{}, cfg.ReplaysMax),
	}
	h.Metrics.MustRegister(standing{n})
	var err error
	if n.memory, err = memory.New(cfg.Memory, &stores{n: n}, h); err != nil {
		return nil, err
	}
	n.addPools()
	n.wanted.Store(-1)
	n.calls.New = newCall
	perLoop := parts.Invoker
	perLoop.Limits = invoker.NewLimits(perLoop, h) // of the process
	n.limits = perLoop.Limits
	n.SetPolicy(cfg.policy())
	if err := perLoop.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, fmt.Errorf("worker.invoker: %w", err))
	}
	for range cfg.Loops {
		l := newLoop(n)
		l.invoker = invoker.New(perLoop, l, n.registry, h)
		n.loops = append(n.loops, l)
	}
	return n, nil
}

// SetInvokerLimits replaces how many attempts may run at a time, how much memory their messages may take (0 is no limit), and the sizes with
// which attempts begin.
func (n *Node) SetInvokerLimits(concurrent int, memoryBytes int64, sizes invoker.Sizes) {
	n.limits.Set(concurrent, memoryBytes)
	n.limits.SetSizes(sizes)
}

// Ready is closed when every partition has a node, and all of this one are led here or parked.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Run leads the partitions that are assigned to this node until ctx ends.
func (n *Node) Run(ctx context.Context) (err error) {
	group := lifecycle.NewGroup(ctx)
	n.mu.Lock()
	n.group = group
	n.mu.Unlock()
	n.partitions = n.view.Current().Partitions
	parts := make([]*part, n.partitions)
	for i := range parts {
		l := n.loops[i%len(n.loops)]
		parts[i] = &part{id: id.Partition(i), loop: l, wake: make(chan struct{}, 1), counts: n.metrics.of(id.Partition(i))}
		l.parts = append(l.parts, parts[i])
	}
	n.parts.Store(&parts)
	for _, l := range n.loops {
		l.start(group)
	}
	group.Go("disk space", n.watchSpace)
	group.Go("memory", n.memory.Run)
	group.Go("flush", func(ctx context.Context) error { return n.keepReplayShort(ctx, parts) })
	if n.nodesets != nil {
		group.Go("nodesets", func(ctx context.Context) error { return n.keepImproving(ctx, parts) })
	}
	if n.snapshots != nil {
		n.keepSnapshots(group, parts)
	}
	group.Go("trim", func(ctx context.Context) error { return n.keepTrimming(ctx, parts) })
	group.Go("leadership", func(ctx context.Context) error { return n.keepAssigned(ctx, group, parts) })
	err = group.Wait()
	close(n.ended)
	return joinClose(err, parts)
}

func joinClose(err error, parts []*part) error {
	for _, p := range parts {
		if p.store == nil {
			continue
		}
		if cerr := p.closeStore(); cerr != nil && err == nil {
			err = fmt.Errorf("close store of partition %d: %w", p.id, cerr)
		}
	}
	return err
}

// keepAssigned holds each partition that the cluster assigns to this node.
func (n *Node) keepAssigned(ctx context.Context, group *lifecycle.Group, parts []*part) error {
	running := make([]bool, len(parts))
	found, err := n.found(len(parts))
	if err != nil {
		return err
	}
	for {
		changed := n.view.Changed()
		wanted, nobodys := int64(0), false
		for i, e := range n.view.Current().Epochs {
			if i >= len(parts) {
				break
			}
			nobodys = nobodys || len(e.GetReplicas()) == 0
			role := n.roleOf(parts[i], e)
			if role == leads {
				wanted++
			}
			if (role != none || found[i]) && !running[i] {
				running[i] = true
				p := parts[i]
				group.Go("partition "+strconv.Itoa(i), func(ctx context.Context) error { return n.hold(ctx, p) })
			}
		}
		if nobodys {
			wanted = -1
		}
		n.wanted.Store(wanted)
		n.readyIfSettled()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Campaigns that fail are tried again after 50 ms, doubling to 2 s.
const (
	campaignPauseMin = 50 * time.Millisecond
	campaignPauseMax = 2 * time.Second
)

// hold leads p or follows it while it is assigned to this node. It returns when p is parked, or with the reason
// why this process must end.
func (n *Node) hold(ctx context.Context, p *part) error {
	pause := campaignPauseMin
	for {
		if is, err := n.awaitRole(ctx, p); !is {
			return err
		}
		led, err := n.holdOnce(ctx, p)
		n.metrics.stopped(p.id, err)
		if ctx.Err() != nil || errors.Is(err, errParked) {
			return nil
		}
		if err == nil { // the role changed
			continue
		}
		if errors.Is(err, errImproving) { // it campaigns again at once
			pause = campaignPauseMin
			continue
		}
		if ferr := n.forgo(p, err); ferr != nil {
			err = ferr
		}
		closed := errors.As(err, &openError{})
		switch code := errs.CodeOf(err); {
		case code == errs.Fenced, closed && code != errs.Corrupt:
			return err // the group names the partition
		case code == errs.Corrupt, code == errs.Unsupported:
			if code == errs.Unsupported {
				n.metrics.blocked.WithLabelValues(strconv.Itoa(int(p.id)), blockedByVersion).Set(1)
			}
			p.loop.mail.do(func() { p.loop.park(p, err) })
			return nil
		default:
		}
		level := slog.LevelWarn
		if led {
			pause, level = campaignPauseMin, slog.LevelInfo
		}
		if led && n.role(p) == follows {
			n.host.Log.LogAttrs(ctx, level, "partition is led elsewhere now", slog.Int(logkey.Partition, int(p.id)))
			continue
		}
		n.host.Log.LogAttrs(ctx, level, "partition is neither led nor followed; trying again",
			slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err), slog.Duration(logkey.Elapsed, pause))
		timer := n.host.Clock.NewTimer(pause)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, campaignPauseMax)
	}
}

// openError: a store that may not be opened, or is newer than this binary, is no better at the next try, and
// those beside it are hardly better: a person must act.
type openError struct{ error }

// Unwrap returns what was wrong.
func (e openError) Unwrap() error { return e.error }

// errSuperseded is how a tenure ends when the metadata has a newer epoch.
var errSuperseded = errs.Newf(errs.Unavailable, "another epoch has begun")

// errParked is how a tenure ends whose partition was parked.
var errParked = errors.New("the partition is parked")

// holdOnce opens the store if need be, and follows p or leads it. It returns nil when the role has changed, else why
// neither goes on. Its code is Corrupt or Unsupported if the partition is to be parked, Fenced if this process must
// end.
func (n *Node) holdOnce(ctx context.Context, p *part) (led bool, err error) {
	if p.store == nil {
		if err := n.openStoreOf(ctx, p); err != nil {
			return false, err
		}
	}
	if err := partition.CheckVersion(p.store.Meta().GetVersion()); err != nil {
		return false, err
	}
	p.counts.starts.Inc()
	if n.role(p) == leads {
		return n.leadOnce(ctx, p)
	}
	return false, n.follow(ctx, p)
}

// leadOnce campaigns, and returns when the tenure has ended, with its cause.
func (n *Node) leadOnce(ctx context.Context, p *part) (led bool, err error) {
	cctx, op := n.host.Spans.Operate(ctx, "campaign", n.host.Rand.Uint64, n.host.Clock.Now())
	w, err := n.campaign(cctx, p)
	op.End(n.host.Clock.Now(), err, span.Partition(p.id))
	if err != nil {
		n.metrics.campaigns.Inc()
		return false, err
	}
	type end struct {
		led   bool
		cause error
	}
	lost := make(chan end, 1) // sent once
	p.loop.mail.do(func() {
		p.loop.adopt(p, w, func(led bool, cause error) { lost <- end{led, cause} })
	})
	watched, cancel := context.WithCancel(ctx)
	g := lifecycle.NewGroup(watched)
	g.Go("await another epoch", func(ctx context.Context) error { // a leader without work would never notice
		if n.await(ctx, p, func() bool { return n.epochOf(p) > w.epoch }) {
			p.loop.mail.do(func() { p.loop.deposeIf(p, w.epoch, errSuperseded) })
		}
		return nil
	})
	g.Go("await another version", func(ctx context.Context) error { return n.awaitVersion(ctx, p, w.epoch) })
	defer func() {
		cancel()
		_ = g.Wait() // it never fails
	}()
	select {
	case e := <-lost:
		if p.parked != nil { // set before, in the loop that sent the cause
			return e.led, errParked
		}
		return e.led, errs.With(errs.Unavailable, fmt.Errorf("leadership ended: %w", e.cause))
	case <-ctx.Done():
		return false, nil
	}
}

// led counts partitions led here.
func (n *Node) led(leads bool) {
	if leads {
		n.metrics.leading.Inc()
		n.settled.Add(1)
		n.readyIfSettled()
		return
	}
	n.metrics.leading.Dec()
	n.settled.Add(-1)
}

// parked counts partitions that are given up until this node restarts.
func (n *Node) parked() {
	n.metrics.parked.Inc()
	n.settled.Add(1)
	n.readyIfSettled()
}

func (n *Node) readyIfSettled() {
	if w := n.wanted.Load(); w < 0 || n.settled.Load() < w {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.ready:
	default:
		close(n.ready)
		n.host.Log.Info("partitions are led here", slog.Int64(logkey.Count, n.settled.Load()))
	}
}

// starting tells whether partitions are still to be led for the first time.
func (n *Node) starting() bool {
	select {
	case <-n.ready:
		return false
	default:
		return true
	}
}

// background runs f beside the loops; an error of it ends the process's worker.
func (n *Node) background(name string, f func(ctx context.Context) error) {
	n.mu.Lock()
	g := n.group
	n.mu.Unlock()
	g.Go(name, f)
}

func (n *Node) part(p id.Partition) (*part, error) {
	parts := n.parts.Load()
	if parts == nil {
		return nil, errNotLed
	}
	if int(p) >= len(*parts) {
		return nil, errs.Newf(errs.Invalid, "partition %d of %d", p, len(*parts))
	}
	return (*parts)[p], nil
}

func (n *Node) partFor(key id.PartitionKey) (*part, error) {
	parts := n.parts.Load()
	if parts == nil {
		return nil, errNotLed
	}
	return (*parts)[id.PartitionOf(key, uint32(len(*parts)))], nil
}
