package invoker

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

func (l *loop) askHold(i id.Invocation) { l.propose(command.Header{Kind: command.Hold, ID: i}, nil) }
func (l *loop) askResume(i id.Invocation) {
	l.propose(command.Header{Kind: command.Resume, ID: i}, &storedv1.ResumeFacts{})
}

// events returns the texts of what happened beside the journal.
func (l *loop) beside(i id.Invocation) (texts []string) {
	inv, _ := l.state.Invocation(i)
	for n := range inv.Row.Events {
		e, err := l.state.Event(inv, n)
		if err != nil {
			l.t.Fatal(err)
		}
		texts = append(texts, fmt.Sprintf("%d %s", e.Type, e.Failure.GetMessage()))
	}
	return texts
}

// The handler may finish what it does, and suspends when it would wait: nothing that it did is lost.
func TestHoldOfARunningAttempt(t *testing.T) {
	begun := make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt > 1 {
			output(p, p.Types())
			return
		}
		close(begun)
		if _, err := p.Next(); errors.Is(err, io.EOF) {
			p.Send(partitiontest.Run(1), proposal(1, "x"))
			p.Send(partitiontest.Suspension(nil, []uint32{1, 17}))
		}
	}, false))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.askHold(i)
	l.wantStatus(i, paused)
	l.wantNothingHeld()
	l.signal(i, 17, "x")
	l.turn()
	l.wantStatus(i, paused)
	l.askResume(i)
	l.wantValue(i, "Input Run RunCompletion SignalNotification")
	l.wantNothingHeld()
}

func TestHoldOfAHandlerThatNeverAnswers(t *testing.T) {
	begun := make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		close(begun)
		<-p.Request.Context().Done()
	}, false), timeouts(3*time.Second, 4*time.Second))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.askHold(i)
	l.turn()
	l.advance(3800 * time.Millisecond)
	if l.status(i) == paused {
		t.Fatal("paused before the abort timeout")
	}
	l.advance(400*time.Millisecond + drainMax)
	l.wantFailure(i, serviceproto.DocAbortTimeout)
	l.wantNothingHeld()
}

func TestHoldWhileBackingOff(t *testing.T) {
	var attempts atomic.Int32
	delay := uint64(time.Hour.Milliseconds())
	l := newLoop(t, endpoint(t, func(p *peer) {
		attempts.Add(1)
		if p.Attempt < 3 {
			p.Send(errorMessage(&servicev1.Error{Code: 500, Message: "no", NextRetryDelay: &delay}))
			return
		}
		output(p, "ok")
	}, false))
	i := l.invoke(service("h"), "")
	l.until("event", func() bool { return len(l.beside(i)) == 1 })
	// An operator does not wait.
	l.askResume(i)
	l.until("second attempt", func() bool { return attempts.Load() == 2 && l.v.runs[i].state == stateBackoff })
	l.askHold(i)
	if f := l.wantFailure(i, serviceproto.DocHandler); f.Message != "no" {
		t.Errorf("it is paused because of %v", f)
	}
	l.wantNothingHeld()
	if got := fmt.Sprint(l.beside(i)); got != "[1 no 2 no]" {
		t.Errorf("events are %s", got)
	}
	l.askResume(i)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// Where no token is free, and after a change of leaders, there is nothing to wait for.
func TestHoldWhereNothingRuns(t *testing.T) {
	release := make(chan struct{}, 2)
	l := newLoop(t, endpoint(t, func(p *peer) {
		select {
		case <-release:
			output(p, "ok")
		case <-p.Request.Context().Done():
		}
	}, false), func(l *loop, _ *storedv1.Deployment) { l.cfg.ConcurrentMax = 1 })
	first := l.invoke(service("h"), "")
	second := l.invoke(service("h"), "")
	l.turn()
	if _, queued := l.v.Running(); queued != 1 {
		t.Fatalf("%d wait for a token", queued)
	}
	l.askHold(second)
	l.wantStatus(second, paused)
	release <- struct{}{}
	l.wantValue(first, "ok")
	l.wantNothingHeld()

	l.askResume(second)
	release <- struct{}{}
	l.wantValue(second, "ok")
	// As a new leader would find one that is to be paused. It has not ended: what the old leader takes from it counts no more.
	third := l.invoke(service("h"), "")
	l.turn()
	l.v.StopPartition(0)
	inv, _ := l.state.Invocation(third)
	inv.Row.Pausing = true
	l.v.Start(activation(&partition.Effect{ID: third, Inv: inv}))
	l.wantStatus(third, paused)
	if len(l.v.runs) != 0 {
		t.Errorf("%d runs are left", len(l.v.runs))
	}
}

// The same failure again is no news.
func TestEvents(t *testing.T) {
	delay := uint64(10)
	l := newLoop(t, endpoint(t, func(p *peer) {
		message := []string{"a", "a", "b", "a"}
		if p.Attempt <= len(message) {
			p.Send(errorMessage(&servicev1.Error{Code: 500, Message: message[p.Attempt-1], NextRetryDelay: &delay}))
			return
		}
		output(p, "ok")
	}, false))
	i := l.invoke(service("h"), "")
	l.until("end", func() bool { return l.results[i] != nil || len(l.beside(i)) == 3 })
	if got := fmt.Sprint(l.beside(i)); got != "[1 a 1 b 1 a]" {
		t.Errorf("events are %s", got)
	}
	l.wantValue(i, "ok")
}

func TestEventTextsAreBounded(t *testing.T) {
	long := make([]rune, eventStackMax)
	for i := range long {
		long[i] = 'é'
	}
	f := &failure{Error: serviceproto.Error{Message: "x" + string(long), Stacktrace: string(long)}}
	e := f.event()
	if len(e.Message) != eventMessageMax-1 || len(e.Stacktrace) != eventStackMax {
		t.Errorf("texts of %d and %d bytes", len(e.Message), len(e.Stacktrace))
	}
}

// An activation of which no attempt began, since what it is pinned to was removed, is paused all the same: by an
// operator, or when its retries are used up. It was as if older than the attempts of the activation before.
func TestPauseWithoutADeployment(t *testing.T) {
	for _, how := range []string{"operator", "policy"} {
		t.Run(how, func(t *testing.T) {
			l := newLoop(t, endpoint(t, func(p *peer) {
				if p.Attempt > 1 {
					output(p, "ok")
					return
				}
				p.Send(partitiontest.Run(1), proposal(1, "x"), partitiontest.Suspension(nil, []uint32{17}))
			}, false))
			i := l.invoke(service("h"), "")
			l.wantStatus(i, suspended)
			before := l.reg.Stored().GetDeployments()
			l.register()
			l.signal(i, 17, "x")
			waits := func() bool { return l.v.runs[i] != nil && l.v.runs[i].state == stateBackoff }
			l.until("backing off", waits)
			if how == "operator" {
				l.askHold(i)
			} else {
				for range schema.Default().Retry.MaxAttempts - 1 { // an operator does not wait for each
					l.until("backing off", waits)
					l.askResume(i)
					l.turn()
				}
			}
			l.wantFailure(i, serviceproto.DocNoDeployment)
			l.wantNothingHeld()
			l.register(before...)
			l.askResume(i)
			l.wantValue(i, "ok")
		})
	}
}
