package sequencer

import (
	"context"
	"slices"
	"sync"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Notify hears of one or more loglets. Its methods are called by any goroutine, one at a time and in
// order, and must not block. They may take the lock of their owner, and call Append and Flush.
type Notify interface {
	// Committed says that all offsets below tail are committed. tail only grows.
	Committed(l id.Loglet, tail lsn.Offset)
	// Failed says that nothing more is committed by this process. It is the last call for the loglet.
	Failed(l id.Loglet, err error)
}

// Refuser is a Notify that wants to know how it stands when nothing commits.
type Refuser interface {
	// Refusing says that so many log-servers answer that they take no records now, for want of disk space,
	// that none can commit; or that this is over. What was appended waits meanwhile, however long.
	Refusing(l id.Loglet, refusing bool)
}

// Dialer connects to log-servers.
type Dialer interface {
	// Dial starts a connection and does not block; failure comes as Broken.
	Dial(n id.Node, r logproto.Receiver) logproto.Conn
	// Members describes nodes as the metadata knows them now.
	Members(nodes []id.Node) []quorum.Member
}

var (
	errClosed  = errs.Newf(errs.Unavailable, "the loglet was closed")
	errStopped = errs.Newf(errs.Uncertain, "the log writer stops")
)

// Writer is the log writer of a process.
type Writer struct {
	cfg     Config
	self    id.GenerationalNode
	dial    Dialer
	h       host.Host
	metrics *metrics
	wake    chan struct{} // one token: upkeep has something to do

	mu      sync.Mutex
	stopped bool
	loglets map[id.Loglet]*Loglet
	opened  map[id.Partition]uint32 // highest segment ever opened, plus one
	sites   []*site
	staged  []*Loglet // appended to since the last flush
	fast    bool      // upkeep looks every ReleaseAfter
	stored  bool      // a frame went out since upkeep looked
	// patience is how long loglets may wait for a commit.
	patience patience

	events     []event
	spare      []event
	delivering bool // one goroutine delivers at a time, so that events keep their order
}

type event struct {
	l       *Loglet
	tail    lsn.Offset // 0: how it stands with refusals
	refuses bool
	err     error
}

// NewWriter returns the log writer of the process self.
func NewWriter(cfg Config, self id.GenerationalNode, dial Dialer, h host.Host) *Writer {
	return &Writer{
		cfg: cfg, self: self, dial: dial, h: h, metrics: newMetrics(h.Metrics), wake: make(chan struct{}, 1), patience: newPatience(cfg),
		loglets: map[id.Loglet]*Loglet{}, opened: map[id.Partition]uint32{},
	}
}

// Loglet is an open loglet that this process sequences. Its methods are safe for concurrent use.
type Loglet struct {
	w      *Writer
	id     id.Loglet
	notify Notify

	// Guarded by Writer.mu.
	seq      *logproto.Sequence
	sites    []*site      // by member
	queued   []bool       // by member: in the site's list
	told     []lsn.Offset // by member: the global tail sent last
	notified lsn.Offset
	counted  uint64 // bytes in the metrics
	appends  []appended
	wave     int // grows when something has to be sent again
	staged   bool
	waiting  time.Time  // since when nothing was committed while records wait; zero until upkeep sees it
	refusers quorum.Set // members whose last answer was that they take nothing
	refusing bool       // the others are no write quorum
}

// Open begins an empty loglet. Its sequencer must be this process, and each loglet is opened once:
// a process that does not know the next offset must not go on with an old loglet.
func (w *Writer) Open(l *storedv1.Loglet, n Notify) (*Loglet, error) {
	ref := logproto.RefOf(l)
	if ref.Sequencer != w.self {
		return nil, errs.Newf(errs.Fenced, "loglet %s belongs to sequencer %s, this is %s", ref.Loglet, ref.Sequencer, w.self)
	}
	set, err := logproto.NodesetOf(l, w.dial.Members)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p, segment := ref.Loglet.Log(), ref.Loglet.Segment()
	switch {
	case w.stopped:
		return nil, errStopped
	case w.opened[p] > segment:
		return nil, errs.Newf(errs.Fenced, "loglet %s was opened before, or a newer one of its log", ref.Loglet)
	}
	w.opened[p] = segment + 1
	lg := &Loglet{
		w: w, id: ref.Loglet, notify: n, seq: logproto.NewSequence(ref, set), notified: lsn.FirstOffset,
		sites: make([]*site, set.Len()), queued: make([]bool, set.Len()), told: make([]lsn.Offset, set.Len()),
	}
	for i := range lg.sites {
		lg.sites[i] = w.siteLocked(set.Member(i).Node)
		lg.sites[i].loglets++
		lg.told[i] = lsn.FirstOffset
	}
	w.loglets[ref.Loglet] = lg
	w.wakeUp()
	return lg, nil
}

// ID is the id of the loglet.
func (l *Loglet) ID() id.Loglet { return l.id }

// Append adds count consecutive records, which begin at offset first: the end of the append before,
// or 1. The bytes are kept, not copied: only a commit gives them back. After Failed or Close they must
// never change, as a log-server of this process may still be about to write them. It never blocks; the
// caller bounds what waits (see Waiting).
func (l *Loglet) Append(first lsn.Offset, count uint32, records []byte) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.seq.Append(first, count, records)
	if l.seq.Ended() == nil {
		l.appends = append(l.appends, appended{end: first + lsn.Offset(count), at: l.w.h.Clock.Now(), wave: l.wave})
	}
	if !l.staged {
		l.staged = true
		l.w.staged = append(l.w.staged, l)
	}
	l.w.metrics.enqueued(count, len(records))
}

// Waiting is how many groups and bytes are appended and not committed.
func (l *Loglet) Waiting() (groups, bytes int) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.seq.Waiting()
}

// Close ends the loglet without a word to its Notify: when it returns nothing is committed any more.
// A call to Notify may be under way.
func (l *Loglet) Close() {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.seq.End(errClosed)
	l.w.forgetLocked(l)
}

func (w *Writer) forgetLocked(l *Loglet) {
	if w.loglets[l.id] != l {
		return
	}
	delete(w.loglets, l.id)
	for _, s := range l.sites {
		s.loglets--
	}
}

// Flush sends what was appended, by all loops, to each log-server that has no frame under way.
func (w *Writer) Flush() {
	w.mu.Lock()
	for _, l := range w.staged {
		l.staged = false
		l.queueLocked()
	}
	clear(w.staged)
	w.staged = w.staged[:0]
	w.sendAndUnlock()
}

func (l *Loglet) queueLocked() {
	for i, s := range l.sites {
		if !l.queued[i] && l.seq.HasFor(i) {
			l.queued[i] = true
			s.ready = append(s.ready, place{l, i})
		}
	}
}

// sendAndUnlock sends a frame to each site that has work and is free.
func (w *Writer) sendAndUnlock() {
	type sending struct {
		conn  logproto.Conn
		frame *logproto.Frame
	}
	var out [4]sending // a round for so many sites needs no memory
	for {
		n := 0
		for _, s := range w.sites {
			if n < len(out) && s.fillLocked() {
				out[n] = sending{s.link.conn, s.frame}
				n++
			}
		}
		w.mu.Unlock()
		for _, o := range out[:n] {
			o.conn.Send(o.frame)
		}
		if n < len(out) {
			return
		}
		w.mu.Lock()
	}
}

// deliver calls Notify for what happened. One goroutine does so at a time; the others leave theirs to it.
func (w *Writer) deliver() {
	w.mu.Lock()
	for !w.delivering && len(w.events) > 0 {
		w.delivering = true
		batch := w.events
		w.events, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		for _, e := range batch {
			e.tell()
		}
		clear(batch)
		w.mu.Lock()
		w.spare = batch[:0]
		w.delivering = false
	}
	w.mu.Unlock()
}

func (e *event) tell() {
	switch {
	case e.err != nil:
		e.l.notify.Failed(e.l.id, e.err)
	case e.tail > 0:
		e.l.notify.Committed(e.l.id, e.tail)
	default:
		if r, ok := e.l.notify.(Refuser); ok {
			r.Refusing(e.l.id, e.refuses)
		}
	}
}

// answeredLocked notes whether a member takes records.
func (l *Loglet) answeredLocked(member int, refused bool) {
	if refused == l.refusers.Has(member) || l.w.loglets[l.id] != l {
		return
	}
	if refused {
		l.refusers.Add(member)
	} else {
		l.refusers.Remove(member)
	}
	var takers quorum.Set
	for i := range l.sites {
		if !l.refusers.Has(i) && l.seq.Set().Member(i).Writeable() {
			takers.Add(i)
		}
	}
	if refusing := !l.seq.Set().WriteQuorum(takers) && l.refusers != (quorum.Set{}); refusing != l.refusing {
		l.refusing = refusing
		l.waiting = time.Time{}
		l.w.events = append(l.w.events, event{l: l, refuses: refusing})
	}
}

// noteLocked queues what is to be told of l.
func (l *Loglet) noteLocked() {
	w := l.w
	if w.loglets[l.id] != l {
		return // closed, or told already
	}
	if known := l.seq.Known(); known > l.notified {
		w.metrics.committed(known-l.notified, l.seq.CommittedBytes()-l.counted)
		l.quorumLocked(known)
		l.notified, l.counted = known, l.seq.CommittedBytes()
		l.waiting = time.Time{}
		w.events = append(w.events, event{l: l, tail: known})
	}
	if err := l.seq.Ended(); err != nil {
		w.events = append(w.events, event{l: l, err: err})
		w.forgetLocked(l)
	}
}

// Run connects and watches until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	w.upkeepLoop(ctx)
	w.mu.Lock()
	w.stopped = true
	for _, l := range w.loglets {
		l.seq.End(errStopped)
		l.noteLocked()
	}
	var open []logproto.Conn
	for _, s := range w.sites {
		if s.link != nil {
			open = append(open, s.link.conn)
			s.link.dead = true
			s.link = nil
		}
	}
	w.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	w.deliver()
	return nil
}

func (w *Writer) siteLocked(n id.Node) *site {
	i := slices.IndexFunc(w.sites, func(s *site) bool { return s.node == n })
	if i >= 0 {
		return w.sites[i]
	}
	s := newSite(w, n)
	w.sites = append(w.sites, s)
	return s
}

func (w *Writer) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
