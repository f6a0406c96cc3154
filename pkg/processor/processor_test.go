package processor_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
)

func TestEcho(t *testing.T) {
	w := newWorld(t, 4, 2)
	n := w.start("a")
	for i := range 20 {
		n.want(echo, "call "+strconv.Itoa(i), "hello", "hello")
	}
}

// A repeat attaches to what runs, then finds the stored result; nothing runs twice.
func TestRepeatsAttach(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	first := n.submit(hang.request("once", "", command.WantCompleted))
	second := n.submit(hang.request("once", "", command.WantCompleted))
	accepted := n.answerOf(n.submit(hang.request("once", "", command.WantAccepted)))
	if accepted.err != nil || accepted.outcome.Status != command.OutcomePreviouslyAccepted {
		t.Errorf("a repeat that does not wait: %+v, %v", accepted.outcome, accepted.err)
	}
	now := n.answerOf(n.submit(read(hang.request("once", "", 0).ID, command.WantNow)))
	if now.err != nil || now.outcome.Status != command.OutcomePending {
		t.Errorf("a read meanwhile: %+v, %v", now.outcome, now.err)
	}
	third := n.submit(read(hang.request("once", "", 0).ID, command.WantCompleted))
	close(w.endpoint.free)
	for i, ch := range []<-chan answer{first, second, third} {
		if a := n.answerOf(ch); a.err != nil || string(a.outcome.Result.GetValue()) != "done" {
			t.Errorf("waiter %d: %+v, %v", i, a.outcome, a.err)
		}
	}
	late := n.answerOf(n.submit(hang.request("once", "", command.WantCompleted)))
	if late.err != nil || !late.outcome.Stored || string(late.outcome.Result.GetValue()) != "done" {
		t.Errorf("a late repeat: %+v, %v", late.outcome, late.err)
	}
	if got := w.endpoint.count("hang"); got != 1 {
		t.Errorf("it ran %d times", got)
	}
	nobody := n.answerOf(n.submit(read(hang.request("never", "", 0).ID, command.WantCompleted)))
	if nobody.err != nil || nobody.outcome.Status != command.OutcomeNotFound {
		t.Errorf("a read of nothing: %+v, %v", nobody.outcome, nobody.err)
	}
}

// Whoever leaves is forgotten, before its record is applied and after, and its invocation goes on.
func TestCallersLeave(t *testing.T) {
	for _, row := range []struct {
		name string
		held bool
	}{{"while it waits", false}, {"before the commit", true}} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			n := w.start("a")
			w.log.hold(row.held)
			kept := n.submit(hang.request("x", "", command.WantCompleted))
			stream, lives := new(int), new(int)
			r := hang.request("x", "", command.WantCompleted)
			must(t, n.Submit(stream, 1, r, func(*command.Outcome, error) { t.Error("a stream that was cut is answered") }))
			must(t, n.Submit(lives, 1, r, func(*command.Outcome, error) { t.Error("one that left is answered") }))
			stays := make(chan answer, 1)
			must(t, n.Submit(lives, 2, r, func(o *command.Outcome, err error) { stays <- answer{o, err} }))
			ctx, leave := context.WithCancelCause(t.Context())
			why := errors.New("the caller left")
			g := lifecycle.NewGroup(context.Background())
			g.Go("caller", func(context.Context) error {
				_, err := n.Do(ctx, r)
				return err
			})
			eventually(t, "the calls are taken", func() bool { return n.Calls(0) == 5 })
			leave(why)
			if err := g.Wait(); !errs.Is(err, errs.Uncertain) || !errors.Is(err, why) {
				t.Errorf("the caller that left got %v", err)
			}
			n.Abandon(stream)
			n.Leave(lives, 1, r.ID)
			n.Leave(lives, 3, r.ID) // nobody has this number
			n.Leave(stream, 2, r.ID)
			w.log.hold(false)
			eventually(t, "two wait", func() bool { return n.Waiters(0) == 2 && n.Calls(0) == 2 })
			close(w.endpoint.free)
			if a := n.answerOf(kept); a.err != nil || string(a.outcome.Result.GetValue()) != "done" {
				t.Errorf("the one that stayed: %+v, %v", a.outcome, a.err)
			}
			if a := <-stays; a.err != nil || string(a.outcome.Result.GetValue()) != "done" {
				t.Errorf("the one that stayed at its stream: %+v, %v", a.outcome, a.err)
			}
			if got := n.Waiters(0); got != 0 {
				t.Errorf("%d still wait", got)
			}
		})
	}
}

// What another process made and does not decode is refused: in the log it would park the partition.
func TestUndecodableRequests(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	r := echo.request("x", "", command.WantCompleted)
	r.Record = append([]byte(nil), r.Record...)
	r.Record[command.HeaderSize] = 0xff
	if err := n.Submit(nil, 1, r, func(*command.Outcome, error) { t.Error("it was taken") }); !errs.Is(err, errs.Invalid) {
		t.Errorf("a request: %v", err)
	}
	empty, err := command.Append(nil, command.Header{Kind: command.Signal, ID: r.ID, Source: 0, SourceSeq: 1}, nil)
	must(t, err)
	if err := n.Accept(0, empty, func(error) { t.Error("it was taken") }); !errs.Is(err, errs.Invalid) {
		t.Errorf("a message: %v", err)
	}
	n.want(echo, "y", "in", "in")
}
