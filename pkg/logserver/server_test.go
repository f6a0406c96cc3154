package logserver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	writer = id.GenerationalNode{Node: 2, Generation: 1}
	ref    = logproto.Ref{Loglet: id.NewLoglet(1, 0), Sequencer: writer, Nonce: 5}
)

type running struct {
	*Server
	store *logstore.Store
	stop  func() // idempotent
}

// run starts a log-server on fs.
func run(t testing.TB, fs vfs.FS) *running {
	t.Helper()
	return runWith(t, fs, Default())
}

func runWith(t testing.TB, fs vfs.FS, cfg Config) *running {
	t.Helper()
	h := host.New(slog.New(slog.DiscardHandler))
	h.FS = fs
	storeCfg := logstore.Default()
	storeCfg.MemtableBytes, storeCfg.CacheBytes = 1<<20, 1<<20
	store, err := logstore.Open(storeCfg, h, "data")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: New(cfg, store, id.GenerationalNode{Node: 1, Generation: 1}, h), store: store}
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("log-server", func(context.Context) error { return r.Run(ctx) })
	<-r.Ready()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func records(first lsn.Offset, n uint32) []byte {
	var out []byte
	for i := range n {
		start := len(out)
		out, _ = command.Append(out, command.Header{Kind: command.Step}, nil, []byte("body")) // no facts: cannot fail
		command.Stamp(out[start:], ref.Loglet, lsn.LSN(first)+lsn.LSN(i), 1, 1, 1)
	}
	return out
}

func group(first lsn.Offset, n uint32) logproto.Group {
	return logproto.Group{Ref: ref, First: first, Count: n, Known: 1, Records: records(first, n)}
}

// receiver hands answered frames on.
type receiver struct {
	frames chan *logproto.Frame
	broken chan error
}

func connect(s *running) (logproto.Conn, *receiver) {
	r := &receiver{frames: make(chan *logproto.Frame, 16), broken: make(chan error, 1)}
	return s.Connect(writer, r), r
}

func (r *receiver) Stored(f *logproto.Frame) { r.frames <- f }
func (r *receiver) Broken(err error)         { r.broken <- err }

// store sends one frame and returns its answers.
func store(c logproto.Conn, r *receiver, gs ...logproto.Group) []logproto.Answer {
	c.Send(&logproto.Frame{Groups: gs})
	return (<-r.frames).Answers
}

// offsets reads what Records shows of [from, to).
func offsets(t *testing.T, s *running, from, to lsn.Offset) (out []lsn.Offset) {
	t.Helper()
	for from < to {
		a, err := s.Records(t.Context(), logproto.RecordsRequest{Ref: ref, From: from, To: to, BytesMax: 300})
		if err != nil || a.Status != logproto.Ok {
			t.Fatalf("records: %s, %v", a.Status, err)
		}
		for _, g := range a.Groups {
			if string(g.Records) != string(records(g.First, g.Count)) {
				t.Fatalf("run at %d has other records", g.First)
			}
			for o := g.First; o < g.End(); o++ {
				out = append(out, o)
			}
		}
		if a.Next <= from {
			break
		}
		from = a.Next
	}
	return out
}

func TestFrameIsAnsweredInOrder(t *testing.T) {
	s := run(t, vfs.NewMem())
	c, r := connect(s)
	stranger := group(1, 1)
	stranger.Loglet = id.NewLoglet(2, 0)
	broken := group(6, 2)
	broken.Records = broken.Records[:len(broken.Records)-1]
	got := store(c, r, group(1, 3), group(4, 2), group(9, 1), stranger, broken, group(6, 1))
	want := []logproto.Status{logproto.Ok, logproto.Ok, logproto.OutOfBounds, logproto.Ok, logproto.Malformed, logproto.Ok}
	for i, a := range got {
		if a.Status != want[i] {
			t.Errorf("group %d: %s, want %s", i, a.Status, want[i])
		}
	}
	if got[0].Tail != 7 || got[3].Tail != 2 {
		t.Errorf("tails %d and %d", got[0].Tail, got[3].Tail)
	}
	if got := offsets(t, s, 1, 20); len(got) != 6 {
		t.Errorf("offsets %v", got)
	}
	if got := offsets(t, s, 3, 5); len(got) != 2 || got[0] != 3 {
		t.Errorf("offsets %v", got)
	}
}

// gate holds back the syncs of the write-ahead log.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open
	held chan struct{} // one token: a sync waits
	n    int           // syncs that began
}

func (g *gate) fs(fs vfs.FS) vfs.FS {
	g.held = make(chan struct{}, 1)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			g.mu.Lock()
			g.n++
			shut := g.shut
			g.mu.Unlock()
			if shut != nil {
				g.held <- struct{}{}
				<-shut
			}
		}
		return nil
	}))
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

func TestNothingIsShownBeforeItIsSynced(t *testing.T) {
	g := &gate{}
	s := run(t, g.fs(vfs.NewMem()))
	c, r := connect(s)
	store(c, r, group(1, 2))
	known := group(5, 2) // a hole at 3 and 4
	known.Known = 5
	store(c, r, known)
	g.close()
	c.Send(&logproto.Frame{Groups: []logproto.Group{group(7, 3)}})
	<-g.held
	show := func(want ...lsn.Offset) {
		t.Helper()
		got := offsets(t, s, 1, 20)
		d, err := s.Digest(t.Context(), logproto.DigestRequest{Ref: ref, From: 1, To: 20})
		if err != nil {
			t.Fatal(err)
		}
		var digest []lsn.Offset
		for _, e := range d.Exists {
			for o := e.From; o < e.To; o++ {
				digest = append(digest, o)
			}
		}
		if len(got) != len(want) || len(digest) != len(want) {
			t.Fatalf("records show %v, the digest %v, want %v", got, digest, want)
		}
		info, err := s.Info(t.Context(), ref)
		if err != nil || info.Tail != want[len(want)-1]+1 {
			t.Fatalf("info %+v, %v", info, err)
		}
	}
	show(1, 2, 5, 6)
	g.open()
	<-r.frames
	show(1, 2, 5, 6, 7, 8, 9)

	g.close() // a repair below the tail
	repaired := make(chan logproto.Answer, 1)
	back := lifecycle.NewGroup(t.Context())
	back.Go("repair", func(ctx context.Context) error {
		fill := group(2, 4)
		fill.Known = 5
		a, err := s.Repair(ctx, fill)
		repaired <- a
		return err
	})
	<-g.held
	show(1, 2, 5, 6, 7, 8, 9)
	g.open()
	if a := <-repaired; a.Status != logproto.Ok || a.Tail != 10 {
		t.Errorf("repair: %+v", a)
	}
	show(1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err := back.Wait(); err != nil {
		t.Error(err)
	}
}

func TestSealOrder(t *testing.T) {
	s := run(t, vfs.NewMem())
	c, r := connect(s)
	store(c, r, group(1, 2))
	for range 2 { // again is the same
		info, err := s.Seal(t.Context(), ref)
		if err != nil || info.Status != logproto.Ok || !info.Sealed || info.Tail != 3 {
			t.Fatalf("seal: %+v, %v", info, err)
		}
	}
	if a := store(c, r, group(3, 1)); a[0].Status != logproto.Sealed || !a[0].Sealed {
		t.Errorf("store after the seal: %+v", a)
	}
	fix := group(3, 2)
	fix.Known = 3
	if a, err := s.Repair(t.Context(), fix); err != nil || a.Status != logproto.Ok || a.Tail != 5 {
		t.Errorf("repair after the seal: %+v, %v", a, err)
	}
	stranger := ref
	stranger.Nonce++
	if info, err := s.Seal(t.Context(), stranger); err != nil || info.Status != logproto.SequencerMismatch {
		t.Errorf("seal of another life: %+v, %v", info, err)
	}
	if info, err := s.WaitForTail(t.Context(), logproto.TailWait{Ref: ref, Known: 99}); err != nil || !info.Sealed {
		t.Errorf("a wait for the tail of a sealed loglet: %+v, %v", info, err)
	}
}

// A candidate seals the loglet of a leader that has won and not written yet: it must not write afterwards.
func TestSealBeforeTheFirstRecord(t *testing.T) {
	s := run(t, vfs.NewMem())
	info, err := s.Seal(t.Context(), ref)
	if err != nil || info.Status != logproto.Ok || !info.Sealed || info.Tail != 1 {
		t.Fatalf("seal: %+v, %v", info, err)
	}
	c, r := connect(s)
	if a := store(c, r, group(1, 1)); a[0].Status != logproto.Sealed {
		t.Errorf("store after the seal: %+v", a)
	}
}

func TestWaitForTail(t *testing.T) {
	s := run(t, vfs.NewMem())
	c, r := connect(s)
	type result struct {
		info logproto.Info
		err  error
	}
	wait := func(w logproto.TailWait) chan result {
		out := make(chan result, 1)
		w.Ref = ref
		lifecycle.NewGroup(t.Context()).Go("wait", func(ctx context.Context) error {
			info, err := s.WaitForTail(ctx, w)
			out <- result{info, err}
			return nil
		})
		return out
	}
	local, global, never := wait(logproto.TailWait{Tail: 4}), wait(logproto.TailWait{Known: 3}), wait(logproto.TailWait{})
	store(c, r, group(1, 2))
	store(c, r, group(3, 2))
	if got := <-local; got.err != nil || got.info.Tail != 5 {
		t.Errorf("local tail: %+v", got)
	}
	c.Release([]logproto.Group{{Ref: ref, Known: 5}})
	if got := <-global; got.err != nil || got.info.Known != 5 {
		t.Errorf("global tail: %+v", got)
	}
	if _, err := s.Seal(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := <-never; got.err != nil || !got.info.Sealed {
		t.Errorf("seal: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.WaitForTail(ctx, logproto.TailWait{Ref: logproto.Ref{Loglet: 99}, Tail: 9}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a wait that was given up: %v", err)
	}
}

func TestTrim(t *testing.T) {
	fs := vfs.NewMem()
	s := run(t, fs)
	c, r := connect(s)
	store(c, r, group(1, 4), group(5, 4))
	store(c, r, group(9, 2))
	if info, err := s.Trim(t.Context(), ref, 6); err != nil || info.Status != logproto.Ok || info.Trimmed != 6 {
		t.Fatalf("trim: %+v, %v", info, err)
	}
	if info, err := s.Trim(t.Context(), ref, 40); err != nil || info.Status != logproto.Malformed {
		t.Errorf("trim beyond the tail: %+v, %v", info, err)
	}
	a, err := s.Records(t.Context(), logproto.RecordsRequest{Ref: ref, From: 2, To: 11, BytesMax: 1 << 20})
	if err != nil || a.Trimmed != 6 || len(a.Groups) == 0 || a.Groups[0].First != 7 {
		t.Errorf("read over the trim point: %+v, %v", a, err)
	}
	s.stop()
	s = run(t, fs)
	if got := offsets(t, s, 7, 20); len(got) != 4 {
		t.Errorf("after a restart: %v", got)
	}
	if info, err := s.Info(t.Context(), ref); err != nil || info.Trimmed != 6 || info.Tail != 11 {
		t.Errorf("after a restart: %+v, %v", info, err)
	}
}

func TestReserve(t *testing.T) {
	const total, reserve = 8 << 20, 1 << 20
	fs := vfs.NewMem()
	s := run(t, fs)
	c, r := connect(s)
	left := func(free uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: total})
		s.checkSpace()
	}
	begins := group(1, 1)
	begins.Loglet = id.NewLoglet(9, 0)
	left(reserve)
	if a := store(c, r, group(1, 2)); a[0].Status != logproto.Ok {
		t.Fatalf("store with just enough space: %+v", a)
	}
	left(reserve - 1)
	if a := store(c, r, group(3, 1)); a[0].Status != logproto.Disabled || a[0].Tail != 3 {
		t.Errorf("store below the reserve: %+v", a)
	}
	if a := store(c, r, begins); a[0].Status != logproto.Ok {
		t.Errorf("first group of a loglet below the reserve: %+v", a)
	}
	if a, err := s.Repair(t.Context(), group(3, 1)); err != nil || a.Status == logproto.Disabled {
		t.Errorf("repair below the reserve: %+v, %v", a, err)
	}
	left(reserve)
	if a := store(c, r, group(4, 1)); a[0].Status != logproto.Disabled {
		t.Errorf("store when hardly more than the reserve came back: %+v", a)
	}
	left(reserve/2 - 1)
	if a, err := s.Repair(t.Context(), group(4, 1)); err != nil || a.Status != logproto.Disabled {
		t.Errorf("repair below half of the reserve: %+v, %v", a, err)
	}
	begins.Loglet = id.NewLoglet(10, 0)
	if a := store(c, r, begins); a[0].Status != logproto.Disabled {
		t.Errorf("first group of a loglet below half of the reserve: %+v", a)
	}
	if got := offsets(t, s, 1, 9); len(got) < 2 {
		t.Errorf("reads on a full disk: %v", got)
	}
	left(reserve + reserve/8)
	if a := store(c, r, group(4, 1)); a[0].Status != logproto.Ok {
		t.Errorf("store after space came back: %+v", a)
	}
	left(0)
	if info, err := s.Seal(t.Context(), ref); err != nil || !info.Sealed {
		t.Errorf("seal on a full disk: %+v, %v", info, err)
	}
	if a := store(c, r, group(5, 1)); a[0].Status != logproto.Sealed {
		t.Errorf("store on a full disk after the seal: %+v", a)
	}
}

// Whatever was answered Ok is there after a crash, whatever part of the rest is.
func TestCrashKeepsWhatWasAnswered(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		mem := vfs.NewCrashableMem()
		g := &gate{}
		s := run(t, g.fs(mem))
		c, r := connect(s)
		next := lsn.FirstOffset
		acked := next
		for range rnd.IntN(20) {
			n := uint32(1 + rnd.IntN(4))
			a := store(c, r, group(next, n))
			next += lsn.Offset(n)
			acked = a[0].Tail
		}
		g.close() // one more is written and not synced
		c.Send(&logproto.Frame{Groups: []logproto.Group{group(next, 3)}})
		<-g.held
		after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(100), RNG: rnd})
		g.open()
		<-r.frames
		s.stop()
		s = run(t, after)
		got := offsets(t, s, 1, next+9)
		if lsn.Offset(len(got)) < acked-1 {
			t.Errorf("seed %d: %d records answered, %d are there", seed, acked-1, len(got))
		}
		s.stop()
	}
}

func TestStopBreaksWhatWaits(t *testing.T) {
	s := run(t, vfs.NewMem())
	c, r := connect(s)
	store(c, r, group(1, 1))
	s.stop()
	c.Send(&logproto.Frame{Groups: []logproto.Group{group(2, 1)}})
	if err := <-r.broken; !errs.Is(err, errs.Unavailable) {
		t.Errorf("broken with %v", err)
	}
	if _, err := s.Seal(t.Context(), ref); !errs.Is(err, errs.Unavailable) {
		t.Errorf("seal of a stopped server: %v", err)
	}
}
