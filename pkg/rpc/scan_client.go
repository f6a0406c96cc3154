package rpc

import (
	"context"
	"errors"
	"io"
	"time"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/query/scan"
)

// ScanClient scans partitions at their leaders in other processes.
type ScanClient struct {
	self   id.GenerationalNode
	routes Routes
	conns  Conns
	// silence is how long a worker may send nothing, not even a sign of life, while its rows are waited for.
	silence time.Duration
}

const scanSilence = time.Minute

var errSilent = errors.New("the worker is silent")

// NewScanClient returns a client.
func NewScanClient(self id.GenerationalNode, routes Routes, conns Conns) *ScanClient {
	return &ScanClient{self: self, routes: routes, conns: conns, silence: scanSilence}
}

// Scan implements Scanner.
func (c *ScanClient) Scan(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
	leader, err := leaderOf(c.routes, p)
	if err != nil {
		return err
	}
	conn, err := c.conns.Conn(leader.Node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx) // ends the stream when emit has enough
	defer cancel(nil)
	request := &workerv1.ScanRequest{
		Hello:     hello(c.routes, c.self),
		Partition: uint32(p), Table: r.Table, Columns: r.Columns, Limit: r.Limit,
	}
	for _, f := range r.Filters {
		request.Filters = append(request.Filters, &workerv1.ScanFilter{Column: f.Column, Values: f.Values, Null: f.Null, Negated: f.Not})
	}
	if t := r.Top; t != nil {
		request.Top = &workerv1.ScanTop{Column: t.Column, Descending: t.Descending, Rows: t.Rows}
	}
	stream, err := workerv1.NewWorkerClient(conn).Scan(ctx, request)
	if err != nil {
		return brokeOff(err)
	}
	for {
		silent, heard := context.WithTimeout(ctx, c.silence)
		unwatch := context.AfterFunc(silent, func() { cancel(errSilent) })
		m, err := stream.Recv()
		unwatch()
		heard()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && errors.Is(context.Cause(ctx), errSilent) {
			return errs.Newf(errs.Unavailable, "%s sent nothing of partition %d for %s", leader, p, c.silence)
		}
		if err != nil {
			return brokeOff(err)
		}
		if err := emit(scan.Batch{Rows: int(m.GetRows()), Data: m.GetBatch()}); err != nil {
			return err
		}
	}
}

// brokeOff is the error of a scan whose connection ended: since a scan changes nothing, it is as if it had not been.
func brokeOff(err error) error {
	if errs.Is(err, errs.Uncertain) && !errors.Is(err, context.Canceled) {
		return errs.With(errs.Unavailable, err)
	}
	return err
}
