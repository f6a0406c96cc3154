package registry

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// Update changes a deployment in place; what is nil or empty stays.
type Update struct {
	URI       *string
	HTTP1     *bool
	ARN       *string // a function, from now on
	Role      *string
	Headers   []*storedv1.Header // all of them, names in lower case
	Overwrite bool               // take the discovered services, too
	DryRun    bool
}

// Update discovers the changed endpoint, which must speak the same protocol versions, and stores the change.
func (r *Registrar) Update(ctx context.Context, which id.Deployment, u Update) (*schema.Registry, error) {
	now, err := r.store.Schema(ctx)
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", which, err)
	}
	registry := r.indexed(now)
	old, ok := registry.Deployment(which)
	if !ok {
		return nil, &schema.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("The requested deployment '%s' does not exist", which)}
	}
	if u.URI == nil && u.HTTP1 == nil && u.ARN == nil && u.Role == nil && len(u.Headers) == 0 {
		return registry, nil
	}
	target := proto.CloneOf(old)
	target.Services, target.Info = nil, nil
	if err := u.move(target); err != nil {
		return nil, err
	}
	if len(u.Headers) > 0 {
		target.AdditionalHeaders = u.Headers
	}
	found, err := r.discover(ctx, target)
	if err != nil {
		return nil, err
	}
	return r.apply(ctx, now, func(s *storedv1.Schema) (*storedv1.Schema, error) {
		return update(s, which, found, u.Overwrite)
	}, u.DryRun)
}

// move changes the address of a deployment. From an endpoint to a function, and back, it takes a whole new one.
func (u Update) move(d *storedv1.Deployment) (err error) {
	switch {
	case u.ARN != nil:
		role := d.GetLambda().GetAssumeRoleArn()
		if u.Role != nil {
			role = *u.Role
		}
		d.Lambda, err = function(*u.ARN, role)
		d.Uri, d.Http1 = "", false
		return err
	case u.URI != nil:
		d.Lambda = nil
		if d.Uri, err = normalize(*u.URI); err != nil {
			return err
		}
		d.Http1 = false // the new endpoint may speak more than the old one did
	case u.Role != nil && d.GetLambda() == nil:
		return otherKind("http", "lambda")
	case u.HTTP1 != nil && d.GetLambda() != nil:
		return otherKind("lambda", "http")
	case u.Role != nil:
		d.Lambda, err = function(d.GetLambda().GetArn(), *u.Role)
	}
	if u.HTTP1 != nil {
		d.Http1 = *u.HTTP1
	}
	return err
}

func otherKind(is, asked string) error {
	return &schema.Error{Status: http.StatusBadRequest, Message: "deployment type is " + is + " while the update options are for type " + asked}
}

// Change alters settings of a service; what is nil stays.
type Change struct {
	Public                 *bool
	IdempotencyRetentionMs *int64
	WorkflowRetentionMs    *int64
	JournalRetentionMs     *int64
	InactivityTimeoutMs    *int64
	AbortTimeoutMs         *int64
}

// Modify changes settings of the active revision of a service, until it is registered again.
func (r *Registrar) Modify(ctx context.Context, service string, c Change) (*schema.Registry, error) {
	if c == (Change{}) {
		return r.Current(), nil
	}
	return r.apply(ctx, nil, func(s *storedv1.Schema) (*storedv1.Schema, error) {
		return modify(s, service, c)
	}, false)
}

// alter makes the change to a service that nobody else sees yet.
func (c Change) alter(s *storedv1.Service) error {
	if c.WorkflowRetentionMs != nil && s.GetType() != storedv1.ServiceType_SERVICE_TYPE_WORKFLOW {
		return &schema.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("only workflows have a completion retention, and %s is none", s.GetName())}
	}
	o := s.GetOptions()
	if c.Public != nil {
		o.IngressPrivate = proto.Bool(!*c.Public)
	}
	for _, set := range []struct {
		to    **int64
		value *int64
	}{
		{&o.IdempotencyRetentionMs, c.IdempotencyRetentionMs},
		{&o.WorkflowCompletionRetentionMs, c.WorkflowRetentionMs},
		{&o.JournalRetentionMs, c.JournalRetentionMs},
		{&o.InactivityTimeoutMs, c.InactivityTimeoutMs},
		{&o.AbortTimeoutMs, c.AbortTimeoutMs},
	} {
		if set.value != nil {
			*set.to = set.value
		}
	}
	return nil
}
