package schema

import (
	"slices"
	"strings"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/retry"
	"reprise/pkg/serviceproto"
)

// Registry is an immutable index of a stored schema, whose messages it keeps and nobody changes.
type Registry struct {
	stored      *storedv1.Schema
	defaults    Defaults
	services    []*Service // active ones, by name
	byName      map[string]*Service
	deployments map[id.Deployment]*deployment
}

type deployment struct {
	stored   *storedv1.Deployment
	services []*Service // as announced
}

// Service is a service of a deployment, with its options resolved.
type Service struct {
	Name       string
	Type       storedv1.ServiceType
	Revision   uint32
	Deployment id.Deployment
	Deprecated bool // the deployment speaks no version of the service protocol that this server has
	Public     bool
	Stored     *storedv1.Service
	Info       []*storedv1.Notice // what became of options that could not be kept

	Inactivity, Abort                                         time.Duration
	JournalRetention, IdempotencyRetention, WorkflowRetention time.Duration // the last one of workflows only
	LazyState                                                 bool
	Retry                                                     retry.Policy

	handlers map[string]*Handler
}

// NewRegistry indexes a schema; nil is an empty one.
func NewRegistry(s *storedv1.Schema, d Defaults) *Registry {
	r := &Registry{
		stored: s, defaults: d,
		byName:      map[string]*Service{},
		deployments: make(map[id.Deployment]*deployment, len(s.GetDeployments())),
	}
	for _, stored := range s.GetDeployments() {
		dep := &deployment{stored: stored}
		which := deploymentID(stored)
		for _, svc := range stored.GetServices() {
			n := newService(svc, stored, d)
			n.Deployment = which
			dep.services = append(dep.services, n)
			if active, ok := r.byName[n.Name]; !ok || n.Revision >= active.Revision {
				r.byName[n.Name] = n
			}
		}
		slices.SortFunc(dep.services, byServiceName)
		r.deployments[which] = dep
	}
	r.services = make([]*Service, 0, len(r.byName))
	for _, svc := range r.byName {
		r.services = append(r.services, svc)
	}
	slices.SortFunc(r.services, byServiceName)
	return r
}

func byServiceName(a, b *Service) int { return strings.Compare(a.Name, b.Name) }

func deploymentID(d *storedv1.Deployment) (which id.Deployment) {
	copy(which[:], d.GetId())
	return which
}

// Index indexes another schema with the same defaults.
func (r *Registry) Index(s *storedv1.Schema) *Registry { return NewRegistry(s, r.defaults) }

// With indexes the same schema with other defaults.
func (r *Registry) With(d Defaults) *Registry { return NewRegistry(r.stored, d) }

// Version grows with every change of the schema.
func (r *Registry) Version() uint64 { return r.stored.GetVersion() }

// Stored is the schema that was indexed.
func (r *Registry) Stored() *storedv1.Schema { return r.stored }

// Service returns the active revision of a service.
func (r *Registry) Service(name string) (*Service, bool) {
	s, ok := r.byName[name]
	return s, ok
}

// Services returns the active revisions, by name.
func (r *Registry) Services() []*Service { return r.services }

// Deployments returns all deployments, oldest first.
func (r *Registry) Deployments() []*storedv1.Deployment { return r.stored.GetDeployments() }

// Deployment returns a deployment.
func (r *Registry) Deployment(which id.Deployment) (*storedv1.Deployment, bool) {
	d, ok := r.deployments[which]
	if !ok {
		return nil, false
	}
	return d.stored, true
}

// DeploymentServices returns the services of a deployment, active or not, by name.
func (r *Registry) DeploymentServices(which id.Deployment) []*Service {
	d, ok := r.deployments[which]
	if !ok {
		return nil
	}
	return d.services
}

// Handler returns a handler of the active revision, or ErrUnknownService or ErrUnknownHandler.
func (r *Registry) Handler(service, handler string) (*Handler, error) {
	s, ok := r.byName[service]
	if !ok {
		return nil, ErrUnknownService
	}
	h, ok := s.handlers[handler]
	if !ok {
		return nil, ErrUnknownHandler
	}
	return h, nil
}

// PinnedHandler returns a handler as a deployment has it, active or not. ok is false if the deployment
// was removed or never had it.
func (r *Registry) PinnedHandler(which id.Deployment, service, handler string) (h *Handler, ok bool) {
	for _, s := range r.DeploymentServices(which) {
		if s.Name == service {
			h, ok = s.handlers[handler]
			return h, ok
		}
	}
	return nil, false
}

func newService(stored *storedv1.Service, d *storedv1.Deployment, def Defaults) *Service {
	s := &Service{
		Name: stored.GetName(), Type: stored.GetType(), Revision: stored.GetRevision(), Stored: stored,
		Deprecated: !serviceproto.Overlaps(d.GetMinProtocolVersion(), d.GetMaxProtocolVersion()),
		handlers:   make(map[string]*Handler, len(stored.GetHandlers())),
	}
	base := options{
		inactivity: def.Inactivity, abort: def.Abort,
		journal: def.JournalRetention, idempotency: def.IdempotencyRetention, workflow: def.WorkflowRetention,
		retry: def.Retry, public: true,
	}
	notes := notices{bidi: d.GetBidi()}
	o := base.with(stored.GetOptions(), def, &notes)
	s.Public, s.LazyState, s.Retry = o.public, o.lazy, o.retry
	s.Inactivity, s.Abort = o.inactivity, o.abort
	s.JournalRetention, s.IdempotencyRetention = o.journal, o.idempotency
	if s.Type == storedv1.ServiceType_SERVICE_TYPE_WORKFLOW {
		s.WorkflowRetention = o.workflow
	}
	for _, h := range stored.GetHandlers() {
		s.handlers[h.GetName()] = newHandler(s, h, o.with(h.GetOptions(), def, &notes))
	}
	s.Info = notes.list
	return s
}

// options are resolved options.
type options struct {
	inactivity, abort              time.Duration
	journal, idempotency, workflow time.Duration
	lazy, public                   bool
	retry                          retry.Policy
}

// with lays options of an inner level over o and applies the ceilings of the server.
func (o options) with(s *storedv1.Options, def Defaults, notes *notices) options {
	if s != nil {
		if s.InactivityTimeoutMs != nil && !notes.bidi {
			notes.add(noticeInactivity, "the inactivity timeout has no meaning in request/response mode")
			o.inactivity = 0
		} else {
			o.inactivity = override(o.inactivity, s.InactivityTimeoutMs)
		}
		o.abort = override(o.abort, s.AbortTimeoutMs)
		o.journal = override(o.journal, s.JournalRetentionMs)
		o.idempotency = override(o.idempotency, s.IdempotencyRetentionMs)
		o.workflow = override(o.workflow, s.WorkflowCompletionRetentionMs)
		if s.EnableLazyState != nil {
			o.lazy = *s.EnableLazyState
		}
		if s.IngressPrivate != nil {
			o.public = !*s.IngressPrivate
		}
		o.retry = overrideRetry(o.retry, s.RetryPolicy)
	}
	o.journal = clamp(o.journal, def.MaxJournalRetention, "journal retention", notes)
	o.idempotency = clamp(o.idempotency, def.MaxIdempotencyRetention, "idempotency retention", notes)
	o.workflow = clamp(o.workflow, def.MaxWorkflowRetention, "workflow completion retention", notes)
	if limit := def.MaxAttempts; limit != 0 && (o.retry.MaxAttempts == 0 || o.retry.MaxAttempts > limit) {
		o.retry.MaxAttempts = limit
	}
	return o
}

func overrideRetry(p retry.Policy, s *storedv1.RetryPolicy) retry.Policy {
	if s == nil {
		return p
	}
	p.Initial = override(p.Initial, s.InitialIntervalMs)
	p.Max = override(p.Max, s.MaxIntervalMs)
	if s.ExponentiationFactor != nil {
		p.Factor = *s.ExponentiationFactor
	}
	if s.MaxAttempts != nil {
		p.MaxAttempts = max(*s.MaxAttempts, 1)
	}
	if s.KillOnMaxAttempts != nil {
		p.Kill = *s.KillOnMaxAttempts
	}
	return p
}

func override(d time.Duration, millis *int64) time.Duration {
	if millis == nil {
		return d
	}
	return duration(*millis)
}

// duration is a number of milliseconds, or the longest time there is.
func duration(millis int64) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(millis, longest)) * time.Millisecond
}

func clamp(d time.Duration, limit *time.Duration, what string, notes *notices) time.Duration {
	if limit == nil || d <= *limit {
		return d
	}
	notes.add(noticeClamped, "the "+what+" is cut to the maximum of the server, "+limit.String())
	return *limit
}

// notices collects what should be told about a service, each thing once.
type notices struct {
	bidi bool // of the deployment
	list []*storedv1.Notice
}

func (n *notices) add(code, message string) {
	for _, have := range n.list {
		if have.GetCode() == code && have.GetMessage() == message {
			return
		}
	}
	n.list = append(n.list, &storedv1.Notice{Code: code, Message: message})
}
