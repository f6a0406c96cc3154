package invoker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// told is an owner that notes when it is told that there may be tokens.
type told struct {
	Owner
	n int
}

func (o *told) Post(Event) { o.n++ }

// Invokers that find no token get them in turn, and are told when to ask.
func TestTokensGoAround(t *testing.T) {
	cfg := Default()
	cfg.ConcurrentMax = 2
	l := NewLimits(cfg, hosttest.New(hosttest.NewClock(), 1))
	oa, ob := &told{}, &told{}
	a, b := &Invoker{owner: oa}, &Invoker{owner: ob}
	want := func(what string, v *Invoker, ok bool) {
		t.Helper()
		if l.acquire(v) != ok {
			t.Fatalf("%s: acquire is not %t", what, ok)
		}
	}
	want("first", a, true)
	want("second", a, true)
	want("third", b, false)
	want("fourth", a, false)
	l.release(a)
	if ob.n != 1 {
		t.Fatalf("the one that waits longest was told %d times", ob.n)
	}
	want("out of turn", a, false)
	want("in turn", b, true)
	l.release(b)
	if oa.n != 1 {
		t.Fatalf("the next was told %d times", oa.n)
	}
	l.leave(a)
	want("after the other left", b, true)
	l.release(a)
	l.release(b)
	if n, bytes := l.Held(); n != 0 || bytes != 0 {
		t.Fatalf("%d tokens, %d bytes", n, bytes)
	}
}

func TestTokensComeWithMemory(t *testing.T) {
	cfg := Default()
	cfg.MemoryBytesMax = 40 << 20
	l := NewLimits(cfg, hosttest.New(hosttest.NewClock(), 1))
	o := &told{}
	v := &Invoker{owner: o}
	if !l.take(40<<20-40<<10) || !l.acquire(v) || l.acquire(v) {
		t.Fatal("32 KiB are left once, not twice")
	}
	if l.take(32<<10) || !l.take(8<<10) {
		t.Fatal("8 KiB are left")
	}
	l.take(-64 << 10)
	if o.n != 1 {
		t.Fatalf("told %d times that there is memory", o.n)
	}
}

// small has the invoker keep little memory.
func small(all int64, each int) option {
	return func(l *loop, _ *storedv1.Deployment) {
		l.cfg.MemoryBytesMax, l.cfg.InvocationBytesMax, l.cfg.InvocationBytesFirst = all, each, 1<<10
	}
}

// Attempts that find no memory are put off, which is neither an attempt of the policy nor told to the handler.
func TestYield(t *testing.T) {
	const size = 1 << 20
	block := make(chan struct{})
	var started atomic.Int32
	l := newLoop(t, endpoint(t, func(p *peer) {
		started.Add(1)
		f := partitiontest.Output(strings.Repeat("x", size))
		p.Headers()
		_, _ = p.Writer.Write(f[:len(f)-1])
		_ = p.Control.Flush()
		if p.Input() == "hog" {
			select {
			case <-block:
			case <-p.Request.Context().Done():
				return
			}
		}
		_, _ = p.Writer.Write(f[len(f)-1:])
		output(p, fmt.Sprint(p.Start.GetRetryCountSinceLastStoredEntry()))
	}, false), small(3<<20+300<<10, 1<<20))
	hog := l.invoke(service("h"), "hog")
	l.spin("memory taken", func() bool { _, bytes := l.v.limits.Held(); return bytes > size })
	l.v.limits.take(3<<20 - size - 300<<10) // somebody else's
	other := l.invoke(service("h"), "other")
	l.until("put off", func() bool { return l.runState(other) == stateBackoff })
	for range 4 { // more than the policy has attempts
		l.until("again", func() bool { return l.runState(other) == stateFailing || l.runState(other) == stateBackoff })
		l.advance(yieldDelay + 200*time.Millisecond)
	}
	if l.status(other) == paused {
		t.Fatal("it was paused")
	}
	l.v.limits.take(-(3<<20 - size - 300<<10))
	close(block)
	l.wantValue(other, "0")
	l.wantValue(hog, "0")
	l.wantNothingHeld()
	if counterValue(l.v.metrics.yielded) < 1 {
		t.Error("no yield was counted")
	}
}

// More than one invocation may hold pauses it: to try again would not help.
func TestInvocationAboveItsMemory(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		f := partitiontest.Output(strings.Repeat("x", 5<<20))
		p.Headers()
		_, _ = p.Writer.Write(f[:len(f)-1])
	}, false), small(32<<20, 1<<20))
	f := l.wantFailure(l.invoke(service("h"), ""), "RT0001")
	if !strings.Contains(f.GetMessage(), "per-invocation-memory-limit") {
		t.Error(f)
	}
	l.wantNothingHeld()
}

// What the handler has read is held no more, so it may answer with as much.
func TestInvocationThatReadAllMayAnswerAsMuch(t *testing.T) {
	const size = 5 << 19 // above half of what it may hold
	l := newLoop(t, endpoint(t, func(p *peer) {
		output(p, p.Input())
	}, false), small(32<<20, 1<<20))
	in := strings.Repeat("x", size)
	l.wantValue(l.invoke(service("h"), in), in)
	l.wantNothingHeld()
}

// A journal that a function would have to be sent whole is bounded likewise.
func TestFunctionAboveItsMemory(t *testing.T) {
	l, aws := function(t, handlers(func(*peer) {}), small(32<<20, 1<<20), func(l *loop, _ *storedv1.Deployment) { l.lazy = true })
	l.wantFailure(l.invoke(service("h"), strings.Repeat("x", 4<<20)), "RT0001")
	l.wantNothingHeld()
	if len(aws.Calls()) != 0 {
		t.Error("it was called")
	}
}

// longJournal makes rows that are made when they are read, as those of a store.
type longJournal struct {
	Reader
	rows, size int
	next       int
	read       *atomic.Int64
	state      []StateEntry
	row        []byte
}

func (j *longJournal) State(limit int) (entries []StateEntry, partial bool, err error) {
	for _, e := range j.state {
		if limit -= len(e.Key) + len(e.Value); limit < 0 {
			return entries, true, nil
		}
		entries = append(entries, StateEntry{Key: e.Key, Value: slices.Clone(e.Value)})
	}
	return entries, false, nil
}

func (j *longJournal) Next() ([]byte, error) {
	if j.next++; j.next == 1 {
		return partitiontest.Input("x"), nil
	}
	j.read.Add(1)
	j.row = append(j.row[:0], partitiontest.Frame(serviceproto.TypeSetState, &servicev1.SetStateCommand{
		Key: []byte("k"), Value: &servicev1.Value{Content: bytes.Repeat([]byte{'x'}, j.size)},
	})...)
	return j.row, nil
}

// replayOwner shows a long journal in place of what is stored.
type replayOwner struct {
	*loop
	reader func() *longJournal
}

func (o replayOwner) Replay(id.Partition, id.Invocation, int) (Replay, error) {
	j := o.reader()
	return Replay{Entries: uint32(j.rows), Commands: uint32(j.rows), Reader: j}, nil
}

// heapBytes returns how much is reachable, of this process, so with the buffers of the endpoint. The first collection
// leaves what is in pools.
func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// testReplay has an endpoint that reads nothing at first, and measures what is held meanwhile.
func testReplay(t *testing.T, j longJournal, heldMax, heapMax int64) {
	t.Helper()
	begun, read := make(chan struct{}), make(chan struct{})
	var rows atomic.Int64
	first := true
	l := newLoop(t, endpoint(t, func(p *peer) {
		if first {
			first = false
			close(begun)
			<-read
		}
		for range j.rows + 1 {
			if _, err := p.Next(); err != nil {
				t.Error(err)
				return
			}
		}
		output(p, "ok")
	}, true))
	j.read, l.wait = &rows, waitMany // 80 MB and more, perhaps with the race detector
	l.v.owner = replayOwner{l, func() *longJournal { one := j; one.Reader = &reader{l: l}; l.readers++; return &one }}
	before := heapBytes()
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.spin("the window is full", func() bool { return l.v.runs[i].attempt.out.Pending() > replayAheadBytes }) // no more rows are read
	grown := heapBytes() - before
	if _, held := l.v.limits.Held(); held > heldMax {
		t.Errorf("%d bytes are counted as held, the limit is %d", held, heldMax)
	}
	if grown > heapMax {
		t.Errorf("the heap grew by %d bytes, the limit is %d", grown, heapMax)
	}
	if n := rows.Load(); n > int64(j.rows)/2 {
		t.Errorf("%d rows of %d were read before the endpoint read any", n, j.rows)
	}
	t.Logf("%d rows of %d read, heap %d KiB", rows.Load(), j.rows, grown>>10)
	close(read)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

func TestReplayOf10000Entries(t *testing.T) {
	testReplay(t, longJournal{rows: 10_000, size: 8000}, 300<<10, 16<<20)
}

func TestReplayOfLargeEntries(t *testing.T) {
	testReplay(t, longJournal{rows: 100, size: 1 << 20}, 3<<20, 16<<20)
}

// 100 MiB of state: what goes with Start is bounded, and the rest stays where it is.
func TestReplayOf100MiBOfState(t *testing.T) {
	state := make([]StateEntry, 100)
	value := make([]byte, 1<<20) // shared: what is read is a copy
	for n := range state {
		state[n] = StateEntry{Key: []byte(fmt.Sprint("k", n)), Value: value}
	}
	begun, read := make(chan struct{}), make(chan struct{})
	var rows atomic.Int64
	l := newLoop(t, endpoint(t, func(p *peer) {
		close(begun)
		<-read
		f, err := p.Next()
		if err != nil {
			t.Error(err)
			return
		}
		if len(f.Payload) > 4<<20+1000 || len(f.Payload) < 3<<20 {
			t.Errorf("Start has %d bytes", len(f.Payload))
		}
		output(p, "ok")
	}, true), func(l *loop, _ *storedv1.Deployment) { l.cfg.EagerStateBytesMax, l.wait = 4<<20, waitMany })
	l.v.owner = replayOwner{l, func() *longJournal {
		l.readers++
		return &longJournal{Reader: &reader{l: l}, rows: 1, read: &rows, state: state}
	}}
	before := heapBytes()
	i := l.invoke(object("h", "k"), "")
	l.settle("begun", begun)
	l.spin("Start is on its way", func() bool { return l.v.runs[i].attempt.out.Pending() > replayAheadBytes }) // and what it was made of is not held
	grown := heapBytes() - before
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes for 100 MiB of state, of which 4 MiB are sent", grown)
	}
	t.Logf("heap %d KiB", grown>>10)
	close(read)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// Whatever happens to invocations, all tokens and all memory come back.
func TestRandomHistoriesGiveEverythingBack(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomHistory(t, seed) })
	}
}

// hang stays until the engine leaves, which HTTP/1.1 servers notice when they read.
func hang(p *peer) {
	for {
		if _, err := p.Next(); errors.Is(err, io.EOF) {
			<-p.Request.Context().Done()
			return
		} else if err != nil {
			return
		}
	}
}

func randomHistory(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
	serve := func(p *peer) {
		large := partitiontest.Output(strings.Repeat("x", 700<<10))
		switch dice(9) {
		case 0:
			hang(p)
		case 1:
			p.Writer.WriteHeader([]int{500, 503, 404}[dice(3)])
		case 2:
			p.Headers()
			_, _ = p.Writer.Write(large[:len(large)/2])
			_ = p.Control.Flush()
			hang(p)
		case 3:
			p.Send(errorMessage(&servicev1.Error{Code: 500, Behavior: servicev1.ErrorBehavior(serviceproto.BehaviorPause)}))
		case 4:
			p.Send(partitiontest.Run(1), proposal(1, strings.Repeat("y", 600<<10)))
			_, _ = p.Next()
		case 5:
			p.Send(partitiontest.Run(1), proposal(1, "x"), partitiontest.Suspension([]uint32{1}, nil))
		case 6:
			p.Send(raw(0x0420, nil))
		default:
			p.Send(large, partitiontest.End())
		}
	}
	limits := func(l *loop, d *storedv1.Deployment) {
		small(7<<20, 1<<20)(l, d)
		l.cfg.ConcurrentMax = 3
		l.lazy = seed%2 == 0
		d.Http1 = seed%3 == 0
	}
	uri := endpoint(t, serve, false)
	one := newLoop(t, uri, limits)
	two := newLoop(t, uri, limits, func(l *loop, _ *storedv1.Deployment) { l.cfg.Limits = one.v.limits })
	loops := []*loop{one, two}
	var ids [2][]id.Invocation
	for range 60 {
		which := dice(2)
		l := loops[which]
		switch dice(6) {
		case 0, 1, 2:
			ids[which] = append(ids[which], l.invoke(service("h"), strings.Repeat("i", dice(3)*300<<10)))
		case 3:
			l.advance(time.Duration(dice(8000)) * time.Millisecond)
		case 4: // kill one that runs
			for _, i := range ids[which] {
				if r := l.v.runs[i]; r != nil {
					l.propose(command.Header{Kind: command.Fail, ID: i, Incarnation: r.Incarnation, Activation: r.Activation.Activation, Attempt: r.number},
						&storedv1.FailFacts{Failure: &storedv1.Failure{Code: 409, Message: "killed"}})
					break
				}
			}
		case 5:
			if dice(4) == 0 {
				l.v.StopPartition(0)
			}
		}
		l.turn()
		if n, bytes := one.v.limits.Held(); n > 3 || bytes > 7<<20 || n < 0 || bytes < 0 {
			t.Fatalf("%d tokens and %d bytes are held", n, bytes)
		}
	}
	for _, l := range loops {
		l.v.StopPartition(0)
		l.turn()
	}
	one.spin("rest", func() bool { // either may wait for what the other holds
		rest := true
		for _, l := range loops {
			l.advance(100 * time.Millisecond)
			n, queued := l.v.Running()
			rest = rest && n == 0 && queued == 0 && len(l.v.runs) == 0
		}
		return rest
	})
	if n, bytes := one.v.limits.Held(); n != 0 || bytes != 0 {
		t.Fatalf("%d tokens and %d bytes were not given back", n, bytes)
	}
}
