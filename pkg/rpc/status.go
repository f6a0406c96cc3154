package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"reprise/pkg/errs"
)

// grpcCodes is what tools that know nothing of us see. It is one to one, but the detail decides: a
// UInt32Value with the number of the errs.Code, which a status made by the transport never has.
var grpcCodes = map[errs.Code]codes.Code{
	errs.Internal:    codes.Internal,
	errs.Invalid:     codes.InvalidArgument,
	errs.NotFound:    codes.NotFound,
	errs.Conflict:    codes.FailedPrecondition,
	errs.Unavailable: codes.Unavailable,
	errs.Uncertain:   codes.Unknown,
	errs.NotLeader:   codes.Aborted,
	errs.Fenced:      codes.PermissionDenied,
	errs.Corrupt:     codes.DataLoss,
	errs.Unsupported: codes.Unimplemented,
}

// transportCodes reads statuses without our detail. The transport cannot tell whether the peer
// acted before the connection broke, so whatever does not exclude it is Uncertain.
var transportCodes = map[codes.Code]errs.Code{
	codes.InvalidArgument:    errs.Invalid,
	codes.NotFound:           errs.NotFound,
	codes.AlreadyExists:      errs.Conflict,
	codes.FailedPrecondition: errs.Conflict,
	codes.PermissionDenied:   errs.Invalid,
	codes.Unauthenticated:    errs.Invalid,
	codes.ResourceExhausted:  errs.Unavailable,
	codes.OutOfRange:         errs.Invalid,
	codes.Unimplemented:      errs.Unsupported,
	codes.Internal:           errs.Internal,
	codes.DataLoss:           errs.Corrupt,
}

// ToStatus turns an error of ours into the status that goes over the wire.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := errs.CodeOf(err)
	if code == errs.Internal && errors.Is(err, context.Canceled) {
		return status.Error(codes.Canceled, err.Error())
	}
	if code == errs.Internal && errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	grpcCode, ok := grpcCodes[code]
	if !ok {
		grpcCode = codes.Unknown
	}
	st, derr := status.New(grpcCode, err.Error()).WithDetails(wrapperspb.UInt32(uint32(code)))
	if derr != nil {
		return status.Error(grpcCode, err.Error())
	}
	return st.Err()
}

// FromStatus turns what a gRPC client returned into an error with a code. io.EOF, which ends a
// stream, stays as it is. A caller that knows that nothing was sent may turn Uncertain into Unavailable.
func FromStatus(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, d := range st.Details() {
		if n, ok := d.(*wrapperspb.UInt32Value); ok && n.GetValue() > 0 && n.GetValue() <= math.MaxUint8 {
			return errs.Newf(errs.Code(n.GetValue()), "%s", st.Message())
		}
	}
	switch st.Code() {
	case codes.Canceled:
		return errs.With(errs.Uncertain, fmt.Errorf("%s: %w", st.Message(), context.Canceled))
	case codes.DeadlineExceeded:
		return errs.With(errs.Uncertain, fmt.Errorf("%s: %w", st.Message(), context.DeadlineExceeded))
	}
	code, ok := transportCodes[st.Code()]
	if !ok {
		code = errs.Uncertain
	}
	return errs.Newf(code, "%s", st.Message())
}

// ServerOptions map the errors of handlers to statuses and choose the fast codec. Every gRPC server of
// ours is made with them.
func ServerOptions() []grpc.ServerOption {
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		resp, err := h(ctx, req)
		return resp, ToStatus(err)
	}
	stream := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		return ToStatus(h(srv, ss))
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(unary), grpc.ChainStreamInterceptor(stream), grpc.ForceServerCodecV2(newCodec()),
	}
}

// DialOptions map statuses to errors with codes and choose the fast codec. Every gRPC client connection
// of ours is made with them.
func DialOptions() []grpc.DialOption {
	unary := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return FromStatus(invoke(ctx, method, req, reply, cc, opts...))
	}
	stream := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, desc, cc, method, opts...)
		if err != nil {
			return nil, FromStatus(err)
		}
		return codedStream{s}, nil
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(unary), grpc.WithChainStreamInterceptor(stream),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec())),
	}
}

type codedStream struct{ grpc.ClientStream }

func (s codedStream) SendMsg(m any) error { return FromStatus(s.ClientStream.SendMsg(m)) }
func (s codedStream) RecvMsg(m any) error { return FromStatus(s.ClientStream.RecvMsg(m)) }
