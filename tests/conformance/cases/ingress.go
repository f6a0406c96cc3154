package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
)

func raw(ct string, b []byte) harness.RawBody { return harness.RawBody{ContentType: ct, Bytes: b} }

func init() {
	add("ingress",
		Case{
			Name: "call-json", Desc: "POST a JSON value to a service handler.",
			Expect: "200, the handler's output as the body, content-type application/json",
			Run: func(t *T) {
				in := map[string]any{"a": []any{1.0, "zwei", nil, true}, "ü": "\u2603"}
				var out map[string]any
				r := t.Call("/Echo/json", in, &out)
				t.Eq(out, in, "body")
				t.Eq(r.Header.Get("content-type"), "application/json", "content-type")
			},
		},
		Case{
			Name: "invocation-id-header", Desc: "Compare the id header of a response with the id that the handler sees.",
			Expect: "x-restate-id carries the invocation id, which starts with inv_ and is the one given to the handler",
			Run: func(t *T) {
				var id string
				r := t.Call("/Echo/id", nil, &id)
				t.Eq(r.Header.Get("x-restate-id"), id, "x-restate-id")
				if !strings.HasPrefix(id, "inv_") {
					t.Fatalf("invocation id %q does not start with inv_", id)
				}
			},
		},
		Case{
			Name: "get-without-input", Desc: "GET a handler that takes no input.",
			Expect: "200 with the output, as with POST",
			Run: func(t *T) {
				var a, b string
				t.Get("/Echo/hello").Want(t, 200).JSON(t, &a)
				t.Call("/Echo/hello", nil, &b)
				t.Eq(a+b, "hellohello", "outputs")
			},
		},
		Case{
			Name: "no-output", Desc: "Call a handler without output.",
			Expect: "200, an empty body and no content-type",
			Run: func(t *T) {
				r := t.Call("/Echo/nothing", nil, nil)
				t.Eq(len(r.Body), 0, "body length")
				t.Eq(r.Header.Get("content-type"), "", "content-type")
			},
		},
		Case{
			Name: "raw-bytes", Desc: "Send all byte values to a handler with a binary codec.",
			Expect: "the same bytes come back as application/octet-stream",
			Run: func(t *T) {
				b := make([]byte, 1024)
				for i := range b {
					b[i] = byte(i * 7)
				}
				r := t.Call("/Echo/raw", raw("application/octet-stream", b), nil)
				if !bytes.Equal(r.Body, b) {
					t.Fatalf("the bytes differ")
				}
				t.Eq(r.Header.Get("content-type"), "application/octet-stream", "content-type")
			},
		},
		Case{
			Name: "content-type-checked", Desc: "Send text/plain to a JSON handler, JSON to a binary handler, and a body to a handler without input.",
			Expect: "400 with a message that speaks of the content-type, and the handler does not run",
			Run: func(t *T) {
				for _, x := range []struct{ path, ct string }{{"/Echo/text", "text/plain"}, {"/Echo/raw", "text/plain"}, {"/Echo/hello", "application/json"}, {"/Echo/text", ""}} {
					e := t.Post(x.path, raw(x.ct, []byte(`"x"`))).Want(t, 400).Err(t)
					if !strings.Contains(strings.ToLower(e.Message), "content-type") {
						t.Errorf("%s with content-type %q: message %q does not speak of the content-type", x.path, x.ct, e.Message)
					}
				}
			},
		},
		Case{
			Name: "content-type-parameters", Desc: "Send application/json with a charset parameter to a JSON handler.",
			Expect: "200: parameters of the media type do not matter",
			Run: func(t *T) {
				t.Post("/Echo/text", raw("application/json; charset=utf-8", []byte(`"x"`))).Want(t, 200)
			},
		},
		Case{
			Name: "large-payload", Desc: "Send and receive 4 MiB.",
			Expect: "200, nothing lost",
			Run: func(t *T) {
				var n int
				t.Call("/Echo/size", raw("application/octet-stream", make([]byte, 4<<20)), &n)
				t.Eq(n, 4<<20, "bytes seen by the handler")
				var s string
				t.Call("/Echo/make", 4<<20, &s)
				t.Eq(len(s), 4<<20, "characters returned")
			},
		},
		Case{
			Name: "headers-passed", Desc: "Send custom headers with a call.",
			Expect: "the handler sees them under lower-case names",
			Run: func(t *T) {
				var h map[string]string
				t.Call("/Echo/headers", nil, &h, harness.Header("X-Custom-One", "eins"), harness.Header("x-custom-two", "zwei; drei"))
				t.Eq(h["x-custom-one"], "eins", "x-custom-one")
				t.Eq(h["x-custom-two"], "zwei; drei", "x-custom-two")
			},
		},
		Case{
			Name: "send", Desc: "POST to /send.",
			Expect: "202 with {invocationId, status: Accepted} at once; the handler runs once",
			Run: func(t *T) {
				k := t.Key("send")
				s := t.Send("/Echo/hit", k)
				t.Eq(s.HTTP, 202, "status code")
				t.Eq(s.Status, "Accepted", "status")
				t.Attach(s.InvocationID).Want(t, 200)
				t.Eq(probe.Hits(k), int64(1), "executions")
			},
		},
		Case{
			Name: "send-delayed", Desc: "POST to /send with delays in both notations.",
			Expect: "202 with the executionTime; the handler runs after that time and not before",
			Run: func(t *T) {
				for _, d := range []string{"700ms", "PT0.7S"} {
					k := t.Key("delay")
					start := time.Now()
					s := t.Send("/Timers/stamp", k, harness.Query("delay", d))
					at, err := time.Parse(time.RFC3339Nano, s.ExecutionTime)
					t.Check(err, "executionTime")
					if off := at.Sub(start); off < 500*time.Millisecond || off > 15*time.Second {
						t.Errorf("delay %s: executionTime is %s from now", d, off)
					}
					t.Attach(s.InvocationID).Want(t, 200)
					var ms int64
					_, _ = fmt.Sscan(probe.Lines(k)[0], &ms)
					if took := ms - start.UnixMilli(); took < 690 {
						t.Errorf("delay %s: the handler ran after %d ms", d, took)
					}
				}
			},
		},
		Case{
			Name: "delay-only-for-sends", Desc: "Use the delay parameter with a call, and a delay that is no duration.",
			Expect: "400 both times",
			Run: func(t *T) {
				t.Post("/Echo/text", "x", harness.Query("delay", "1s")).Want(t, 400).Err(t)
				t.Post("/Echo/text/send", "x", harness.Query("delay", "soon")).Want(t, 400).Err(t)
			},
		},
		Case{
			Name: "keys-escaped", Desc: "Use object keys with slashes, spaces, percent signs and non-ASCII letters.",
			Expect: "each key is percent-decoded and is an object of its own",
			Run: func(t *T) {
				for _, k := range []string{t.Key("a/b"), t.Key("a b"), t.Key("50%"), t.Key("größe☃"), t.Key("a?b#c")} {
					var n int
					t.Call(harness.Path("List", k, "append"), "x", &n)
					t.Eq(n, 1, "length of the list at "+k)
					rows := t.SQL("SELECT service_key FROM state WHERE service_name = 'List' AND service_key = %s", harness.Quote(k))
					t.Eq(len(rows), 1, "rows of state with key "+k)
				}
			},
		},
		Case{
			Name: "explicit-call-and-send-paths", Desc: "Use /restate/call/... and /restate/send/....", Tags: []string{harness.TagSince17},
			Expect: "the same as the short paths",
			Run: func(t *T) {
				var s string
				t.Call("/restate/call/Echo/text", "x", &s)
				t.Eq(s, "x", "output")
				k := t.Key("path")
				r := t.Post("/restate/send"+harness.Path("List", k, "append"), "y").Want(t, 202)
				var sent harness.Sent
				r.JSON(t, &sent)
				t.Attach(sent.InvocationID).Want(t, 200).Has(t, "1")
			},
		},
		Case{
			Name: "methods", Desc: "Use PUT and DELETE on a handler.",
			Expect: "405",
			Run: func(t *T) {
				for _, m := range []string{http.MethodPut, http.MethodDelete} {
					r, err := t.Env.Ingress.Do(t.Ctx(), m, "/Echo/text", "x")
					t.Check(err, m)
					r.Want(t, 405)
				}
			},
		},
		Case{
			Name: "cors-preflight", Desc: "Send an OPTIONS preflight from another origin.",
			Expect: "200 and the origin is allowed",
			Run: func(t *T) {
				r, err := t.Env.Ingress.Do(t.Ctx(), http.MethodOptions, "/Echo/text", nil, harness.Header("origin", "http://somewhere.example"), harness.Header("access-control-request-method", "POST"), harness.Header("access-control-request-headers", "content-type"))
				t.Check(err, "preflight")
				r.Want(t, 200, 204)
				if o := r.Header.Get("access-control-allow-origin"); o != "*" && o != "http://somewhere.example" {
					t.Fatalf("access-control-allow-origin is %q", o)
				}
			},
		},
		Case{
			Name: "health", Desc: "Ask /restate/health.",
			Expect: "200 with the list of registered services",
			Run: func(t *T) {
				var h struct{ Services []string }
				t.Get("/restate/health").Want(t, 200).JSON(t, &h)
				for _, s := range h.Services {
					if s == "Echo" {
						return
					}
				}
				t.Fatalf("Echo is not among the services: %v", h.Services)
			},
		},
		Case{
			Name: "concurrent-calls", Desc: "Do 200 calls, 50 at a time.",
			Expect: "each gets its own answer",
			Run: func(t *T) {
				t.Check(harness.Parallel(200, 50, func(i int) error {
					var s string
					if err := t.TryCall("/Echo/text", fmt.Sprint("n", i), &s); err != nil {
						return err
					}
					if s != fmt.Sprint("n", i) {
						return fmt.Errorf("got the answer %q", s)
					}
					return nil
				}), "calls")
			},
		},
		Case{
			Name: "sdk-client", Desc: "Use the ingress client of the Go SDK for a call, a send, an attach and a failing call.",
			Expect: "results and typed errors arrive as the SDK promises",
			Run: func(t *T) {
				c := ingress.NewClient(t.Env.Ingress.Base)
				k := t.Key("sdk")
				u, err := ingress.Object[int, map[string]int](c, "Counter", k, "add").Request(t.Ctx(), 5)
				t.Check(err, "call")
				t.Eq(u["new"], 5, "new value")
				sent, err := ingress.Object[int, map[string]int](c, "Counter", k, "add").Send(t.Ctx(), 6)
				t.Check(err, "send")
				u, err = sent.Attach(t.Ctx())
				t.Check(err, "attach")
				t.Eq(u["new"], 11, "new value of the send")
				_, err = ingress.Service[map[string]any, string](c, "Echo", "fail").Request(t.Ctx(), map[string]any{"message": "no way", "code": 403})
				var ie ingress.Error
				if !errors.As(err, &ie) {
					t.Fatalf("error %v is no ingress error", err)
				}
				t.Eq(ie.Code(), restate.Code(403), "code")
				t.Eq(ie.Message(), "no way", "message")
				t.Eq(ie.IsInvocationError(), true, "error comes from the invocation")
				_, err = ingress.InvocationById[string](c, sent.Id()).Output(t.Ctx())
				if err == nil {
					t.Fatalf("decoding an object as a text worked")
				}
				_, err = ingress.WorkflowHandle[string](c, "Flow", t.Key("none")).Output(t.Ctx())
				var nf *ingress.InvocationNotFoundError
				if !errors.As(err, &nf) {
					t.Fatalf("output of an unknown workflow: %v is no not-found error", err)
				}
			},
		},
	)

	add("errors",
		Case{
			Name: "terminal-error", Desc: "Let a handler end with terminal errors of several codes.",
			Expect: "the code is the HTTP status; the body has code and message",
			Run: func(t *T) {
				for _, c := range []int{400, 404, 409, 418, 422, 500, 503} {
					r := t.Post("/Failing/terminal", map[string]any{"message": fmt.Sprint("because ", c), "code": c}).Want(t, c)
					var b struct {
						Code    int
						Message string
					}
					r.JSON(t, &b)
					t.Eq(b.Code, c, "code in the body")
					t.Eq(b.Message, fmt.Sprint("because ", c), "message")
				}
			},
		},
		Case{
			Name: "default-code", Desc: "Let a handler end with a terminal error without a code.",
			Expect: "500",
			Run: func(t *T) {
				e := t.Post("/Failing/terminal", map[string]any{"message": "plain"}).Want(t, 500).Err(t)
				t.Eq(e.Message, "plain", "message")
			},
		},
		Case{
			Name: "odd-codes", Desc: "End with codes that are no HTTP status.",
			Expect: "500 as the HTTP status, the code itself in the body",
			Run: func(t *T) {
				for _, c := range []int{99, 1000} {
					var b struct{ Code int }
					t.Post("/Failing/terminal", map[string]any{"message": "odd", "code": c}).Want(t, 500).JSON(t, &b)
					t.Eq(b.Code, c, "code in the body")
				}
			},
		},
		Case{
			Name: "error-metadata", Desc: "End with a terminal error that carries metadata.", Tags: []string{harness.TagSince17},
			Expect: "the metadata is part of the body",
			Run: func(t *T) {
				var b struct{ Metadata map[string]string }
				t.Post("/Failing/terminal", map[string]any{"message": "m", "code": 418, "metadata": map[string]string{"a": "b", "c": "d"}}).Want(t, 418).JSON(t, &b)
				t.Eq(b.Metadata, map[string]string{"a": "b", "c": "d"}, "metadata")
			},
		},
		Case{
			Name: "error-source", Desc: "Compare failures of the ingress with failures of the invocation.", Tags: []string{harness.TagSince17},
			Expect: "x-restate-error-source says ingress or invocation, and so does source in the body",
			Run: func(t *T) {
				for _, x := range []struct {
					r    *harness.Resp
					want string
				}{
					{t.Post("/Failing/terminal", map[string]any{"message": "m", "code": 404}).Want(t, 404), "invocation"},
					{t.Post("/NoSuchService/x", "x").Want(t, 404), "ingress"},
				} {
					t.Eq(x.r.Header.Get("x-restate-error-source"), x.want, "x-restate-error-source")
					var b struct{ Source string }
					x.r.JSON(t, &b)
					t.Eq(b.Source, x.want, "source")
				}
			},
		},
		Case{
			Name: "unknown-service", Desc: "Call a service that is not registered.",
			Expect: "404 with a message naming it",
			Run: func(t *T) {
				e := t.Post("/NoSuchService/handler", "x").Want(t, 404).Err(t)
				if !strings.Contains(e.Message, "NoSuchService") {
					t.Fatalf("message %q", e.Message)
				}
			},
		},
		Case{
			Name: "unknown-handler", Desc: "Call a handler that the service does not have.",
			Expect: "404 with a message naming it",
			Run: func(t *T) {
				e := t.Post("/Echo/noSuchHandler", "x").Want(t, 404).Err(t)
				if !strings.Contains(e.Message, "noSuchHandler") {
					t.Fatalf("message %q", e.Message)
				}
			},
		},
		Case{
			Name: "bad-paths", Desc: "Use paths that have too few or too many parts.",
			Expect: "400",
			Run: func(t *T) {
				for _, p := range []string{"/Echo", "/Counter/add", "/Echo/a/b/c", "/Counter/a/b/c/d/e"} {
					t.Post(p, 1).Want(t, 400).Err(t)
				}
			},
		},
		Case{
			Name: "undecodable-input", Desc: "Send a body that is no JSON to a JSON handler.",
			Expect: "400 from the handler's SDK, without retries",
			Run: func(t *T) {
				e := t.Post("/Echo/text", raw("application/json", []byte("{nope"))).Want(t, 400).Err(t)
				if !strings.Contains(e.Message, "decode") && !strings.Contains(e.Message, "deserialize") {
					t.Fatalf("message %q", e.Message)
				}
			},
		},
		Case{
			Name: "bad-invocation-id", Desc: "Attach to, and manage, ids that are malformed or unknown.",
			Expect: "400 for malformed ids, 404 for unknown ones",
			Run: func(t *T) {
				// A well-formed id that is not in use any more: of an invocation that is removed first.
				s := t.Send("/Echo/text", "x")
				t.Attach(s.InvocationID).Want(t, 200)
				t.Eventually(0, "purge", func() error {
					if r := t.Admin("PATCH", "/invocations/"+s.InvocationID+"/purge", nil); r.Status != 200 {
						return fmt.Errorf("status %d: %s", r.Status, r.Short())
					}
					return nil
				})
				t.Attach("inv_bad").Want(t, 400)
				t.Output("inv_bad").Want(t, 400)
				t.Eventually(0, "output of the purged invocation is 404", func() error {
					if r := t.Output(s.InvocationID); r.Status != 404 {
						return fmt.Errorf("status %d", r.Status)
					}
					return nil
				})
				t.Attach(s.InvocationID).Want(t, 404)
				for _, verb := range []string{"cancel", "kill", "purge", "pause", "resume", "restart-as-new"} {
					t.Admin("PATCH", "/invocations/inv_bad/"+verb, nil).Want(t, 400)
					t.Admin("PATCH", "/invocations/"+s.InvocationID+"/"+verb, nil).Want(t, 404)
				}
			},
		},
		Case{
			Name: "error-through-calls", Desc: "Call a failing handler from a handler.",
			Expect: "the caller sees code and message; if it does not handle the error, it ends with the same",
			Run: func(t *T) {
				body, _ := json.Marshal(map[string]any{"message": "deep", "code": 423})
				var o struct {
					OK    bool
					Error string
					Code  int
				}
				tgt := map[string]any{"service": "Failing", "handler": "terminal", "body": json.RawMessage(body)}
				t.Call("/Proxy/tryCall", tgt, &o)
				t.Eq(o.OK, false, "ok")
				t.Eq(o.Code, 423, "code")
				t.Eq(o.Error, "deep", "message")
				e := t.Post("/Proxy/call", tgt).Want(t, 423).Err(t)
				t.Eq(e.Message, "deep", "message at the ingress")
			},
		},
		Case{
			Name: "private", Desc: "Call a service and a handler that are marked private in discovery.",
			Expect: "400 at the ingress, for calls and sends; other services can call them",
			Run: func(t *T) {
				t.Post("/Hidden/text", "x").Want(t, 400).Err(t)
				t.Post("/Hidden/text/send", "x").Want(t, 400).Err(t)
				t.Post("/Documented/shut", "x").Want(t, 400).Err(t)
				t.Call("/Documented/open", map[string]string{"key": "k", "value": "v"}, nil)
				var s string
				t.Call("/Proxy/call", map[string]any{"service": "Hidden", "handler": "text", "body": "secret"}, &s)
				t.Eq(s, "secret", "through a proxy")
				t.Call("/Proxy/call", map[string]any{"service": "Documented", "handler": "shut", "body": "secret"}, &s)
				t.Eq(s, "secret", "through a proxy, private handler")
			},
		},
	)
}
