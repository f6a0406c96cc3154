package registry

import (
	"context"
	"fmt"
	"net/http"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// Store keeps the schema. metastore.Store is one.
type Store interface {
	// Schema reads the newest schema.
	Schema(ctx context.Context) (*storedv1.Schema, error)
	// UpdateSchema stores what change makes of the newest schema, which it must not alter, and returns what
	// is stored. change may be called again; when it returns its argument, nothing is written.
	UpdateSchema(ctx context.Context, change func(*storedv1.Schema) (*storedv1.Schema, error)) (*storedv1.Schema, error)
}

// View is what this process knows of the schema.
type View interface {
	Registry() *schema.Registry
	// WaitFor returns once Registry has at least the version.
	WaitFor(ctx context.Context, version uint64) error
}

// Registrar registers deployments. It is safe for concurrent use.
type Registrar struct {
	cfg   Config
	store Store
	view  View
	h     host.Host
	d     *discoverer
}

// New builds a registrar; it starts nothing.
func New(cfg Config, store Store, view View, h host.Host) (*Registrar, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Registrar{cfg: cfg, store: store, view: view, h: h, d: newDiscoverer(cfg, h)}, nil
}

// Current is the schema as this process knows it.
func (r *Registrar) Current() *schema.Registry { return r.view.Registry() }

// Registration asks for a deployment.
type Registration struct {
	URI      string // of an endpoint
	HTTP1    bool
	ARN      string             // of a Lambda function, in place of URI
	Role     string             // ARN of the role to take before the function is called
	Headers  []*storedv1.Header // sent with every request; names in lower case, sorted
	Metadata []*storedv1.Header // sorted
	Force    bool               // replace what is registered at this address
	Breaking bool               // a service may change its type
	DryRun   bool               // store nothing
	New      bool               // an address that is registered is a conflict, unless forced
}

// Registered is a deployment in the schema it is part of. After a dry run that schema is stored nowhere.
type Registered struct {
	ID       id.Deployment
	Registry *schema.Registry
	Created  bool // else it was known
}

// Register discovers the endpoint and stores its services. A known address without Force is answered from
// the store.
func (r *Registrar) Register(ctx context.Context, q Registration) (Registered, error) {
	d, err := r.wanted(q)
	if err != nil {
		return Registered{}, err
	}
	now, err := r.store.Schema(ctx)
	if err != nil {
		return Registered{}, fmt.Errorf("register %s: %w", q.URI+q.ARN, err)
	}
	if known := schema.FindSame(now, d, r.cfg.RoutingHeaders); known != nil && !q.Force {
		if q.New {
			return Registered{}, conflict(known)
		}
		return r.known(ctx, now, known)
	}
	if d, err = r.discover(ctx, d); err != nil {
		return Registered{}, err
	}
	var reg schema.Registered
	change := func(old *storedv1.Schema) (*storedv1.Schema, error) {
		if known := schema.FindSame(old, d, r.cfg.RoutingHeaders); known != nil && q.New && !q.Force {
			return nil, conflict(known) // registered while we were discovering
		}
		next, got, err := schema.Register(old, d, schema.RegisterOptions{Force: q.Force, Breaking: q.Breaking, RoutingHeaders: r.cfg.RoutingHeaders})
		reg = got
		return next, err
	}
	next, err := r.apply(ctx, now, change, q.DryRun)
	if err != nil {
		return Registered{}, err
	}
	return Registered{ID: reg.Deployment, Registry: next, Created: reg.Created}, nil
}

// wanted is the deployment that is asked for, before it is discovered.
func (r *Registrar) wanted(q Registration) (d *storedv1.Deployment, err error) {
	fresh := r.newID()
	d = &storedv1.Deployment{
		Id: fresh[:], Http1: q.HTTP1, AdditionalHeaders: q.Headers, Metadata: q.Metadata, CreatedAtMs: host.Millis(r.h.Clock),
	}
	if q.ARN != "" {
		d.Http1 = false
		d.Lambda, err = function(q.ARN, q.Role)
	} else {
		d.Uri, err = normalize(q.URI)
	}
	return d, err
}

// known answers a deployment that is registered already.
func (r *Registrar) known(ctx context.Context, now *storedv1.Schema, d *storedv1.Deployment) (Registered, error) {
	if err := r.visible(ctx, now); err != nil {
		return Registered{}, err
	}
	return Registered{ID: id.Deployment(d.GetId()), Registry: r.indexed(now)}, nil
}

// indexed is the registry of a schema, mostly the one that this process has already.
func (r *Registrar) indexed(s *storedv1.Schema) *schema.Registry {
	if now := r.Current(); now.Version() == s.GetVersion() {
		return now
	}
	return r.Current().Index(s)
}

// apply makes a change and waits until this process knows it; a dry run only computes it.
func (r *Registrar) apply(ctx context.Context, now *storedv1.Schema, change func(*storedv1.Schema) (*storedv1.Schema, error), dry bool) (*schema.Registry, error) {
	if dry {
		next, err := change(now)
		if err != nil {
			return nil, err
		}
		return r.Current().Index(next), nil
	}
	next, err := r.store.UpdateSchema(ctx, change)
	if err != nil {
		return nil, fmt.Errorf("store schema: %w", err)
	}
	if err := r.visible(ctx, next); err != nil {
		return nil, err
	}
	return r.indexed(next), nil
}

// visible returns once this process shows a stored schema: who was answered may read and call at once.
func (r *Registrar) visible(ctx context.Context, s *storedv1.Schema) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.VisibleTimeout)
	defer cancel()
	if err := r.view.WaitFor(ctx, s.GetVersion()); err != nil {
		return errs.With(errs.Uncertain, fmt.Errorf("the change is stored, but this server has not seen it yet: %w", err))
	}
	return nil
}

// Remove forgets a deployment.
func (r *Registrar) Remove(ctx context.Context, d id.Deployment) error {
	_, err := r.apply(ctx, nil, func(old *storedv1.Schema) (*storedv1.Schema, error) {
		return schema.Remove(old, d)
	}, false)
	return err
}

func (r *Registrar) newID() id.Deployment {
	var random [10]byte
	r.h.Rand.Read(random[:])
	return id.NewDeployment(id.NewULID(host.Millis(r.h.Clock), random))
}

func conflict(d *storedv1.Deployment) error {
	return &schema.Error{Status: http.StatusConflict, Message: fmt.Sprintf("deployment %s already exists", id.Deployment(d.GetId()))}
}
