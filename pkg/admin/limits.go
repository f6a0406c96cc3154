package admin

import (
	"context"
	"net/http"
	"strings"

	adminv1 "reprise/api/admin/v1"
)

// Rules and virtual queues are not built: there are none, and none can be made.

func (c *calls) UpsertRules(_ context.Context, q *adminv1.UpsertRulesRequest) (*adminv1.UpsertRulesResponse, error) {
	for i, r := range q.Rules {
		if err := checkPattern(i, r.Pattern); err != nil {
			return nil, err
		}
	}
	if len(q.Rules) > 0 {
		return nil, notBuilt("Rules that limit concurrency")
	}
	return &adminv1.UpsertRulesResponse{}, nil
}

func (c *calls) BulkDeleteRules(_ context.Context, q *adminv1.BulkDeleteRulesRequest) (*adminv1.BulkDeleteRulesResponse, error) {
	for i, r := range q.Rules {
		if err := checkPattern(i, r.Pattern); err != nil {
			return nil, err
		}
	}
	return &adminv1.BulkDeleteRulesResponse{}, nil // none of them is there
}

// checkPattern tells whether the pattern of the i-th rule of a request is one: scope, scope/*, */*/limit, ...
func checkPattern(i int, pattern *string) error {
	if pattern == nil {
		return misfit(http.StatusUnprocessableEntity, "%s[%d]: missing field `pattern`", misshapen, i)
	}
	for part := range strings.SplitSeq(*pattern, "/") {
		if part == "" {
			return misfit(http.StatusUnprocessableEntity, "%s[%d].pattern: %q has an empty part", misshapen, i, *pattern)
		}
	}
	return nil
}

func (c *calls) PauseVqueue(_ context.Context, q *adminv1.VqueueRequest) (*adminv1.OperationResponse, error) {
	return nil, vqueue(q.VqueueId)
}

func (c *calls) ResumeVqueue(_ context.Context, q *adminv1.VqueueRequest) (*adminv1.OperationResponse, error) {
	return nil, vqueue(q.VqueueId)
}

func vqueue(id string) error {
	if !strings.HasPrefix(id, "vq_") {
		return refuse(http.StatusBadRequest, "The request field 'vqueue_id' is invalid. Reason: bad format")
	}
	return notBuilt("Virtual queues")
}
