package sim_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invoker"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/partitionstore"
	"reprise/pkg/processor"
	"reprise/pkg/sequencer"
)

func (p *process) runWorker() (err error) {
	w := p.w
	shared := partitionstore.NewShared(1 << 20)
	defer errs.CloseInto(&err, shared)
	sequences := p.self
	if m := &w.mistakes; m.nameless || m.resumes || m.sameName {
		sequences.Generation = 1
	}
	writer := sequencer.NewWriter(sequencer.Default(), sequences, logs{p}, p.host)
	log := w.logOf(p)
	cfg := processor.Default(1)
	cfg.Dir, cfg.Loops = stores, 1
	cfg.Store.MemTableBytes = 256 << 10
	cfg.ReplayBudget = w.setup.replayBudget
	calls := invoker.Default()
	calls.Connect = w.endpoint.connect(p)
	w.keep.apply(&cfg)
	meta := processor.Meta(p.store)
	switch {
	case w.mistakes.resumes:
		meta = resumer{meta, p}
	case w.mistakes.greedy:
		meta = greedy{meta, p}
	}
	snapshots, err := p.snapshots()
	if err != nil {
		return err
	}
	n, err := processor.New(cfg, processor.Parts{
		Self: p.self, Writer: logWriter{p, writer}, Log: log, Meta: meta, View: p.view, Peers: newPeers(p), Invoker: calls, Shared: shared,
		Nodesets: improver{p}, Snapshots: snapshots, Workers: standing{p},
	}, p.host)
	if err != nil {
		return err
	}
	attendance := membership.NewAttendance(p.self, p.view, control{p}, n, p.host)
	serves := lifecycle.Func(func(ctx context.Context) error {
		p.get(func() { p.worker = n })
		<-ctx.Done()
		return nil
	})
	return lifecycle.Run(p.ctx, p.view, membership.NewPresence(p.self, p.store, p.view, p.host), attendance, writer, n, serves, attendance.Departure())
}

// logOf is the log as the processor of p asks for it.
func (w *world) logOf(p *process) processor.Log {
	cfg := loglet.Default()
	cfg.Self = p.self.Node
	client := loglet.NewClient(cfg, logs{p}, p.host)
	return &sealer{Log: readLog{client, p}, p: p, client: client, last: map[id.Partition]*storedv1.Loglet{}}
}

// readLog is the log client with the choice of nodesets, as wire puts them together.
type readLog struct {
	*loglet.Client
	p *process
}

// NewLoglet implements processor.Log.
func (l readLog) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	return loglet.NewLoglet(p, index, l.p.self, l.p.view.Current(), l.p.host.Rand.Uint64())
}

// improver judges nodesets, as wire does.
type improver struct{ p *process }

// Improve implements processor.Nodesets.
func (i improver) Improve(l *storedv1.Loglet) (string, error) {
	return loglet.Improve(l, i.p.self.Node, i.p.view.Current())
}

// logWriter is the log writer as the processor asks for it; the checks see what is appended and committed.
type logWriter struct {
	p *process
	*sequencer.Writer
}

// Open implements processor.LogWriter.
func (w logWriter) Open(l *storedv1.Loglet, base lsn.LSN, n processor.Notify) (processor.Appender, error) {
	opened, err := w.Writer.Open(l, committed{n, w.p})
	if err != nil {
		return nil, err
	}
	w.p.w.check.opened(l, base)
	return appender{opened, w.p}, nil
}

type appender struct {
	*sequencer.Loglet
	p *process
}

// Append implements processor.Appender.
func (a appender) Append(first lsn.Offset, count uint32, records []byte) {
	if a.p.w.mistakes.backwards {
		records = reversed(records)
	}
	if a.p.w.mistakes.record != nil {
		a.p.w.mistakes.change(records)
	}
	if a.p.alive() {
		a.p.w.check.appended(a.ID(), first, records)
	}
	a.Loglet.Append(first, count, records)
}

// committed shows commits to the checks before the processor hears of them.
type committed struct {
	processor.Notify
	p *process
}

// Committed implements processor.Notify.
func (c committed) Committed(l id.Loglet, tail lsn.Offset) {
	if !c.p.alive() {
		return
	}
	c.p.w.check.committed(l, tail)
	c.Notify.Committed(l, tail)
}

// Refusing implements sequencer.Refuser.
func (c committed) Refusing(l id.Loglet, refusing bool) {
	c.Notify.(sequencer.Refuser).Refusing(l, refusing)
}

// peers reaches partitions that other workers lead.
type peers struct {
	p *process

	mu     sync.Mutex
	routes map[id.Partition]*route
}

// route is a connection to a worker for what goes to one partition.
type route struct {
	order
	to     string
	broken bool
	wait   map[uint64]func(error)
	next   uint64
}

func newPeers(p *process) *peers { return &peers{p: p, routes: map[id.Partition]*route{}} }

// Send implements processor.Peers.
func (x *peers) Send(target id.Partition, record []byte, acked func(error)) error {
	e := x.p.view.Current().Epochs[target]
	if e.GetNode() == 0 || id.Node(e.GetNode()) == x.p.self.Node {
		return errs.Newf(errs.Unavailable, "nobody leads partition %d", target)
	}
	to := x.p.w.nameOf(id.Node(e.GetNode()))
	x.mu.Lock()
	r := x.routes[target]
	if r == nil || r.broken || r.to != to {
		r = &route{to: to, wait: map[uint64]func(error){}}
		x.routes[target] = r
	}
	r.next++
	number := r.next
	r.wait[number] = acked
	x.mu.Unlock()
	record = slices.Clone(record)
	lose := func() { x.fail(r) }
	x.p.w.net.post(&message{by: x.p, from: x.p.name, to: to, what: fmt.Sprintf("deliver %d %d", target, number), order: &r.order, lose: lose, arrive: func() {
		p := x.p.w.processes[to]
		var n *processor.Node
		if p != nil {
			n = p.node()
		}
		if n == nil || x.over(r) {
			lose()
			return
		}
		back := func(err error) {
			if !p.alive() {
				return
			}
			x.p.w.net.post(&message{from: to, to: x.p.name, what: fmt.Sprintf("delivered %d %d", target, number), lose: lose,
				arrive: func() { x.answer(r, number, err) }})
		}
		if err := n.Accept(target, record, back); err != nil {
			back(err)
		}
	}})
	return nil
}

func (x *peers) over(r *route) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return r.broken
}

func (x *peers) answer(r *route, number uint64, err error) {
	x.mu.Lock()
	acked := r.wait[number]
	delete(r.wait, number)
	x.mu.Unlock()
	if acked != nil {
		acked(err)
	}
}

// fail ends a connection: nothing that was sent after what was lost arrives.
func (x *peers) fail(r *route) {
	x.mu.Lock()
	r.broken = true
	numbers := make([]uint64, 0, len(r.wait))
	for n := range r.wait {
		numbers = append(numbers, n)
	}
	x.mu.Unlock()
	slices.Sort(numbers)
	for _, n := range numbers {
		x.answer(r, n, errReset)
	}
}
