package guest_test

import (
	"context"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"reprise/pkg/guest"
	"reprise/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house answers a check once it is told to, and a watch and a list never.
type house struct {
	grpc_health_v1.UnimplementedHealthServer
	came   chan string   // each call
	answer chan struct{} // of checks
}

func (h *house) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.came <- "check"
	<-h.answer
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (h *house) List(ctx context.Context, _ *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	h.came <- "list"
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h *house) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	h.came <- "watch"
	<-stream.Context().Done()
	return stream.Context().Err()
}

// visit begins a watch, a list and a check at a server, has that stopped, and returns how they end. left is closed when the client
// has seen the watch end.
func visit(t *testing.T, book *guest.Book, stop func(s *grpc.Server, h *house, left <-chan struct{})) (watched, listed, checked error) {
	t.Helper()
	h := &house{came: make(chan string), answer: make(chan struct{})}
	s := grpc.NewServer(book.Options()...)
	grpc_health_v1.RegisterHealthServer(s, h)
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.NewGroup(context.Background())
	g.Go("serve", func(context.Context) error { return s.Serve(ln) })
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := grpc_health_v1.NewHealthClient(conn)
	left := make(chan struct{})
	g.Go("watch", func(ctx context.Context) error {
		defer close(left)
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		watched = err
		return nil
	})
	g.Go("list", func(ctx context.Context) error {
		_, listed = client.List(ctx, &grpc_health_v1.HealthListRequest{})
		return nil
	})
	g.Go("check", func(ctx context.Context) error {
		_, checked = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return nil
	})
	for range 3 {
		<-h.came
	}
	stop(s, h, left)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	return watched, listed, checked
}

// What is asked is answered; guests are shown out, though they would stay for ever.
func TestShowOut(t *testing.T) {
	book := guest.NewBook(grpc_health_v1.Health_Watch_FullMethodName, grpc_health_v1.Health_List_FullMethodName)
	watched, listed, checked := visit(t, book, func(s *grpc.Server, h *house, _ <-chan struct{}) {
		book.ShowOut()
		close(h.answer)
		s.GracefulStop() // returns, as nobody is left
	})
	if status.Code(watched) != codes.Unavailable || status.Code(listed) != codes.Unavailable || checked != nil {
		t.Errorf("watch %v, list %v, check %v", watched, listed, checked)
	}
}

// Without methods all streams are guests, and nothing else is.
func TestStreamsAreGuests(t *testing.T) {
	book := guest.NewBook()
	watched, listed, checked := visit(t, book, func(s *grpc.Server, h *house, left <-chan struct{}) {
		book.ShowOut()
		<-left
		close(h.answer)
		s.Stop() // the list is no guest
	})
	const why = "this process stops"
	if status.Convert(watched).Message() != why || status.Convert(listed).Message() == why || status.Convert(checked).Message() == why {
		t.Errorf("watch %v, list %v, check %v", watched, listed, checked)
	}
}
