package registry

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// codeProtocols: an update in place speaks other protocol versions.
const codeProtocols = "META0016"

// update makes the schema where what was discovered stands in the place of a deployment.
func update(s *storedv1.Schema, which id.Deployment, found *storedv1.Deployment, overwrite bool) (*storedv1.Schema, error) {
	i := slices.IndexFunc(s.GetDeployments(), func(d *storedv1.Deployment) bool { return bytes.Equal(d.GetId(), which[:]) })
	if i < 0 {
		return nil, notFound("deployment with id '%s'", which)
	}
	next, d := changed(s, i)
	if d.GetMinProtocolVersion() != found.GetMinProtocolVersion() || d.GetMaxProtocolVersion() != found.GetMaxProtocolVersion() {
		return nil, &schema.Error{Code: codeProtocols, Status: http.StatusBadRequest, Message: fmt.Sprintf(
			"the endpoint speaks protocol versions %d to %d, the deployment %d to %d: they must be the same",
			found.GetMinProtocolVersion(), found.GetMaxProtocolVersion(), d.GetMinProtocolVersion(), d.GetMaxProtocolVersion())}
	}
	if overwrite {
		d.Services, d.Info = revised(s, d, found), found.GetInfo()
	}
	d.Uri, d.Http1, d.Bidi, d.Lambda = found.GetUri(), found.GetHttp1(), found.GetBidi(), found.GetLambda()
	d.AdditionalHeaders, d.SdkVersion = found.GetAdditionalHeaders(), found.GetSdkVersion()
	return next, nil
}

// revised gives discovered services the revisions that d has for them; those new to d get the next one.
func revised(s *storedv1.Schema, d, found *storedv1.Deployment) []*storedv1.Service {
	out := make([]*storedv1.Service, 0, len(found.GetServices()))
	for _, f := range found.GetServices() {
		f = proto.CloneOf(f)
		_, now := active(s, f.GetName())
		f.Revision = now.GetRevision() + 1
		if old := serviceOf(d, f.GetName()); old != nil {
			f.Revision = old.GetRevision()
		}
		out = append(out, f)
	}
	return out
}

// modify makes the schema where settings of the active revision of a service are changed.
func modify(s *storedv1.Schema, name string, c Change) (*storedv1.Schema, error) {
	at, _ := active(s, name)
	if at < 0 {
		return nil, notFound("service with name '%s'", name)
	}
	next, d := changed(s, at)
	service := serviceOf(d, name)
	if service.Options == nil {
		service.Options = &storedv1.Options{}
	}
	return next, c.alter(service)
}

// changed is a copy of a schema in which one deployment may be changed; the others are shared.
func changed(s *storedv1.Schema, i int) (*storedv1.Schema, *storedv1.Deployment) {
	next := &storedv1.Schema{Version: s.GetVersion(), Deployments: slices.Clone(s.GetDeployments())}
	next.Deployments[i] = proto.CloneOf(next.Deployments[i])
	return next, next.Deployments[i]
}

// active returns the highest revision of a service, of several the newest, and the place of its deployment; -1 if
// there is none.
func active(s *storedv1.Schema, name string) (at int, highest *storedv1.Service) {
	at = -1
	for i, d := range s.GetDeployments() {
		if one := serviceOf(d, name); one != nil && one.GetRevision() >= highest.GetRevision() {
			at, highest = i, one
		}
	}
	return at, highest
}

func serviceOf(d *storedv1.Deployment, name string) *storedv1.Service {
	i := slices.IndexFunc(d.GetServices(), func(s *storedv1.Service) bool { return s.GetName() == name })
	if i < 0 {
		return nil
	}
	return d.GetServices()[i]
}

func notFound(format string, args ...any) error {
	return &schema.Error{Status: http.StatusNotFound, Message: "not found in the schema registry: " + fmt.Sprintf(format, args...)}
}
