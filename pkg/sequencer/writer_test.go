package sequencer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
	"reprise/pkg/sequencer"
)

var self = id.GenerationalNode{Node: 1, Generation: 2}

// wire is a Dialer whose log-servers answer when the test says so.
type wire struct {
	mu     sync.Mutex
	states map[id.Node]storedv1.StorageState
	conns  map[id.Node]*conn // the present ones
	dials  map[id.Node]int
	refuse map[id.Node]bool
}

type conn struct {
	node     id.Node
	r        logproto.Receiver
	frames   []*logproto.Frame // under way
	sent     int
	releases []logproto.Group
	closed   bool
	w        *wire
}

func newWire() *wire {
	return &wire{
		states: map[id.Node]storedv1.StorageState{}, conns: map[id.Node]*conn{}, dials: map[id.Node]int{}, refuse: map[id.Node]bool{},
	}
}

func (w *wire) Dial(n id.Node, r logproto.Receiver) logproto.Conn {
	w.mu.Lock()
	c := &conn{node: n, r: r, w: w}
	w.dials[n]++
	refuse := w.refuse[n]
	if !refuse {
		w.conns[n] = c
	}
	w.mu.Unlock()
	if refuse {
		r.Broken(errs.Newf(errs.Unavailable, "refused"))
	}
	return c
}

func (w *wire) Members(nodes []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		state := w.states[n]
		if state == storedv1.StorageState_STORAGE_STATE_UNSPECIFIED {
			state = storedv1.StorageState_STORAGE_STATE_READ_WRITE
		}
		out[i] = quorum.Member{Node: n, State: state}
	}
	return out
}

func (c *conn) Send(f *logproto.Frame) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.frames = append(c.frames, f)
	c.sent++
}

func (c *conn) Release(gs []logproto.Group) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.releases = append(c.releases, gs...)
}

func (c *conn) Close() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.closed = true
}

// pending is the frame under way to a node, as text: "1:0@1+3 known 1" for each group.
func (w *wire) pending(n id.Node) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conns[n]
	if c == nil {
		return "down"
	}
	var out []string
	for _, f := range c.frames {
		for _, g := range f.Groups {
			out = append(out, fmt.Sprintf("%s@%d+%d known %d", g.Loglet, g.First, g.Count, g.Known))
		}
	}
	if len(c.frames) > 1 {
		return "more than one frame"
	}
	return strings.Join(out, ", ")
}

// answer answers the frame under way to a node.
func (w *wire) answer(n id.Node, s logproto.Status) {
	w.mu.Lock()
	c := w.conns[n]
	f := c.frames[0]
	c.frames = c.frames[1:]
	w.mu.Unlock()
	f.Answers = f.Answers[:0]
	for _, g := range f.Groups {
		f.Answers = append(f.Answers, logproto.Answer{Status: s, Tail: g.End(), Sealed: s == logproto.Sealed})
	}
	c.r.Stored(f)
	synctest.Wait()
}

func (w *wire) breakOff(n id.Node) {
	w.mu.Lock()
	c := w.conns[n]
	delete(w.conns, n)
	w.mu.Unlock()
	c.r.Broken(errs.Newf(errs.Unavailable, "cut"))
	synctest.Wait()
}

// events records what a Notify hears.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) Committed(l id.Loglet, tail lsn.Offset) { e.add("%s committed %d", l, tail) }
func (e *events) Failed(l id.Loglet, err error)          { e.add("%s failed: %v", l, err) }

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

// want compares what was heard since the last call.
func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.list, want) {
		t.Errorf("heard %q, want %q", e.list, want)
	}
	e.list = nil
}

func (w *wire) want(t *testing.T, n id.Node, want string) {
	t.Helper()
	if got := w.pending(n); got != want {
		t.Errorf("under way to %s is %q, want %q", n, got, want)
	}
}

// pass lets time pass, and all that happens by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// look runs f with what the connections share.
func (w *wire) look(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *wire) conn(n id.Node) (c *conn) {
	w.look(func() { c = w.conns[n] })
	return c
}

func (c *conn) released() (gs []logproto.Group) {
	c.w.look(func() { gs = slices.Clone(c.releases) })
	return gs
}

func (c *conn) isClosed() (closed bool) {
	c.w.look(func() { closed = c.closed })
	return closed
}

func (w *wire) refuses(n id.Node, refuse bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse[n] = refuse
}

func loglet(p id.Partition, replication string, nodes ...uint32) *storedv1.Loglet {
	return &storedv1.Loglet{
		Id: uint64(id.NewLoglet(p, 0)), SequencerNode: uint32(self.Node), SequencerGeneration: self.Generation,
		Replication: replication, Nodeset: nodes, Nonce: 3,
	}
}

// story runs f in a bubble with a running writer.
func story(t *testing.T, cfg sequencer.Config, f func(t *testing.T, w *sequencer.Writer, net *wire, heard *events)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net, heard := newWire(), &events{}
		w := sequencer.NewWriter(cfg, self, net, host.New(slog.New(slog.DiscardHandler)))
		ctx, cancel := context.WithCancel(context.Background())
		g := lifecycle.NewGroup(context.Background())
		g.Go("writer", func(context.Context) error { return w.Run(ctx) })
		f(t, w, net, heard)
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func open(t *testing.T, w *sequencer.Writer, n sequencer.Notify, l *storedv1.Loglet) *sequencer.Loglet {
	t.Helper()
	lg, err := w.Open(l, n)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // it connects
	return lg
}

func TestOneFrameUnderWay(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		a, b := open(t, w, heard, loglet(1, "1", 1)), open(t, w, heard, loglet(2, "1", 1))
		a.Append(1, 3, []byte("a"))
		net.want(t, 1, "")
		w.Flush()
		net.want(t, 1, "1_0@1+3 known 1")
		a.Append(4, 1, []byte("b"))
		b.Append(1, 1, []byte("c"))
		w.Flush()
		a.Append(5, 1, []byte("d"))
		w.Flush()
		net.want(t, 1, "1_0@1+3 known 1")
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 4")
		net.want(t, 1, "1_0@4+1 known 4, 1_0@5+1 known 4, 2_0@1+1 known 1")
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 6", "2_0 committed 2")
		net.want(t, 1, "")
		a.Close()
		b.Close()
	})
}

func TestCommitAtTheWriteQuorum(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		record := []byte("abc")
		l.Append(1, 1, record)
		w.Flush()
		net.answer(2, logproto.Ok)
		heard.want(t)
		net.answer(3, logproto.Ok)
		heard.want(t, "1_0 committed 2")
		copy(record, "xyz") // its owner may reuse it now
		if got := string(net.conn(1).frames[0].Groups[0].Records); got != "abc" {
			t.Errorf("the slow log-server gets %q", got)
		}
		l.Append(2, 1, []byte("d"))
		w.Flush()
		net.want(t, 1, "1_0@1+1 known 1")
		net.want(t, 2, "1_0@2+1 known 2")
		net.answer(2, logproto.Ok)
		net.answer(3, logproto.Ok)
		heard.want(t, "1_0 committed 3")
		net.answer(1, logproto.Ok)
		net.want(t, 1, "") // what the others committed is not sent any more
		l.Append(3, 1, []byte("e"))
		w.Flush()
		net.want(t, 1, "1_0@3+1 known 3")
		l.Close()
	})
}

func TestTailGoesOutOnItsOwn(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Append(1, 2, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Ok)
		pass(10 * time.Millisecond)
		if r := net.conn(1).released(); len(r) != 1 || r[0].Known != 3 || r[0].Count != 0 || r[0].Nonce != 3 {
			t.Errorf("released %+v", r)
		}
		pass(time.Hour)
		if r := net.conn(1).released(); len(r) != 1 {
			t.Errorf("released again: %+v", r)
		}
		l.Close()
	})
}

func TestStuckFails(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Ok)
		pass(900 * time.Millisecond)
		heard.want(t)
		pass(200 * time.Millisecond)
		heard.want(t, "1_0 failed: no write quorum answers")
		net.answer(2, logproto.Ok) // too late
		l.Append(2, 1, []byte("b"))
		w.Flush()
		pass(5 * time.Second)
		heard.want(t)
	})
}

// Whoever gives up one loglet after the other waits longer each time, and less again once that is over.
func TestStuckAgainWaitsLonger(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, _ *wire, heard *events) {
		log := id.Partition(0)
		stuckAfter := func(d time.Duration) {
			t.Helper()
			log++
			l := open(t, w, heard, loglet(log, "2", 1, 2, 3))
			l.Append(1, 1, []byte("a"))
			w.Flush()
			pass(d - 100*time.Millisecond)
			heard.want(t)
			pass(200 * time.Millisecond)
			heard.want(t, fmt.Sprintf("%d_0 failed: no write quorum answers", log))
		}
		for _, limit := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
			stuckAfter(limit)
		}
		pass(31 * time.Second)
		stuckAfter(5 * time.Second)
		pass(5 * time.Minute)
		stuckAfter(time.Second)
	})
}

func TestSilenceFails(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "1", 1))
		pass(time.Hour)
		l.Append(1, 1, []byte("a"))
		w.Flush()
		pass(1100 * time.Millisecond)
		heard.want(t, "1_0 failed: no write quorum answers")
		net.want(t, 1, "1_0@1+1 known 1")
	})
}

func TestSealedFailsOnce(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		other := open(t, w, heard, loglet(2, "2", 1, 2, 3))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Sealed)
		heard.want(t, "1_0 failed: the loglet is sealed")
		net.answer(2, logproto.Ok)
		net.answer(3, logproto.Ok)
		heard.want(t)
		other.Append(1, 1, []byte("b")) // it goes on
		w.Flush()
		net.answer(2, logproto.Ok)
		net.answer(3, logproto.Ok)
		heard.want(t, "2_0 committed 2")
		other.Close()
	})
}

func TestBrokenConnectionsAreMadeAnew(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.refuses(1, true)
		net.breakOff(1)
		pass(300 * time.Millisecond)
		dials := 0
		if net.look(func() { dials = net.dials[1] }); dials < 3 || dials > 10 {
			t.Errorf("%d dials in 300 ms", dials)
		}
		net.refuses(1, false)
		pass(500 * time.Millisecond)
		net.want(t, 1, "1_0@1+1 known 1")
		net.answer(1, logproto.Disabled)
		net.want(t, 1, "") // after a pause
		pass(100 * time.Millisecond)
		net.want(t, 1, "1_0@1+1 known 1")
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 2")
		l.Close()
	})
}

func TestHungServerIsLeftBehind(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Ok)
		net.answer(2, logproto.Ok)
		heard.want(t, "1_0 committed 2")
		old := net.conn(3)
		pass(2500 * time.Millisecond)
		if !old.isClosed() || net.conn(3) == old {
			t.Error("the connection of a hung log-server is kept")
		}
		l.Append(2, 1, []byte("b"))
		w.Flush()
		net.want(t, 3, "1_0@2+1 known 2")
		f := old.frames[0]
		f.Answers = []logproto.Answer{{Status: logproto.Ok, Tail: 2}}
		old.r.Stored(f) // from the old connection
		net.want(t, 3, "1_0@2+1 known 2")
		l.Close()
	})
}

// One that is too slow for the limit gets twice as long at the next try, and less again when it is fast.
func TestSlowServerGetsMoreTime(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		next := lsn.FirstOffset
		// store appends a record that the first two take, and tells how many seconds the third is waited for.
		store := func() (waited int) {
			l.Append(next, 1, []byte("a"))
			w.Flush()
			next++
			net.answer(1, logproto.Ok)
			net.answer(2, logproto.Ok)
			old := net.conn(3)
			for ; waited < 100 && !old.isClosed(); waited++ {
				pass(time.Second)
			}
			return waited
		}
		var waited []int
		for range 7 {
			waited = append(waited, store())
			pass(time.Second)
		}
		if want := []int{3, 5, 9, 17, 33, 61, 61}; !slices.Equal(waited, want) {
			t.Errorf("waited %v s, want %v", waited, want)
		}
		for range 5 {
			l.Append(next, 1, []byte("a"))
			w.Flush()
			next++
			for n := id.Node(1); n <= 3; n++ {
				net.answer(n, logproto.Ok)
			}
		}
		if got := store(); got != 3 {
			t.Errorf("waited %d s after it was fast", got)
		}
		l.Close()
	})
}

func TestFramesAreBounded(t *testing.T) {
	cfg := sequencer.Default()
	cfg.FrameBytesMax = 10
	story(t, cfg, func(t *testing.T, w *sequencer.Writer, net *wire, heard *events) {
		a, b := open(t, w, heard, loglet(1, "1", 1)), open(t, w, heard, loglet(2, "1", 1))
		for i := range lsn.Offset(5) {
			a.Append(1+i, 1, []byte("123456"))
		}
		b.Append(1, 1, []byte("12"))
		w.Flush()
		net.want(t, 1, "1_0@1+1 known 1, 1_0@2+1 known 1")
		net.answer(1, logproto.Ok)
		net.want(t, 1, "2_0@1+1 known 1, 1_0@3+1 known 3, 1_0@4+1 known 3") // the other one first
		net.answer(1, logproto.Ok)
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 3", "2_0 committed 2", "1_0 committed 5", "1_0 committed 6")
		a.Close()
		b.Close()
	})
}

func TestOpenRefuses(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, _ *wire, heard *events) {
		foreign := loglet(1, "1", 1)
		foreign.SequencerGeneration--
		if _, err := w.Open(foreign, heard); !errs.Is(err, errs.Fenced) {
			t.Errorf("a loglet of an older run: %v", err)
		}
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Close()
		if _, err := w.Open(loglet(1, "1", 1), heard); !errs.Is(err, errs.Fenced) {
			t.Errorf("a loglet that was opened before: %v", err)
		}
		if _, err := w.Open(loglet(2, "{rack: 1}", 1), heard); !errs.Is(err, errs.Invalid) {
			t.Errorf("nonsense replication: %v", err)
		}
	})
}

func TestStopFailsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, heard := newWire(), &events{}
		w := sequencer.NewWriter(sequencer.Default(), self, net, host.New(slog.New(slog.DiscardHandler)))
		ctx, cancel := context.WithCancelCause(t.Context())
		g := lifecycle.NewGroup(context.Background())
		g.Go("writer", func(context.Context) error { return w.Run(ctx) })
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		cancel(errors.New("over"))
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		heard.want(t, "1_0 failed: the log writer stops")
		if !net.conn(1).isClosed() {
			t.Error("the connection stays open")
		}
	})
}
