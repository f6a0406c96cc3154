package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reprise/pkg/errs"
)

func TestEveryCodeWalksBothWays(t *testing.T) {
	seen := map[codes.Code]errs.Code{}
	for c := errs.Internal; c <= errs.Unsupported; c++ {
		err := fmt.Errorf("doing x: %w", errs.Newf(c, "it broke"))
		wire := ToStatus(err)
		back := FromStatus(wire)
		if got := errs.CodeOf(back); got != c {
			t.Errorf("%s came back as %s", c, got)
		}
		if back.Error() != err.Error() {
			t.Errorf("%s: message %q came back as %q", c, err, back)
		}
		gc := status.Code(wire)
		if other, dup := seen[gc]; dup {
			t.Errorf("%s and %s share %s", c, other, gc)
		}
		if _, known := grpcCodes[c]; !known {
			t.Errorf("%s has no gRPC code", c)
		}
		seen[gc] = c
	}
	if len(grpcCodes) != int(errs.Unsupported) {
		t.Errorf("%d codes in the table, %d exist: extend this test", len(grpcCodes), errs.Unsupported)
	}
}

func TestForeignStatuses(t *testing.T) {
	for _, row := range []struct {
		in   error
		want errs.Code
		is   error
	}{
		{status.Error(codes.Unavailable, "connection reset"), errs.Uncertain, nil},
		{status.Error(codes.Unknown, "?"), errs.Uncertain, nil},
		{status.Error(codes.Aborted, "?"), errs.Uncertain, nil},
		{status.Error(codes.Unimplemented, "no such method"), errs.Unsupported, nil},
		{status.Error(codes.ResourceExhausted, "too large"), errs.Unavailable, nil},
		{status.Error(codes.Canceled, "gone"), errs.Uncertain, context.Canceled},
		{status.Error(codes.DeadlineExceeded, "late"), errs.Uncertain, context.DeadlineExceeded},
	} {
		got := FromStatus(row.in)
		if errs.CodeOf(got) != row.want || (row.is != nil && !errors.Is(got, row.is)) {
			t.Errorf("%v: got %v with code %s, want %s", row.in, got, errs.CodeOf(got), row.want)
		}
	}
	if FromStatus(io.EOF) != io.EOF || FromStatus(nil) != nil || ToStatus(nil) != nil {
		t.Error("io.EOF and nil must stay")
	}
	if got := status.Code(ToStatus(fmt.Errorf("reading: %w", context.Canceled))); got != codes.Canceled {
		t.Errorf("a cancelled handler gave %s", got)
	}
	if got := errs.CodeOf(FromStatus(ToStatus(errs.With(errs.Unavailable, context.Canceled)))); got != errs.Unavailable {
		t.Errorf("a code in front of a context error gave %s", got)
	}
}
