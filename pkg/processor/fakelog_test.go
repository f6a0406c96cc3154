package processor_test

import (
	"context"
	"sync"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/processor"
)

// fakeLog keeps records in memory and commits what was flushed at once, on the goroutine that flushes.
type fakeLog struct {
	self id.GenerationalNode

	mu      sync.Mutex
	loglets map[id.Loglet]*fakeLoglet
	staged  []*fakeLoglet
	held    bool // commits wait for release
}

type fakeLoglet struct {
	log    *fakeLog
	id     id.Loglet
	base   lsn.LSN
	notify processor.Notify
	recs   []staged
	next   lsn.Offset
	told   lsn.Offset
	sealed bool
}

type staged struct {
	first lsn.Offset
	count uint32
	bytes []byte
}

func newFakeLog(self id.GenerationalNode) *fakeLog {
	return &fakeLog{self: self, loglets: map[id.Loglet]*fakeLoglet{}}
}

func (f *fakeLog) Open(l *storedv1.Loglet, base lsn.LSN, n processor.Notify) (processor.Appender, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &fakeLoglet{log: f, id: id.Loglet(l.Id), base: base, notify: n, next: lsn.FirstOffset, told: lsn.FirstOffset}
	f.loglets[x.id] = x
	return x, nil
}

func (f *fakeLog) Flush() {
	f.mu.Lock()
	if f.held {
		f.mu.Unlock()
		return
	}
	var tell []*fakeLoglet
	var tails []lsn.Offset
	for _, l := range f.staged {
		if !l.sealed && l.next > l.told {
			l.told = l.next
			tell, tails = append(tell, l), append(tails, l.next)
		}
	}
	f.staged = nil
	f.mu.Unlock()
	for i, l := range tell {
		l.notify.Committed(l.id, tails[i])
	}
}

func (f *fakeLog) hold(held bool) {
	f.mu.Lock()
	f.held = held
	f.mu.Unlock()
	f.Flush()
}

func (l *fakeLoglet) Append(first lsn.Offset, count uint32, records []byte) {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	if first != l.next {
		panic("appends are not consecutive")
	}
	if l.sealed {
		return
	}
	l.recs = append(l.recs, staged{first: first, count: count, bytes: records})
	l.next += lsn.Offset(count)
	l.log.staged = append(l.log.staged, l)
}

func (l *fakeLoglet) Close() {}

// fail seals the newest loglet of p as a competitor would: what was not committed is lost.
func (f *fakeLog) fail(p id.Partition) {
	f.mu.Lock()
	var last *fakeLoglet
	for i, l := range f.loglets {
		if i.Log() == p && (last == nil || i.Segment() > last.id.Segment()) {
			last = l
		}
	}
	last.sealed = true
	f.mu.Unlock()
	last.notify.Failed(last.id, errs.Newf(errs.Fenced, "sealed by a test"))
}

func (f *fakeLog) Seal(_ context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.loglets[id.Loglet(l.Id)]
	if !ok {
		return lsn.FirstOffset, nil // it was chained and never written
	}
	x.sealed = true
	return x.told, nil
}

func (f *fakeLog) Read(_ context.Context, chain *storedv1.Chain, from, to lsn.LSN, do func(lsn.LSN, int, []byte) error) error {
	for _, s := range chain.Segments {
		f.mu.Lock()
		l, ok := f.loglets[id.Loglet(s.Loglet.Id)]
		f.mu.Unlock()
		if !ok {
			continue
		}
		for _, r := range l.recs {
			at := r.first.At(lsn.LSN(s.Base))
			if r.first >= l.told || at < from || at >= to {
				continue
			}
			if err := do(at, int(r.count), r.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeLog) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	return &storedv1.Loglet{
		Id: uint64(id.NewLoglet(p, index)), SequencerNode: uint32(f.self.Node), SequencerGeneration: f.self.Generation,
		Replication: "1", Nodeset: []uint32{uint32(f.self.Node)},
	}, nil
}
