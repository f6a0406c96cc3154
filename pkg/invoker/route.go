package invoker

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/identity"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/lambda"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// routeKey names a way to a handler.
type routeKey struct {
	deployment       id.Deployment
	service, handler string
	version          uint32
}

// route is a way to a handler: what all requests that take it have in common. It is immutable.
type route struct {
	deployment  id.Deployment
	version     uint32
	contentType string
	audience    string // the path without the deployment's base path
	bidi        bool
	overrides   []string // headers of an attempt that the configuration or the deployment sets otherwise

	function *lambda.Function // nil: an HTTP endpoint
	fields   []h2.Field
	target   *h2.Target // nil: through net/http
	head     *h2.Head
	url      string
	header   http.Header
}

// routes caches routes of one version of the schema. It belongs to the loop.
type routes struct {
	registry *schema.Registry
	known    map[routeKey]*route
}

// handler finds the handler of the run and the deployment and version to use now.
func (v *Invoker) handler(r *run) (h *schema.Handler, d *storedv1.Deployment, version uint32, f *failure) {
	reg := v.schema()
	if reg != v.routes.registry {
		v.routes.registry = reg
		clear(v.routes.known)
	}
	service, name := r.Target.GetService(), r.Target.GetHandler()
	if r.pinned {
		d, ok := reg.Deployment(r.deployment)
		if ok {
			h, ok = reg.PinnedHandler(r.deployment, service, name)
		}
		if !ok {
			return nil, nil, 0, ours(serviceproto.DocNoDeployment, "the deployment %s, which %s/%s began on, was removed", r.deployment, service, name)
		}
		if r.version < serviceproto.MinVersion || r.version > serviceproto.MaxVersion {
			return h, nil, 0, ours(serviceproto.DocCannotResume, "the invocation began with protocol version %d, which this server does not speak", r.version)
		}
		return h, d, r.version, nil
	}
	h, err := reg.Handler(service, name)
	if err != nil {
		return nil, nil, 0, ours(serviceproto.DocNoDeployment, "no deployment for %s/%s: %v", service, name, err)
	}
	d, ok := reg.Deployment(h.Service.Deployment)
	if !ok {
		return h, nil, 0, ours(serviceproto.DocNoDeployment, "no deployment for %s/%s", service, name)
	}
	version, ok = serviceproto.Negotiate(d.GetMinProtocolVersion(), d.GetMaxProtocolVersion(), v.cfg.ProtocolMax)
	if !ok {
		return h, nil, 0, ours(serviceproto.DocNoCommonVersion, "the deployment speaks protocol versions %d to %d, this server up to %d",
			d.GetMinProtocolVersion(), d.GetMaxProtocolVersion(), v.cfg.ProtocolMax)
	}
	return h, d, version, nil
}

// routeTo returns the route to a handler of a deployment.
func (v *Invoker) routeTo(h *schema.Handler, d *storedv1.Deployment, version uint32) (*route, *failure) {
	key := routeKey{service: h.Service.Name, handler: h.Name, version: version}
	copy(key.deployment[:], d.GetId())
	if rt := v.routes.known[key]; rt != nil {
		return rt, nil
	}
	rt, f := v.newRoute(key, d)
	if f == nil {
		v.routes.known[key] = rt
	}
	return rt, f
}

func (v *Invoker) newRoute(key routeKey, d *storedv1.Deployment) (*route, *failure) {
	audience := "/invoke/" + key.service + "/" + key.handler
	rt := &route{
		deployment: key.deployment, version: key.version, bidi: d.GetBidi(),
		contentType: serviceproto.ContentType(key.version), audience: audience,
	}
	fields := v.commonFields(rt.contentType, d)
	for _, f := range fields {
		if ofAttempt(f.Name) {
			rt.overrides = append(rt.overrides, f.Name)
		}
	}
	if l := d.GetLambda(); l != nil {
		if v.cfg.Lambda == nil {
			return nil, ours(serviceproto.DocUnreachable, "this server does not call functions, as %s is one", l.GetArn())
		}
		rt.function = &lambda.Function{ARN: l.GetArn(), Role: l.GetAssumeRoleArn(), Zstd: l.GetZstd()}
		rt.fields, rt.bidi = fields, false
		return rt, nil
	}
	u, err := url.Parse(d.GetUri())
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, ours(serviceproto.DocUnreachable, "deployments at %q are not supported", d.GetUri())
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/") + audience
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	if !d.GetHttp1() {
		rt.target = v.client.Target(h2.KeyOf(u))
		rt.head = h2.NewHead(u.Scheme, u.Host, path, fields)
		return rt, nil
	}
	rt.url = u.Scheme + "://" + u.Host + path
	rt.header = http.Header{}
	for _, f := range fields {
		rt.header.Set(f.Name, f.Value)
	}
	return rt, nil
}

// commonFields are the headers that all requests to a deployment carry: a later one overrides an earlier.
func (v *Invoker) commonFields(contentType string, d *storedv1.Deployment) []h2.Field {
	fields := []h2.Field{{Name: "content-type", Value: contentType}, {Name: "accept", Value: contentType}}
	set := func(name, value string) {
		name = strings.ToLower(name)
		if ofConnection(name) {
			return
		}
		for i := range fields {
			if fields[i].Name == name {
				fields[i].Value = value
				return
			}
		}
		fields = append(fields, h2.Field{Name: name, Value: value})
	}
	for _, f := range v.cfg.AdditionalHeaders {
		set(f.Name, f.Value)
	}
	for _, a := range d.GetAdditionalHeaders() {
		set(a.GetName(), a.GetValue())
	}
	return fields
}

// ofConnection tells whether a header is not ours to set: HTTP/2 has no such headers, net/http sets its own.
func ofConnection(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "content-length":
		return true
	default:
		return false
	}
}

// ofAttempt tells whether a header is one that each attempt makes.
func ofAttempt(name string) bool {
	switch name {
	case headerInvocation, headerKey, identity.HeaderScheme, identity.HeaderToken, headerTraceParent, headerTraceState:
		return true
	default:
		return false
	}
}

const (
	headerInvocation  = "x-restate-invocation-id"
	headerKey         = "x-restate-service-key"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

// overridden leaves out what the route's own headers replace. It changes fields in place.
func (rt *route) overridden(fields []h2.Field) []h2.Field {
	for _, name := range rt.overrides {
		fields = slices.DeleteFunc(fields, func(f h2.Field) bool { return f.Name == name })
	}
	return fields
}

// escapeKey percent-encodes all but unreserved characters, as x-restate-service-key wants it.
func escapeKey(key string) string {
	const hex = "0123456789ABCDEF"
	plain := true
	for i := range len(key) {
		plain = plain && unreserved(key[i])
	}
	if plain {
		return key
	}
	b := make([]byte, 0, 3*len(key))
	for i := range len(key) {
		if c := key[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}
