package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
)

func TestWorkerAnswers(t *testing.T) {
	outcomes := []*command.Outcome{
		{Status: command.OutcomeAccepted, ExecuteAt: 77},
		{Status: command.OutcomePreviouslyAccepted, Workflow: true},
		{Status: command.OutcomePending, Target: &storedv1.Target{Service: "S", Handler: "h", Key: "k"}},
		{Status: command.OutcomeNotFound},
		{Status: command.OutcomeCompleted, Stored: true, ExpiresAt: 99, Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("v")}}},
		{Status: command.OutcomeCompleted, Result: &storedv1.Result{Result: &storedv1.Result_Failure{Failure: &storedv1.Failure{Code: 409, Message: "m"}}}},
	}
	var next *command.Outcome
	var fail error
	var seen command.Request
	w := newWorkers(t)
	w.serve(workerOne, cluster, fakeWorker{submit: func(r command.Request, answered func(*command.Outcome, error)) error {
		seen = command.Request{ID: r.ID, Want: r.Want, Record: append([]byte(nil), r.Record...)}
		if fail != nil && r.Want == command.WantNow {
			return fail // before it was taken
		}
		answered(next, fail)
		return nil
	}})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	rec := invokeRecord(t, someone, 100)
	for _, want := range outcomes {
		next = want
		got, err := c.Do(background, command.Request{ID: someone, Record: rec, Want: command.WantCompleted})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != want.Status || got.ExecuteAt != want.ExecuteAt || got.Stored != want.Stored || got.ExpiresAt != want.ExpiresAt || got.Workflow != want.Workflow ||
			!proto.Equal(got.Target, want.Target) || !proto.Equal(got.Result, want.Result) {
			t.Errorf("%+v came as %+v", want, got)
		}
		if seen.ID != someone || seen.Want != command.WantCompleted || string(seen.Record) != string(rec) {
			t.Errorf("the worker saw %+v", seen)
		}
	}
	for code := errs.Internal; code <= errs.Unsupported; code++ {
		for _, want := range []command.Want{command.WantNow, command.WantAccepted} {
			fail = errs.Newf(code, "because")
			if _, err := c.Do(background, command.Request{ID: someone, Record: rec, Want: want}); errs.CodeOf(err) != code || !strings.Contains(err.Error(), "because") {
				t.Errorf("%s came as %v", code, err)
			}
		}
	}
	fail = nil
	announce, err := command.Append(nil, command.Header{Kind: command.Announce, ID: someone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(background, command.Request{ID: someone, Record: announce, Want: command.WantAccepted}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a request that announces a leader: %v", err)
	}
}

// Messages arrive in the order in which they were sent, and those that wait go together.
func TestWorkerKeepsOrderAndBatches(t *testing.T) {
	const n = 1000
	var mu sync.Mutex
	var got []uint64
	greet := make(chan struct{})
	w := newWorkers(t)
	w.serve(workerOne, func() uint64 { <-greet; return workerCluster }, fakeWorker{accept: func(target id.Partition, record []byte, acked func(error)) error {
		seq, source := command.Source(record)
		mu.Lock()
		got = append(got, seq)
		mu.Unlock()
		switch {
		case target != 5 || source != 3:
			return errs.Newf(errs.Invalid, "message from %d to %d", source, target)
		case seq%10 == 0:
			return errs.Newf(errs.NotLeader, "message %d", seq)
		}
		acked(nil)
		return nil
	}})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	var all sync.WaitGroup
	for seq := uint64(1); seq <= n; seq++ {
		rec := invokeRecord(t, someone, 10)
		command.SetSource(rec, 3, seq)
		all.Add(1)
		if err := c.Send(5, rec, func(err error) {
			defer all.Done()
			if (err != nil) != (seq%10 == 0) || (err != nil && !errs.Is(err, errs.NotLeader)) {
				t.Errorf("message %d: %v", seq, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	close(greet)
	all.Wait()
	for i, seq := range got {
		if seq != uint64(i+1) {
			t.Fatalf("message %d came at place %d", seq, i)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frames > 4 { // hello, what waited, and what the reader looked for after it
		t.Errorf("%d messages took %d frames", n, w.frames)
	}
}

func TestWorkerDelivers(t *testing.T) {
	w := newWorkers(t)
	w.serve(workerOne, cluster, fakeWorker{accept: func(_ id.Partition, _ []byte, acked func(error)) error {
		acked(errs.Newf(errs.Conflict, "its predecessor is missing"))
		return nil
	}})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	if err := c.Deliver(background, 1, invokeRecord(t, someone, 1)); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
}

// A worker of another cluster, or another one than was looked for, gets no request.
func TestWorkerRefusals(t *testing.T) {
	for _, row := range []struct {
		name    string
		cluster uint64
		leader  id.GenerationalNode
		want    string
	}{
		{"other cluster", 0xbad, workerOne, "cluster"},
		{"not ready", 0, workerOne, "does not know its cluster"},
		{"other generation", workerCluster, id.GenerationalNode{Node: 1, Generation: 5}, "N1:4"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorkers(t)
			w.serve(workerOne, func() uint64 { return row.cluster }, fakeWorker{})
			w.lead(row.leader)
			c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
			_, err := c.Do(background, command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantAccepted})
			if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// What was sent is uncertain when the connection is cut, what was not is as if it had never been.
func TestWorkerConnectionCut(t *testing.T) {
	for _, row := range []struct {
		name    string
		greeted bool
		want    errs.Code
	}{{"sent", true, errs.Uncertain}, {"not sent", false, errs.Unavailable}} {
		t.Run(row.name, func(t *testing.T) {
			reached, hold := make(chan struct{}, 1), make(chan struct{})
			first := true
			abandoned := make(chan struct{}, 2)
			w := newWorkers(t)
			w.serve(workerOne, func() uint64 {
				if !row.greeted && first {
					first = false
					reached <- struct{}{}
					<-hold
				}
				return workerCluster
			}, fakeWorker{abandoned: abandoned, submit: func(r command.Request, answered func(*command.Outcome, error)) error {
				if r.Want == command.WantCompleted {
					reached <- struct{}{}
					return nil // and never an answer
				}
				answered(&command.Outcome{Status: command.OutcomeAccepted}, nil)
				return nil
			}})
			clock := hosttest.NewClock()
			c := w.client(rpc.DefaultWorker(), clock)
			rec := invokeRecord(t, someone, 1)
			acked := make(chan error, 1)
			call := w.call(c, rec, func(err error) { acked <- err })
			<-reached
			w.cut()
			if err := <-acked; !errs.Is(err, row.want) {
				t.Errorf("%v is %s, not %s", err, errs.CodeOf(err), row.want)
			}
			<-call
			if row.greeted {
				<-abandoned // what waits for nobody is dropped
			}
			close(hold)
			again := command.Request{ID: someone, Record: rec, Want: command.WantAccepted}
			if _, err := c.Do(background, again); !errs.Is(err, errs.Unavailable) {
				t.Errorf("before it is tried again: %v", err)
			}
			clock.Advance(20 * time.Millisecond)
			if o, err := c.Do(background, again); err != nil || o.Status != command.OutcomeAccepted {
				t.Errorf("when it is tried again: %v, %v", o, err)
			}
		})
	}
}

func TestWorkerUnreachable(t *testing.T) {
	w := newWorkers(t)
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	r := command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantAccepted}
	if _, err := c.Do(background, r); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("without a leader: %v", err)
	}
	w.lead(workerTwo)
	for range 2 { // refused by the network, then at once
		if _, err := c.Do(background, r); !errs.Is(err, errs.Unavailable) {
			t.Errorf("without a process: %v", err)
		}
	}
}

// A leader that hangs never answers; its successor does.
func TestWorkerLeaderMoves(t *testing.T) {
	reached := make(chan struct{}, 1)
	w := newWorkers(t)
	w.serve(workerOne, cluster, fakeWorker{submit: func(command.Request, func(*command.Outcome, error)) error {
		reached <- struct{}{}
		return nil
	}})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	acked := make(chan error, 1)
	call := w.call(c, invokeRecord(t, someone, 1), func(err error) { acked <- err })
	<-reached
	w.serve(workerTwo, cluster, fakeWorker{submit: func(_ command.Request, answered func(*command.Outcome, error)) error {
		answered(&command.Outcome{Status: command.OutcomeCompleted}, nil)
		return nil
	}})
	if err := <-acked; !errs.Is(err, errs.Uncertain) {
		t.Errorf("%v", err)
	}
	<-call
	if _, err := c.Do(background, command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantCompleted}); err != nil {
		t.Errorf("%v", err)
	}
}

// A caller may leave; the answer that comes then is nobody's.
func TestWorkerCallerLeaves(t *testing.T) {
	var late func(*command.Outcome, error)
	reached := make(chan struct{}, 1)
	w := newWorkers(t)
	w.serve(workerOne, cluster, fakeWorker{submit: func(r command.Request, answered func(*command.Outcome, error)) error {
		if late == nil {
			late = answered
			reached <- struct{}{}
			return nil
		}
		late(&command.Outcome{Status: command.OutcomeNotFound}, nil)
		answered(&command.Outcome{Status: command.OutcomeAccepted}, nil)
		return nil
	}})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	ctx, leave := context.WithCancelCause(background)
	why := errors.New("gone")
	g := lifecycle.NewGroup(background)
	g.Go("leave", func(context.Context) error { <-reached; leave(why); return nil })
	r := command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantCompleted}
	if _, err := c.Do(ctx, r); !errs.Is(err, errs.Uncertain) || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	_ = g.Wait()
	if o, err := c.Do(background, r); err != nil || o.Status != command.OutcomeAccepted {
		t.Errorf("%v, %v", o, err)
	}
}

// Callers that time out leave nothing behind, neither here nor at the worker, whose invocations go on for hours.
func TestWorkerForgetsCallersThatLeave(t *testing.T) {
	const callers = 500
	var mu sync.Mutex
	waiting := map[uint64]id.Invocation{} // at the worker
	changed := make(chan struct{}, 1)
	var taken int
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	w := newWorkers(t)
	w.serve(workerOne, cluster, fakeWorker{
		submitted: func(number uint64, i id.Invocation) {
			mu.Lock()
			defer mu.Unlock()
			taken++
			waiting[number] = i
			note()
		},
		left: func(number uint64, i id.Invocation) {
			mu.Lock()
			defer mu.Unlock()
			if waiting[number] != i {
				t.Errorf("request %d is of %s, not of %s", number, waiting[number], i)
			}
			delete(waiting, number)
			note()
		},
	})
	c := w.client(rpc.DefaultWorker(), hosttest.NewClock())
	ctx, leave := context.WithCancel(background)
	g := lifecycle.NewGroup(background)
	ids := make([]id.Invocation, callers)
	for n := range ids {
		ids[n] = id.WorkflowInvocation("Wf", fmt.Sprint(n))
		rec := invokeRecord(t, ids[n], 1)
		g.Go("caller", func(context.Context) error {
			_, err := c.Do(ctx, command.Request{ID: ids[n], Record: rec, Want: command.WantCompleted})
			if !errs.Is(err, errs.Uncertain) {
				return fmt.Errorf("a caller that left got %w", err)
			}
			return nil
		})
	}
	count := func(of func() int, want int) {
		t.Helper()
		for {
			mu.Lock()
			got := of()
			mu.Unlock()
			if got == want {
				return
			}
			<-changed
		}
	}
	count(func() int { return taken }, callers)
	leave()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	count(func() int { return len(waiting) }, 0)
	if n := c.Tracked(); n != 0 {
		t.Errorf("the client keeps account of %d", n)
	}

	gone, end := context.WithCancel(background) // callers that leave while their requests wait to be sent
	end()
	for n := range ids {
		if _, err := c.Do(gone, command.Request{ID: ids[n], Record: invokeRecord(t, ids[n], 1), Want: command.WantCompleted}); !errs.Is(err, errs.Uncertain) {
			t.Errorf("%v", err)
		}
	}
	count(func() int { return taken - len(waiting) }, 2*callers)
}

func TestWorkerQueueIsBounded(t *testing.T) {
	for _, row := range []struct {
		name               string
		requests, bytesMax int
		taken              []int // sizes of messages; the one after them is refused
	}{
		{"requests", 3, 1 << 20, []int{1, 1, 1}},
		{"bytes", 100, 3000, []int{5000}}, // one may be larger than all
	} {
		t.Run(row.name, func(t *testing.T) {
			greet := make(chan struct{})
			w := newWorkers(t)
			w.serve(workerOne, func() uint64 { <-greet; return workerCluster }, fakeWorker{accept: func(_ id.Partition, _ []byte, acked func(error)) error {
				acked(nil)
				return nil
			}})
			cfg := rpc.DefaultWorker()
			cfg.QueueRequestsMax, cfg.QueueBytesMax = row.requests, row.bytesMax
			c := w.client(cfg, hosttest.NewClock())
			acked := make(chan error, 10)
			send := func(size int) error {
				return c.Send(1, invokeRecord(t, someone, size), func(err error) { acked <- err })
			}
			for _, size := range row.taken {
				if err := send(size); err != nil {
					t.Error(err)
				}
			}
			if err := send(1); !errs.Is(err, errs.Unavailable) {
				t.Errorf("above the limit: %v", err)
			}
			close(greet)
			for range row.taken {
				if err := <-acked; err != nil {
					t.Error(err)
				}
			}
			if err := send(1); err != nil {
				t.Error(err)
			}
			if err := <-acked; err != nil {
				t.Error(err)
			}
		})
	}
}

// A caller that reads slowly is held back, and gets all its answers.
func TestWorkerHoldsBack(t *testing.T) {
	const n = 200
	value := make([]byte, 100_000)
	w := newWorkers(t)
	s, err := rpc.NewWorkerServer(rpc.WorkerConfig{QueueRequestsMax: 1, QueueBytesMax: 1, FrameBytesMax: 300_000, AnswerBytesMax: 500_000, HelloTimeout: time.Second},
		workerOne, cluster, fakeWorker{submit: func(_ command.Request, answered func(*command.Outcome, error)) error {
			answered(&command.Outcome{Status: command.OutcomeCompleted, Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: value}}}, nil)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.start(workerOne, s)
	cfg := rpc.DefaultWorker()
	cfg.FrameBytesMax = 1 // each request a frame of its own
	c := w.client(cfg, hosttest.NewClock())
	g := lifecycle.NewGroup(background)
	for range n {
		g.Go("call", func(ctx context.Context) error {
			o, err := c.Do(ctx, command.Request{ID: someone, Record: invokeRecord(t, someone, 1), Want: command.WantCompleted})
			if err == nil && len(o.Result.GetValue()) != len(value) {
				err = fmt.Errorf("%d bytes", len(o.Result.GetValue()))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A stream that cannot be read ends as invalid.
func TestWorkerRefusesGarbage(t *testing.T) {
	hello := &workerv1.ExchangeRequest{Hello: &workerv1.Hello{Fingerprint: workerCluster}}
	rec := invokeRecord(t, someone, 1)
	for name, messages := range map[string][]*workerv1.ExchangeRequest{
		"no hello":            {{Wants: []byte{1}, Records: rec}},
		"hello with requests": {{Hello: hello.Hello, Wants: []byte{1}, Records: rec}},
		"no record":           {hello, {Wants: []byte{1}}},
		"half a record":       {hello, {Wants: []byte{1}, Records: rec[:100]}},
		"too many records":    {hello, {Wants: []byte{}, Records: rec}},
		"no target":           {hello, {Wants: []byte{0}, Records: rec}},
		"callers without ids": {hello, {Left: []uint64{1}, LeftIds: rec[:23]}},
		"too many targets":    {hello, {Wants: []byte{}, Targets: []uint32{1}}},
		"unknown format":      {hello, {Wants: []byte{1}, Records: append(append([]byte(nil), rec[:8]...), append([]byte{99}, rec[9:]...)...)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkers(t)
			w.serve(workerOne, cluster, fakeWorker{})
			conn, err := w.Conn(1)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := workerv1.NewWorkerClient(conn).Exchange(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				_ = stream.Send(m) // it may be over already
			}
			for err == nil {
				_, err = stream.Recv()
			}
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
		})
	}
}
