package wire

import (
	"context"
	"time"

	"reprise/pkg/admin"
	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/metastore"
	"reprise/pkg/registry"
	"reprise/pkg/retry"
	"reprise/pkg/schema"
)

// New builds the admin API. ingressURL is what clients are told; empty tells none.
func New(cfg *config.Config, ingressURL string, meta *metastore.Store, view *metastore.View, h host.Host) (*admin.Server, error) {
	r := registry.Default()
	r.ClusterName = cfg.ClusterName
	r.ConnectTimeout = cfg.Worker.Invoker.ConnectTimeout.D()
	r.Defaults = SchemaDefaults(cfg)
	reg, err := registry.New(r, meta, schemaView{view}, h)
	if err != nil {
		return nil, err
	}
	a := admin.Default()
	a.Address = cfg.AdminEndpoint().Addr
	a.IngressEndpoint = ingressURL
	a.ConcurrentRequestsMax = int(cfg.Admin.RequestsMax)
	return admin.New(a, reg, h)
}

// schemaView is the part of the view that a registration waits for.
type schemaView struct{ *metastore.View }

// WaitFor implements registry.View.
func (v schemaView) WaitFor(ctx context.Context, version uint64) error {
	_, err := v.Await(ctx, func(s *metastore.Snapshot) bool { return s.Registry.Version() >= version })
	return err
}

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
