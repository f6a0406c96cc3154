package cases

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/services"
)

// manifest serves a hand-written discovery document and counts what is asked.
func manifest(doc any, status int, seen *atomic.Value) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			seen.Store(r.Method + " " + r.URL.Path + " | " + r.Header.Get("accept"))
		}
		_, _ = io.Copy(io.Discard, r.Body)
		b, _ := json.Marshal(doc)
		if s, ok := doc.(string); ok {
			b = []byte(s)
		}
		w.Header().Set("content-type", "application/vnd.restate.endpointmanifest.v3+json")
		w.WriteHeader(status)
		_, _ = w.Write(b)
	})
}

func manifestOf(name string, minV, maxV int) map[string]any {
	return map[string]any{
		"protocolMode": "BIDI_STREAM", "minProtocolVersion": minV, "maxProtocolVersion": maxV,
		"services": []any{map[string]any{"name": name, "ty": "SERVICE", "handlers": []any{map[string]any{"name": "x"}}}},
	}
}

func init() {
	add("deployments",
		Case{
			Name: "register", Desc: "Register an endpoint.",
			Expect: "201 with the id dp_..., the services with handlers, types and revision 1, and a location header; after that its services can be called",
			Run: func(t *T) {
				name := svcName(t, "Reg")
				ep := t.Unregistered(harness.AsAsked, services.Counter(name))
				r := t.Admin("POST", "/deployments", ep.Registration()).Want(t, 201)
				var d harness.Deployment
				r.JSON(t, &d)
				t.Cleanup(func() { t.Env.RemoveDeployment(d.ID) })
				if !strings.Contains(r.Header.Get("location"), d.ID) || !strings.HasPrefix(d.ID, "dp_") {
					t.Errorf("id %q, location %q", d.ID, r.Header.Get("location"))
				}
				t.Eq(len(d.Services), 1, "services")
				s := d.Services[0]
				t.Eq(s.Name+" "+s.Ty, name+" VirtualObject", "service")
				t.Eq(s.Revision, 1, "revision")
				tys := map[string]string{}
				for _, h := range s.Handlers {
					tys[h.Name] = h.Ty
				}
				t.Eq(tys["add"]+" "+tys["get"], "Exclusive Shared", "handler types")
				t.Eventually(0, "the service can be called", func() error { return t.TryCall("/"+name+"/k/add", 1, nil) })
			},
		},
		Case{
			Name: "register-again", Desc: "Register the same address again, without and with force.",
			Expect: "200 with the same id both times",
			Run: func(t *T) {
				ep := t.Endpoint(harness.AsAsked, nil, services.Echo(svcName(t, "Again")))
				d := t.Register(ep.URI, ep.Registration())
				t.Eq(d.ID, ep.Deployment.ID, "id")
				t.Eq(d.HTTP, 200, "status")
				d = t.Register(ep.URI, ep.Registration("force", true))
				t.Eq(d.ID, ep.Deployment.ID, "id with force")
				t.Eq(d.HTTP, 200, "status with force")
			},
		},
		Case{
			Name: "dry-run", Desc: "Register with dry_run.",
			Expect: "the services are answered, but they are not there afterwards",
			Run: func(t *T) {
				name := svcName(t, "Dry")
				ep := t.Unregistered(harness.AsAsked, services.Echo(name))
				d := t.Register(ep.URI, ep.Registration("dry_run", true))
				t.Eq(d.Services[0].Name, name, "service")
				t.Admin("GET", "/services/"+name, nil).Want(t, 404)
				t.Post("/"+name+"/text", "x").Want(t, 404)
			},
		},
		Case{
			Name: "unreachable", Desc: "Register an address where nothing listens.",
			Expect: "an error with code META0003, and no deployment",
			Run: func(t *T) {
				ep := t.Unregistered(harness.AsAsked, services.Echo(svcName(t, "Gone")))
				ep.Close()
				r := t.Admin("POST", "/deployments", ep.Registration())
				if r.Status < 400 {
					t.Fatalf("status %d", r.Status)
				}
				t.Eq(r.Err(t).Code, any("META0003"), "restate_code")
			},
		},
		Case{
			Name: "bad-requests", Desc: "Send registrations that are no JSON, or have no address.",
			Expect: "a 4xx each",
			Run: func(t *T) {
				t.Admin("POST", "/deployments", raw("application/json", []byte("{nope"))).WantClientError(t)
				t.Admin("POST", "/deployments", j()).WantClientError(t)
				t.Admin("POST", "/deployments", j("uri", "not a uri")).WantClientError(t)
			},
		},
		Case{
			Name: "discovery-request", Desc: "Look at the request that discovery makes.",
			Expect: "GET /discover with an accept header that names manifest version 2 or later",
			Run: func(t *T) {
				var seen atomic.Value
				ep := t.ServeRaw(harness.Bidi, manifest(manifestOf(svcName(t, "Disc"), 5, 7), 200, &seen))
				d := t.Register(ep.URI, nil)
				t.Cleanup(func() { t.Env.RemoveDeployment(d.ID) })
				got, _ := seen.Load().(string)
				if !strings.HasPrefix(got, "GET /discover | ") || !strings.Contains(got, "application/vnd.restate.endpointmanifest.v3+json") {
					t.Fatalf("request was %q", got)
				}
			},
		},
		Case{
			Name: "bad-manifests", Desc: "Register endpoints whose discovery fails, is no JSON, supports only protocol versions nobody knows, or has no handlers.",
			Expect: "an error each, and no service",
			Run: func(t *T) {
				name := svcName(t, "Bad")
				bad := map[string]http.Handler{
					"status 500":        manifest("nope", 500, nil),
					"no JSON":           manifest("{nope", 200, nil),
					"protocol too new":  manifest(manifestOf(name, 1000, 1001), 200, nil),
					"protocol too old":  manifest(manifestOf(name, 1, 1), 200, nil),
					"min above max":     manifest(manifestOf(name, 7, 5), 200, nil),
					"services missing":  manifest(map[string]any{"minProtocolVersion": 5, "maxProtocolVersion": 7}, 200, nil),
					"reserved name":     manifest(manifestOf("restate", 5, 7), 200, nil),
					"name with a slash": manifest(manifestOf("a/b", 5, 7), 200, nil),
				}
				for what, h := range bad {
					ep := t.ServeRaw(harness.Bidi, h)
					if r := t.Admin("POST", "/deployments", j("uri", ep.URI)); r.Status < 400 {
						t.Errorf("%s: status %d: %s", what, r.Status, r.Short())
					}
				}
				t.Admin("GET", "/services/"+name, nil).Want(t, 404)
			},
		},
		Case{
			Name: "new-revision", Desc: "Register a second endpoint with the same service.",
			Expect: "the revision is 2, and new invocations go there",
			Run: func(t *T) {
				name := svcName(t, "Ver")
				t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v1"))
				var v string
				t.Call("/"+name+"/k/version", nil, &v)
				t.Eq(v, "v1", "version")
				ep := t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v2"))
				t.Eq(ep.Deployment.Services[0].Revision, 2, "revision")
				t.Eventually(0, "new calls go to v2", func() error {
					if err := t.TryCall("/"+name+"/k/version", nil, &v); err != nil || v != "v2" {
						return fmt.Errorf("version %q, %v", v, err)
					}
					return nil
				})
			},
		},
		Case{
			Name: "running-stays-on-old", Desc: "Register a new revision while an invocation of the old one waits.",
			Expect: "the old invocation goes on at the old deployment, new ones run at the new one",
			Run: func(t *T) {
				name := svcName(t, "Ver")
				old := t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v1"))
				s := t.Send("/"+name+"/a/span", nil)
				id := awakeableOf(t, "/"+name+"/a/awakeable")
				t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v2"))
				t.Eventually(0, "new calls go to v2", func() error {
					var v string
					if err := t.TryCall("/"+name+"/k/version", nil, &v); err != nil || v != "v2" {
						return fmt.Errorf("version %q, %v", v, err)
					}
					return nil
				})
				rows := t.SQL("SELECT pinned_deployment_id FROM sys_invocation WHERE id = %s", harness.Quote(s.InvocationID))
				t.Eq(rows[0].Str("pinned_deployment_id"), old.Deployment.ID, "pinned deployment")
				resolve(t, id, "go").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["v1","v1"]`)
				b := t.Send("/"+name+"/b/span", nil)
				resolve(t, awakeableOf(t, "/"+name+"/b/awakeable"), "go").Want(t, 202)
				t.Attach(b.InvocationID).Want(t, 200).Has(t, `["v2","v2"]`)
			},
		},
		Case{
			Name: "force-replaces", Desc: "Change the services behind an address and register it again with force.",
			Expect: "the same deployment id now has the new service",
			Run: func(t *T) {
				a, b := svcName(t, "One"), svcName(t, "Two")
				ep := t.Endpoint(harness.AsAsked, nil, services.Echo(a))
				addr := strings.TrimPrefix(ep.URI, "http://")
				ep.Close()
				again := t.UnregisteredAt(addr, harness.AsAsked, services.Echo(a), services.Echo(b))
				d := t.Register(again.URI, again.Registration("force", true))
				t.Eq(d.ID, ep.Deployment.ID, "id")
				t.Call("/"+b+"/text", "x", nil)
			},
		},
		Case{
			Name: "type-change-refused", Desc: "Register a new revision in which a service becomes an object.",
			Expect: "409, the old revision stays",
			Run: func(t *T) {
				name := svcName(t, "Ty")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				ep := t.Unregistered(harness.AsAsked, services.Counter(name))
				t.Admin("POST", "/deployments", ep.Registration()).Want(t, 409).Err(t)
				t.Call("/"+name+"/text", "x", nil)
			},
		},
		Case{
			Name: "handler-removal", Desc: "Register a new revision that lacks a handler.",
			Expect: "it is accepted; the handler is 404 afterwards, the others go to the new revision",
			Run: func(t *T) {
				name := svcName(t, "Rm")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Call("/"+name+"/upper", "x", nil)
				t.Endpoint(harness.AsAsked, nil, services.Text(name))
				t.Eventually(0, "the handler is gone", func() error { // one-way: see remove
					if r := t.Post("/"+name+"/upper/send", "x"); r.Status != 404 {
						return fmt.Errorf("status %d", r.Status)
					}
					return nil
				})
				t.Call("/"+name+"/text", "x", nil).Has(t, "small x")
			},
		},
		Case{
			Name: "type-change-with-breaking", Desc: "Register a new revision in which a service becomes an object, with breaking: true.",
			Expect: "it is accepted as the next revision, and the new type is in force",
			Run: func(t *T) {
				name := svcName(t, "Brk")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				ep := t.Endpoint(harness.AsAsked, j("breaking", true), services.Counter(name))
				t.Eq(ep.Deployment.Services[0].Revision, 2, "revision")
				t.Eventually(0, "it is an object", func() error { return t.TryCall("/"+name+"/k/add", 1, nil) })
			},
		},
		Case{
			Name: "list-and-describe", Desc: "List the deployments and describe one.",
			Expect: "id, uri, protocol type, http version, protocol versions and services are shown; an unknown id is 404",
			Run: func(t *T) {
				main := t.Env.Endpoints["main"]
				var l struct {
					Deployments []struct {
						ID       string
						URI      string
						Services []struct {
							Name     string
							Revision int
						}
					}
				}
				t.Admin("GET", "/deployments", nil).Want(t, 200).JSON(t, &l)
				found := false
				for _, d := range l.Deployments {
					found = found || d.ID == main.Deployment.ID && strings.TrimRight(d.URI, "/") == main.URI && len(d.Services) == len(main.Deployment.Services)
				}
				t.Eq(found, true, "the main deployment is listed")
				var d struct {
					ID           string
					ProtocolType string `json:"protocol_type"`
					HTTPVersion  string `json:"http_version"`
					Min          int    `json:"min_protocol_version"`
					Max          int    `json:"max_protocol_version"`
					SDK          string `json:"sdk_version"`
				}
				t.Admin("GET", "/deployments/"+main.Deployment.ID, nil).Want(t, 200).JSON(t, &d)
				setup := t.Env.Setup
				t.Eq(d.ProtocolType+" "+d.HTTPVersion, shownMode[setup.Mode], "protocol")
				t.Eq(harness.Versions{Min: d.Min, Max: d.Max}, setup.Versions, "protocol versions")
				if !strings.HasPrefix(d.SDK, setup.ServerHeader()) {
					t.Errorf("sdk_version %q", d.SDK)
				}
				t.Admin("GET", "/deployments/"+t.Env.Endpoints["h1"].Deployment.ID, nil).Want(t, 200).Has(t, "RequestResponse").Has(t, "HTTP/1.1")
				t.Admin("GET", "/deployments/dp_nope", nil).Want(t, 400)
			},
		},
		Case{
			Name: "remove", Desc: "Remove a deployment, without and with force.",
			Expect: "without force it is refused (501), with force 202; then its id is 404 and its service 404",
			Run: func(t *T) {
				name := svcName(t, "Del")
				ep := t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Admin("DELETE", "/deployments/"+ep.Deployment.ID, nil).Want(t, 501, 409)
				t.Call("/"+name+"/text", "x", nil)
				t.Admin("DELETE", "/deployments/"+ep.Deployment.ID, nil, harness.Query("force", "true")).Want(t, 202)
				t.Admin("GET", "/deployments/"+ep.Deployment.ID, nil).Want(t, 404).Err(t)
				// One-way: a call that is taken before all processes know would wait for what never comes.
				t.Eventually(0, "the service is gone", func() error {
					if r := t.Post("/"+name+"/text/send", "x"); r.Status != 404 {
						return fmt.Errorf("status %d", r.Status)
					}
					return nil
				})
				t.Admin("GET", "/services/"+name, nil).Want(t, 404).Err(t)
			},
		},
		Case{
			Name: "remove-latest-revision", Desc: "Remove the deployment of the latest revision.",
			Expect: "the service goes back to the revision before",
			Run: func(t *T) {
				name := svcName(t, "Ver")
				t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v1"))
				two := t.Endpoint(harness.AsAsked, nil, services.Versioned(name, "v2"))
				t.Admin("DELETE", "/deployments/"+two.Deployment.ID, nil, harness.Query("force", "true")).Want(t, 202)
				t.Eventually(0, "calls go to v1", func() error {
					var v string
					if err := t.TryCall("/"+name+"/k/version", nil, &v); err != nil || v != "v1" {
						return fmt.Errorf("version %q, %v", v, err)
					}
					return nil
				})
			},
		},
		Case{
			Name: "additional-headers", Desc: "Register with additional headers.",
			Expect: "discovery and invocations of that endpoint carry them",
			Run: func(t *T) {
				name := svcName(t, "Hdr")
				ep := t.Endpoint(harness.AsAsked, j("additional_headers", j("x-extra", "yes")), services.Echo(name))
				t.Call("/"+name+"/text", "x", nil)
				paths, hs := ep.Requests(t)
				for i := range paths {
					if hs[i].Get("x-extra") != "yes" {
						t.Errorf("%s came without the header", paths[i])
					}
				}
				t.Eq(len(paths) >= 2, true, "requests seen")
			},
		},
		Case{
			Name: "address-with-path", Desc: "Register an address with a path prefix.",
			Expect: "discovery and invocation happen below that path",
			Run: func(t *T) {
				name := svcName(t, "Pre")
				var mu sync.Mutex
				var paths []string
				ep := t.ServeRaw(harness.Bidi, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					paths = append(paths, r.URL.Path)
					mu.Unlock()
					manifest(manifestOf(name, 5, 7), 200, nil).ServeHTTP(w, r)
				}))
				d := t.Register(ep.URI+"/some/prefix", nil)
				t.Cleanup(func() { t.Env.RemoveDeployment(d.ID) })
				s := t.Send("/"+name+"/x", nil)
				t.KillQuietly(s.InvocationID)
				t.Eventually(0, "both requests came", func() error {
					mu.Lock()
					defer mu.Unlock()
					all := strings.Join(paths, " ")
					if !strings.Contains(all, "/some/prefix/discover") || !strings.Contains(all, "/some/prefix/invoke/"+name+"/x") {
						return fmt.Errorf("paths: %s", all)
					}
					return nil
				})
			},
		},
	)
}
