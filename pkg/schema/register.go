package schema

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// RegisterOptions change what Register allows.
type RegisterOptions struct {
	Force    bool // replace a deployment of the same address; implies Breaking
	Breaking bool // a service may change its type

	// RoutingHeaders are headers, in lower case, that tell deployments of one URI apart.
	RoutingHeaders []string
}

// Registered says what became of a deployment.
type Registered struct {
	Deployment id.Deployment
	Created    bool // else it was there, overwritten or not
}

// Register makes the schema that has d as its newest deployment. If the address is registered already,
// it is old, unless that is forced: then d takes the place and the id of the old one. The error is an *Error.
func Register(old *storedv1.Schema, d *storedv1.Deployment, o RegisterOptions) (next *storedv1.Schema, r Registered, err error) {
	same := FindSame(old, d, o.RoutingHeaders)
	if same != nil && !o.Force {
		return old, Registered{Deployment: deploymentID(same)}, nil
	}
	d = proto.CloneOf(d)
	if same != nil {
		d.Id = same.GetId()
	}
	for _, s := range d.GetServices() {
		active := activeService(old, s.GetName())
		if active != nil && active.GetType() != s.GetType() && !o.Force && !o.Breaking {
			return nil, Registered{}, &Error{Code: codeTypeChanged, Status: statusConflict,
				Message: "the service '" + s.GetName() + "' is registered with another type"}
		}
		s.Revision = active.GetRevision() + 1
	}
	next = successor(old)
	next.Deployments = append(without(next.Deployments, same), d)
	return next, Registered{Deployment: deploymentID(d), Created: same == nil}, nil
}

// FindSame returns the deployment that has the address of d, nil if there is none, and the newest if there are
// several. The address is authority and path of a URI (scheme and query do not count) and the values of routing
// headers, or an ARN.
func FindSame(s *storedv1.Schema, d *storedv1.Deployment, routingHeaders []string) *storedv1.Deployment {
	want, ok := addressOf(d)
	if !ok {
		return nil
	}
	wantRoutes := routes(d, routingHeaders)
	var newest *storedv1.Deployment
	for _, d := range s.GetDeployments() {
		if got, ok := addressOf(d); ok && got == want && routes(d, routingHeaders) == wantRoutes && d.GetCreatedAtMs() >= newest.GetCreatedAtMs() {
			newest = d
		}
	}
	return newest
}

type address struct{ authority, path, arn string }

func addressOf(d *storedv1.Deployment) (a address, ok bool) {
	if l := d.GetLambda(); l != nil {
		return address{arn: l.GetArn()}, true
	}
	u, err := url.Parse(d.GetUri())
	if err != nil {
		return a, false
	}
	a = address{authority: u.Host, path: u.EscapedPath()}
	if u.User != nil {
		a.authority = u.User.String() + "@" + u.Host
	}
	if a.path == "" {
		a.path = "/"
	}
	return a, true
}

// routes joins the values of the headers that a router before the endpoint looks at; a function has none.
func routes(d *storedv1.Deployment, headers []string) string {
	if len(headers) == 0 || d.GetLambda() != nil {
		return ""
	}
	var b strings.Builder
	for _, name := range headers {
		for _, h := range d.GetAdditionalHeaders() {
			if h.GetName() == name {
				b.WriteString(strconv.Quote(h.GetValue()))
			}
		}
		b.WriteByte(';')
	}
	return b.String()
}

// Remove makes the schema without a deployment. The error is an *Error.
func Remove(old *storedv1.Schema, which id.Deployment) (*storedv1.Schema, error) {
	had := find(old, which)
	if had == nil {
		return nil, unknownDeployment(which)
	}
	next := successor(old)
	next.Deployments = without(next.GetDeployments(), had)
	return next, nil
}

func unknownDeployment(which id.Deployment) *Error {
	return notFound("not found in the schema registry: deployment with id '%s'", which)
}

// successor is a copy of the list: deployments are shared, since nobody changes them.
func successor(old *storedv1.Schema) *storedv1.Schema {
	return &storedv1.Schema{Version: old.GetVersion() + 1, Deployments: slices.Clone(old.GetDeployments())}
}

func without(list []*storedv1.Deployment, d *storedv1.Deployment) []*storedv1.Deployment {
	return slices.DeleteFunc(list, func(one *storedv1.Deployment) bool { return d != nil && one == d })
}

func find(s *storedv1.Schema, which id.Deployment) *storedv1.Deployment {
	for _, d := range s.GetDeployments() {
		if deploymentID(d) == which {
			return d
		}
	}
	return nil
}

func serviceOf(d *storedv1.Deployment, name string) *storedv1.Service {
	for _, s := range d.GetServices() {
		if s.GetName() == name {
			return s
		}
	}
	return nil
}

// activeService returns the highest revision of a service, of several the newest; nil if there is none.
func activeService(s *storedv1.Schema, name string) (active *storedv1.Service) {
	for _, d := range s.GetDeployments() {
		if one := serviceOf(d, name); one != nil && one.GetRevision() >= active.GetRevision() {
			active = one
		}
	}
	return active
}
