package cases

import (
	"fmt"
	"strings"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

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
}
