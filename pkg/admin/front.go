package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzhttp"

	"reprise/pkg/access"
	"reprise/pkg/registry"
)

// front is what comes before the gateways: one for API version 2, one for all others.
type front struct {
	v2, current http.Handler
	query       http.Handler // may be nil
	ui          http.Handler // nil: there is none
	tokens      *access.Tokens
	places      *places
}

// places bounds how many requests run at a time.
type places struct {
	taken, most atomic.Int64 // most 0: no limit
}

// take takes a place; false: there is none.
func (p *places) take() bool {
	if n, most := p.taken.Add(1), p.most.Load(); most > 0 && n > most {
		p.taken.Add(-1)
		return false
	}
	return true
}

func (s *Server) newFront(reg *registry.Registrar, ops *operator) (http.Handler, error) {
	f := &front{query: s.cfg.Query, tokens: s.cfg.Tokens, places: &s.places}
	if !s.cfg.DisableWebUI {
		f.ui = newUI()
	}
	document, err := newOpenapi()
	if err != nil {
		return nil, err
	}
	c := calls{reg: reg, ops: ops, ingress: s.cfg.IngressEndpoint, health: s.cfg.Health, document: document}
	if f.current, err = s.newMux(&c); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	old := c
	old.v2 = true
	if f.v2, err = s.newMux(&old); err != nil {
		return nil, fmt.Errorf("gateway of version 2: %w", err)
	}
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressBytesMin), gzhttp.EnableZstd(true), gzhttp.PreferZstd(true))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return wrap(f), nil
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.places.take() {
		(&answer{status: http.StatusTooManyRequests, form: formEmpty}).write(w)
		return
	}
	defer f.places.taken.Add(-1)
	version, path := cutVersion(r.URL.Path)
	if version == 1 {
		misfit(http.StatusBadRequest, "Unsupported Admin API version V1. This server supports versions between V%d and V%d.",
			adminVersionMin, adminVersionMax).write(w)
		return
	}
	r2 := r.Clone(r.Context())
	r2.URL.Path = path
	_, r2.URL.RawPath = cutVersion(r.URL.RawPath)
	if !f.admit(w, r2) {
		return
	}
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
		if version != adminVersionMin && !isJSON(r.Header.Get("Content-Type")) {
			noJSON().write(w)
			return
		}
		if version != adminVersionMin {
			(&answer{status: http.StatusMethodNotAllowed, text: "PUT deployment is deprecated, use PATCH instead"}).write(w)
			return
		}
		r.Method = http.MethodPatch
	}
	switch {
	case r.URL.Path == "/query" && r.Method == http.MethodPost && f.query != nil:
		f.query.ServeHTTP(w, r)
		return
	case f.ui != nil && ofUI(r.URL.Path):
		f.ui.ServeHTTP(w, r)
		return
	}
	next.ServeHTTP(w, r)
}

// cutVersion splits /v3/rest into 3 and /rest, and /v3 into 3 and /. Paths without a version that this server
// knows of are left alone, with 0: /v5/rest is an unknown path, and so is /v3/.
func cutVersion(path string) (version int, rest string) {
	after, ok := strings.CutPrefix(path, "/v")
	if !ok {
		return 0, path
	}
	digits, rest, slash := strings.Cut(after, "/")
	if len(digits) != 1 || slash && rest == "" {
		return 0, path
	}
	version, err := strconv.Atoi(digits)
	if err != nil || version < 1 || version > adminVersionMax {
		return 0, path
	}
	return version, "/" + rest
}
