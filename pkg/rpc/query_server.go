package rpc

import (
	"context"

	"google.golang.org/grpc"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
)

// ClusterSQL answers SQL over the catalog of the cluster.
type ClusterSQL interface {
	// Cluster sends the Arrow stream of a statement in pieces, which are borrowed. warnings say what is missing.
	Cluster(ctx context.Context, sql string, send func(piece []byte) error) (warnings []string, err error)
}

// QueryServer serves SQL to the command line of operators.
type QueryServer struct {
	workerv1.UnimplementedClusterQueryServer
	sql ClusterSQL
}

// NewQueryServer returns a server; without sql it says that there is none.
func NewQueryServer(sql ClusterSQL) *QueryServer { return &QueryServer{sql: sql} }

// Register adds the service to a gRPC server.
func (s *QueryServer) Register(r grpc.ServiceRegistrar) { workerv1.RegisterClusterQueryServer(r, s) }

// Query implements workerv1.ClusterQueryServer.
func (s *QueryServer) Query(r *workerv1.QueryRequest, stream workerv1.ClusterQuery_QueryServer) error {
	if s.sql == nil {
		return errs.Newf(errs.Unsupported, "this daemon was built without SQL")
	}
	warnings, err := s.sql.Cluster(stream.Context(), r.Query, func(piece []byte) error {
		return stream.Send(&workerv1.QueryResponse{Encoded: piece})
	})
	if err != nil || len(warnings) == 0 {
		return err
	}
	last := &workerv1.QueryResponse{}
	for _, w := range warnings {
		last.Warnings = append(last.Warnings, &workerv1.QueryWarning{Message: w})
	}
	return stream.Send(last)
}
