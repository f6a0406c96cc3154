package rpc

import (
	"context"

	logv1 "reprise/api/log/v1"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// logClient is a log-server of another process, for recoveries and readers.
type logClient struct {
	c      logv1.LogServerClient
	header *logv1.Header // never changed
}

var _ logproto.Server = logClient{}

func (c logClient) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	r, err := c.c.Seal(ctx, &logv1.SealRequest{Header: c.header, Ref: toRef(ref)})
	return fromInfo(r), err
}

func (c logClient) Info(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	r, err := c.c.Info(ctx, &logv1.InfoRequest{Header: c.header, Ref: toRef(ref)})
	return fromInfo(r), err
}

func (c logClient) Records(ctx context.Context, q logproto.RecordsRequest) (logproto.RecordsAnswer, error) {
	r, err := c.c.Records(ctx, &logv1.RecordsRequest{
		Header: c.header, Ref: toRef(q.Ref), From: uint32(q.From), To: uint32(q.To), BytesMax: uint32(q.BytesMax),
	})
	return fromRecords(r), err
}

func (c logClient) Digest(ctx context.Context, q logproto.DigestRequest) (logproto.DigestAnswer, error) {
	r, err := c.c.Digest(ctx, &logv1.DigestRequest{Header: c.header, Ref: toRef(q.Ref), From: uint32(q.From), To: uint32(q.To)})
	return fromDigest(r), err
}

func (c logClient) Repair(ctx context.Context, g logproto.Group) (logproto.Answer, error) {
	req := &logv1.RepairRequest{Header: c.header, Group: &logv1.Group{}}
	fillGroup(req.Group, &g)
	r, err := c.c.Repair(ctx, req)
	return fromAnswer(r.GetAnswer()), err
}

func (c logClient) Trim(ctx context.Context, ref logproto.Ref, through lsn.Offset) (logproto.Info, error) {
	r, err := c.c.Trim(ctx, &logv1.TrimRequest{Header: c.header, Ref: toRef(ref), Through: uint32(through)})
	return fromInfo(r), err
}

func (c logClient) WaitForTail(ctx context.Context, w logproto.TailWait) (logproto.Info, error) {
	r, err := c.c.WaitForTail(ctx, &logv1.WaitForTailRequest{Header: c.header, Ref: toRef(w.Ref), Tail: uint32(w.Tail), Known: uint32(w.Known)})
	return fromInfo(r), err
}
