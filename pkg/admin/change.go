package admin

import (
	"net/http"

	adminv1 "reprise/api/admin/v1"
	"reprise/pkg/config"
	"reprise/pkg/registry"
)

// serviceChange reads the settings that a request changes.
func serviceChange(q *adminv1.ModifyServiceRequest) (c registry.Change, err error) {
	c.Public = q.Public
	for _, f := range []struct {
		name string
		text *string
		to   **int64
	}{
		{"idempotency_retention", q.IdempotencyRetention, &c.IdempotencyRetentionMs},
		{"workflow_completion_retention", q.WorkflowCompletionRetention, &c.WorkflowRetentionMs},
		{"journal_retention", q.JournalRetention, &c.JournalRetentionMs},
		{"inactivity_timeout", q.InactivityTimeout, &c.InactivityTimeoutMs},
		{"abort_timeout", q.AbortTimeout, &c.AbortTimeoutMs},
	} {
		if f.text == nil {
			continue
		}
		d, err := config.ParseDuration(*f.text)
		if err != nil {
			return registry.Change{}, misfit(http.StatusUnprocessableEntity,
				"%s%s: %s", misshapen, f.name, err)
		}
		ms := d.Milliseconds()
		*f.to = &ms
	}
	return c, nil
}
