package invoker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
)

// Nothing is answered before it is applied.
func TestNoAnswerBeforeTheRecordIsApplied(t *testing.T) {
	sent, answered := make(chan struct{}), make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Send(flagged(partitiontest.Run(1)), proposal(1, "x"))
		close(sent)
		_, err := p.Next()
		close(answered)
		if err == nil {
			output(p, "ok")
		}
	}, false))
	i := l.invoke(service("h"), "")
	l.turn()
	l.hold = true
	l.settle("sent", sent)
	l.until("record", func() bool { return len(l.recs) == 1 })
	select {
	case <-answered:
		t.Fatal("answered before the record was applied")
	default:
	}
	l.hold = false
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// A retry waits until all that the failed attempt proposed is applied.
func TestRetryWaitsForRecords(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt == 1 {
			p.Send(partitiontest.Run(1), proposal(1, "x"), raw(0x0420, nil))
			return
		}
		output(p, p.Types())
	}, false))
	i := l.invoke(service("h"), "")
	l.turn()
	l.hold = true
	l.until("settling", func() bool { return l.runState(i) == stateSettling })
	l.advance(time.Minute)
	if s := l.runState(i); s != stateSettling {
		t.Fatalf("state %d while a record is not applied", s)
	}
	if running, _ := l.v.Running(); running != 0 {
		t.Fatal("it holds its token")
	}
	l.hold = false
	l.wantValue(i, "Input Run RunCompletion")
	l.wantNothingHeld()
}

func TestOwnerTakesNoRecords(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) { output(p, "ok") }, false))
	i := l.invoke(service("h"), "")
	l.turn()
	l.mu.Lock()
	l.refuse = true
	l.mu.Unlock()
	l.until("backoff", func() bool { return l.runState(i) == stateBackoff })
	l.mu.Lock()
	l.refuse = false
	l.mu.Unlock()
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

func TestKillResetsTheStream(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		close(begun)
		<-p.Request.Context().Done()
		close(gone)
	}, false))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.propose(command.Header{Kind: command.Fail, ID: i, Incarnation: l.v.runs[i].Incarnation, Activation: l.v.runs[i].Activation.Activation, Attempt: 1},
		&storedv1.FailFacts{Failure: &storedv1.Failure{Code: 409, Message: "killed"}})
	l.settle("reset", gone)
	if f := l.result(i).GetFailure(); f.GetCode() != 409 {
		t.Fatal(f)
	}
	l.wantNothingHeld()
}

func TestStopPartition(t *testing.T) {
	var gone atomic.Int32
	l := newLoop(t, endpoint(t, func(p *peer) {
		<-p.Request.Context().Done()
		gone.Add(1)
	}, false), func(l *loop, _ *storedv1.Deployment) { l.cfg.ConcurrentMax = 2 })
	for range 5 {
		l.invoke(service("h"), "")
	}
	l.turn()
	if running, queued := l.v.Running(); running != 2 || queued != 3 {
		t.Fatalf("%d run, %d wait", running, queued)
	}
	l.v.StopPartition(1)
	if len(l.v.runs) != 5 {
		t.Fatal("another partition's were stopped")
	}
	l.v.StopPartition(0)
	l.v.Flush()
	l.wantNothingHeld()
}

// Tokens bound what runs at once, are given in order, and all come back.
func TestConcurrencyLimit(t *testing.T) {
	const limit, total = 3, 30
	var now, most atomic.Int32
	l := newLoop(t, endpoint(t, func(p *peer) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if p.Attempt%4 == 0 {
			p.Writer.WriteHeader(500)
			return
		}
		output(p, p.Input())
	}, false), func(l *loop, _ *storedv1.Deployment) { l.cfg.ConcurrentMax = limit })
	ids := make([]id.Invocation, total)
	for n := range ids {
		ids[n] = l.invoke(service("h"), fmt.Sprint(n))
	}
	l.until("all", func() bool { return len(l.results) == total })
	for n, i := range ids {
		l.wantValue(i, fmt.Sprint(n))
	}
	if n := most.Load(); n > limit {
		t.Fatalf("%d ran at once, the limit is %d", n, limit)
	}
	l.wantNothingHeld()
}

func TestRefusedStreamsAreTriedAgain(t *testing.T) {
	l := newLoop(t, "http://127.0.0.1:1")
	i := l.invoke(service("h"), "")
	l.turn()
	r := l.v.runs[i]
	// As an endpoint does that is about to go: the policy's attempts are not used up.
	r.policy.MaxAttempts = 1
	l.v.fail(r, &failure{doc: "RT0010", refused: true})
	if r.failures != 0 {
		t.Fatal("it was counted")
	}
	l.wantFailure(i, "RT0010")
	l.wantNothingHeld()
}
