package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	adminv1 "reprise/api/admin/v1"
	"reprise/pkg/id"
)

func (c *calls) CancelInvocation(ctx context.Context, q *adminv1.InvocationRequest) (*adminv1.OperationResponse, error) {
	return c.operate(ctx, q.InvocationId, opCancel)
}

func (c *calls) KillInvocation(ctx context.Context, q *adminv1.InvocationRequest) (*adminv1.OperationResponse, error) {
	return c.operate(ctx, q.InvocationId, opKill)
}

func (c *calls) PauseInvocation(ctx context.Context, q *adminv1.InvocationRequest) (*adminv1.OperationResponse, error) {
	return c.operate(ctx, q.InvocationId, opPause)
}

func (c *calls) ResumeInvocation(ctx context.Context, q *adminv1.ResumeRequest) (*adminv1.OperationResponse, error) {
	i, err := parseInvocation(q.InvocationId)
	if err != nil {
		return nil, err
	}
	op := opResume
	if op.choice, err = queryChoice(q.Deployment); err != nil {
		return nil, err
	}
	return c.run(ctx, i, &op)
}

func (c *calls) RestartInvocation(ctx context.Context, q *adminv1.RestartRequest) (*adminv1.RestartResponse, error) {
	i, err := parseInvocation(q.InvocationId)
	if err != nil {
		return nil, err
	}
	op := opRestart
	if q.From != nil {
		from, err := strconv.ParseUint(*q.From, 10, 32)
		if err != nil {
			return nil, misfit(http.StatusBadRequest, "Failed to deserialize query string: from: %q is no 32-bit number", *q.From)
		}
		op.from = uint32(from)
	}
	if op.choice, err = queryChoice(q.Deployment); err != nil {
		return nil, err
	}
	if _, err := c.run(ctx, i, &op); err != nil {
		return nil, err
	}
	return &adminv1.RestartResponse{NewInvocationId: op.next.String()}, nil
}

func (c *calls) PurgeInvocation(ctx context.Context, q *adminv1.InvocationRequest) (*adminv1.OperationResponse, error) {
	return c.operate(ctx, q.InvocationId, opPurge)
}

func (c *calls) PurgeJournalInvocation(ctx context.Context, q *adminv1.InvocationRequest) (*adminv1.OperationResponse, error) {
	return c.operate(ctx, q.InvocationId, opPurgeJournal)
}

// DeleteInvocation answers the same whatever the invocation is in for: whoever uses it knows no better.
func (c *calls) DeleteInvocation(ctx context.Context, q *adminv1.DeleteInvocationRequest) (*adminv1.OperationResponse, error) {
	i, err := parseInvocation(q.InvocationId)
	if err != nil {
		return nil, err
	}
	op := opCancel
	switch mode := q.GetMode(); {
	case q.Mode == nil, isChoice(mode, "cancel"):
	case isChoice(mode, "kill"):
		op = opKill
	case isChoice(mode, "purge"):
		op = opPurge
	default:
		return nil, misfit(http.StatusBadRequest, "Failed to deserialize query string: mode: unknown variant `%s`, expected one of `Cancel`, `Kill`, `Purge`", mode)
	}
	if _, _, err := c.ops.do(ctx, i, &op); err != nil {
		return nil, err
	}
	return &adminv1.OperationResponse{UnderWay: true}, nil
}

func (c *calls) operate(ctx context.Context, text string, op operation) (*adminv1.OperationResponse, error) {
	i, err := parseInvocation(text)
	if err != nil {
		return nil, err
	}
	return c.run(ctx, i, &op)
}

func (c *calls) run(ctx context.Context, i id.Invocation, op *operation) (*adminv1.OperationResponse, error) {
	underWay, why, err := c.ops.do(ctx, i, op)
	switch {
	case err != nil:
		return nil, err
	case why == nil:
		return &adminv1.OperationResponse{UnderWay: underWay}, nil
	case why.status == http.StatusNotFound:
		return nil, refuse(http.StatusNotFound, "The requested invocation '%s' does not exist", i)
	default:
		return nil, refuse(why.status, "The invocation '%s' %s.", i, why.what)
	}
}

func parseInvocation(text string) (id.Invocation, error) {
	i, err := id.ParseInvocation(text)
	if err != nil {
		return i, refuse(http.StatusBadRequest, "The request field 'invocation_id' is invalid. Reason: %s", err)
	}
	return i, nil
}

func queryChoice(text *string) (string, error) {
	if text == nil {
		return "", nil
	}
	if *text == "" || !checkChoice(*text) {
		return "", refuse(http.StatusBadRequest, "The query parameter 'deployment' is invalid. Reason: bad format")
	}
	return *text, nil
}

// ofInvocations tells whether a path is one of those that take no body.
func ofInvocations(path string) bool { return strings.HasPrefix(path, "/invocations/") }
