package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/loglet"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
)

// finish checks what is to be seen at the end: each addition that was asked for was made once, each reader finds one log,
// and each replica is what the log says.
func (w *world) finish(ctx context.Context, keys []string) {
	w.until(ctx, "P9", "additions are missing", func(ctx context.Context) error { w.countAll(ctx, keys); return nil })
	for _, m := range w.machines { // nobody is called any more
		if m.role == metastore.RoleMetadata {
			m.kill(false)
		}
	}
	w.rounds(3 * time.Second)
	for p := range id.Partition(w.setup.partitions) {
		if w.violation() != nil {
			return
		}
		w.until(ctx, "G1", "the log cannot be read", func(ctx context.Context) error { return w.replicas(ctx, p) })
		w.until(ctx, "P6", "the snapshots cannot be restored", func(ctx context.Context) error { return w.restorable(ctx, p) })
	}
}

// until has something done while time passes.
func (w *world) until(ctx context.Context, rule, what string, f func(context.Context) error) {
	done := make(chan struct{})
	w.group.Go("finish", func(context.Context) error {
		defer close(done)
		if err := f(ctx); err != nil && ctx.Err() == nil {
			w.violate(rule, "%s: %v", what, err)
		}
		return nil
	})
	start := time.Now()
	for time.Since(start) < w.setup.heal && w.violation() == nil && !closed(done) {
		w.rounds(round)
	}
	if w.violation() == nil && !closed(done) {
		w.violate(rule, "%s %s after all is well again", what, w.setup.heal)
	}
}

// countAll reads all counters until all additions are there.
func (w *world) countAll(ctx context.Context, keys []string) {
	c := &client{w: w, p: w.bare("last"), name: "last", rnd: rand.New(rand.NewPCG(w.seed, 0x1a57))}
	for _, key := range keys {
		for polls := 0; ctx.Err() == nil; polls++ {
			got, _ := strconv.Atoi(c.call(ctx, target{object, "get", key}, "get-"+key+"-"+strconv.Itoa(polls), ""))
			want := w.history.asked[key]
			if got > want {
				w.violate("P4", "%s counts %d, there were %d additions", key, got, want)
			}
			if got >= want {
				break
			}
			c.pause(ctx, 100*time.Millisecond)
		}
	}
}

// replicas compares the stores of all workers that hold p with what the log says, as two readers find it.
func (w *world) replicas(ctx context.Context, p id.Partition) error {
	l, err := w.meta.Lineage(ctx, p)
	if err != nil {
		return err
	}
	var first *storeOf
	for _, m := range w.workers {
		if !slices.Contains(l.Epoch.Replicas, uint32(m.node)) || m.now == nil || m.now.node() == nil {
			continue
		}
		s, tail, err := w.dump(m, p)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if s == nil {
			continue
		}
		replayed, err := w.replay(ctx, m, p, tail)
		if err != nil {
			return fmt.Errorf("%s reads the log: %w", m.name, err)
		}
		if d := s.differs(replayed); d != "" {
			w.violate("P1", "partition %d at %s after LSN %d is not what the log says: %s", p, m.name, tail, d)
		}
		if first != nil && first.applied == s.applied {
			if d := s.differs(first); d != "" {
				w.violate("P1", "partition %d at %s and at another worker differ after LSN %d: %s", p, m.name, tail, d)
			}
		}
		if first == nil {
			first = s
		}
	}
	return nil
}

// storeOf is the rows of a store.
type storeOf struct {
	applied lsn.LSN
	keys    [][]byte
	values  [][]byte
}

// differs tells the first row that differs.
func (s *storeOf) differs(o *storeOf) string {
	for i := range max(len(s.keys), len(o.keys)) {
		switch {
		case i >= len(s.keys):
			return "it lacks " + partitionstore.KeyString(o.keys[i])
		case i >= len(o.keys):
			return "it has " + partitionstore.KeyString(s.keys[i])
		case !bytes.Equal(s.keys[i], o.keys[i]) || !bytes.Equal(s.values[i], o.values[i]):
			return fmt.Sprintf("%s is %x, not %s %x", partitionstore.KeyString(s.keys[i]), s.values[i], partitionstore.KeyString(o.keys[i]), o.values[i])
		}
	}
	return ""
}

// dump is the store of p at a worker as it would be found after a crash: what was flushed.
func (w *world) dump(m *machine, p id.Partition) (*storeOf, lsn.LSN, error) {
	n := m.now.node()
	statuses := n.Status()
	if int(p) >= len(statuses) || statuses[p].Role == placement.Idle {
		return nil, 0, nil
	}
	left := m.disk.mem.CrashClone(vfs.CrashCloneCfg{})
	s, err := rowsOf(left, left.PathJoin(stores, strconv.Itoa(int(p)), "db"))
	if err != nil || s.applied == 0 {
		return nil, 0, err
	}
	w.check.replayed++
	return s, s.applied, nil
}

// indexRow is the kind of rows that only some replicas have.
const indexRow = 0x04

func rowsOf(fs vfs.FS, dir string) (s *storeOf, err error) {
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, DisableWAL: true, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: quiet{}})
	if err != nil {
		return nil, err
	}
	defer errs.CloseInto(&err, db)
	it, err := db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	defer errs.CloseInto(&err, it)
	s = &storeOf{}
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] == indexRow {
			continue
		}
		if it.Key()[0] == 0x01 {
			var meta storedv1.Meta
			if err := meta.UnmarshalVT(it.Value()); err != nil {
				return nil, err
			}
			s.applied = lsn.LSN(meta.Applied)
		}
		s.keys, s.values = append(s.keys, bytes.Clone(it.Key())), append(s.values, bytes.Clone(it.Value()))
	}
	return s, it.Error()
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// replay applies the log up to through to an empty store, as a worker reads it; what is trimmed comes from the archive of the
// checks.
func (w *world) replay(ctx context.Context, m *machine, p id.Partition, through lsn.LSN) (s *storeOf, err error) {
	shared := partitionstore.NewShared(1 << 20)
	defer errs.CloseInto(&err, shared)
	h := m.now.host
	mem := vfs.NewMem()
	h.FS = mem
	store, err := partitionstore.Open(storeConfig(), h, "replayed", shared)
	if err != nil {
		return nil, err
	}
	err = w.readAll(ctx, m, p, through, func(records []byte) error {
		if err := applyTo(store, records); err != nil {
			return err
		}
		return store.Commit()
	})
	if err = errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	return rowsOf(mem, mem.PathJoin("replayed", "db"))
}

// readAll reads the log up to through from its first record on. Whoever reads from there finds the gap, and nothing but the gap.
func (w *world) readAll(ctx context.Context, m *machine, p id.Partition, through lsn.LSN, f func(records []byte) error) error {
	cfg := loglet.Default()
	cfg.Self = m.node
	log := readLog{loglet.NewClient(cfg, logs{m.now}, m.now.host), m.now}
	all := w.check.archive(p)
	for from := lsn.First; ; { // leaders trim yet
		l, err := w.meta.Lineage(ctx, p)
		if err != nil {
			return err
		}
		err = log.Read(ctx, l.Chain, from, through+1, func(first lsn.LSN, count int, records []byte) error {
			from = first + lsn.LSN(count)
			return f(records)
		})
		var gap *loglet.TrimmedError
		if !errors.As(err, &gap) {
			return err
		}
		for ; from <= min(gap.Through, through); from++ {
			if all[from] == nil {
				return fmt.Errorf("LSN %d was trimmed, and never committed", from)
			}
			if err := f(all[from]); err != nil {
				return err
			}
		}
	}
}
