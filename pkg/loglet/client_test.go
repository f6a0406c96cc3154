package loglet_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
	"reprise/pkg/sequencer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var me = id.GenerationalNode{Node: 1, Generation: 1}

// records returns n finished records from LSN first on. Their sequence numbers tell them apart.
func records(l id.Loglet, first lsn.LSN, n int) []byte {
	var out []byte
	for i := range n {
		start := len(out)
		out, _ = command.Append(out, command.Header{Kind: command.Step}, nil, []byte("body")) // no facts: cannot fail
		command.Stamp(out[start:], l, first+lsn.LSN(i), 1, uint64(first)+uint64(i), 1)
	}
	return out
}

// watcher is a Notify that others can wait for.
type watcher struct {
	mu     sync.Mutex
	moved  chan struct{}
	tail   lsn.Offset
	failed error
}

func newWatcher() *watcher { return &watcher{moved: make(chan struct{}), tail: lsn.FirstOffset} }

func (w *watcher) Committed(_ id.Loglet, tail lsn.Offset) { w.set(tail, nil) }
func (w *watcher) Failed(_ id.Loglet, err error)          { w.set(0, err) }

func (w *watcher) set(tail lsn.Offset, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = max(w.tail, tail)
	w.failed = err
	close(w.moved)
	w.moved = make(chan struct{})
}

// wait waits until the tail is there or the loglet failed.
func (w *watcher) wait(t testing.TB, tail lsn.Offset) error {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		moved, at, failed := w.moved, w.tail, w.failed
		w.mu.Unlock()
		if at >= tail || failed != nil {
			return failed
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("tail is %d, want %d", at, tail)
		}
	}
}

type writing struct {
	w    *sequencer.Writer
	l    *sequencer.Loglet
	n    *watcher
	next lsn.Offset
	id   id.Loglet
	base lsn.LSN
}

// start runs a log writer with one open loglet until the test ends.
func start(t *testing.T, c *logservertest.Cluster, l *storedv1.Loglet) *writing {
	t.Helper()
	return startWith(t, sequencer.Default(), c, l)
}

func startWith(t *testing.T, cfg sequencer.Config, c *logservertest.Cluster, l *storedv1.Loglet) *writing {
	t.Helper()
	w := sequencer.NewWriter(cfg, me, c.Peer(me), host.New(slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("writer", func(context.Context) error { return w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	n := newWatcher()
	lg, err := w.Open(l, n)
	if err != nil {
		t.Fatal(err)
	}
	return &writing{w: w, l: lg, n: n, next: lsn.FirstOffset, id: id.Loglet(l.Id), base: lsn.First}
}

// append appends n records in one group.
func (w *writing) append(n int) {
	w.l.Append(w.next, uint32(n), records(w.id, w.next.At(w.base), n))
	w.next += lsn.Offset(n)
	w.w.Flush()
}

func client(c *logservertest.Cluster) *loglet.Client {
	cfg := loglet.Default()
	cfg.RetryPause = time.Millisecond
	return loglet.NewClient(cfg, c.Peer(id.GenerationalNode{Node: 2, Generation: 1}), host.New(slog.New(slog.DiscardHandler)))
}

func chainOf(l *storedv1.Loglet) *storedv1.Chain {
	return &storedv1.Chain{Segments: []*storedv1.Segment{{Base: 1, Loglet: l}}}
}

// readAll reads [from, to) and checks that the records are those that were appended.
func readAll(t *testing.T, c *loglet.Client, chain *storedv1.Chain, from, to lsn.LSN) {
	t.Helper()
	at := from
	err := c.Read(t.Context(), chain, from, to, func(first lsn.LSN, count int, recs []byte) error {
		if first != at {
			t.Fatalf("records at %d, want %d", first, at)
		}
		for range count {
			rec, rest, err := command.Next(recs)
			if err != nil {
				return err
			}
			r, err := command.Parse(rec)
			if err != nil {
				return err
			}
			if r.Seq != uint64(at) {
				t.Fatalf("record %d has sequence %d", at, r.Seq)
			}
			at, recs = at+1, rest
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if at != to {
		t.Fatalf("read up to %d, want %d", at, to)
	}
}

func TestOneCopy(t *testing.T) {
	c := logservertest.New(t, 1)
	l := c.Loglet(0, 0, me, "{node: 1}")
	w := start(t, c, l)
	for range 20 {
		w.append(5)
	}
	if err := w.n.wait(t, 101); err != nil {
		t.Fatal(err)
	}
	w.l.Close()
	c.Crash(1)
	c.Start(1)
	cl := client(c)
	tail, err := cl.Seal(t.Context(), l)
	if err != nil || tail != 101 {
		t.Fatalf("seal: tail %d, %v", tail, err)
	}
	readAll(t, cl, chainOf(l), 1, 101)
	readAll(t, cl, chainOf(l), 33, 77)
	if tail, err := cl.Seal(t.Context(), l); err != nil || tail != 101 { // again
		t.Fatalf("second seal: tail %d, %v", tail, err)
	}
}

func TestTwoOfThree(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(3, 1, me, "{node: 2}")
	w := start(t, c, l)
	w.append(10)
	if err := w.n.wait(t, 11); err != nil {
		t.Fatal(err)
	}
	c.Cut(3, true) // it misses some
	w.append(10)
	w.append(10)
	if err := w.n.wait(t, 31); err != nil {
		t.Fatal(err)
	}
	c.Cut(3, false)
	c.Crash(2) // the third is needed from now on
	w.append(10)
	if err := w.n.wait(t, 41); err != nil {
		t.Fatal(err)
	}
	c.Start(2)
	c.Crash(1)
	cl := client(c)
	tail, err := cl.Seal(t.Context(), l)
	if err != nil || tail != 41 {
		t.Fatalf("seal: tail %d, %v", tail, err)
	}
	readAll(t, cl, chainOf(l), 1, 41)
	w.append(1)
	if err := w.n.wait(t, 42); !errs.Is(err, errs.Conflict) {
		t.Fatalf("append after the seal: %v", err)
	}
}

func TestSealRepairs(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w := start(t, c, l)
	w.append(4)
	if err := w.n.wait(t, 5); err != nil {
		t.Fatal(err)
	}
	c.Cut(2, true)
	c.Cut(3, true)
	w.append(6) // only the first gets it
	waitTail(t, c, 1, l, 11)
	c.Cut(2, false)
	cl := client(c)
	tail, err := cl.Seal(t.Context(), l)
	if err != nil || tail != 11 {
		t.Fatalf("seal: tail %d, %v", tail, err)
	}
	c.Crash(1) // its records are on the second by now
	readAll(t, cl, chainOf(l), 1, 11)
}

func waitTail(t *testing.T, c *logservertest.Cluster, n id.Node, l *storedv1.Loglet, tail lsn.Offset) {
	t.Helper()
	if _, err := c.At(n).WaitForTail(t.Context(), logproto.TailWait{Ref: logproto.RefOf(l), Tail: tail}); err != nil {
		t.Fatal(err)
	}
}

func TestStuck(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w := start(t, c, l)
	w.append(1)
	if err := w.n.wait(t, 2); err != nil {
		t.Fatal(err)
	}
	c.Cut(2, true)
	c.Cut(3, true)
	w.append(1)
	if err := w.n.wait(t, 3); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("without a write quorum: %v", err)
	}
}

// TestHolderDies: a log-server answers the seal with records that nobody else has, and dies. Without it
// the tail is lower, and nothing that was committed is lost.
func TestHolderDies(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w := start(t, c, l)
	w.append(4)
	if err := w.n.wait(t, 5); err != nil {
		t.Fatal(err)
	}
	c.Cut(2, true)
	c.Cut(3, true)
	w.append(6)
	waitTail(t, c, 1, l, 11)
	c.Cut(2, false)
	c.Cut(3, false)
	w.l.Close()
	cl := loglet.NewClient(loglet.Default(), dying{c.Peer(me), c}, host.New(slog.New(slog.DiscardHandler)))
	tail, err := cl.Seal(t.Context(), l)
	if err != nil || tail != 5 {
		t.Fatalf("tail %d, %v", tail, err)
	}
	readAll(t, client(c), chainOf(l), 1, 5)
}

// dying lets the first log-server die when it is asked for a digest.
type dying struct {
	*logservertest.Peer
	c *logservertest.Cluster
}

func (d dying) Server(n id.Node) (logproto.Server, error) {
	s, err := d.Peer.Server(n)
	if err != nil {
		return nil, err
	}
	return dyingServer{s, d.c, n}, nil
}

type dyingServer struct {
	logproto.Server
	c *logservertest.Cluster
	n id.Node
}

func (d dyingServer) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	if d.n == 3 { // it answers once the first one is dead
		if _, err := d.c.At(3).WaitForTail(ctx, logproto.TailWait{Ref: ref, Tail: 1}); err != nil || d.c.At(1) != nil {
			return logproto.Info{}, errs.Newf(errs.Unavailable, "slow")
		}
	}
	return d.Server.Seal(ctx, ref)
}

func (d dyingServer) Digest(ctx context.Context, r logproto.DigestRequest) (logproto.DigestAnswer, error) {
	if d.n == 1 {
		d.c.Cut(1, true)
	}
	return d.Server.Digest(ctx, r)
}

func TestReadAcrossSegments(t *testing.T) {
	c := logservertest.New(t, 1)
	cl := client(c)
	chain := &storedv1.Chain{}
	w := sequencer.NewWriter(sequencer.Default(), me, c.Peer(me), host.New(slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("writer", func(context.Context) error { return w.Run(ctx) })
	base := lsn.First
	for i := range uint32(3) {
		l := c.Loglet(0, i, me, "1")
		n := newWatcher()
		lg, err := w.Open(l, n)
		if err != nil {
			t.Fatal(err)
		}
		lg.Append(1, 7, records(id.Loglet(l.Id), base, 7))
		w.Flush()
		if err := n.wait(t, 8); err != nil {
			t.Fatal(err)
		}
		lg.Close()
		chain.Segments = append(chain.Segments, &storedv1.Segment{Index: i, Base: uint64(base), Loglet: l})
		tail, err := cl.Seal(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		base = tail.At(base)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	readAll(t, cl, chain, 1, base)
	readAll(t, cl, chain, 5, 16)
	if _, err := c.At(1).Trim(t.Context(), logproto.RefOf(chain.Segments[0].Loglet), 3); err != nil {
		t.Fatal(err)
	}
	readAll(t, cl, chain, 4, base)
	var trimmed *loglet.TrimmedError
	err := cl.Read(t.Context(), chain, 2, base, func(lsn.LSN, int, []byte) error { return nil })
	if !errors.As(err, &trimmed) || trimmed.Through != 3 {
		t.Errorf("read of trimmed records: %v", err)
	}
	var gap interface{ TrimmedThrough() lsn.LSN } // how a processor knows it
	if !errors.As(err, &gap) || gap.TrimmedThrough() != 3 {
		t.Errorf("read of trimmed records: %v", err)
	}
	chain.Segments = chain.Segments[1:]
	err = cl.Read(t.Context(), chain, 2, base, func(lsn.LSN, int, []byte) error { return nil })
	if !errors.As(err, &trimmed) || trimmed.Through != 7 {
		t.Errorf("read below the first segment: %v", err)
	}
	err = cl.Read(t.Context(), chain, base, base+1, func(lsn.LSN, int, []byte) error { return nil })
	if !errs.Is(err, errs.Corrupt) {
		t.Errorf("read above the tail: %v", err)
	}
}
