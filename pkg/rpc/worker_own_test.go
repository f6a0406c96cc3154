package rpc_test

import (
	"context"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
)

// self is the node of what workers.client returns.
var self = id.GenerationalNode{Node: 9, Generation: 1}

func requestOfSomeone(t *testing.T) command.Request {
	return command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantCompleted}
}

// What this process leads is asked without a connection: there is no listener.
func TestOwnWorkerIsAskedDirectly(t *testing.T) {
	w := newWorkers(t)
	var got command.Request
	c := w.clientWith(rpc.DefaultWorker(), hosttest.NewClock(), fakeWorker{
		submit: func(r command.Request, answered func(*command.Outcome, error)) error {
			got = r
			answered(&command.Outcome{Status: command.OutcomeCompleted}, nil)
			return nil
		},
		accept: func(_ id.Partition, _ []byte, acked func(error)) error {
			acked(nil)
			return nil
		},
	})
	w.lead(self)
	r := requestOfSomeone(t)
	o, err := c.Do(background, r)
	if err != nil || o.Status != command.OutcomeCompleted || got.ID != someone || got.Want != r.Want || string(got.Record) != string(r.Record) {
		t.Errorf("%v, %v; asked %v", o, err, got)
	}
	if err := c.Deliver(background, 3, r.Record); err != nil {
		t.Error(err)
	}
	w.serve(workerTwo, cluster, fakeWorker{submit: func(_ command.Request, answered func(*command.Outcome, error)) error {
		answered(&command.Outcome{Status: command.OutcomeNotFound}, nil)
		return nil
	}})
	if o, err := c.Do(background, r); err != nil || o.Status != command.OutcomeNotFound {
		t.Errorf("led elsewhere: %v, %v", o, err)
	}
}

func TestOwnWorkerRefuses(t *testing.T) {
	w := newWorkers(t)
	c := w.clientWith(rpc.DefaultWorker(), hosttest.NewClock(), fakeWorker{submit: func(command.Request, func(*command.Outcome, error)) error {
		return errs.Newf(errs.NotLeader, "not here")
	}})
	w.lead(self)
	if _, err := c.Do(background, requestOfSomeone(t)); !errs.Is(err, errs.NotLeader) {
		t.Errorf("%v", err)
	}
}

// An own worker that hangs is no better than another one: its callers are told when somebody else leads, and their places given away.
func TestOwnWorkerThatHangs(t *testing.T) {
	w := newWorkers(t)
	reached, gone := make(chan uint64, 1), make(chan uint64, 1)
	c := w.clientWith(rpc.DefaultWorker(), hosttest.NewClock(), fakeWorker{
		submitted: func(number uint64, _ id.Invocation) { reached <- number },
		left:      func(number uint64, _ id.Invocation) { gone <- number },
	})
	w.lead(self)
	acked := make(chan error, 1)
	call := w.call(c, invokeRecord(t, someone, 1), func(err error) { acked <- err })
	number := <-reached
	w.lead(workerTwo)
	if err := <-acked; !errs.Is(err, errs.Uncertain) {
		t.Errorf("%v", err)
	}
	<-call
	if left := <-gone; left != number {
		t.Errorf("request %d left, want %d", left, number)
	}
}

func TestOwnWorkerHearsOfCallersThatLeave(t *testing.T) {
	w := newWorkers(t)
	reached, gone := make(chan uint64, 1), make(chan uint64, 1)
	c := w.clientWith(rpc.DefaultWorker(), hosttest.NewClock(), fakeWorker{
		submitted: func(number uint64, _ id.Invocation) { reached <- number },
		left:      func(number uint64, _ id.Invocation) { gone <- number },
	})
	w.lead(self)
	ctx, leave := context.WithCancel(background)
	g := lifecycle.NewGroup(background)
	var number uint64
	g.Go("leave", func(context.Context) error {
		number = <-reached
		leave()
		return nil
	})
	if _, err := c.Do(ctx, requestOfSomeone(t)); !errs.Is(err, errs.Uncertain) {
		t.Errorf("%v", err)
	}
	_ = g.Wait()
	if left := <-gone; left != number {
		t.Errorf("request %d left, want %d", left, number)
	}
}
