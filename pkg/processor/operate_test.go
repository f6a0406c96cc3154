package processor_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/processor"
)

// operate asks for something of an invocation.
func operate(kind command.Kind, i id.Invocation, facts command.Facts) command.Request {
	rec, err := command.Append(nil, command.Header{Kind: kind, ID: i}, facts)
	if err != nil {
		panic(err)
	}
	return command.Request{ID: i, Record: rec, Want: command.WantAccepted}
}

// wantStatus asks for something and checks the answer.
func (n *worker) wantStatus(r command.Request, want command.OutcomeStatus) {
	n.w.t.Helper()
	if a := n.answerOf(n.submit(r)); a.err != nil || a.outcome.Status != want {
		n.w.t.Fatalf("kind %d: %+v, %v; want status %d", command.KindOf(r.Record), a.outcome, a.err, want)
	}
}

func (n *worker) wantFailure(ch <-chan answer, message string) {
	n.w.t.Helper()
	a := n.answerOf(ch)
	if a.err != nil {
		n.w.t.Fatal(a.err)
	}
	if f := a.outcome.Result.GetFailure(); f.GetCode() != 409 || f.GetMessage() != message {
		n.w.t.Fatalf("%+v, %v; want %q", a.outcome, a.err, message)
	}
}

// A kill gives back all that an invocation and those that it called held: attempts, locks, timers, callers.
func TestKillGivesAllBack(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	near, far, sent := w.keyIn(0, 1), w.keyIn(1, 1), w.keyIn(1, 2)
	parentOf := parent.request(w.nameIn(0, parent, "p"), strings.Join([]string{near, far, sent}, " "), command.WantCompleted)
	waits := n.submit(parentOf)
	eventually(t, "the callees run", func() bool { running, _ := n.Attempts(0); return running == 3 })
	// Others wait for the keys.
	behind := n.submit(add(near).request("behind", "", command.WantCompleted))
	eventually(t, "it waits", func() bool { return n.Rows(0).Active == 3 })
	again := n.submit(read(parentOf.ID, command.WantCompleted))
	sleeper := sleep.request(w.nameIn(0, sleep, "s"), "99999999999999", command.WantCompleted)
	sleeps := n.submit(sleeper)
	eventually(t, "it sleeps", func() bool { return n.Rows(0).Timers == 1 })

	n.wantStatus(operate(command.Kill, parentOf.ID, nil), command.OutcomeAccepted)
	n.wantStatus(operate(command.Kill, sleeper.ID, nil), command.OutcomeAccepted)
	n.wantFailure(waits, "killed")
	n.wantFailure(again, "killed")
	n.wantFailure(sleeps, "killed")
	if a := n.answerOf(behind); a.err != nil || string(a.outcome.Result.GetValue()) != "1" {
		t.Errorf("who waited for the key got %+v, %v", a.outcome, a.err)
	}
	for i, key := range []string{near, far, sent} {
		want := "1"
		if i == 0 {
			want = "2"
		}
		n.want(add(key), "after", "", want)
	}
	eventually(t, "nothing is held", func() bool {
		running, queued := n.Attempts(0)
		rows := [2]processor.Rows{n.Rows(0), n.Rows(1)}
		return running+queued == 0 && rows[0].Active+rows[1].Active == 0 && rows[0].Timers+rows[1].Timers == 0 &&
			n.Calls(0)+n.Calls(1) == 0
	})
	n.wantStatus(operate(command.Kill, parentOf.ID, nil), command.OutcomeAlreadyCompleted)
	n.wantStatus(operate(command.Cancel, parentOf.ID, nil), command.OutcomeAlreadyCompleted)
}

// Callers that leave are forgotten, whatever becomes of what they wait for.
func TestCallersThatLeaveAreForgotten(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	for range 20 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Millisecond, errors.New("impatient"))
		_, err := n.Do(ctx, block("k").request("same", "", command.WantCompleted))
		cancel()
		if !errs.Is(err, errs.Uncertain) {
			t.Fatal(err)
		}
	}
	eventually(t, "they are forgotten", func() bool { return n.Calls(0) == 0 })
	n.wantStatus(operate(command.Kill, block("k").request("same", "", 0).ID, nil), command.OutcomeAccepted)
	n.want(add("k"), "after", "", "1")
	if got := n.Rows(0); got.Active != 0 {
		t.Errorf("rows: %+v", got)
	}
}

// Pause and resume, across a restart.
func TestPauseSurvivesARestart(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	due := w.clock.Now().Add(time.Minute)
	r := sleep.request("s", strconv.FormatInt(due.UnixMilli(), 10), command.WantAccepted)
	n.wantStatus(r, command.OutcomeAccepted)
	eventually(t, "it sleeps", func() bool { return n.Rows(0).Timers == 1 })
	n.wantStatus(operate(command.Hold, r.ID, nil), command.OutcomeUnderWay)
	n.wantStatus(operate(command.Hold, r.ID, nil), command.OutcomeAccepted)
	n.crash()
	n = w.start("a")
	w.clock.skip(2 * time.Minute)
	eventually(t, "the timer fired", func() bool { return n.Rows(0).Timers == 0 })
	n.wantStatus(read(r.ID, command.WantNow), command.OutcomePending)
	ends := n.submit(read(r.ID, command.WantCompleted))
	n.wantStatus(operate(command.Resume, r.ID, &storedv1.ResumeFacts{}), command.OutcomeAccepted)
	if a := n.answerOf(ends); a.err != nil || string(a.outcome.Result.GetValue()) != "awake" {
		t.Fatalf("%+v, %v", a.outcome, a.err)
	}
}

// What was kept long enough goes away, without anybody asking; what was not stays.
func TestCleaner(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.cfg.CleanupInterval = time.Hour
	n := w.start("a")
	for _, name := range []string{"one", "two", "three"} {
		n.want(echo, name, "x", "x")
	}
	if next := n.NextClean(0).Sub(w.clock.Now()); next < 11*time.Minute || next > 24*time.Minute {
		t.Errorf("the first look is in %s", next)
	}
	looks := 0
	look := func(skip time.Duration) {
		t.Helper()
		w.clock.skip(skip)
		looks++
		eventually(t, "a look", func() bool { return n.NextClean(0).After(w.clock.Now().Add(59 * time.Minute)) })
	}
	look(30 * time.Minute)
	w.clock.skip(20 * time.Minute)
	n.want(echo, "late", "x", "x")
	if got := n.Rows(0).Completed; got != 4 {
		t.Fatalf("%d completed invocations are kept", got)
	}
	look(41 * time.Minute) // 91 after the start: the hour of the first three is over
	if got := n.Rows(0).Completed; got != 1 {
		t.Fatalf("%d completed invocations are kept", got)
	}
	look(61 * time.Minute)
	if got := n.Rows(0).Completed; got != 0 {
		t.Fatalf("%d completed invocations are kept", got)
	}
	for name, want := range map[string]int{"cleanings": looks, "failed_cleanings": 0, "cleaned_invocations": 4} {
		if got := n.gauge("reprise_processor_" + name + "_total"); got != float64(want) {
			t.Errorf("%s: %g, want %d", name, got, want)
		}
	}
	n.wantStatus(read(echo.request("late", "", 0).ID, command.WantNow), command.OutcomeNotFound)
	before := w.endpoint.count("echo")
	n.want(echo, "one", "again", "again")
	if w.endpoint.count("echo") != before+1 {
		t.Error("a forgotten key did not execute again")
	}
}

// An invocation without retention is there for nobody but the request that created it, and for that ten minutes.
func TestNothingIsKeptWithoutRetention(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	i := echo.request("k", "", 0).ID
	rec, err := command.Append(nil, command.Header{Kind: command.Invoke, Frames: 1, ID: i},
		&storedv1.InvokeFacts{Target: echo.stored(), Request: []byte("the same request")}, partitiontest.Input("x"))
	must(t, err)
	ask := func(executions int) {
		t.Helper()
		a := n.answerOf(n.submit(command.Request{ID: i, Record: rec, Want: command.WantCompleted}))
		if a.err != nil || string(a.outcome.Result.GetValue()) != "x" {
			t.Fatalf("%+v, %v", a.outcome, a.err)
		}
		if got := w.endpoint.count("echo"); got != executions {
			t.Fatalf("it executed %d times, want %d", got, executions)
		}
	}
	ask(1)
	ask(1)
	n.wantStatus(read(i, command.WantNow), command.OutcomeNotFound)
	n.wantStatus(operate(command.Purge, i, nil), command.OutcomeNotFound)
	w.clock.skip(11 * time.Minute)
	eventually(t, "it is forgotten", func() bool { return n.Rows(0) == processor.Rows{} })
	ask(2)
}

// What would park the partition is refused before it is proposed.
func TestRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	i := echo.request("k", "", 0).ID
	other := i
	other[0]++
	garbage := func(kind command.Kind) []byte {
		rec, err := command.Append(nil, command.Header{Kind: kind, ID: i}, &storedv1.ResumeFacts{Deployment: &storedv1.Choice{}})
		must(t, err)
		rec[command.HeaderSize] = 0xFF
		return rec
	}
	for _, row := range []struct {
		name string
		r    command.Request
		code errs.Code
	}{
		{"step", operate(command.Step, i, nil), errs.Unsupported},
		{"expire", operate(command.Expire, i, &storedv1.ExpireFacts{}), errs.Unsupported},
		{"event", operate(command.Event, i, &storedv1.EventFacts{}), errs.Unsupported},
		{"resume", command.Request{ID: i, Record: garbage(command.Resume)}, errs.Invalid},
		{"restart", command.Request{ID: i, Record: garbage(command.Restart)}, errs.Invalid},
		{"patch", command.Request{ID: i, Record: garbage(command.PatchState)}, errs.Invalid},
		{"restart as nothing", operate(command.Restart, i, &storedv1.RestartFacts{}), errs.Invalid},
		{"restart elsewhere", operate(command.Restart, i, &storedv1.RestartFacts{Id: other[:]}), errs.Invalid},
		{"patch elsewhere", operate(command.PatchState, i, &storedv1.PatchStateFacts{Service: "O", Key: "another"}), errs.Invalid},
	} {
		if _, err := n.Do(t.Context(), row.r); !errs.Is(err, row.code) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	n.want(echo, "k", "alive", "alive")
}
