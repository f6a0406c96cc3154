package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	logv1 "reprise/api/log/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
)

// logStream is the stream of this process' log writer to one log-server.
type logStream struct {
	d        *LogDialer
	node     id.Node
	r        logproto.Receiver
	frames   chan *logproto.Frame  // size 1: one frame is under way
	releases chan []logproto.Group // size 1; more are dropped, as a later one tells more
	closed   chan struct{}
	once     sync.Once

	mu     sync.Mutex
	frame  *logproto.Frame // under way
	number uint64          // of it
}

// Send hands a frame to the goroutine of the stream.
func (s *logStream) Send(f *logproto.Frame) {
	s.mu.Lock()
	s.frame = f
	s.number++
	s.mu.Unlock()
	s.frames <- f // has room: the frame before it was taken and answered
}

// Release hands global tails over, unless others wait.
func (s *logStream) Release(gs []logproto.Group) {
	select {
	case s.releases <- gs:
	default:
	}
}

// Close ends the stream without a word.
func (s *logStream) Close() { s.once.Do(func() { close(s.closed) }) }

// run lives as long as the stream. It tells the receiver why it ended, unless it was closed.
func (s *logStream) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.stream(ctx)
	select {
	case <-s.closed:
	default:
		if err == nil || errors.Is(err, io.EOF) {
			err = errs.Newf(errs.Unavailable, "the log-server ended the stream")
		}
		s.r.Broken(fmt.Errorf("stream to %s: %w", s.node, err))
	}
	return nil // one stream is not the process
}

func (s *logStream) stream(ctx context.Context) error {
	conn, err := s.d.peers.Conn(s.node)
	if err != nil {
		return err
	}
	g := lifecycle.NewGroup(ctx)
	stream, err := logv1.NewLogServerClient(conn).Store(g.Context())
	if err != nil {
		return err
	}
	g.Go("answers", func(context.Context) error { return s.receive(stream) })
	g.Go("frames", func(ctx context.Context) error { return s.write(ctx, stream) })
	g.Go("close", func(ctx context.Context) error { // a log-server that hangs takes no frames, and the other two would never look
		select {
		case <-s.closed:
			return errClosed
		case <-ctx.Done():
			return nil
		}
	})
	return g.Wait()
}

var errClosed = errors.New("closed")

func (s *logStream) write(ctx context.Context, stream grpc.BidiStreamingClient[logv1.StoreRequest, logv1.StoreResponse]) error {
	if err := stream.Send(&logv1.StoreRequest{Header: s.d.header}); err != nil {
		return err
	}
	req := &logv1.StoreRequest{}
	number := uint64(0)
	for {
		select {
		case f := <-s.frames:
			number++
			fill(req, number, f.Groups)
		case gs := <-s.releases:
			fill(req, 0, gs)
		case <-s.closed:
			return errClosed
		case <-ctx.Done():
			return nil // the other goroutine knows why
		}
		if err := stream.Send(req); err != nil {
			return err
		}
	}
}

// fill reuses the messages of the request before.
func fill(req *logv1.StoreRequest, number uint64, groups []logproto.Group) {
	req.Frame = number
	all := req.Groups[:cap(req.Groups)]
	req.Groups = all[:0]
	for i := range groups {
		var g *logv1.Group
		if i < len(all) {
			g = all[i]
		}
		if g == nil {
			g = &logv1.Group{}
		}
		fillGroup(g, &groups[i])
		req.Groups = append(req.Groups, g)
	}
}

func (s *logStream) receive(stream grpc.BidiStreamingClient[logv1.StoreRequest, logv1.StoreResponse]) error {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		s.mu.Lock()
		f := s.frame
		ok := f != nil && resp.GetFrame() == s.number && len(resp.GetAnswers()) == len(f.Groups)
		s.frame = nil
		s.mu.Unlock()
		if !ok {
			return errs.Newf(errs.Internal, "answer to frame %d was not expected", resp.GetFrame())
		}
		f.Answers = f.Answers[:0]
		for _, a := range resp.GetAnswers() {
			f.Answers = append(f.Answers, fromAnswer(a))
		}
		select {
		case <-s.closed:
			return errClosed
		default:
		}
		s.r.Stored(f)
	}
}
