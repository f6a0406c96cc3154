package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/loglet"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
)

// keeping says how the state of partitions is kept: where, and when logs are trimmed.
type keeping struct {
	store      bool // there is an object store
	retained   int  // snapshots
	records    uint64
	interval   time.Duration
	mode       placement.Durability // none: logs are not trimmed
	trimDelay  time.Duration
	trimEvery  time.Duration
	wipeWorker float64 // of crashes
}

// keepingOf is that of a seed.
func keepingOf(seed uint64) keeping {
	r := rand.New(rand.NewPCG(seed, 2))
	k := keeping{
		store: true, retained: 1 + r.IntN(2), records: uint64(5 + r.IntN(40)), interval: time.Duration(r.IntN(3)) * time.Second,
		trimDelay: time.Duration(r.IntN(2000)) * time.Millisecond, trimEvery: time.Duration(200+r.IntN(1500)) * time.Millisecond, wipeWorker: 0.5 * r.Float64(),
	}
	switch x := r.IntN(10); {
	case x < 2:
		k.store, k.mode = false, placement.DurableNowhere
	case x < 5:
		k.mode = "" // balanced, for there are several workers
	case x < 6:
		k.mode = placement.DurableSnapshot
	case x < 8:
		k.mode = placement.DurableAll
	case x < 9:
		k.mode, k.wipeWorker = placement.DurableHolders, 0 // a holder that loses its disk has lost it
	default:
		k.store, k.mode, k.wipeWorker = false, placement.DurableHolders, 0
	}
	return k
}

// apply sets a worker up.
func (k *keeping) apply(cfg *processor.Config) {
	cfg.Durability = k.mode
	cfg.TrimDelay, cfg.TrimInterval, cfg.TrimFirst = k.trimDelay, k.trimEvery, k.trimEvery
	if k.store {
		cfg.SnapshotRecords, cfg.SnapshotInterval, cfg.SnapshotDelay = k.records, k.interval, time.Second
	}
}

// snapshots is what a worker makes snapshots with; nil without an object store.
func (p *process) snapshots() (processor.Snapshots, error) {
	w := p.w
	if !w.keep.store {
		return nil, nil
	}
	r, err := w.repository(p, objects{p: p, b: w.bucket})
	if err != nil {
		return nil, err
	}
	if w.mistakes.unflushed {
		return unflushed{r, p}, nil
	}
	return r, nil
}

// standing asks metadata daemons how partitions stand, as rpc does.
type standing struct{ p *process }

// Standing implements processor.Workers.
func (s standing) Standing(ctx context.Context) ([]placement.Attendant, error) {
	err := errs.Newf(errs.Unavailable, "there is no metadata daemon")
	for _, n := range s.p.view.Current().Nodes {
		if !slices.Contains(n.Roles, metastore.RoleMetadata) {
			continue
		}
		tctx, cancel := context.WithTimeout(ctx, unanswered)
		var alive []placement.Attendant
		alive, err = call(tctx, s.p.w, s.p, s.p.w.nameOf(id.Node(n.Id)), "standing", func(_ context.Context, p *process) ([]placement.Attendant, error) {
			var roster *controller.Roster
			p.get(func() { roster = p.roster })
			if roster == nil {
				return nil, errRefused
			}
			return roster.Alive(), nil
		})
		cancel()
		if err == nil {
			return alive, nil
		}
	}
	return nil, err
}

// trimmedLocked checks where a log is trimmed, when that is decided: never back, never what is not committed, and never what
// cannot be had elsewhere.
func (c *checks) trimmedLocked(p id.Partition, was, now *storedv1.Chain, e *storedv1.Epoch) {
	through := lsn.LSN(now.GetTrimmed())
	if through < lsn.LSN(was.GetTrimmed()) {
		c.w.violate("L8", "partition %d: its log was trimmed through %d, and is through %d", p, was.GetTrimmed(), through)
	}
	if through == lsn.LSN(was.GetTrimmed()) {
		return
	}
	c.trims++
	if through > c.last[p] {
		c.w.violate("L8", "partition %d: its log is trimmed through %d, what is acknowledged ends at %d", p, through, c.last[p])
	}
	mode := c.w.keep.mode.Or(len(c.w.workers))
	if mode.Snapshots() {
		if have := c.w.bucket.holds(p); have < through {
			c.w.violate("P6", "partition %d: its log is trimmed through %d, the oldest snapshot holds %d", p, through, have)
		}
	}
	if mode == placement.DurableHolders || mode == placement.DurableAll {
		holders := metastore.ReplicasOf(e)
		for _, n := range holders.All() {
			if have := c.w.durableAt(n, p); have < through && !c.w.machineOf(n).lost {
				c.w.violate("P6", "partition %d: its log is trimmed through %d, the disk of %s holds %d", p, through, c.w.nameOf(n), have)
			}
		}
	}
}

// durableAt is what a worker would have of p after a crash.
func (w *world) durableAt(n id.Node, p id.Partition) lsn.LSN {
	left := w.machineOf(n).disk.mem.CrashClone(vfs.CrashCloneCfg{})
	dir := left.PathJoin(stores, strconv.Itoa(int(p)), "db")
	if _, err := left.Stat(dir); err != nil {
		return 0
	}
	s, err := rowsOf(left, dir)
	if err != nil {
		w.violate("P6", "the store of partition %d at %s cannot be opened after a crash: %v", p, w.nameOf(n), err)
		return 0
	}
	return s.applied
}

// cutLocked tells how many segments left the front of a chain, and checks that nothing of them is needed.
func (c *checks) cutLocked(p id.Partition, was []*storedv1.Segment, now *storedv1.Chain) (gone int) {
	first := now.GetSegments()[0].Index
	for gone < len(was) && was[gone].Index < first {
		gone++
	}
	if gone == len(was) { // the last one was replaced meanwhile, or should not be gone
		gone--
	}
	if gone > 0 && was[gone].Base > now.Trimmed+1 {
		c.w.violate("L8", "partition %d: segments below %d left its chain, which is trimmed through %d", p, was[gone].Base, now.Trimmed)
	}
	return gone
}

// trimAt checks what a log-server is to delete, and trimmedAt notes that it did.
func (c *checks) trimAt(l id.Loglet, through lsn.Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gapLocked("a log-server is to trim", l, through)
}

func (c *checks) trimmedAt(n id.Node, l id.Loglet, through lsn.Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted[at{n, l}] = max(c.deleted[at{n, l}], through)
}

// deletedAt is up to where a log-server said that it deleted.
func (c *checks) deletedAt(n id.Node, l id.Loglet) lsn.Offset {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deleted[at{n, l}]
}

// shows checks what a log-server says to have trimmed. It said before that it had trimmed through before.
func (c *checks) shows(n id.Node, l id.Loglet, before lsn.Offset, s logproto.Status, trimmed lsn.Offset) {
	if s == logproto.Ok && trimmed < before {
		c.w.violate("L8", "%s had trimmed %s/%d, and shows that it trimmed through %d", n, l, before, trimmed)
	}
}

// gapLocked checks that the chain says that the log is trimmed through an offset of a loglet.
func (c *checks) gapLocked(what string, l id.Loglet, through lsn.Offset) {
	x := c.loglets[l]
	if x == nil || through < lsn.FirstOffset {
		return
	}
	if point := lsn.LSN(c.chains[l.Log()].GetTrimmed()); through.At(x.base) > point {
		c.w.violate("L8", "%s %s through LSN %d, the chain says %d", what, l, through.At(x.base), point)
	}
}

// reader checks what a worker's reader is given: all that it asked for in order, or the gap that the chain tells of.
type reader struct {
	c  *checks
	p  id.Partition
	to lsn.LSN
	at lsn.LSN

	refused error // by whoever reads
}

func (r *reader) given(first lsn.LSN, count int, records []byte) {
	if first != r.at {
		r.c.w.violate("L8", "a reader of partition %d is given LSN %d after %d", r.p, first, r.at-1)
	}
	r.c.reads(r.p, first, records)
	r.at = first + lsn.LSN(count)
}

func (r *reader) ended(err error) {
	var gap *loglet.TrimmedError
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	point := lsn.LSN(r.c.chains[r.p].GetTrimmed())
	switch {
	case errors.As(err, &gap):
		if gap.Through < r.at || gap.Through > point {
			r.c.w.violate("L8", "a reader of partition %d at %d finds a gap through %d, the chain says %d", r.p, r.at, gap.Through, point)
		}
		r.c.gaps++
	case r.refused != nil:
	case err == nil && r.at < r.to:
		r.c.w.violate("L8", "a reader of partition %d ends at %d without an error, it wanted all below %d", r.p, r.at, r.to)
	case errs.Is(err, errs.Corrupt):
		r.c.w.violate("L8", "a reader of partition %d at %d finds nothing, nor a gap: %v", r.p, r.at, err)
	}
}

// Read implements processor.Log.
func (l readLog) Read(ctx context.Context, chain *storedv1.Chain, from, to lsn.LSN, f func(first lsn.LSN, count int, records []byte) error) error {
	if from >= to || len(chain.GetSegments()) == 0 {
		return l.Client.Read(ctx, chain, from, to, f)
	}
	r := &reader{c: l.p.w.check, p: id.Loglet(chain.Segments[0].Loglet.Id).Log(), to: to, at: from}
	given := func(first lsn.LSN, count int, records []byte) error {
		if l.p.alive() {
			r.given(first, count, records)
		}
		r.refused = f(first, count, records)
		return r.refused
	}
	err := l.Client.Read(ctx, chain, from, to, given)
	if l.p.w.mistakes.silent {
		var gap *loglet.TrimmedError
		for errors.As(err, &gap) && gap.Through+1 < to {
			err = l.Client.Read(ctx, chain, gap.Through+1, to, given)
		}
	}
	if l.p.alive() {
		r.ended(err)
	}
	return err
}

// greedy trims what is committed, not what can be had elsewhere.
type greedy struct {
	processor.Meta
	p *process
}

// Trim implements processor.Meta.
func (g greedy) Trim(ctx context.Context, p id.Partition, was metastore.Lineage, through lsn.LSN, first uint32) (metastore.Lineage, error) {
	return g.Meta.Trim(ctx, p, was, max(through, g.p.w.check.acknowledged(p)), first)
}

func (c *checks) acknowledged(p id.Partition) lsn.LSN {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[p]
}

// archive is all that was ever committed in a log, by LSN, whatever is trimmed.
func (c *checks) archive(p id.Partition) map[lsn.LSN][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[lsn.LSN][]byte{}
	for _, x := range c.all(p) {
		end := x.acked
		if x.final != 0 {
			end = x.final
		}
		for o := lsn.FirstOffset; o < end && int(o) <= len(x.records); o++ {
			all[o.At(x.base)] = x.records[o-1]
		}
	}
	return all
}

// restorable checks at the end that the newest snapshot and what came after it are what the whole log says.
func (w *world) restorable(ctx context.Context, p id.Partition) (err error) {
	mem := vfs.NewMem()
	by := &process{w: w, name: "check", host: hostOn(mem)}
	r, err := w.repository(by, objects{p: by, b: w.bucket, direct: true})
	if err != nil {
		return err
	}
	l, err := r.Latest(ctx, p)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.Restore(ctx, p, l.Ref, partitionstore.DatabaseIn(by.host, "stage")); err != nil {
		return fmt.Errorf("restore the snapshot at %d: %w", l.MinAppliedLSN, err)
	}
	applied, err := partitionstore.Adopt(by.host, "stage", "restored", l.MinAppliedLSN)
	if err != nil {
		return err
	}
	all := w.check.archive(p)
	tail := applied
	for all[tail+1] != nil {
		tail++
	}
	restored, err := appliedTo(mem, "restored", all, applied+1, tail)
	if err != nil {
		return err
	}
	whole, err := appliedTo(mem, "whole", all, lsn.First, tail)
	if err != nil {
		return err
	}
	if d := restored.differs(whole); d != "" {
		w.violate("P6", "partition %d, restored at %d and replayed to %d, is not what the log says: %s", p, applied, tail, d)
	}
	w.check.restored++
	return nil
}

// hostOn is a host of nobody, for checks.
func hostOn(mem *vfs.MemFS) host.Host {
	h := hosttest.Real(1)
	h.FS, h.Metrics = mem, prometheus.NewRegistry()
	return h
}

// appliedTo is the rows of the store in dir after records were applied to it.
func appliedTo(mem *vfs.MemFS, dir string, all map[lsn.LSN][]byte, from, through lsn.LSN) (s *storeOf, err error) {
	shared := partitionstore.NewShared(1 << 20)
	defer errs.CloseInto(&err, shared)
	store, err := partitionstore.Open(storeConfig(), hostOn(mem), dir, shared)
	if err != nil {
		return nil, err
	}
	for at := from; at <= through && err == nil; at++ {
		err = applyTo(store, all[at])
	}
	if err = errors.Join(err, store.Commit(), store.Close()); err != nil {
		return nil, err
	}
	return rowsOf(mem, mem.PathJoin(dir, "db"))
}

func storeConfig() partitionstore.Config {
	cfg := partitionstore.Default()
	cfg.MemTableBytes = 256 << 10
	return cfg
}

// applyTo applies records to a store.
func applyTo(store *partitionstore.Store, records []byte) error {
	for len(records) > 0 {
		raw, rest, err := command.Next(records)
		if err != nil {
			return err
		}
		rec, err := command.Parse(raw)
		if err != nil {
			return err
		}
		if _, err := partition.Apply(store.View(), rec, nil); err != nil {
			return err
		}
		records = rest
	}
	return nil
}
