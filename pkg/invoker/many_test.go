package invoker

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// Row 59 of the checklist of the service protocol.
const (
	manySuspended = 10_000
	manyStreaming = 1000
	manyBatch     = 1000 // that are waited for at a time
	manyRounds    = 3
)

// meeting lets a number go on together, again and again.
type meeting struct {
	mu     sync.Mutex
	here   int
	opened chan struct{}
}

// arrive waits for all others, or for the end of the request.
func (m *meeting) arrive(p *peer) error {
	m.mu.Lock()
	m.here++
	open := m.opened
	if m.here == manyStreaming {
		m.here, m.opened = 0, make(chan struct{})
		close(open)
	}
	m.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-p.Request.Context().Done():
		return p.Request.Context().Err()
	}
}

// rounds does a step, and the next only when all have done theirs.
func (m *meeting) rounds(p *peer) error {
	p.Headers()
	for n := range uint32(manyRounds) {
		if err := m.arrive(p); err != nil {
			return err
		}
		p.Send(partitiontest.Run(n+1), proposal(n+1, fmt.Sprint("step ", n)))
		f, err := p.Next()
		if err != nil {
			return err
		}
		if got, want := showed(f.Raw), fmt.Sprintf("Run %d %q", n+1, fmt.Sprint("step ", n)); got != want {
			return errors.New(got + " in place of " + want)
		}
	}
	return m.arrive(p)
}

// Ten thousand that are suspended hold nothing: no token, no memory, no stream, and after a while no connection. A
// thousand streams are open at once meanwhile and all get on, step by step, on no more connections than 128 on each
// need. Then the ten thousand go on as well.
func TestManySuspendedAndManyStreaming(t *testing.T) {
	all := &meeting{opened: make(chan struct{})}
	var open atomic.Int32
	l := newLoop(t, endpoint(t, func(p *peer) {
		defer open.Add(-1)
		open.Add(1)
		switch {
		case p.Input() == "streams":
			if err := all.rounds(p); err != nil {
				t.Error(err)
			}
			output(p, "streamed")
		case len(p.Replay) == 1:
			p.Send(partitiontest.Suspension(nil, []uint32{serviceproto.SignalCancel, serviceproto.FirstAwakeable}))
		default:
			output(p, "woken")
		}
	}, false), func(l *loop, d *storedv1.Deployment) {
		patient(l, d)
		l.wait = waitMany
		l.cfg.HTTP2.IdleTimeout = time.Minute
		hour := (1000 * time.Hour).Milliseconds()
		d.Services[0].Options.InactivityTimeoutMs, d.Services[0].Options.AbortTimeoutMs = &hour, &hour
	})
	suspends := make([]id.Invocation, manySuspended)
	l.batches(suspends, func(n int) { suspends[n] = l.invoke(service("h"), "suspends") },
		func(i id.Invocation) bool { return l.status(i) == suspended })
	l.wantNothingHeld()
	l.pass("connections closed", func() bool { return l.conns() == 0 })
	l.spin("streams closed", func() bool { return open.Load() == 0 })

	streams := make([]id.Invocation, manyStreaming)
	last := func(i id.Invocation) bool { return l.status(i) == completed }
	checked := false
	l.batches(streams, func(n int) { streams[n] = l.invoke(service("h"), "streams") }, func(i id.Invocation) bool {
		if !checked && open.Load() == manyStreaming {
			checked = true
			held, _ := l.v.limits.Held()
			if conns, want := l.conns(), (manyStreaming+127)/128; held != manyStreaming || conns != want {
				t.Errorf("%d tokens and %d connections, want %d and %d", held, conns, manyStreaming, want)
			}
		}
		return last(i)
	})
	if !checked {
		t.Error("they were never open all at once")
	}
	l.wantNothingHeld()
	for _, i := range streams {
		l.wantValue(i, "streamed")
	}

	l.batches(suspends, func(n int) {
		l.propose(command.Header{Kind: command.Signal, ID: suspends[n]}, nil, serviceproto.AppendSignalVoid(nil, serviceproto.FirstAwakeable))
	}, last)
	for _, i := range suspends {
		l.wantValue(i, "woken")
	}
	l.wantNothingHeld()
}

// batches does something with each invocation, and waits for what follows.
func (l *loop) batches(all []id.Invocation, do func(n int), until func(i id.Invocation) bool) {
	l.t.Helper()
	for from := 0; from < len(all); from += manyBatch {
		to := min(from+manyBatch, len(all))
		for n := from; n < to; n++ {
			do(n)
		}
		next := from
		l.until(fmt.Sprintf("%d to %d", from, to), func() bool {
			for next < to && until(all[next]) {
				next++
			}
			return next == to
		})
	}
}

// conns is how many connections to the first deployment there are.
func (l *loop) conns() int {
	u := must(url.Parse(l.reg.Deployments()[0].GetUri()))
	return l.v.client.Target(h2.KeyOf(u)).Conns()
}

// A thousand endpoints that read nothing of a journal of 32 MiB: what is held stays far below what one journal takes.
func TestManyLongReplays(t *testing.T) {
	const memory = 256 << 20
	journal := longJournal{rows: 1024, size: 32 << 10, read: new(atomic.Int64)}
	l := newLoop(t, endpoint(t, func(p *peer) { <-p.Request.Context().Done() }, true), func(l *loop, d *storedv1.Deployment) {
		patient(l, d)
		l.wait = waitMany
		l.cfg.MemoryBytesMax = memory
	})
	l.v.owner = replayOwner{l, func() *longJournal {
		one := journal
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readers++
		one.Reader = &reader{l: l}
		return &one
	}}
	before := heapBytes()
	all := make([]id.Invocation, manyStreaming)
	for n := range all {
		all[n] = l.invoke(service("h"), "")
	}
	l.turn()
	next := 0
	l.spin("all windows are full", func() bool {
		for next < len(all) && l.v.runs[all[next]].attempt.out.Pending() > replayAheadBytes/4 { // or a row would follow
			next++
		}
		return next == len(all)
	})
	n, held := l.v.limits.Held()
	grown := heapBytes() - before
	if n != manyStreaming || held > memory || grown > memory {
		t.Errorf("%d attempts, %d bytes are counted as held, the heap grew by %d; the limit is %d", n, held, grown, memory)
	}
	t.Logf("%d of %d rows read, %d KiB counted, heap %d KiB", journal.read.Load(), manyStreaming*journal.rows, held>>10, grown>>10)
	l.v.StopPartition(0)
	l.v.Flush()
	l.wantNothingHeld()
}
