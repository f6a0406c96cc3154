package rpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
)

// Worker is what a worker serves: the processor of its partitions. No method blocks or keeps
// anything of a record. A callback runs once, in any goroutine, unless the method returns an error;
// it does not block.
type Worker interface {
	// Submit proposes the record of r and answers with what r wants. caller is compared only, number is the caller's.
	Submit(caller any, number uint64, r command.Request, answered func(*command.Outcome, error)) error
	// Leave says that nobody waits for the answer of a request for i that caller submitted before.
	Leave(caller any, number uint64, i id.Invocation)
	// Abandon says that nobody waits for the answers of what caller submitted before.
	Abandon(caller any)
	// Accept proposes a record that another partition numbered for target; acked is called when it is applied.
	Accept(target id.Partition, record []byte, acked func(error)) error
}

// WorkerServer serves the partitions of this process to others.
type WorkerServer struct {
	workerv1.UnimplementedWorkerServer

	cfg         WorkerConfig
	self        id.GenerationalNode
	fingerprint func() uint64
	worker      Worker
	scanner     Scanner // nil: scans are not served
	keeper      Keeper  // nil: snapshots and trims are not served
}

// NewWorkerServer checks cfg and returns a server. fingerprint is that of the cluster, 0 while it is not known.
func NewWorkerServer(cfg WorkerConfig, self id.GenerationalNode, fingerprint func() uint64, w Worker) (*WorkerServer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	return &WorkerServer{cfg: cfg, self: self, fingerprint: fingerprint, worker: w}, nil
}

// Register adds the service to a gRPC server.
func (s *WorkerServer) Register(r grpc.ServiceRegistrar) { workerv1.RegisterWorkerServer(r, s) }

// Exchange implements workerv1.WorkerServer.
func (s *WorkerServer) Exchange(stream workerv1.Worker_ExchangeServer) error {
	if err := s.greet(stream); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	x := &exchange{s: s, stream: stream, wake: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
	group := lifecycle.NewGroup(ctx)
	group.Go("write answers", x.write)
	err := x.read(ctx)
	x.close()
	x.s.worker.Abandon(x)
	cancel()
	if werr := group.Wait(); err == nil {
		err = werr
	}
	return err
}

func (s *WorkerServer) greet(stream workerv1.Worker_ExchangeServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	mine := s.fingerprint()
	switch {
	case first.Hello == nil || len(first.Wants) > 0:
		return errs.Newf(errs.Invalid, "an exchange begins with a hello and nothing else")
	case mine == 0:
		return errs.Newf(errs.Unavailable, "%s does not know its cluster yet", s.self)
	case first.Hello.Fingerprint != mine:
		return errs.Newf(errs.Invalid, "%s is of cluster %016x, the caller of %016x", s.self, mine, first.Hello.Fingerprint)
	}
	return stream.Send(&workerv1.ExchangeResponse{Hello: &workerv1.Hello{
		Fingerprint: mine, Node: uint32(s.self.Node), Generation: s.self.Generation,
	}})
}

// exchange is one stream.
type exchange struct {
	s       *WorkerServer
	stream  workerv1.Worker_ExchangeServer
	wake    chan struct{} // capacity 1: the writer sleeps on it
	drained chan struct{} // capacity 1: the reader waits on it while too many answers wait

	// mu guards what follows. Never held across I/O or a call of the worker.
	mu       sync.Mutex
	answers  []*workerv1.Answer // to be sent
	bytes    int
	sleeping bool
	closed   bool // answers are of no use any more
}

// read takes requests until the caller ends.
func (x *exchange) read(ctx context.Context) error {
	m := &workerv1.ExchangeRequest{}
	for {
		if err := x.awaitRoom(ctx); err != nil {
			return err
		}
		if cap(m.Records) > 2*x.s.cfg.FrameBytesMax {
			m.Records = nil
		}
		m.Hello, m.First, m.Wants, m.Targets, m.Records = nil, 0, m.Wants[:0], m.Targets[:0], m.Records[:0]
		m.Left, m.LeftIds = m.Left[:0], m.LeftIds[:0]
		if err := x.stream.RecvMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := x.take(m); err != nil {
			return err
		}
	}
}

// awaitRoom holds the caller back while it does not read its answers.
func (x *exchange) awaitRoom(ctx context.Context) error {
	for {
		x.mu.Lock()
		full := x.bytes > x.s.cfg.AnswerBytesMax
		x.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-x.drained:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take hands the requests of a message to the worker, in their order.
func (x *exchange) take(m *workerv1.ExchangeRequest) error {
	records, targets := m.Records, m.Targets
	for i, want := range m.Wants {
		rec, rest, err := command.Next(records)
		if err != nil {
			return errs.Newf(errs.Invalid, "request %d of %d: %w", i, len(m.Wants), err)
		}
		records = rest
		number := m.First + uint64(i)
		if want == 0 {
			if len(targets) == 0 {
				return errs.Newf(errs.Invalid, "delivery %d of %d has no target", i, len(m.Wants))
			}
			target := id.Partition(targets[0])
			targets = targets[1:]
			x.deliver(number, target, rec)
			continue
		}
		if err := x.submit(number, command.Want(want), rec); err != nil {
			return err
		}
	}
	if len(records) > 0 || len(targets) > 0 {
		return errs.Newf(errs.Invalid, "%d bytes of records and %d targets belong to no request", len(records), len(targets))
	}
	return x.leave(m.Left, m.LeftIds)
}

// leave tells the worker which callers have left.
func (x *exchange) leave(numbers []uint64, ids []byte) error {
	if len(ids) != len(numbers)*len(id.Invocation{}) {
		return errs.Newf(errs.Invalid, "%d bytes of ids for %d callers that left", len(ids), len(numbers))
	}
	for _, number := range numbers {
		var i id.Invocation
		ids = ids[copy(i[:], ids):]
		x.s.worker.Leave(x, number, i)
	}
	return nil
}

func (x *exchange) deliver(number uint64, target id.Partition, rec []byte) {
	err := x.s.worker.Accept(target, rec, func(err error) { x.answer(number, nil, err) })
	if err != nil {
		x.answer(number, nil, err)
	}
}

func (x *exchange) submit(number uint64, want command.Want, rec []byte) error {
	r, err := command.Parse(rec)
	if err != nil {
		return errs.Newf(errs.Invalid, "request %d: %w", number, err)
	}
	known := want == command.WantAccepted || want == command.WantCompleted || want == command.WantNow
	if !known || !r.Kind.Requestable() {
		x.answer(number, nil, errs.Newf(errs.Unsupported, "a request of kind %d that wants %d", r.Kind, want))
		return nil
	}
	err = x.s.worker.Submit(x, number, command.Request{ID: r.ID, Record: rec, Want: want}, func(o *command.Outcome, err error) { x.answer(number, o, err) })
	if err != nil {
		x.answer(number, nil, err)
	}
	return nil
}

// answerBytes is about what an answer takes beside its result.
const answerBytes = 128

// answer queues an answer; it does not block.
func (x *exchange) answer(number uint64, o *command.Outcome, err error) {
	a := &workerv1.Answer{Number: number}
	switch {
	case err != nil:
		a.Code, a.Message = uint32(errs.CodeOf(err)), err.Error()
	case o != nil:
		a.Status, a.ExecuteAtMs, a.Target, a.Result = uint32(o.Status), o.ExecuteAt, o.Target, o.Result
		a.Stored, a.ExpiresAtMs, a.Workflow = o.Stored, o.ExpiresAt, o.Workflow
	}
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return
	}
	x.answers = append(x.answers, a)
	x.bytes += answerBytes + len(a.Result.GetValue())
	wake := x.sleeping
	x.sleeping = false
	x.mu.Unlock()
	if wake {
		nudge(x.wake)
	}
}

// nudge wakes whoever sleeps on a channel of capacity 1.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// write sends what waits as one message, and what came meanwhile as the next.
func (x *exchange) write(ctx context.Context) error {
	var batch []*workerv1.Answer
	for {
		batch = x.batch(batch)
		if len(batch) == 0 {
			select {
			case <-x.wake:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err := x.stream.Send(&workerv1.ExchangeResponse{Answers: batch}); err != nil {
			return err
		}
	}
}

// batch moves answers of about a frame from the queue into into.
func (x *exchange) batch(into []*workerv1.Answer) []*workerv1.Answer {
	clear(into)
	into = into[:0]
	x.mu.Lock()
	defer x.mu.Unlock()
	size, n := 0, 0
	for n < len(x.answers) && size < x.s.cfg.FrameBytesMax {
		size += answerBytes + len(x.answers[n].Result.GetValue())
		n++
	}
	into = append(into, x.answers[:n]...)
	rest := copy(x.answers, x.answers[n:])
	clear(x.answers[rest:])
	x.answers = x.answers[:rest]
	was := x.bytes
	x.bytes -= size
	x.sleeping = n == 0
	if was > x.s.cfg.AnswerBytesMax {
		nudge(x.drained)
	}
	return into
}

func (x *exchange) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed, x.answers, x.bytes = true, nil, 0
}
