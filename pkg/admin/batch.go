package admin

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	adminv1 "reprise/api/admin/v1"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
)

const (
	batchMax      = 1000
	batchParallel = 16 // operations of a batch that are under way at a time
)

func (c *calls) CancelInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opCancel)
}

func (c *calls) KillInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opKill)
}

func (c *calls) PauseInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opPause)
}

func (c *calls) ResumeInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opResume)
}

func (c *calls) PurgeInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opPurge)
}

func (c *calls) PurgeJournalInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchResponse, error) {
	return c.batch(ctx, q, opPurgeJournal)
}

func (c *calls) RestartInvocations(ctx context.Context, q *adminv1.BatchRequest) (*adminv1.BatchRestartResponse, error) {
	items, err := c.runBatch(ctx, q, opRestart)
	if err != nil {
		return nil, err
	}
	out := &adminv1.BatchRestartResponse{}
	for _, x := range items {
		if x.failure != "" {
			out.Failed = append(out.Failed, &adminv1.BatchFailure{InvocationId: x.id.String(), Error: x.failure})
			continue
		}
		out.Succeeded = append(out.Succeeded, &adminv1.Restarted{OldInvocationId: x.id.String(), NewInvocationId: x.op.next.String()})
	}
	return out, nil
}

func (c *calls) batch(ctx context.Context, q *adminv1.BatchRequest, op operation) (*adminv1.BatchResponse, error) {
	items, err := c.runBatch(ctx, q, op)
	if err != nil {
		return nil, err
	}
	out := &adminv1.BatchResponse{}
	for _, x := range items {
		if x.failure != "" {
			out.Failed = append(out.Failed, &adminv1.BatchFailure{InvocationId: x.id.String(), Error: x.failure})
			continue
		}
		out.Succeeded = append(out.Succeeded, x.id.String())
	}
	return out, nil
}

// batchItem is one invocation of a batch, and what came of it.
type batchItem struct {
	id      id.Invocation
	op      operation
	failure string
}

// runBatch runs an operation for each id, a few at a time. The answer is in the order of the request.
func (c *calls) runBatch(ctx context.Context, q *adminv1.BatchRequest, op operation) ([]batchItem, error) {
	if q.InvocationIds == nil {
		return nil, misfit(http.StatusUnprocessableEntity, "%smissing field `invocation_ids`", misshapen)
	}
	if n := len(q.InvocationIds); n > batchMax {
		return nil, refuse(http.StatusBadRequest, "Batch size %d exceeds maximum allowed size of %d", n, batchMax)
	}
	if q.Deployment != nil {
		if *q.Deployment == "" || !checkChoice(*q.Deployment) {
			return nil, refuse(http.StatusBadRequest, "The request field 'deployment' is invalid. Reason: bad format")
		}
		op.choice = *q.Deployment
	}
	items := make([]batchItem, len(q.InvocationIds))
	for n, text := range q.InvocationIds {
		i, err := id.ParseInvocation(text)
		if err != nil {
			return nil, misfit(http.StatusUnprocessableEntity, "%sinvocation_ids[%d]: %s", misshapen, n, err)
		}
		items[n] = batchItem{id: i, op: op}
	}
	var next atomic.Int64
	g := lifecycle.NewGroup(ctx)
	for range min(batchParallel, len(items)) {
		g.Go("batch", func(ctx context.Context) error {
			for n := next.Add(1) - 1; n < int64(len(items)); n = next.Add(1) - 1 {
				items[n].run(ctx, c.ops)
			}
			return nil
		})
	}
	return items, g.Wait()
}

func (x *batchItem) run(ctx context.Context, o *operator) {
	_, why, err := o.do(ctx, x.id, &x.op)
	switch {
	case err != nil:
		x.failure = err.Error()
	case why == nil:
	case why.status == http.StatusNotFound:
		x.failure = fmt.Sprintf("Invocation '%s' not found", x.id)
	default:
		x.failure = fmt.Sprintf("Invocation '%s' %s", x.id, why.what)
	}
}
