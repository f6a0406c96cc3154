package guest

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Book knows the guests of one server.
type Book struct {
	methods []string
	life    context.Context //nolint:containedctx // of the guests: it ends with ShowOut
	end     context.CancelFunc
}

// NewBook returns the book of a server whose calls of certain methods, such as /package.Service/Method, are guests; without
// any, all streams are. Their handlers must end with the context of the call.
func NewBook(methods ...string) *Book {
	b := &Book{methods: methods}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// ShowOut ends the guests, and those that come from now on. Clients are told that the server is not available, so that they go
// on at another one.
func (b *Book) ShowOut() { b.end() }

// Options has a server write its guests into the book.
func (b *Book) Options() []grpc.ServerOption {
	out := []grpc.ServerOption{grpc.ChainStreamInterceptor(b.stream)}
	if len(b.methods) > 0 {
		out = append(out, grpc.ChainUnaryInterceptor(b.unary))
	}
	return out
}

func (b *Book) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if len(b.methods) > 0 && !slices.Contains(b.methods, info.FullMethod) {
		return h(srv, stream)
	}
	ctx, done := b.enter(stream.Context())
	defer done()
	return b.left(h(srv, &guest{ServerStream: stream, ctx: ctx}))
}

func (b *Book) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if !slices.Contains(b.methods, info.FullMethod) {
		return h(ctx, req)
	}
	ctx, done := b.enter(ctx)
	defer done()
	resp, err := h(ctx, req)
	if err != nil {
		return nil, b.left(err)
	}
	return resp, nil
}

// enter returns the context of a guest.
func (b *Book) enter(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// left is what a guest is told at the end.
func (b *Book) left(err error) error {
	if b.life.Err() != nil {
		return status.Error(codes.Unavailable, "this process stops")
	}
	return err
}

// guest is a stream with a context of its own.
type guest struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // it is what Context returns
}

// Context implements grpc.ServerStream.
func (g *guest) Context() context.Context { return g.ctx }
