package cases

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
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

// shownMode is how the admin API shows a mode: protocol_type and http_version.
var shownMode = map[harness.Mode]string{
	harness.Bidi: "BidiStream HTTP/2.0", harness.RequestResponse: "RequestResponse HTTP/2.0", harness.HTTP1: "RequestResponse HTTP/1.1",
}

// inactivity is how an inactivity timeout is shown: without a stream in both directions it is nought.
func inactivity(t *T, set string) string {
	if t.Env.Setup.Mode != harness.Bidi {
		return "0s"
	}
	return set
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
				t.Eventually(0, "the handler is gone", func() error {
					if r := t.Post("/"+name+"/upper", "x"); r.Status != 404 {
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
				t.Eventually(0, "the service is gone", func() error {
					if r := t.Post("/"+name+"/text", "x"); r.Status != 404 {
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

	add("admin",
		Case{
			Name: "health-and-version", Desc: "Ask /health and /version.",
			Expect: "200; the version has a version text, the range of admin API versions, and the ingress address",
			Run: func(t *T) {
				t.Admin("GET", "/health", nil).Want(t, 200)
				var v struct {
					Version string
					Min     int    `json:"min_admin_api_version"`
					Max     int    `json:"max_admin_api_version"`
					Ingress string `json:"ingress_endpoint"`
				}
				t.Admin("GET", "/version", nil).Want(t, 200).JSON(t, &v)
				if v.Version == "" || v.Min < 1 || v.Max < v.Min || v.Ingress == "" {
					t.Fatalf("version answer %+v", v)
				}
			},
		},
		Case{
			Name: "services", Desc: "List the services, describe one, list and describe its handlers.",
			Expect: "names, types, handlers, revision, deployment and visibility; unknown ones are 404",
			Run: func(t *T) {
				var l struct {
					Services []struct{ Name, Ty string }
				}
				t.Admin("GET", "/services", nil).Want(t, 200).JSON(t, &l)
				tys := map[string]string{}
				for _, s := range l.Services {
					tys[s.Name] = s.Ty
				}
				t.Eq(tys["Echo"]+" "+tys["Counter"]+" "+tys["Flow"], "Service VirtualObject Workflow", "types")
				var s struct {
					Name         string
					Revision     int
					Public       bool
					DeploymentID string `json:"deployment_id"`
				}
				t.Admin("GET", "/services/Counter", nil).Want(t, 200).JSON(t, &s)
				t.Eq(s.DeploymentID, t.Env.Endpoints["main"].Deployment.ID, "deployment")
				t.Eq(s.Public, true, "public")
				var hs struct {
					Handlers []struct{ Name, Ty string }
				}
				t.Admin("GET", "/services/Counter/handlers", nil).Want(t, 200).JSON(t, &hs)
				t.Eq(len(hs.Handlers) > 5, true, "handlers")
				t.Admin("GET", "/services/Counter/handlers/get", nil).Want(t, 200).Has(t, "Shared")
				t.Admin("GET", "/services/NoSuch", nil).Want(t, 404).Err(t)
				t.Admin("GET", "/services/Counter/handlers/noSuch", nil).Want(t, 404).Err(t)
			},
		},
		Case{
			Name: "discovered-options", Desc: "Describe a service with documentation, metadata, retentions and timeouts.",
			Expect: "all of them are shown as the endpoint declared them; the inactivity timeout is 0s where it means nothing",
			Run: func(t *T) {
				var s struct {
					Documentation string
					Metadata      map[string]string
					Idem          string `json:"idempotency_retention"`
					Journal       string `json:"journal_retention"`
					Inactivity    string `json:"inactivity_timeout"`
					Abort         string `json:"abort_timeout"`
					Handlers      []struct {
						Name          string
						Documentation string
						Public        bool
						Metadata      map[string]string
						InputSchema   any `json:"input_json_schema"`
					}
				}
				t.Admin("GET", "/services/Documented", nil).Want(t, 200).JSON(t, &s)
				t.Eq(s.Documentation, "A service with a description.", "documentation")
				t.Eq(s.Metadata["team"], "green", "metadata")
				t.Eq([]string{s.Idem, s.Journal, s.Inactivity, s.Abort}, []string{"2h", "30m", inactivity(t, "1m 10s"), "1m 20s"}, "durations")
				for _, h := range s.Handlers {
					switch h.Name {
					case "open":
						t.Eq(h.Documentation+h.Metadata["kind"], "The open one.handler", "handler documentation and metadata")
						t.Eq(h.Public, true, "open is public")
						t.Eq(h.InputSchema != nil, true, "input schema")
					case "shut":
						t.Eq(h.Public, false, "shut is public")
					}
				}
			},
		},
		Case{
			Name: "visibility-changed", Desc: "Make a service private and public again by PATCH.",
			Expect: "the ingress follows: 400, then 200",
			Run: func(t *T) {
				name := svcName(t, "Vis")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				for _, public := range []bool{false, true} {
					t.Admin("PATCH", "/services/"+name, j("public", public)).Want(t, 200)
					want := map[bool]int{true: 200, false: 400}[public]
					t.Eventually(0, fmt.Sprint("public: ", public), func() error {
						if r := t.Post("/"+name+"/text", "x"); r.Status != want {
							return fmt.Errorf("status %d", r.Status)
						}
						return nil
					})
				}
				t.Admin("PATCH", "/services/NoSuch", j("public", true)).Want(t, 404).Err(t)
			},
		},
		Case{
			Name: "options-changed", Desc: "Change retentions and timeouts of a service by PATCH.",
			Expect: "200, and the new values are shown",
			Run: func(t *T) {
				name := svcName(t, "Opt")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Admin("PATCH", "/services/"+name, j("idempotency_retention", "3h", "journal_retention", "2h", "inactivity_timeout", "30s", "abort_timeout", "90s")).Want(t, 200)
				t.Admin("GET", "/services/"+name, nil).Want(t, 200).Has(t, `"idempotency_retention":"3h"`).Has(t, `"journal_retention":"2h"`).Has(t, `"inactivity_timeout":"`+inactivity(t, "30s")+`"`).Has(t, `"abort_timeout":"1m 30s"`)
			},
		},
		Case{
			Name: "openapi", Desc: "Ask for the OpenAPI document of a service.",
			Expect: "an OpenAPI 3.1 document with a path for each handler",
			Run: func(t *T) {
				var d struct {
					Openapi string
					Paths   map[string]any
				}
				t.Admin("GET", "/services/Counter/openapi", nil).Want(t, 200).JSON(t, &d)
				if !strings.HasPrefix(d.Openapi, "3.") {
					t.Errorf("openapi %q", d.Openapi)
				}
				ok := false
				for p := range d.Paths {
					ok = ok || strings.HasSuffix(p, "/Counter/{key}/add")
				}
				if !ok {
					t.Errorf("no path for Counter/{key}/add among %d paths", len(d.Paths))
				}
			},
		},
		Case{
			Name: "pause-and-resume", Desc: "Pause a waiting invocation and resume it.",
			Expect: "202 and status paused; completions that come meanwhile are kept; after resume it completes",
			Tags:   []string{harness.TagSince17},
			Run: func(t *T) {
				k := t.Key("pa")
				s := t.Send("/Awakeables/"+k+"/wait", nil)
				t.KillQuietly(s.InvocationID)
				id := awakeableOf(t, "/Awakeables/"+k+"/awakeable")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/pause", nil).Want(t, 202)
				t.WaitStatus(s.InvocationID, "paused")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/pause", nil).Want(t, 200)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil).Want(t, 200)
				resolve(t, id, "resumed").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "resumed")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/pause", nil).Want(t, 409).Err(t)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil).Want(t, 409).Err(t)
			},
		},
		Case{
			Name: "pause-retrying", Desc: "Pause an invocation that backs off for an hour, and resume it.",
			Expect: "resume does the next attempt at once",
			Run: func(t *T) {
				s := t.Send("/Failing/slowRetry", services.Tries{Probe: t.Key("pr"), Fail: 1})
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "backing-off")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/pause", nil).Want(t, 200, 202)
				t.WaitStatus(s.InvocationID, "paused")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "2")
			},
		},
		Case{
			Name: "resume-skips-backoff", Desc: "Resume an invocation that backs off, without pausing it.",
			Expect: "the next attempt happens at once",
			Run: func(t *T) {
				s := t.Send("/Failing/slowRetry", services.Tries{Probe: t.Key("rs"), Fail: 1})
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "backing-off")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "2")
			},
		},
		Case{
			Name: "resume-on-other-deployment", Desc: "Resume a paused invocation on a newer deployment.",
			Expect: "it goes on there, with the results of its finished steps",
			Run: func(t *T) {
				name, gate := svcName(t, "Gat"), t.Key("gate")
				t.Endpoint(harness.AsAsked, nil, services.Gated(name, "v1"))
				s := t.Send("/"+name+"/pass", gate)
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "paused")
				two := t.Endpoint(harness.AsAsked, nil, services.Gated(name, "v2"))
				probe.Open(gate)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/resume", nil, harness.Query("deployment", two.Deployment.ID)).Want(t, 200, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `"v2 1"`)
				rows := t.SQL("SELECT pinned_deployment_id FROM sys_invocation WHERE id = %s", harness.Quote(s.InvocationID))
				t.Eq(rows[0].Str("pinned_deployment_id"), two.Deployment.ID, "pinned deployment")
			},
		},
		Case{
			Name: "restart-as-new", Desc: "Restart a completed invocation as a new one.",
			Expect: "a new id, the same input, its steps run again; the old result stays; the new one names its origin",
			Run: func(t *T) {
				p := t.Key("rn")
				s := t.Send("/Effects/steps", services.Steps{Probe: p, N: 3})
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "3")
				var n struct {
					ID string `json:"new_invocation_id"`
				}
				t.Eventually(0, "restarted", func() error {
					r := t.Admin("PATCH", "/invocations/"+s.InvocationID+"/restart-as-new", nil)
					if r.Status != 200 {
						return fmt.Errorf("status %d: %s", r.Status, r.Short())
					}
					r.JSON(t, &n)
					return nil
				})
				if n.ID == "" || n.ID == s.InvocationID {
					t.Fatalf("new id %q", n.ID)
				}
				t.Attach(n.ID).Want(t, 200).Has(t, "6")
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "3")
				rows := t.SQL("SELECT restarted_from, invoked_by FROM sys_invocation WHERE id = %s", harness.Quote(n.ID))
				t.Eq(rows[0].Str("restarted_from"), s.InvocationID, "restarted_from")
			},
		},
		Case{
			Name: "restart-from-entry", Desc: "Restart a completed invocation from the middle of its journal.",
			Expect: "the steps before that point are not repeated; a point beyond the journal is 400",
			Run: func(t *T) {
				p := t.Key("rf")
				s := t.Send("/Effects/steps", services.Steps{Probe: p, N: 3})
				t.Attach(s.InvocationID).Want(t, 200)
				var n struct {
					ID string `json:"new_invocation_id"`
				}
				t.Eventually(0, "restarted", func() error {
					r := t.Admin("PATCH", "/invocations/"+s.InvocationID+"/restart-as-new", nil, harness.Query("from", "2"))
					if r.Status != 200 {
						return fmt.Errorf("status %d: %s", r.Status, r.Short())
					}
					r.JSON(t, &n)
					return nil
				})
				t.Attach(n.ID).Want(t, 200)
				if a, c := probe.Hits(p+"/0"), probe.Hits(p+"/2"); a != 1 || c != 2 {
					t.Fatalf("first step ran %d times, last step %d times", a, c)
				}
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/restart-as-new", nil, harness.Query("from", "77")).WantClientError(t)
			},
		},
		Case{
			Name: "restart-running-refused", Desc: "Restart an invocation that has not completed.",
			Expect: "409",
			Run: func(t *T) {
				s := t.Send("/Awakeables/"+t.Key("rr")+"/wait", nil)
				t.KillQuietly(s.InvocationID)
				t.WaitStatus(s.InvocationID, "running", "suspended")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/restart-as-new", nil).Want(t, 409).Err(t)
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/purge", nil).Want(t, 409).Err(t)
			},
		},
		Case{
			Name: "purge", Desc: "Purge the journal of a completed invocation, then the invocation.",
			Expect: "the journal is empty and the result still there; then everything is gone",
			Run: func(t *T) {
				s := t.Send("/Effects/steps", services.Steps{Probe: t.Key("pu"), N: 2})
				t.Attach(s.InvocationID).Want(t, 200)
				t.Eventually(0, "the journal is retained", func() error { return atLeast(int64(len(journal(t, s.InvocationID))), 4) })
				t.Eventually(0, "purge-journal works", func() error {
					if r := t.Admin("PATCH", "/invocations/"+s.InvocationID+"/purge-journal", nil); r.Status != 200 {
						return fmt.Errorf("status %d: %s", r.Status, r.Short())
					}
					return nil
				})
				t.Eventually(0, "the journal is empty", func() error {
					if l := journal(t, s.InvocationID); len(l) > 0 {
						return fmt.Errorf("entries %v", l)
					}
					return nil
				})
				t.Output(s.InvocationID).Want(t, 200).Has(t, "2")
				t.Admin("PATCH", "/invocations/"+s.InvocationID+"/purge", nil).Want(t, 200)
				t.WaitStatus(s.InvocationID, "")
				t.Output(s.InvocationID).Want(t, 404)
			},
		},
		Case{
			Name: "no-retention", Desc: "Call a service whose retentions are all zero.",
			Expect: "the result is answered, and nothing of the invocation is left",
			Run: func(t *T) {
				name := svcName(t, "Nor")
				t.Endpoint(harness.AsAsked, nil, services.Echo(name, restate.WithJournalRetention(0), restate.WithIdempotencyRetention(0)))
				r := t.Call("/"+name+"/text", "x", nil)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "")
				t.Eq(len(journal(t, id)), 0, "journal entries")
				t.Output(id).Want(t, 404)
			},
		},
		Case{
			Name: "delete-modes", Desc: "End invocations with DELETE and the modes cancel and kill.",
			Expect: "202; the invocations end with 409",
			Run: func(t *T) {
				for _, mode := range []string{"cancel", "kill"} {
					p := t.Key("dm")
					s := t.Send("/Blocker/"+p+"/block", services.Block{On: "sleep", Probe: p})
					t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
					t.Admin("DELETE", "/invocations/"+s.InvocationID, nil, harness.Query("mode", mode)).Want(t, 202)
					t.Attach(s.InvocationID).Want(t, 409)
				}
			},
		},
	)

	add("introspection",
		Case{
			Name: "sys-invocation", Desc: "Read the row of a completed invocation.",
			Expect: "id, target and its parts, status, times, who invoked it, result, deployment, protocol version",
			Run: func(t *T) {
				k := t.Key("si")
				r := t.Call("/Counter/"+k+"/add", 1, nil)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				row := t.SQL("SELECT * FROM sys_invocation WHERE id = %s", harness.Quote(id))[0]
				for c, want := range map[string]string{
					"target": "Counter/" + k + "/add", "target_service_name": "Counter", "target_service_key": k,
					"target_handler_name": "add", "target_service_ty": "virtual_object", "invoked_by": "ingress",
					"status": "completed", "completion_result": "success", "pinned_deployment_id": t.Env.Endpoints["main"].Deployment.ID,
				} {
					t.Eq(row.Str(c), want, c)
				}
				for _, c := range []string{"created_at", "modified_at", "running_at", "completed_at"} {
					if _, err := time.Parse(time.RFC3339Nano, row.Str(c)); err != nil {
						t.Errorf("%s is %q", c, row.Str(c))
					}
				}
				if v, r := int(row.Num("pinned_service_protocol_version")), t.Env.Setup.Versions; v < r.Min || v > r.Max {
					t.Errorf("pinned_service_protocol_version %v is not in %s", v, r)
				}
			},
		},
		Case{
			Name: "failed-invocation", Desc: "Read the row of an invocation that ended with a terminal error.",
			Expect: "completion_result failure and the message in completion_failure",
			Run: func(t *T) {
				r := t.Post("/Failing/terminal", j("message", "recorded", "code", 410)).Want(t, 410)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				row := t.SQL("SELECT completion_result, completion_failure FROM sys_invocation WHERE id = %s", harness.Quote(id))[0]
				t.Eq(row.Str("completion_result"), "failure", "completion_result")
				if !strings.Contains(row.Str("completion_failure"), "recorded") {
					t.Fatalf("completion_failure %q", row.Str("completion_failure"))
				}
			},
		},
		Case{
			Name: "sys-journal", Desc: "Read the journal of an invocation with state, call, step and sleep.",
			Expect: "the entries in order, from Command: Input to Command: Output; entry_json of the calls names the target",
			Run: func(t *T) {
				k := t.Key("sj")
				r := t.Call("/Interpreter/"+k+"/interpret", []any{
					j("op", "set", "key", "a", "value", "1"), j("op", "sleep", "ms", 1), j("op", "run", "value", "x"),
					j("op", "call", "to", j("service", "Echo", "handler", "text", "body", "y")), j("op", "send", "to", j("service", "Echo", "handler", "text", "body", "z"))}, nil)
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				var types []string
				rows := t.SQL(`SELECT "index", entry_type, entry_json FROM sys_journal WHERE id = %s ORDER BY "index"`, harness.Quote(id))
				for i, row := range rows {
					t.Eq(int(row.Num("index")), i, "index")
					types = append(types, row.Str("entry_type"))
				}
				all := strings.Join(types, ", ")
				t.Eq(types[0], "Command: Input", "first entry")
				t.Eq(types[len(types)-1], "Command: Output", "last entry")
				for _, want := range []string{"Command: SetState", "Command: Sleep", "Notification: Sleep", "Command: Run", "Notification: Run", "Command: Call", "Notification: Call", "Command: OneWayCall"} {
					if !strings.Contains(all, want) {
						t.Errorf("no entry %q in: %s", want, all)
					}
				}
				entries := 0
				for _, e := range column(rows, "entry_json") {
					if strings.Contains(e, `"Echo"`) && strings.Contains(e, `"text"`) {
						entries++
					}
				}
				t.Eq(entries, 2, "entries whose entry_json names the called handler")
			},
		},
		Case{
			Name: "services-and-deployments", Desc: "Read sys_service and sys_deployment, and join them.",
			Expect: "one row per service with revision, visibility, type and deployment",
			Run: func(t *T) {
				rows := t.SQL("SELECT s.name, s.ty, s.public, d.endpoint FROM sys_service s JOIN sys_deployment d ON s.deployment_id = d.id WHERE s.name IN ('Echo', 'Counter', 'Flow', 'Hidden') ORDER BY s.name")
				t.Eq(column(rows, "name"), []string{"Counter", "Echo", "Flow", "Hidden"}, "names")
				t.Eq(column(rows, "ty"), []string{"virtual_object", "service", "workflow", "service"}, "types")
				t.Eq(column(rows, "public"), []string{"true", "true", "true", "false"}, "public")
				t.Eq(strings.TrimRight(rows[0].Str("endpoint"), "/"), t.Env.Endpoints["main"].URI, "endpoint")
			},
		},
		Case{
			Name: "sys-promise", Desc: "Read the promises of a workflow.",
			Expect: "a row for each resolved promise with its value",
			Run: func(t *T) {
				w := t.Key("sp")
				t.Call("/Flow/"+w+"/resolve", j("name", "p1", "value", "x"), nil)
				rows := t.SQL("SELECT key, completed, completion_success_value_utf8 FROM sys_promise WHERE service_name = 'Flow' AND service_key = %s", harness.Quote(w))
				t.Eq(len(rows), 1, "rows")
				t.Eq(rows[0].Str("key")+" "+rows[0].Str("completed")+" "+rows[0].Str("completion_success_value_utf8"), `p1 true "x"`, "row")
			},
		},
		Case{
			Name: "aggregates", Desc: "Count invocations by group, with ORDER BY, LIMIT and LIKE.",
			Expect: "SQL as one expects it",
			Run: func(t *T) {
				k := t.Key("ag")
				for i := range 5 {
					t.Call(fmt.Sprintf("/Counter/%s-%d/add", k, i%2), 1, nil)
				}
				rows := t.SQL("SELECT target_service_key AS k, count(*) AS n FROM sys_invocation WHERE target_service_key LIKE %s GROUP BY target_service_key ORDER BY n DESC LIMIT 1", harness.Quote(k+"%"))
				t.Eq(len(rows), 1, "rows")
				t.Eq(rows[0].Str("k"), k+"-0", "key")
				t.Eq(int(rows[0].Num("n")), 3, "count")
				rows = t.SQL("SELECT sum(CAST(value_utf8 AS BIGINT)) AS s FROM state WHERE service_name = 'Counter' AND service_key LIKE %s", harness.Quote(k+"%"))
				t.Eq(int(rows[0].Num("s")), 5, "sum over the states")
			},
		},
		Case{
			Name: "statuses", Desc: "Bring invocations into the statuses running, suspended, scheduled, backing-off and completed.",
			Expect: "sys_invocation shows each",
			Run: func(t *T) {
				g := t.Key("gate")
				defer probe.Open(g)
				for want, s := range map[string]harness.Sent{
					"running":     t.Send("/Counter/"+t.Key("r")+"/addSlow", services.SlowAdd{Gate: g}),
					"suspended":   t.Send("/SuspAwakeables/"+t.Key("s")+"/wait", nil),
					"scheduled":   t.Send("/Echo/text", "x", harness.Query("delay", "1h")),
					"backing-off": t.Send("/Failing/slowRetry", services.Tries{Probe: t.Key("b"), Fail: 9}),
					"completed":   t.Send("/Echo/text", "x"),
				} {
					t.KillQuietly(s.InvocationID)
					t.WaitStatus(s.InvocationID, want)
				}
			},
		},
		Case{
			Name: "tables", Desc: "List the tables and columns through information_schema.",
			Expect: "the documented tables are there",
			Run: func(t *T) {
				have := map[string]bool{}
				for _, r := range t.SQL("SELECT table_name FROM information_schema.tables") {
					have[r.Str("table_name")] = true
				}
				for _, n := range []string{"sys_invocation", "sys_journal", "state", "sys_service", "sys_deployment", "sys_inbox", "sys_keyed_service_status", "sys_promise", "sys_journal_events", "sys_invocation_state"} {
					if !have[n] {
						t.Errorf("no table %s", n)
					}
				}
			},
		},
		Case{
			Name: "bad-queries", Desc: "Send SQL that does not parse, and SQL with an unknown column.",
			Expect: "an error status with a message, and no harm to the next query",
			Run: func(t *T) {
				for _, q := range []string{"SELEC nothing", "SELECT no_such_column FROM sys_invocation", "SELECT * FROM no_such_table"} {
					r := t.Admin("POST", "/query", map[string]string{"query": q}, harness.Header("accept", "application/json"))
					if r.Status < 400 {
						t.Errorf("%s: status %d", q, r.Status)
						continue
					}
					r.Err(t)
				}
				t.Eq(len(t.SQL("SELECT 1 AS one")), 1, "rows of the next query")
			},
		},
		Case{
			Name: "arrow-by-default", Desc: "Query without asking for JSON.",
			Expect: "an Arrow stream (content-type application/vnd.apache.arrow.stream)",
			Run: func(t *T) {
				r := t.Admin("POST", "/query", map[string]string{"query": "SELECT 1 AS one"}).Want(t, 200)
				t.Eq(r.Header.Get("content-type"), "application/vnd.apache.arrow.stream", "content-type")
				if len(r.Body) < 16 || string(r.Body[:4]) != "\xff\xff\xff\xff" {
					t.Fatalf("the body does not begin like an Arrow stream")
				}
			},
		},
	)

	// The same behaviours over every transport.
	for _, tr := range []struct{ prefix, name, what string }{
		{"", "bidi", "HTTP/2 with both directions open"},
		{"Rr", "request-response", "HTTP/2, one request and one response per attempt"},
		{"Hone", "http1", "HTTP/1.1, one request and one response per attempt"},
	} {
		pre := tr.prefix
		add("protocol",
			Case{
				Name: tr.name + "-calls-and-state", Desc: "Calls, state, fan-out and a chain over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					k := t.Key("tr")
					var u services.Update
					t.Call("/"+pre+"Counter/"+k+"/add", 2, nil)
					t.Call("/"+pre+"Counter/"+k+"/add", 3, &u)
					t.Eq(u, services.Update{Old: 2, New: 5}, "update")
					var n int
					t.Call("/"+pre+"Proxy/chain", j("depth", 5, "trace", ""), &n)
					t.Eq(n, 5, "chain")
					var out []string
					t.Call("/"+pre+"Proxy/fanOut", j("target", j("service", pre+"Echo", "handler", "text"), "n", 20), &out)
					t.Eq(len(out), 20, "fan-out")
					r := t.Call("/"+pre+"Echo/raw", raw("application/octet-stream", make([]byte, 300000)), nil)
					t.Eq(len(r.Body), 300000, "bytes")
				},
			},
			Case{
				Name: tr.name + "-waiting", Desc: "Awakeables, promises, sleeps and combinators over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					k := t.Key("tr")
					w := t.PostAsync("/"+pre+"Awakeables/"+k+"/wait", nil)
					resolve(t, awakeableOf(t, "/"+pre+"Awakeables/"+k+"/awakeable"), "v").Want(t, 202)
					w().Want(t, 200).Has(t, `"v"`)
					t.Call("/"+pre+"Timers/sleep", j("ms", []int{50, 50}), nil)
					var s string
					t.Call("/"+pre+"Interpreter/"+k+"/interpret", []any{j("op", "all", "of", []any{j("op", "run", "value", "a"), j("op", "sleep", "ms", 50), j("op", "call", "to", j("service", pre+"Echo", "handler", "text", "body", "c"))})}, &s)
					t.Eq(s, `a|slept|"c"`, "all")
					t.Send("/"+pre+"Flow/"+k+"/run", j("text", "a", "waitFor", "p"))
					t.Call("/"+pre+"Flow/"+k+"/resolve", j("name", "p", "value", "b"), nil)
					t.Get("/restate/workflow/"+pre+"Flow/"+k+"/attach").Want(t, 200).Has(t, "a+b")
				},
			},
			Case{
				Name: tr.name + "-failures", Desc: "Terminal errors, retries, step retries and a cancellation over " + tr.what + ".",
				Expect: "the same results over every transport",
				Run: func(t *T) {
					t.Post("/"+pre+"Failing/terminal", j("message", "m", "code", 418)).Want(t, 418)
					var n int64
					t.Call("/"+pre+"Failing/flaky", services.Tries{Probe: t.Key("f"), Fail: 2}, &n)
					t.Eq(n, int64(3), "attempt")
					t.Call("/"+pre+"Effects/eventually", services.Steps{Probe: t.Key("e"), N: 3}, &n)
					t.Eq(n, int64(3), "attempt of the step")
					p := t.Key("c")
					s := t.Send("/"+pre+"Blocker/"+p+"/block", services.Block{On: "sleep", Probe: p})
					t.Eventually(0, "started", func() error { return atLeast(probe.Hits(p+"/started"), 1) })
					t.Admin("PATCH", "/invocations/"+s.InvocationID+"/cancel", nil).Want(t, 200, 202)
					t.Attach(s.InvocationID).Want(t, 409)
				},
			})
	}
	add("protocol",
		Case{
			Name: "broken-endpoint", Desc: "An endpoint answers invocations with 500s and with garbage, then works.",
			Expect: "the invocation is retried until it completes",
			Run: func(t *T) {
				name := svcName(t, "Brk")
				h := t.SDKHandler(harness.Bidi, quickEcho(name))
				var n atomic.Int64
				ep := t.ServeRaw(harness.Bidi, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/invoke/") {
						switch n.Add(1) {
						case 1:
							w.WriteHeader(500)
							return
						case 2:
							w.Header().Set("content-type", r.Header.Get("content-type"))
							_, _ = w.Write([]byte("this is no protocol message at all"))
							return
						case 3:
							w.WriteHeader(404)
							return
						}
					}
					h.ServeHTTP(w, r)
				}))
				d := t.Register(ep.URI, nil)
				t.Cleanup(func() { t.Env.RemoveDeployment(d.ID) })
				var s string
				t.Call("/"+name+"/text", "patience", &s)
				t.Eq(s, "patience", "output")
				t.Eq(n.Load(), int64(4), "attempts")
			},
		},
		Case{
			Name: "invocation-request", Desc: "Look at the request that starts an attempt.",
			Expect: "POST /invoke/<service>/<handler> with content-type application/vnd.restate.invocation.v5 to v7, of a version that the endpoint shows",
			Run: func(t *T) {
				name := svcName(t, "Req")
				ep := t.Endpoint(harness.AsAsked, nil, services.Echo(name))
				t.Call("/"+name+"/text", "x", nil)
				paths, hs := ep.Requests(t)
				last := len(paths) - 1
				t.Eq(paths[last], "/invoke/"+name+"/text", "path")
				ct := hs[last].Get("content-type")
				text, found := strings.CutPrefix(ct, "application/vnd.restate.invocation.v")
				v, err := strconv.Atoi(text)
				if r := t.Env.Setup.Versions; !found || err != nil || v < r.Min || v > r.Max {
					t.Fatalf("content-type %q", ct)
				}
			},
		},
	)

	add("suspension",
		Case{
			Name: "awakeable", Desc: "Wait for an awakeable with an inactivity timeout of 50 ms.",
			Expect: "status suspended; no attempt is running while it waits; the value resumes it",
			Run: func(t *T) {
				k := t.Key("su")
				s := t.Send("/SuspAwakeables/"+k+"/waitMany", 3)
				t.WaitStatus(s.InvocationID, "suspended")
				var ids []string
				t.Call("/SuspAwakeables/"+k+"/awakeableIds", nil, &ids)
				for i, id := range ids {
					resolve(t, id, fmt.Sprint(i)).Want(t, 202)
					if i < 2 {
						time.Sleep(150 * time.Millisecond)
						t.WaitStatus(s.InvocationID, "suspended")
					}
				}
				t.Attach(s.InvocationID).Want(t, 200).Has(t, `["0","1","2"]`)
			},
		},
		Case{
			Name: "call", Desc: "Wait for a slow callee with an inactivity timeout of 50 ms.",
			Expect: "the caller is suspended and resumed with the callee's result",
			Run: func(t *T) {
				k := t.Key("callee")
				s := t.Send("/SuspProxy/call", j("service", "Awakeables", "key", k, "handler", "wait", "void", true))
				t.WaitStatus(s.InvocationID, "suspended")
				resolve(t, awakeableOf(t, "/Awakeables/"+k+"/awakeable"), "from the callee").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200).Has(t, "from the callee")
			},
		},
		Case{
			Name: "key-stays-held", Desc: "Call another exclusive handler of a key whose holder is suspended.",
			Expect: "it waits until the holder has ended",
			Run: func(t *T) {
				k := t.Key("su")
				s := t.Send("/SuspAwakeables/"+k+"/wait", nil)
				t.WaitStatus(s.InvocationID, "suspended")
				b := t.Send("/SuspAwakeables/"+k+"/waitOr", 1)
				t.WaitStatus(b.InvocationID, "pending")
				resolve(t, awakeableOf(t, "/SuspAwakeables/"+k+"/awakeable"), "x").Want(t, 202)
				t.Attach(s.InvocationID).Want(t, 200)
				t.Attach(b.InvocationID).Want(t, 200).Has(t, "timeout")
			},
		},
		Case{
			Name: "fan-out-suspended", Desc: "Wait for 20 slow callees at once with an inactivity timeout of 50 ms.",
			Expect: "all results arrive, whatever happened in between",
			Run: func(t *T) {
				var out []string
				t.Call("/SuspProxy/fanOut", j("target", j("service", "Echo", "handler", "sleepy", "body", 300), "n", 20), &out)
				t.Eq(len(out), 20, "results")
			},
		},
		Case{
			Name: "abort-timeout", Desc: "A step blocks far longer than inactivity and abort timeouts.",
			Expect: "the attempt is aborted and tried again; the second one completes",
			Run: func(t *T) {
				p := t.Key("ab")
				defer probe.Open(p)
				var n int64
				t.Call("/AbortEffects/slowStep", services.Steps{Probe: p}, &n)
				t.Eq(n, int64(2), "execution of the step that completed")
			},
		},
	)

	add("long",
		Case{
			Name: "journal-of-1000", Desc: "Write 1000 steps, fail in the middle, replay and finish.",
			Expect: "the right sum; no step runs twice",
			Run: func(t *T) {
				p := t.Key("long")
				var sum int
				r := t.Call("/SuspEffects/long", services.Steps{Probe: p, N: 1000}, &sum)
				t.Eq(sum, 1000*999/2, "sum")
				t.Eq(probe.Hits(p), int64(1000), "executions of steps")
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				rows := t.SQL("SELECT count(*) AS n FROM sys_journal WHERE id = %s", harness.Quote(id))
				if n := rows[0].Num("n"); n < 2000 {
					t.Fatalf("the journal has %v entries", n)
				}
			},
		},
		Case{
			Name: "program-of-300", Desc: "Run 300 mixed commands on one key over request-response.",
			Expect: "all results, in order",
			Run: func(t *T) {
				var prog []any
				for i := range 150 {
					prog = append(prog, j("op", "set", "key", "v", "value", fmt.Sprint(i)), j("op", "get", "key", "v"))
				}
				k := t.Key("p")
				var s string
				t.Call("/RrInterpreter/"+k+"/interpret", prog, &s)
				t.Eq(s, "149", "last result")
				var res []string
				t.Call("/RrInterpreter/"+k+"/results", nil, &res)
				t.Eq(len(res), 300, "results")
			},
		},
		Case{
			Name: "replay-with-large-entries", Desc: "Suspend and replay a journal of 20 steps of 256 KiB each.",
			Expect: "nothing is lost",
			Run: func(t *T) {
				var prog []any
				v := strings.Repeat("q", 256<<10)
				for range 20 {
					prog = append(prog, j("op", "set", "key", "v", "value", v), j("op", "sleep", "ms", 1))
				}
				prog = append(prog, j("op", "sleep", "ms", 200), j("op", "get", "key", "v"))
				var s string
				t.Call("/SuspInterpreter/"+t.Key("big")+"/interpret", prog, &s)
				t.Eq(len(s), 256<<10, "length")
			},
		},
	)
}
