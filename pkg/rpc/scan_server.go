package rpc

import (
	"context"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/query/scan"
)

// Scanner reads the rows of partitions that are led in this process, or in others.
type Scanner interface {
	// Scan emits the rows of p that r wants, until emit returns an error. A batch is given away.
	Scan(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error
}

// ServeScans lets others scan the partitions. Call it before Register.
func (s *WorkerServer) ServeScans(scanner Scanner) { s.scanner = scanner }

// Scan implements workerv1.WorkerServer.
func (s *WorkerServer) Scan(r *workerv1.ScanRequest, stream workerv1.Worker_ScanServer) error {
	if err := s.checkHello(r.GetHello()); err != nil {
		return err
	}
	if s.scanner == nil {
		return errs.Newf(errs.Unsupported, "%s serves no scans", s.self)
	}
	request := &scan.Request{Table: r.Table, Columns: r.Columns, Limit: r.Limit}
	for _, f := range r.Filters {
		request.Filters = append(request.Filters, scan.Filter{Column: f.GetColumn(), Values: f.GetValues(), Null: f.GetNull(), Not: f.GetNegated()})
	}
	if t := r.GetTop(); t != nil {
		request.Top = &scan.Top{Column: t.Column, Descending: t.Descending, Rows: t.Rows}
	}
	return s.scanner.Scan(stream.Context(), id.Partition(r.Partition), request, func(b scan.Batch) error {
		return stream.Send(&workerv1.ScanResponse{Batch: b.Data, Rows: uint32(b.Rows)})
	})
}

// checkHello refuses a caller of another cluster.
func (s *WorkerServer) checkHello(h *workerv1.Hello) error {
	mine := s.fingerprint()
	switch {
	case h == nil:
		return errs.Newf(errs.Invalid, "the request says not who sends it")
	case mine == 0:
		return errs.Newf(errs.Unavailable, "%s does not know its cluster yet", s.self)
	case h.Fingerprint != mine:
		return errs.Newf(errs.Invalid, "%s is of cluster %016x, the caller of %016x", s.self, mine, h.Fingerprint)
	}
	return nil
}
