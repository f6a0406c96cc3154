package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
)

type clusterSQL func(ctx context.Context, sql string, send func([]byte) error) ([]string, error)

// Cluster implements rpc.ClusterSQL.
func (f clusterSQL) Cluster(ctx context.Context, sql string, send func([]byte) error) ([]string, error) {
	return f(ctx, sql, send)
}

func queryClient(t *testing.T, sql rpc.ClusterSQL) workerv1.ClusterQueryClient {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(rpc.FabricServerOptions()...)
	rpc.NewQueryServer(sql).Register(g)
	group := lifecycle.NewGroup(context.Background())
	group.Go("server", func(context.Context) error { return g.Serve(ln) })
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	return workerv1.NewClusterQueryClient(conn)
}

// The stream comes in pieces, then the warnings, if there are any; an error has the code and the text of the engine.
func TestClusterQuery(t *testing.T) {
	for _, row := range []struct {
		name     string
		sql      rpc.ClusterSQL
		pieces   string
		warnings int
		code     codes.Code
		message  string
	}{
		{"no SQL", nil, "", 0, codes.Unimplemented, "this daemon was built without SQL"},
		{"whole", clusterSQL(func(_ context.Context, sql string, send func([]byte) error) ([]string, error) {
			return nil, errors.Join(send([]byte("<")), send([]byte(sql)), send([]byte(">")))
		}), "<SELECT 1>", 0, codes.OK, ""},
		{"partial", clusterSQL(func(_ context.Context, _ string, send func([]byte) error) ([]string, error) {
			return []string{"a", "b"}, send([]byte("x"))
		}), "x", 2, codes.OK, ""},
		{"wrong", clusterSQL(func(context.Context, string, func([]byte) error) ([]string, error) {
			return nil, errs.Newf(errs.Invalid, "no such table")
		}), "", 0, codes.InvalidArgument, "no such table"},
		{"broken", clusterSQL(func(_ context.Context, _ string, send func([]byte) error) ([]string, error) {
			return []string{"not told"}, errors.Join(send([]byte("x")), errs.Newf(errs.Unavailable, "gone"))
		}), "x", 0, codes.Unavailable, "gone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			stream, err := queryClient(t, row.sql).Query(t.Context(), &workerv1.QueryRequest{Query: "SELECT 1"})
			if err != nil {
				t.Fatal(err)
			}
			pieces, warnings := "", 0
			for {
				m, err := stream.Recv()
				if err != nil {
					ended := errors.Is(err, io.EOF)
					if s, _ := status.FromError(err); ended != (row.code == codes.OK) || !ended && (s.Code() != row.code || s.Message() != row.message) {
						t.Errorf("it ended with %v", err)
					}
					break
				}
				pieces += string(m.Encoded)
				warnings += len(m.Warnings)
			}
			if pieces != row.pieces || warnings != row.warnings {
				t.Errorf("pieces %q, %d warnings", pieces, warnings)
			}
		})
	}
}

// A client that goes away ends the statement.
func TestClusterQueryIsCancelled(t *testing.T) {
	ended := make(chan error, 1)
	c := queryClient(t, clusterSQL(func(ctx context.Context, _ string, send func([]byte) error) ([]string, error) {
		if err := send([]byte("x")); err != nil {
			return nil, err
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := c.Query(ctx, &workerv1.QueryRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the statement did not end")
	}
}
