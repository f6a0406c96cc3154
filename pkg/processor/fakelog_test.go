package processor_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/processor"
)

// fakeLog keeps records in memory and commits what was flushed at once, on the goroutine that flushes,
// unless it is held. Several nodes may share it.
type fakeLog struct {
	mu       sync.Mutex
	loglets  map[id.Loglet]*fakeLoglet
	staged   []*fakeLoglet
	held     bool  // commits wait for release
	sealing  error // what Seal answers, if set
	trimming error // what Trim answers, if set
	trimmed  map[id.Partition]lsn.LSN
	end      lsn.Offset // what Bound answers, if set

	asked chan<- struct{} // Unsealed tells that it was asked, if set, and answers when
	ask   <-chan struct{} // this is closed
}

type fakeLoglet struct {
	log    *fakeLog
	id     id.Loglet
	notify processor.Notify
	recs   []staged
	next   lsn.Offset
	told   lsn.Offset
	sealed bool
	closed bool
}

type staged struct {
	first lsn.Offset
	count uint32
	bytes []byte
}

func newFakeLog() *fakeLog {
	return &fakeLog{loglets: map[id.Loglet]*fakeLoglet{}, trimmed: map[id.Partition]lsn.LSN{}}
}

func (f *fakeLog) Open(l *storedv1.Loglet, _ lsn.LSN, n processor.Notify) (processor.Appender, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.logletLocked(id.Loglet(l.Id))
	if x.notify != nil {
		return nil, errs.Newf(errs.Fenced, "loglet %d was opened before", l.Id)
	}
	x.notify = n
	if x.sealed { // by a candidate who came between the take-over and this
		n.Failed(x.id, errs.Newf(errs.Unavailable, "sealed by another node"))
	}
	return x, nil
}

// logletLocked returns a loglet, which comes into being when it is opened or sealed.
func (f *fakeLog) logletLocked(l id.Loglet) *fakeLoglet {
	x := f.loglets[l]
	if x == nil {
		x = &fakeLoglet{log: f, id: l, next: lsn.FirstOffset, told: lsn.FirstOffset}
		f.loglets[l] = x
	}
	return x
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
		if !l.sealed && !l.closed && l.next > l.told {
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

// breakSeals has Seal fail with err until it is nil.
func (f *fakeLog) breakSeals(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealing = err
}

// hold has commits wait, or lets them go.
func (f *fakeLog) hold(held bool) {
	f.mu.Lock()
	f.held = held
	f.mu.Unlock()
	f.Flush()
}

func (l *fakeLoglet) Append(first lsn.Offset, count uint32, records []byte) {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	if l.sealed || l.closed { // the loop may not have heard of it, and goes on appending
		return
	}
	if first != l.next {
		panic("appends are not consecutive")
	}
	l.recs = append(l.recs, staged{first: first, count: count, bytes: records})
	l.next += lsn.Offset(count)
	l.log.staged = append(l.log.staged, l)
}

func (l *fakeLoglet) Close() {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	l.closed = true
}

// newestLocked returns the loglet of p that was opened last, or nil.
func (f *fakeLog) newestLocked(p id.Partition) (last *fakeLoglet) {
	for i, l := range f.loglets {
		if i.Log() == p && (last == nil || i.Segment() > last.id.Segment()) {
			last = l
		}
	}
	return last
}

// fail seals the newest loglet of p as a competitor would. Of what was not committed, the oldest found
// groups turn out to be in the log; the rest is lost.
func (f *fakeLog) fail(p id.Partition, found int) {
	f.mu.Lock()
	last := f.newestLocked(p)
	if last == nil || last.sealed {
		f.mu.Unlock()
		return
	}
	last.sealed = true
	for _, r := range last.recs {
		if r.first >= last.told && found > 0 {
			last.told = r.first + lsn.Offset(r.count)
			found--
		}
	}
	f.mu.Unlock()
	last.notify.Failed(last.id, errs.Newf(errs.Unavailable, "sealed by a test"))
}

// lose takes away the groups of the newest loglet of p that begin at a position or behind it, and seals it. Its base must be
// that of the log.
func (f *fakeLog) lose(p id.Partition, from lsn.LSN) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.newestLocked(p)
	k := slices.IndexFunc(last.recs, func(r staged) bool { return r.first >= from.In(lsn.First) })
	if k < 0 {
		panic("there is nothing to lose")
	}
	at := last.recs[k].first
	last.recs, last.sealed, last.told, last.next = last.recs[:k], true, at, at
}

// tail is where the newest loglet of p ends, if its base is that of the log.
func (f *fakeLog) tail(p id.Partition) lsn.LSN {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newestLocked(p).told.At(lsn.First)
}

// waiting is how many records of p are appended and not committed.
func (f *fakeLog) waiting(p id.Partition) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.newestLocked(p); l != nil {
		return int(l.next - l.told)
	}
	return 0
}

// groups calls do with the groups appended to all loglets of p, in order.
func (f *fakeLog) groups(p id.Partition, do func(count uint32, records []byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.newestLocked(p)
	for s := uint32(0); last != nil && s <= last.id.Segment(); s++ {
		if l := f.loglets[id.NewLoglet(p, s)]; l != nil {
			for _, r := range l.recs {
				do(r.count, r.bytes)
			}
		}
	}
}

func (f *fakeLog) Seal(_ context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	f.mu.Lock()
	if f.sealing != nil {
		f.mu.Unlock()
		return 0, f.sealing
	}
	x := f.logletLocked(id.Loglet(l.Id))
	lost := !x.sealed && !x.closed && x.notify != nil
	x.sealed = true
	tail := x.told
	f.mu.Unlock()
	if lost {
		x.notify.Failed(x.id, errs.Newf(errs.Unavailable, "sealed by another node"))
	}
	return tail, nil
}

// WaitForTail implements processor.Log.
func (f *fakeLog) WaitForTail(ctx context.Context, l *storedv1.Loglet, past lsn.Offset) (tail lsn.Offset, sealed bool, err error) {
	for ctx.Err() == nil {
		f.mu.Lock()
		x := f.logletLocked(id.Loglet(l.Id))
		tail, sealed = x.told, x.sealed
		f.mu.Unlock()
		if sealed || tail > past {
			return tail, sealed, nil
		}
		pause(ctx)
	}
	return 0, false, context.Cause(ctx)
}

// Bound implements processor.Log.
func (f *fakeLog) Bound(_ context.Context, l *storedv1.Loglet) (lsn.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end > 0 {
		return f.end, nil
	}
	return f.logletLocked(id.Loglet(l.Id)).next, nil
}

// bound has the log end at an offset; 0: where it does.
func (f *fakeLog) bound(at lsn.Offset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end = at
}

// Unsealed implements processor.Log.
func (f *fakeLog) Unsealed(_ context.Context, l *storedv1.Loglet) error {
	f.mu.Lock()
	asked, ask := f.asked, f.ask
	f.mu.Unlock()
	if asked != nil {
		asked <- struct{}{}
		<-ask
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.loglets[id.Loglet(l.Id)]; x == nil || x.sealed {
		return errs.Newf(errs.Unavailable, "loglet %d is sealed", l.Id)
	}
	return nil
}

func (f *fakeLog) Read(_ context.Context, chain *storedv1.Chain, from, to lsn.LSN, do func(lsn.LSN, int, []byte) error) error {
	type group struct {
		at lsn.LSN
		staged
	}
	var groups []group
	f.mu.Lock()
	if through := f.trimmed[id.Loglet(chain.Segments[0].Loglet.Id).Log()]; from <= through && from < to {
		f.mu.Unlock()
		return errs.With(errs.NotFound, trimmedError(through))
	}
	for _, s := range chain.Segments {
		l, ok := f.loglets[id.Loglet(s.Loglet.Id)]
		if !ok {
			continue
		}
		for _, r := range l.recs {
			if at := r.first.At(lsn.LSN(s.Base)); r.first < l.told && at >= from && at < to {
				groups = append(groups, group{at, r})
			}
		}
	}
	f.mu.Unlock()
	for _, g := range groups {
		if err := do(g.at, int(g.count), g.bytes); err != nil {
			return err
		}
	}
	return nil
}

// trimmedError is like that of a real log.
type trimmedError lsn.LSN

func (e trimmedError) Error() string           { return fmt.Sprintf("trimmed through %d", uint64(e)) }
func (e trimmedError) TrimmedThrough() lsn.LSN { return lsn.LSN(e) }

// Trim implements processor.Log.
func (f *fakeLog) Trim(_ context.Context, chain *storedv1.Chain) (first uint32, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := id.Loglet(chain.Segments[0].Loglet.Id).Log()
	f.trimmed[p] = max(f.trimmed[p], lsn.LSN(chain.Trimmed))
	for _, s := range chain.Segments {
		if s.Base <= chain.Trimmed+1 {
			first = s.Index
		}
	}
	return first, f.trimming
}

// trimmedTo is up to where the records of p are gone.
func (f *fakeLog) trimmedTo(p id.Partition) lsn.LSN {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trimmed[p]
}

// breakTrims has Trim fail with err, after it has done its work.
func (f *fakeLog) breakTrims(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trimming = err
}

// trim takes the records of p up to through away.
func (f *fakeLog) trim(p id.Partition, through lsn.LSN) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trimmed[p] = through
}

// nodeLog is the log as one node has it.
type nodeLog struct {
	*fakeLog
	self id.GenerationalNode
}

func (f nodeLog) NewLoglet(p id.Partition, index uint32) (*storedv1.Loglet, error) {
	return &storedv1.Loglet{
		Id: uint64(id.NewLoglet(p, index)), SequencerNode: uint32(f.self.Node), SequencerGeneration: f.self.Generation,
		Replication: "1", Nodeset: []uint32{uint32(f.self.Node)}, Nonce: uint64(f.self.Generation),
	}, nil
}
