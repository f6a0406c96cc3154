package admin

import (
	"strconv"
	"time"

	adminv1 "reprise/api/admin/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// createdFormat is RFC 3339 with nanoseconds, all of them.
const createdFormat = "2006-01-02T15:04:05.000000000Z"

// deployment shows a deployment as it is in lists.
func deployment(d *storedv1.Deployment) *adminv1.Deployment {
	out := &adminv1.Deployment{
		Id:                 deploymentID(d),
		CreatedAt:          time.UnixMilli(d.GetCreatedAtMs()).UTC().Format(createdFormat),
		MinProtocolVersion: d.GetMinProtocolVersion(), MaxProtocolVersion: d.GetMaxProtocolVersion(),
		SdkVersion: some(d.GetSdkVersion()), AdditionalHeaders: asMap(d.GetAdditionalHeaders()),
		Metadata: asMap(d.GetMetadata()),
	}
	if l := d.GetLambda(); l != nil {
		out.Arn, out.AssumeRoleArn = some(l.GetArn()), some(l.GetAssumeRoleArn())
		if l.GetZstd() {
			out.Compression = some("zstd")
		}
	} else {
		out.Uri, out.ProtocolType, out.HttpVersion = some(d.GetUri()), some(protocolType(d)), some(httpVersion(d))
	}
	for _, s := range d.GetServices() {
		out.Services = append(out.Services, &adminv1.ServiceRevision{Name: s.GetName(), Revision: s.GetRevision()})
	}
	return out
}

// detailed shows a deployment with its services.
func detailed(r *schema.Registry, which id.Deployment) (*adminv1.DetailedDeployment, error) {
	stored, ok := r.Deployment(which)
	if !ok {
		return nil, unknownDeployment(which)
	}
	d := deployment(stored)
	return &adminv1.DetailedDeployment{
		Id: d.Id, Uri: d.Uri, ProtocolType: d.ProtocolType, HttpVersion: d.HttpVersion, CreatedAt: d.CreatedAt,
		MinProtocolVersion: d.MinProtocolVersion, MaxProtocolVersion: d.MaxProtocolVersion, SdkVersion: d.SdkVersion,
		Services: servicesOf(r, which), AdditionalHeaders: d.AdditionalHeaders, Metadata: d.Metadata,
		Arn: d.Arn, AssumeRoleArn: d.AssumeRoleArn, Compression: d.Compression,
	}, nil
}

// servicesOf shows the services of a deployment, active or not.
func servicesOf(r *schema.Registry, which id.Deployment) []*adminv1.Service {
	var out []*adminv1.Service
	for _, s := range r.DeploymentServices(which) {
		out = append(out, service(r, s))
	}
	return out
}

// service shows a service with what holds for it.
func service(r *schema.Registry, s *schema.Service) *adminv1.Service {
	d, _ := r.Deployment(s.Deployment)
	out := &adminv1.Service{
		Name: s.Name, Ty: serviceType(s.Type), Handlers: handlers(d, s.Stored),
		Documentation: s.Stored.Documentation, Metadata: asMap(s.Stored.GetMetadata()),
		DeploymentId: s.Deployment.String(), Revision: s.Revision, Public: s.Public,
		IdempotencyRetention: text(s.IdempotencyRetention),
		JournalRetention:     some(text(s.JournalRetention)),
		InactivityTimeout:    text(s.Inactivity),
		AbortTimeout:         text(s.Abort),
		EnableLazyState:      s.LazyState,
		RetryPolicy: &adminv1.ServiceRetryPolicy{
			InitialInterval: text(s.Retry.Initial), ExponentiationFactor: float32(s.Retry.Factor),
			MaxInterval: some(text(s.Retry.Max)), OnMaxAttempts: onMaxAttempts(s.Retry.Kill),
		},
	}
	if s.Retry.MaxAttempts != 0 {
		out.RetryPolicy.MaxAttempts = &s.Retry.MaxAttempts
	}
	if s.Type == storedv1.ServiceType_SERVICE_TYPE_WORKFLOW {
		out.WorkflowCompletionRetention = some(text(s.WorkflowRetention))
	}
	if !d.GetBidi() { // an attempt that is not streamed never waits
		out.InactivityTimeout = text(0)
	}
	for _, n := range s.Info {
		if n.GetCode() == inactivityIgnored && s.Stored.GetOptions().GetInactivityTimeoutMs() == 0 {
			continue // it is a handler that sets it
		}
		out.Info = append(out.Info, &adminv1.Notice{Code: n.GetCode(), Message: n.GetMessage()})
	}
	return out
}

// inactivityIgnored is the code of the notice that an inactivity timeout has no meaning.
const inactivityIgnored = "RT0021"

// handlers shows the handlers of a service.
func handlers(d *storedv1.Deployment, s *storedv1.Service) []*adminv1.Handler {
	out := make([]*adminv1.Handler, 0, len(s.GetHandlers()))
	for _, h := range s.GetHandlers() {
		out = append(out, handler(d, s, h))
	}
	return out
}

// handler shows what a handler itself sets; the rest is shown with its service.
func handler(d *storedv1.Deployment, s *storedv1.Service, h *storedv1.Handler) *adminv1.Handler {
	o := h.GetOptions()
	if o == nil {
		o = &storedv1.Options{}
	}
	out := &adminv1.Handler{
		Name: h.GetName(), Ty: handlerType(h.GetType()), Documentation: h.Documentation, Metadata: asMap(h.GetMetadata()),
		IdempotencyRetention: millis(o.IdempotencyRetentionMs), JournalRetention: millis(o.JournalRetentionMs),
		InactivityTimeout: millis(o.InactivityTimeoutMs), AbortTimeout: millis(o.AbortTimeoutMs),
		EnableLazyState:  o.EnableLazyState,
		Public:           !s.GetOptions().GetIngressPrivate() && !o.GetIngressPrivate(),
		InputDescription: describeInput(h.GetInput()), OutputDescription: describeOutput(h.GetOutput()),
		RetryPolicy: handlerRetry(o.GetRetryPolicy()),
	}
	if h.GetInput() != nil && h.GetInput().ContentType != nil { // else there is nothing that it describes
		out.InputJsonSchema = h.GetInput().JsonSchema
	}
	if h.GetOutput() != nil && h.GetOutput().ContentType != nil {
		out.OutputJsonSchema = h.GetOutput().JsonSchema
	}
	if out.InactivityTimeout != nil && !d.GetBidi() {
		out.Info = append(out.Info, &adminv1.Notice{Code: inactivityIgnored, Message: "the inactivity timeout has no meaning in request/response mode"})
		out.InactivityTimeout = nil
	}
	return out
}

func handlerRetry(p *storedv1.RetryPolicy) *adminv1.HandlerRetryPolicy {
	out := &adminv1.HandlerRetryPolicy{}
	if p == nil {
		return out
	}
	out.InitialInterval = millis(p.InitialIntervalMs)
	out.MaxInterval = millis(p.MaxIntervalMs)
	out.MaxAttempts = p.MaxAttempts
	if p.ExponentiationFactor != nil {
		f := float32(p.GetExponentiationFactor())
		out.ExponentiationFactor = &f
	}
	if p.KillOnMaxAttempts != nil {
		out.OnMaxAttempts = some(onMaxAttempts(p.GetKillOnMaxAttempts()))
	}
	return out
}

func onMaxAttempts(kill bool) string {
	if kill {
		return "Kill"
	}
	return "Pause"
}

func serviceType(t storedv1.ServiceType) string {
	switch t {
	case storedv1.ServiceType_SERVICE_TYPE_SERVICE:
		return "Service"
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT:
		return "VirtualObject"
	case storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
		return "Workflow"
	default:
		return strconv.Itoa(int(t))
	}
}

// handlerType is absent in plain services.
func handlerType(t storedv1.HandlerType) *string {
	switch t {
	case storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE:
		return some("Exclusive")
	case storedv1.HandlerType_HANDLER_TYPE_SHARED:
		return some("Shared")
	case storedv1.HandlerType_HANDLER_TYPE_WORKFLOW:
		return some("Workflow")
	default:
		return nil
	}
}

func protocolType(d *storedv1.Deployment) string {
	if d.GetBidi() {
		return "BidiStream"
	}
	return "RequestResponse"
}

func httpVersion(d *storedv1.Deployment) string {
	if d.GetHttp1() {
		return "HTTP/1.1"
	}
	return "HTTP/2.0"
}

func deploymentID(d *storedv1.Deployment) string {
	var i id.Deployment
	copy(i[:], d.GetId())
	return i.String()
}

func asMap(in []*storedv1.Header) map[string]string {
	out := make(map[string]string, len(in))
	for _, h := range in {
		out[h.GetName()] = h.GetValue()
	}
	return out
}

// some is the pointer to a text that is not empty.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// millis is the text of a number of milliseconds, if it is set.
func millis(ms *int64) *string {
	if ms == nil {
		return nil
	}
	return some(text(time.Duration(*ms) * time.Millisecond))
}

// text is a duration as users write it: 1m 30s.
func text(d time.Duration) string { return config.Duration(d).String() }
