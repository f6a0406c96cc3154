package sim_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/loglet"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
	"reprise/pkg/quorum"
)

// mistakes are what the checks must find. They replace what the real code depends on, or what it says to others.
type mistakes struct {
	lies       bool // disks say that they have synced
	emptyDisks bool // an empty disk serves
	nameless   bool // a sequencer has no generation
	disabled   bool // each process takes another log-server for disabled
	twoWrites  bool // epoch and chain are written one after the other
	noCompare  bool // the transaction compares nothing
	resumes    bool // a process that restarts goes on with its old loglet
	sameName   bool // a loglet has the name of the one before
	backwards  bool // records reach the log in another order than they were proposed
	seal       func(l *sealer, ctx context.Context, x *storedv1.Loglet) (lsn.Offset, error)
	frame      func(groups []logproto.Group) // what a log-server makes of it
	lostSeals  bool
	early      bool // a log-server shows in a digest what is not synced
	claims     bool // a log-server says that it stored a repair, and did not

	keep          *keeping         // in place of the seed's
	unflushed     bool             // a snapshot is of files that do not hold all that it says
	collide       bool             // database files are named as their stores name them
	unconditional bool             // the pointer is put whatever stands there
	greedy        bool             // logs are trimmed through what is committed
	silent        bool             // a reader passes over what is trimmed
	shared        bool             // exclusive handlers are taken for shared ones
	hasty         bool             // the clocks of workers are ahead of all others
	record        func(rec []byte) // what becomes of a record on its way into the log
	queue         bool             // requests wait at the endpoint
	deaf          bool             // an attempt that is ended goes on at the endpoint
}

// takeOver is a transaction with a mistake in it.
func (m *mistakes) takeOver(ctx context.Context, k kv, conds []metastore.Cond, writes []metastore.Write) (bool, int64, error) {
	chain := slices.IndexFunc(writes, func(w metastore.Write) bool { return strings.Contains(w.Key, "/chains/") })
	switch {
	case chain < 0 || len(conds) < 3 || !m.noCompare && !m.twoWrites: // a trim has two conditions
		return k.txn(ctx, conds, writes)
	case m.noCompare:
		return k.txn(ctx, conds[2:], writes) // the generation alone
	}
	ok, rev, err := k.txn(ctx, []metastore.Cond{conds[0], conds[2]}, writes[len(writes)-1:])
	if err != nil || !ok {
		return ok, rev, err
	}
	later := make(chan struct{})
	w := k.w
	w.net.post(&message{from: k.p.name, to: k.p.name, what: "first write", certain: true, delay: w.latency, arrive: func() {
		until := time.Now().Add(w.aWhile())
		for _, m := range w.machines { // the worst moment to be cut off from those who call leaders
			if m.role == metastore.RoleMetadata {
				w.net.cut[[2]string{k.p.name, m.name}], w.net.cut[[2]string{m.name, k.p.name}] = until, until
			}
		}
		w.net.post(&message{from: k.p.name, to: k.p.name, what: "second write", certain: true, delay: func() time.Duration { return time.Until(until) }, arrive: func() { close(later) }})
	}})
	select {
	case <-later:
	case <-k.p.ctx.Done():
		return false, 0, errs.With(errs.Uncertain, context.Cause(k.p.ctx))
	}
	return k.txn(k.p.ctx, conds[1:], writes[:len(writes)-1])
}

// sealer is the log of a worker with a mistake in it.
type sealer struct {
	processor.Log
	p      *process
	client *loglet.Client

	mu   sync.Mutex
	last map[id.Partition]*storedv1.Loglet
}

// Seal implements processor.Log.
func (s *sealer) Seal(ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	m := &s.p.w.mistakes
	s.mu.Lock()
	s.last[id.Loglet(l.Id).Log()] = l
	s.mu.Unlock()
	switch {
	case m.resumes && l.SequencerNode == uint32(s.p.self.Node):
		return lsn.FirstOffset, nil
	case m.seal != nil:
		return m.seal(s, ctx, l)
	default:
		return s.Log.Seal(ctx, l)
	}
}

// NewLoglet implements processor.Log.
func (s *sealer) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	m := &s.p.w.mistakes
	s.mu.Lock()
	last := s.last[p]
	s.mu.Unlock()
	if m.resumes && last != nil && last.SequencerNode == uint32(s.p.self.Node) {
		return last, nil
	}
	l, err := s.Log.NewLoglet(p, index)
	if err != nil {
		return nil, err
	}
	if m.nameless || m.resumes {
		l.SequencerGeneration = 1
	}
	if m.sameName {
		l.Id, l.Nonce, l.SequencerGeneration = uint64(id.NewLoglet(p, index/2)), 1, 1
	}
	return l, nil
}

// infos seals each log-server of l once and returns the answers of an f-majority.
func (s *sealer) infos(ctx context.Context, l *storedv1.Loglet) ([]logproto.Info, error) {
	set, err := logproto.NodesetOf(l, logs{s.p}.Members)
	if err != nil {
		return nil, err
	}
	ref := logproto.RefOf(l)
	for {
		var have quorum.Set
		var out []logproto.Info
		for i := range set.Len() {
			srv, err := logs{s.p}.Server(set.Member(i).Node)
			if err != nil {
				return nil, err
			}
			tctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			info, err := srv.Seal(tctx, ref)
			cancel()
			if err == nil && info.Status == logproto.Ok {
				have.Add(i)
				out = append(out, info)
			}
		}
		if set.FMajority(have) == quorum.Success {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// lowestTail takes the lowest tail for that of the loglet.
func lowestTail(s *sealer, ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	all, err := s.infos(ctx, l)
	if err != nil {
		return 0, err
	}
	return slices.MinFunc(all, func(a, b logproto.Info) int { return int(a.Tail) - int(b.Tail) }).Tail, nil
}

// noRepair publishes the highest tail without copying what is below it.
func noRepair(s *sealer, ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	all, err := s.infos(ctx, l)
	if err != nil {
		return 0, err
	}
	return slices.MaxFunc(all, func(a, b logproto.Info) int { return int(a.Tail) - int(b.Tail) }).Tail, nil
}

// resumer says that this process leads already, with the loglet of the one before it.
type resumer struct {
	processor.Meta
	p *process
}

// TakeOver implements processor.Meta.
func (r resumer) TakeOver(ctx context.Context, p id.Partition, was metastore.Lineage, next *storedv1.Epoch, chain *storedv1.Chain, me id.GenerationalNode) (metastore.Lineage, error) {
	if k := len(was.Chain.GetSegments()); k > 0 && was.Chain.Segments[k-1].Loglet.SequencerNode == uint32(me.Node) {
		return was, nil
	}
	return r.Meta.TakeOver(ctx, p, was, next, chain, me)
}

// deaf is a connection to the endpoint that does not carry the end of an attempt: RST_STREAM of HTTP/2.
type deaf struct {
	net.Conn
	preface int    // bytes of it that were sent
	rest    []byte // of a frame that is not whole yet
}

const (
	prefaceBytes = 24
	frameHead    = 9
	rstStream    = 3
)

// Write implements net.Conn.
func (d *deaf) Write(b []byte) (int, error) {
	n := min(len(b), prefaceBytes-d.preface)
	d.preface += n
	pass := bytes.Clone(b[:n])
	d.rest = append(d.rest, b[n:]...)
	for len(d.rest) >= frameHead {
		size := frameHead + int(d.rest[0])<<16 + int(d.rest[1])<<8 + int(d.rest[2])
		if len(d.rest) < size {
			break
		}
		if d.rest[3] != rstStream {
			pass = append(pass, d.rest[:size]...)
		}
		d.rest = d.rest[size:]
	}
	if _, err := d.Conn.Write(pass); err != nil {
		return 0, err
	}
	return len(b), nil
}

// change has a mistake made of each record, in place: they are what is applied.
func (m *mistakes) change(records []byte) {
	for len(records) > 0 {
		rec, rest, err := command.Next(records)
		if err != nil {
			return
		}
		r, err := command.Parse(rec)
		if err != nil {
			return
		}
		m.record(rec)
		command.Stamp(rec, r.Loglet, r.LSN, r.Epoch, r.Seq, r.Time)
		records = rest
	}
}

// Where a record has its kind and the life that it is about: see docs/formats/record.md.
const (
	kindAt = 9
	lifeAt = 56
)

// anyLife has responses come to whatever life an invocation is in.
func anyLife(rec []byte) {
	if command.Kind(rec[kindAt]) == command.Respond {
		clear(rec[lifeAt : lifeAt+8])
	}
}

// lostTimers has timers do nothing when they are due.
func lostTimers(rec []byte) {
	if command.Kind(rec[kindAt]) == command.Fire {
		rec[kindAt] = byte(command.Read)
	}
}

// ownTail takes the tail of the log-server that answers first for that of the loglet.
func ownTail(s *sealer, ctx context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	all, err := s.infos(ctx, l)
	if err != nil {
		return 0, err
	}
	return all[0].Tail, nil
}

// reversed is the records of a group in the reverse order, each at its new place.
func reversed(records []byte) []byte {
	var all [][]byte
	for rest := records; len(rest) > 0; {
		rec, more, err := command.Next(rest)
		if err != nil {
			return records
		}
		all, rest = append(all, bytes.Clone(rec)), more
	}
	first, err := command.Parse(all[0])
	if err != nil {
		return records
	}
	slices.Reverse(all)
	for i, rec := range all {
		if r, err := command.Parse(rec); err == nil {
			command.Stamp(rec, r.Loglet, first.LSN+lsn.LSN(i), r.Epoch, r.Seq, r.Time)
		}
	}
	return bytes.Join(all, nil)
}

// balanced has snapshots made, and logs trimmed where they are kept; forgetful has many disks lost.
var (
	balanced  = keeping{store: true, retained: 2, records: 10, mode: placement.DurableBalanced, trimEvery: 300 * time.Millisecond, wipeWorker: 0.3}
	forgetful = keeping{store: true, retained: 1, records: 10, mode: placement.DurableBalanced, trimEvery: 300 * time.Millisecond, wipeWorker: 1}
)

// seedsMax is after how many histories a mistake must be found.
const seedsMax = 300

// TestMistakes: each mistake is found, so that the checks are known to check.
func TestMistakes(t *testing.T) {
	if raceEnabled {
		t.Skip("it takes too long with the race detector, and finds the same")
	}
	for _, c := range []struct {
		name  string
		from  uint64 // a seed that has found it: others are tried after it
		by    string // the check that must find it; empty: any
		setup int    // not 0: all histories have this set-up
		m     mistakes
	}{
		{name: "ack before sync", m: mistakes{lies: true}},
		{name: "store after seal", from: 50, m: mistakes{frame: func(gs []logproto.Group) {
			for i := range gs {
				gs[i].Repair = gs[i].Count > 0
			}
		}}},
		{name: "lost seal", m: mistakes{lostSeals: true}},
		{name: "lowest tail", m: mistakes{seal: lowestTail}},
		{name: "tail of one log-server", m: mistakes{seal: ownTail}},
		{name: "skip repair", from: 15, m: mistakes{seal: noRepair}},
		{name: "no compare and set", from: 72, m: mistakes{noCompare: true}},
		{name: "take-over in two writes", m: mistakes{twoWrites: true}},
		{name: "resume old loglet", m: mistakes{resumes: true}},
		{name: "a loglet name used twice", m: mistakes{sameName: true}},
		{name: "holes allowed", m: mistakes{frame: func(gs []logproto.Group) {
			for i := range gs {
				gs[i].Known = max(gs[i].Known, gs[i].First)
			}
		}}},
		{name: "global tail beyond the quorum", m: mistakes{frame: func(gs []logproto.Group) {
			for i := range gs {
				gs[i].Known = gs[i].End()
			}
		}}},
		{name: "one log-server is taken for disabled", from: 7, m: mistakes{disabled: true}},
		{name: "a wiped log-server answers", m: mistakes{emptyDisks: true}},
		{name: "digest before sync", from: 30, m: mistakes{early: true}},
		{name: "repair claims what it did not copy", from: 19, m: mistakes{claims: true}},
		{name: "append out of order", from: 31, m: mistakes{backwards: true}},
		{name: "sequencer without generation", m: mistakes{nameless: true}},
		{name: "trimmed through what is committed", m: mistakes{greedy: true, keep: &balanced}},
		{name: "a hole in place of a gap", m: mistakes{silent: true, keep: &forgetful}},
		{name: "checkpoint without flush", m: mistakes{unflushed: true, keep: &balanced}},
		{name: "file names that collide", m: mistakes{collide: true, keep: &balanced}},
		{name: "pointer without condition", from: 64, m: mistakes{unconditional: true, keep: &balanced}},
		{name: "an id living twice", from: 4, setup: 1, m: mistakes{record: anyLife}},
		{name: "exclusive handlers run like shared ones", by: "P5", m: mistakes{shared: true}},
		{name: "timers of a fast clock", by: "P8", m: mistakes{hasty: true}},
		{name: "timers are lost", m: mistakes{record: lostTimers}},
		{name: "attempts outlive their leader", from: 46, by: "P10", m: mistakes{queue: true, deaf: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			for seed := c.from; seed < c.from+seedsMax; seed++ {
				f := faultsOf(seed)
				s := setups[seed%uint64(len(setups))]
				if c.setup > 0 {
					s = setups[c.setup]
				}
				w, err := play(t, seed, s, f, c.m, nil)
				if err == nil || !strings.HasPrefix(err.Error(), c.by) {
					continue
				}
				if _, broken := play(t, seed, s, f, mistakes{keep: c.m.keep, queue: c.m.queue}, nil); broken != nil {
					t.Errorf("seed %d fails without the mistake: %v", seed, broken)
				}
				t.Logf("%s, seed %d (%s), history %d, %d steps, %s: %v", c.name, seed, w.setup.name, seed-c.from+1, w.net.steps, time.Since(start).Round(time.Millisecond), err)
				return
			}
			t.Errorf("not found in %d histories", seedsMax)
		})
	}
}
