package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"reprise/pkg/registry"
)

// front is what comes before the gateways: one for API version 2, one for all others.
type front struct {
	v2, current http.Handler
	query       http.Handler // may be nil
	routes      routes
	places      chan struct{} // one for each request that may run; nil: no limit
}

func (s *Server) newFront(reg *registry.Registrar, ops *operator) (http.Handler, error) {
	f := &front{routes: s.routes, query: s.cfg.Query}
	var err error
	if f.v2, err = s.newMux(&calls{reg: reg, ops: ops, ingress: s.cfg.IngressEndpoint, v2: true}); err != nil {
		return nil, fmt.Errorf("gateway of version 2: %w", err)
	}
	if f.current, err = s.newMux(&calls{reg: reg, ops: ops, ingress: s.cfg.IngressEndpoint}); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if s.cfg.ConcurrentRequestsMax > 0 {
		f.places = make(chan struct{}, s.cfg.ConcurrentRequestsMax)
	}
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(gzipBytesMin))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return wrap(f), nil
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.places != nil {
		select {
		case f.places <- struct{}{}:
			defer func() { <-f.places }()
		default:
			(&answer{status: http.StatusTooManyRequests, form: formEmpty}).write(w)
			return
		}
	}
	version, path := cutVersion(r.URL.Path)
	if version == 1 || r.URL.Path == "/v1" {
		misfit(http.StatusBadRequest, "Unsupported Admin API version V1. This server supports versions between V%d and V%d.",
			adminVersionMin, adminVersionMax).write(w)
		return
	}
	r2 := r.Clone(r.Context())
	r2.URL.Path = path
	_, r2.URL.RawPath = cutVersion(r.URL.RawPath)
	f.route(w, r2, version)
}

// route sends a request without version prefix where it belongs.
func (f *front) route(w http.ResponseWriter, r *http.Request, version int) {
	next := f.current
	if version == adminVersionMin {
		next = f.v2
	}
	if r.Method == http.MethodHead { // the HTTP server leaves the body out
		r.Method = http.MethodGet
	}
	if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/deployments/") {
		if version != adminVersionMin {
			(&answer{status: http.StatusMethodNotAllowed, text: "PUT deployment is deprecated, use PATCH instead"}).write(w)
			return
		}
		r.Method = http.MethodPatch
	}
	if r.URL.Path == "/query" && f.query != nil {
		f.query.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/health" {
		health := &answer{status: http.StatusOK, form: formEmpty}
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", f.routes.allow(r.URL.Path))
			health.status = http.StatusMethodNotAllowed
		}
		health.write(w)
		return
	}
	next.ServeHTTP(w, r)
}

// cutVersion splits /v3/rest into 3 and /rest. Paths without a version that this server knows of are left
// alone, with 0: /v5/rest is an unknown path.
func cutVersion(path string) (version int, rest string) {
	after, ok := strings.CutPrefix(path, "/v")
	if !ok {
		return 0, path
	}
	digits, rest, ok := strings.Cut(after, "/")
	if !ok || len(digits) != 1 {
		return 0, path
	}
	version, err := strconv.Atoi(digits)
	if err != nil || version < 1 || version > adminVersionMax {
		return 0, path
	}
	return version, "/" + rest
}
