package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	adminv1 "reprise/api/admin/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/registry"
	"reprise/pkg/schema"
)

// contractVersion is the release of the contract that this server keeps. Tools branch on it.
const contractVersion = "1.7.12"

// calls are those of the API, for one of its versions.
type calls struct {
	adminv1.UnimplementedAdminServer
	adminv1.UnimplementedInvocationsServer
	adminv1.UnimplementedKafkaServer
	adminv1.UnimplementedLimitsServer

	reg      *registry.Registrar
	ops      *operator
	ingress  func() string // URL; nil or "" tells none
	health   ClusterHealth // may be nil
	document string        // OpenAPI of this API
	v2       bool          // in version 2 a registration is forced unless told otherwise
}

func (c *calls) Version(context.Context, *adminv1.VersionRequest) (*adminv1.VersionResponse, error) {
	v := &adminv1.VersionResponse{
		Version: contractVersion, MinAdminApiVersion: adminVersionMin, MaxAdminApiVersion: adminVersionMax,
		Features: map[string]bool{
			"vqueues": false, "protocol_v7": false, "unique_random_seeds": false, "invoker_yield": false,
			"kafka_scope": false, "scoped_virtual_objects": false, "vqueues_async_refill": false,
			"vqueue_obsolete_cleanup": false, "vqueues_migration_skip_completed": false,
			"scoped_state_table_migration": false, "scoped_promise_table_migration": false,
			"preflight_invocation_termination_retention": false,
		},
	}
	v.IngressEndpoint = some(c.ingressURL())
	return v, nil
}

func (c *calls) ingressURL() string {
	if c.ingress == nil {
		return ""
	}
	return c.ingress()
}

func (c *calls) RegisterDeployment(ctx context.Context, q *adminv1.RegisterDeploymentRequest) (*adminv1.RegisterDeploymentResponse, error) {
	switch {
	case q.Uri == nil && q.Arn == nil:
		return nil, misfit(http.StatusUnprocessableEntity, misshapen+"data did not match any variant of untagged enum RegisterDeploymentRequest")
	case q.Uri == nil && q.GetArn() == "":
		return nil, refuse(http.StatusBadRequest, "The request field 'arn' is invalid. Reason: it is empty")
	case q.Auth != nil:
		return nil, refuse(http.StatusNotImplemented, "deployment auth is not supported yet")
	}
	if q.Uri != nil { // the first form that fits
		q.Arn, q.AssumeRoleArn = nil, nil
	}
	headers, err := requestHeaders(q.AdditionalHeaders)
	if err != nil {
		return nil, err
	}
	force := c.v2
	if q.Force != nil {
		force = *q.Force
	}
	got, err := c.reg.Register(ctx, registry.Registration{
		URI: q.GetUri(), HTTP1: q.UseHttp_11, ARN: q.GetArn(), Role: q.GetAssumeRoleArn(), Headers: headers, Metadata: pairs(q.Metadata),
		Force: force, Breaking: q.Breaking, DryRun: q.DryRun, New: c.v2,
	})
	if err != nil {
		return nil, err
	}
	d, ok := got.Registry.Deployment(got.ID)
	if !ok {
		return nil, unknownDeployment(got.ID) // removed again at once
	}
	return &adminv1.RegisterDeploymentResponse{
		Id: got.ID.String(), Services: servicesOf(got.Registry, got.ID), Created: got.Created,
		MinProtocolVersion: d.GetMinProtocolVersion(), MaxProtocolVersion: d.GetMaxProtocolVersion(),
		SdkVersion: some(d.GetSdkVersion()),
	}, nil
}

func (c *calls) ListDeployments(context.Context, *adminv1.ListDeploymentsRequest) (*adminv1.ListDeploymentsResponse, error) {
	out := &adminv1.ListDeploymentsResponse{}
	for _, d := range c.reg.Current().Deployments() {
		out.Deployments = append(out.Deployments, deployment(d))
	}
	return out, nil
}

func (c *calls) GetDeployment(_ context.Context, q *adminv1.GetDeploymentRequest) (*adminv1.DetailedDeployment, error) {
	which, err := id.ParseDeployment(q.Deployment)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "deployment id: %s", err)
	}
	return detailed(c.reg.Current(), which)
}

func (c *calls) UpdateDeployment(ctx context.Context, q *adminv1.UpdateDeploymentRequest) (*adminv1.DetailedDeployment, error) {
	which, err := id.ParseDeployment(q.Deployment)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "deployment id: %s", err)
	}
	headers, err := requestHeaders(q.AdditionalHeaders)
	if err != nil {
		return nil, err
	}
	next, err := c.reg.Update(ctx, which, registry.Update{
		URI: q.Uri, HTTP1: q.UseHttp_11, ARN: q.Arn, Role: q.AssumeRoleArn, Headers: headers, Overwrite: q.Overwrite, DryRun: q.DryRun,
	})
	if err != nil {
		return nil, err
	}
	return detailed(next, which)
}

func (c *calls) DeleteDeployment(ctx context.Context, q *adminv1.DeleteDeploymentRequest) (*adminv1.DeleteDeploymentResponse, error) {
	if !q.Force {
		return nil, &answer{status: http.StatusNotImplemented, text: "only forced removal is supported", form: formEmpty}
	}
	which, err := id.ParseDeployment(q.Deployment)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "deployment id: %s", err)
	}
	return &adminv1.DeleteDeploymentResponse{}, c.reg.Remove(ctx, which)
}

func (c *calls) ListServices(context.Context, *adminv1.ListServicesRequest) (*adminv1.ListServicesResponse, error) {
	out := &adminv1.ListServicesResponse{}
	now := c.reg.Current()
	for _, s := range now.Services() {
		out.Services = append(out.Services, service(now, s))
	}
	return out, nil
}

func (c *calls) GetService(_ context.Context, q *adminv1.GetServiceRequest) (*adminv1.Service, error) {
	now := c.reg.Current()
	s, err := find(now, q.Service)
	if err != nil {
		return nil, err
	}
	return service(now, s), nil
}

func (c *calls) ModifyService(ctx context.Context, q *adminv1.ModifyServiceRequest) (*adminv1.Service, error) {
	change, err := serviceChange(q)
	if err != nil {
		return nil, err
	}
	next, err := c.reg.Modify(ctx, q.Service, change)
	if err != nil {
		return nil, err
	}
	s, err := find(next, q.Service)
	if err != nil {
		return nil, err
	}
	return service(next, s), nil
}

func (c *calls) ListHandlers(_ context.Context, q *adminv1.ListHandlersRequest) (*adminv1.ListHandlersResponse, error) {
	now := c.reg.Current()
	s, err := find(now, q.Service)
	if err != nil {
		return nil, err
	}
	return &adminv1.ListHandlersResponse{Handlers: service(now, s).Handlers}, nil
}

func (c *calls) GetHandler(_ context.Context, q *adminv1.GetHandlerRequest) (*adminv1.Handler, error) {
	now := c.reg.Current()
	h, err := now.Handler(q.Service, q.Handler)
	if err != nil {
		return nil, refuse(http.StatusNotFound, "The requested handler '%s' on service '%s' does not exist", q.Handler, q.Service)
	}
	d, _ := now.Deployment(h.Service.Deployment)
	return handler(d, h.Service.Stored, h.Stored), nil
}

func find(r *schema.Registry, name string) (*schema.Service, error) {
	s, ok := r.Service(name)
	if !ok {
		return nil, refuse(http.StatusNotFound, "The requested service '%s' does not exist", name)
	}
	return s, nil
}

func unknownDeployment(d id.Deployment) error {
	return refuse(http.StatusNotFound, "The requested deployment '%s' does not exist", d)
}

// requestHeaders checks headers that endpoints are to be sent.
func requestHeaders(m map[string]string) ([]*storedv1.Header, error) {
	lower := make(map[string]string, len(m))
	for name, value := range m {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, misfit(http.StatusUnprocessableEntity,
				"%sadditional_headers: %q is no header", misshapen, name)
		}
		lower[strings.ToLower(name)] = value
	}
	return pairs(lower), nil
}

// pairs sorts a map by name: stored messages have no maps.
func pairs(m map[string]string) []*storedv1.Header {
	out := make([]*storedv1.Header, 0, len(m))
	for name, value := range m {
		out = append(out, &storedv1.Header{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b *storedv1.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}
