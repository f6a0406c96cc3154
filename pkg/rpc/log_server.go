package rpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	logv1 "reprise/api/log/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// framesMax is how many answered frames wait to be written to a stream. A log writer sends one frame at a time.
const framesMax = 4

// LogEngine is a log-server, *logserver.Server.
type LogEngine interface {
	logproto.Server
	// Connect returns a connection for the log writer from.
	Connect(from id.GenerationalNode, r logproto.Receiver) logproto.Conn
}

// LogService serves a log-server to the other daemons.
type LogService struct {
	logv1.UnimplementedLogServerServer
	engine  LogEngine
	cluster uint64

	mu    sync.Mutex
	newer map[id.Node]uint32 // highest generation that was heard of
}

// NewLogService returns the service of an engine in the cluster with a fingerprint.
func NewLogService(engine LogEngine, cluster uint64) *LogService {
	return &LogService{engine: engine, cluster: cluster, newer: map[id.Node]uint32{}}
}

// Register adds the service to a server.
func (s *LogService) Register(r grpc.ServiceRegistrar) { logv1.RegisterLogServerServer(r, s) }

// admit checks who sends, before anything else.
func (s *LogService) admit(h *logv1.Header) (id.GenerationalNode, error) {
	from := id.GenerationalNode{Node: id.Node(h.GetNode()), Generation: h.GetGeneration()}
	if h.GetCluster() != s.cluster {
		return from, errs.Newf(errs.Invalid, "%s is of another cluster (%016x, this is %016x)", from, h.GetCluster(), s.cluster)
	}
	if from.Node == 0 || from.Generation == 0 {
		return from, errs.Newf(errs.Invalid, "a request without sender")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.newer[from.Node]; from.Generation < g {
		return from, errs.Newf(errs.Fenced, "%s was replaced by generation %d", from, g)
	}
	s.newer[from.Node] = from.Generation
	return from, nil
}

// ask checks a request that waits for an answer: it must have a deadline.
func (s *LogService) ask(ctx context.Context, h *logv1.Header) error {
	if _, err := s.admit(h); err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		return errs.Newf(errs.Invalid, "a request without deadline")
	}
	return nil
}

// Store carries frames of one log writer.
func (s *LogService) Store(stream grpc.BidiStreamingServer[logv1.StoreRequest, logv1.StoreResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	from, err := s.admit(first.GetHeader())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	r := &storing{stream: stream, done: make(chan *storeFrame, framesMax), cancel: cancel, numbers: map[*logproto.Frame]*storeFrame{}}
	r.conn = s.engine.Connect(from, r)
	defer r.conn.Close()
	// Not waited for: only our return ends a Recv, as it ends the stream.
	lifecycle.NewGroup(ctx).Go("frames", func(context.Context) error {
		cancel(r.receive(first))
		return nil
	})
	err = r.answer(ctx)
	cancel(err)
	if errors.Is(err, io.EOF) {
		return nil // the log writer went
	}
	return err
}

// storing is one stream. It is the engine's Receiver.
type storing struct {
	stream grpc.BidiStreamingServer[logv1.StoreRequest, logv1.StoreResponse]
	conn   logproto.Conn
	done   chan *storeFrame // answered; framesMax
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	numbers map[*logproto.Frame]*storeFrame // under way
}

type storeFrame struct {
	frame  logproto.Frame
	number uint64
}

var errManyFrames = errs.Newf(errs.Invalid, "more than %d frames under way", framesMax)

// Stored queues the answer; the goroutine of the stream writes it.
func (r *storing) Stored(f *logproto.Frame) {
	r.mu.Lock()
	sf := r.numbers[f]
	delete(r.numbers, f)
	r.mu.Unlock()
	if sf == nil {
		return
	}
	select {
	case r.done <- sf:
	default:
		r.cancel(errManyFrames)
	}
}

// Broken ends the stream.
func (r *storing) Broken(err error) { r.cancel(err) }

func (r *storing) receive(req *logv1.StoreRequest) error {
	for {
		sf := &storeFrame{number: req.GetFrame()}
		sf.frame.Groups = make([]logproto.Group, 0, len(req.GetGroups()))
		for _, g := range req.GetGroups() {
			if err := logproto.CheckSums(g.GetRecords()); err != nil {
				return errs.Newf(errs.Corrupt, "frame %d came damaged: %w", sf.number, err)
			}
			sf.frame.Groups = append(sf.frame.Groups, fromGroup(g))
		}
		switch {
		case len(sf.frame.Groups) == 0: // the greeting
		case sf.number == 0:
			r.conn.Release(sf.frame.Groups)
		default:
			r.mu.Lock()
			tooMany := len(r.numbers) >= framesMax
			r.numbers[&sf.frame] = sf
			r.mu.Unlock()
			if tooMany {
				return errManyFrames
			}
			r.conn.Send(&sf.frame)
		}
		var err error
		if req, err = r.stream.Recv(); err != nil {
			return err
		}
	}
}

func (r *storing) answer(ctx context.Context) error {
	resp := &logv1.StoreResponse{}
	for {
		select {
		case sf := <-r.done:
			resp.Frame = sf.number
			resp.Answers = resp.Answers[:0]
			for _, a := range sf.frame.Answers {
				resp.Answers = append(resp.Answers, &logv1.Answer{})
				fillAnswer(resp.Answers[len(resp.Answers)-1], a)
			}
			if err := r.stream.Send(resp); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Seal ends a loglet.
func (s *LogService) Seal(ctx context.Context, r *logv1.SealRequest) (*logv1.InfoResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	i, err := s.engine.Seal(ctx, fromRef(r.GetRef()))
	return toInfo(i), err
}

// Info tells what is known of a loglet.
func (s *LogService) Info(ctx context.Context, r *logv1.InfoRequest) (*logv1.InfoResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	i, err := s.engine.Info(ctx, fromRef(r.GetRef()))
	return toInfo(i), err
}

// Records reads records.
func (s *LogService) Records(ctx context.Context, r *logv1.RecordsRequest) (*logv1.RecordsResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	a, err := s.engine.Records(ctx, logproto.RecordsRequest{
		Ref: fromRef(r.GetRef()), From: lsn.Offset(r.GetFrom()), To: lsn.Offset(r.GetTo()), BytesMax: int(r.GetBytesMax()),
	})
	return toRecords(a), err
}

// Digest tells what is there.
func (s *LogService) Digest(ctx context.Context, r *logv1.DigestRequest) (*logv1.DigestResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	a, err := s.engine.Digest(ctx, logproto.DigestRequest{Ref: fromRef(r.GetRef()), From: lsn.Offset(r.GetFrom()), To: lsn.Offset(r.GetTo())})
	return toDigest(a), err
}

// Repair stores a copy.
func (s *LogService) Repair(ctx context.Context, r *logv1.RepairRequest) (*logv1.RepairResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	g := fromGroup(r.GetGroup())
	if err := logproto.CheckSums(g.Records); err != nil {
		return nil, errs.Newf(errs.Corrupt, "the group came damaged: %w", err)
	}
	a, err := s.engine.Repair(ctx, g)
	resp := &logv1.RepairResponse{Answer: &logv1.Answer{}}
	fillAnswer(resp.Answer, a)
	return resp, err
}

// Trim drops a prefix.
func (s *LogService) Trim(ctx context.Context, r *logv1.TrimRequest) (*logv1.InfoResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	i, err := s.engine.Trim(ctx, fromRef(r.GetRef()), lsn.Offset(r.GetThrough()))
	return toInfo(i), err
}

// WaitForTail waits.
func (s *LogService) WaitForTail(ctx context.Context, r *logv1.WaitForTailRequest) (*logv1.InfoResponse, error) {
	if err := s.ask(ctx, r.GetHeader()); err != nil {
		return nil, err
	}
	i, err := s.engine.WaitForTail(ctx, logproto.TailWait{Ref: fromRef(r.GetRef()), Tail: lsn.Offset(r.GetTail()), Known: lsn.Offset(r.GetKnown())})
	return toInfo(i), err
}
