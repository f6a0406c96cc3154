package node

import (
	"time"

	"reprise/pkg/config"
	"reprise/pkg/retry"
	"reprise/pkg/schema"
)

// SchemaDefaults are the options of services that set none.
func SchemaDefaults(cfg *config.Config) schema.Defaults {
	d := schema.Default()
	i := &cfg.Invocation
	d.Inactivity, d.Abort = cfg.Worker.Invoker.InactivityTimeout.D(), cfg.Worker.Invoker.AbortTimeout.D()
	d.JournalRetention, d.IdempotencyRetention, d.WorkflowRetention = i.JournalRetention.D(), i.IdempotencyRetention.D(), i.WorkflowRetention.D()
	d.Retry = retry.Policy{
		Initial: i.Retry.InitialInterval.D(), Max: i.Retry.MaxInterval.D(), Factor: i.Retry.Factor,
		MaxAttempts: uint32(i.Retry.MaxAttempts), Kill: i.Retry.OnMaxAttempts == "kill",
	}
	d.MaxAttempts = uint32(i.RetryMaxAttemptsMax)
	for _, m := range []struct {
		from *config.Duration
		to   **time.Duration
	}{
		{i.JournalRetentionMax, &d.MaxJournalRetention},
		{i.IdempotencyRetentionMax, &d.MaxIdempotencyRetention},
		{i.WorkflowRetentionMax, &d.MaxWorkflowRetention},
	} {
		if m.from != nil {
			v := m.from.D()
			*m.to = &v
		}
	}
	return d
}
