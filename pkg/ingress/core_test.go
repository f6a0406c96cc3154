package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/ingress"
)

// ask sends one request through the core. headers are name, value pairs.
func ask(core *ingress.Ingress, method, target, content string, headers ...string) ingress.Response {
	return askIn(context.Background(), core, method, target, content, headers...)
}

func askIn(ctx context.Context, core *ingress.Ingress, method, target, content string, headers ...string) ingress.Response {
	r := &ingress.Request{Method: method, Target: target, ContentLength: int64(len(content)), Body: &body{bytes: []byte(content)}}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, ingress.Header{Key: headers[i], Value: headers[i+1]})
	}
	return core.Serve(ctx, r)
}

func withJSON(more ...string) []string {
	return append([]string{"content-type", "application/json"}, more...)
}

type errorShape struct {
	Code     int
	Message  string
	Metadata map[string]string
	Source   string
}

func errorOf(t *testing.T, r ingress.Response) (e errorShape) {
	t.Helper()
	if r.ContentType != "application/json" {
		t.Errorf("content-type of an error is %q", r.ContentType)
	}
	if err := json.Unmarshal(r.Body, &e); err != nil {
		t.Errorf("error body %q: %v", r.Body, err)
	}
	if e.Source != string(r.Source) {
		t.Errorf("source %q in the body, %q in the header", e.Source, r.Source)
	}
	return e
}

// Rows of the contract that succeed, or end with what the handler said.
func TestCalls(t *testing.T) {
	ulid := "/*an id made up for the request*/"
	for _, row := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		want                       string // body, or message of an error
		contentType                string
		id                         string
		key                        string // idempotency key stored
		objectKey                  string
	}{
		{"service", "POST", "/Greeter/Greet", `"x"`, withJSON("idempotency-key", "k1"), 200, `"x"`, "application/json", "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y", "k1", ""},
		{"empty idempotency key", "POST", "/Greeter/Greet", `1`, withJSON("idempotency-key", ""), 200, `1`, "application/json", "inv_1kgQAJVeTJB60qcchEte0O3TBzxOJC5fh2", "", ""},
		{"object", "POST", "/Counter/my-key/Add", `1`, withJSON("idempotency-key", "ck1"), 200, `1`, "application/json", "inv_17AIHiTltkYA7ksIb3WCxdNosoEI2QLDlh", "ck1", "my-key"},
		{"workflow shared", "POST", "/Wf/wk2/Signal", `1`, withJSON("idempotency-key", "x"), 200, `1`, "application/json", "inv_14rrAp9GNt574Kur8LBf4ljrF19T5DEFez", "x", "wk2"},
		{"workflow shared without key", "POST", "/Wf/wk2/Signal", `1`, withJSON(), 200, `1`, "application/json", "", "", "wk2"},
		{"made-up id", "POST", "/Greeter/Greet", `1`, withJSON(), 200, `1`, "application/json", "", ulid, ""},
		{"long form", "POST", "/restate/call/Greeter/Greet", `1`, withJSON(), 200, `1`, "application/json", "", ulid, ""},
		{"long form of an object", "POST", "/restate/call/Counter/a/Add", `1`, withJSON(), 200, `1`, "application/json", "", ulid, "a"},
		{"slashes around", "POST", "//Greeter/Greet/", `1`, withJSON(), 200, `1`, "application/json", "", ulid, ""},
		{"escaped key", "POST", "/Counter/a%2Fb+c%20%zz/Add", `1`, withJSON(), 200, `1`, "application/json", "", ulid, "a/b+c %zz"},
		{"empty object key", "POST", "/Counter//Add", `1`, withJSON(), 200, `1`, "application/json", "", ulid, ""},
		{"no input", "GET", "/Greeter/none", ``, nil, 200, ``, "", "", ulid, ""},
		{"anything", "POST", "/Greeter/any", `<x>`, []string{"content-type", "text/html"}, 200, `<x>`, "application/json", "", ulid, ""},
		{"parameters of the type", "POST", "/Greeter/Greet", `1`, []string{"content-type", "application/json; charset=utf-8"}, 200, `1`, "application/json", "", ulid, ""},
		{"query is ignored", "POST", "/Greeter/Greet?x=1&y", `1`, withJSON(), 200, `1`, "application/json", "", ulid, ""},
		{"failure", "POST", "/Greeter/fail", `409 oh <no>`, withJSON(), 409, `oh <no>`, "application/json", "", ulid, ""},
		{"failure 422 with metadata", "POST", "/Greeter/fail", `422 m`, withJSON(), 422, `m`, "application/json", "", ulid, ""},
		{"failure code that is no status", "POST", "/Greeter/fail", `99 m`, withJSON(), 500, `m`, "application/json", "", ulid, ""},
		{"failure code above all", "POST", "/Greeter/fail", `1000 m`, withJSON(), 500, `m`, "application/json", "", ulid, ""},
		{"failure code of no final response", "POST", "/Greeter/fail", `101 m`, withJSON(), 500, `m`, "application/json", "", ulid, ""},
		{"failure code 200", "POST", "/Greeter/fail", `200 m`, withJSON(), 200, `m`, "application/json", "", ulid, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster()
			clock := hosttest.NewClock()
			core, _ := newCore(t, c, clock, ingress.Default())
			r := ask(core, row.method, row.target, row.body, row.headers...)
			got := string(r.Body)
			if r.Source != "" {
				e := errorOf(t, r)
				got = e.Message
				if e.Source != "invocation" {
					t.Errorf("source %q", e.Source)
				}
				if code, _, _ := strings.Cut(row.body, " "); code != strconv.Itoa(e.Code) {
					t.Errorf("code %d in the body", e.Code)
				}
				if (e.Code == 422) != (e.Metadata["a"] == "b") {
					t.Errorf("metadata %v", e.Metadata)
				}
			}
			if r.Status != row.status || got != row.want || r.ContentType != row.contentType || !r.HasID || r.ExpiresAt != 0 {
				t.Errorf("%d %q %s", r.Status, r.ContentType, r.Body)
			}
			if row.id != "" && r.ID.String() != row.id {
				t.Errorf("id %s, want %s", r.ID, row.id)
			}
			rec := c.last()
			key := rec.facts.IdempotencyKey
			switch {
			case row.key == ulid && (key != nil || id.ULID(rec.ID.Unique()).Millis() != clock.Now().UnixMilli() || !mayHold(rec.ID, row.objectKey)):
				t.Errorf("key %v and id %s are not made up for the target", key, rec.ID)
			case row.key != ulid && (key != nil) != slices.Contains(row.headers, "idempotency-key"), row.key != ulid && key != nil && *key != row.key:
				t.Errorf("key %v, want %q", key, row.key)
			}
			if rec.Kind != command.Invoke || rec.Frames != 1 || rec.want != command.WantCompleted || rec.facts.Target.Key != row.objectKey {
				t.Errorf("record %+v of %v", rec.Header, rec.facts)
			}
			if rec.facts.ExecuteAtMs != 0 {
				t.Errorf("executes at %d", rec.facts.ExecuteAtMs)
			}
		})
	}
}

func TestForwardedHeaders(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
	r := ask(core, "POST", "/Greeter/Greet/?a=%20b", "1", withJSON("connection", "close", "host", "x", "idempotency-key", "k",
		"idempotency-expires", "never", "authorization", "Bearer x", "cookie", "a=b", "x-restate-id", "inv", "traceparent", parent, "tracestate", "v=1")...)
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	got := map[string]string{}
	in := c.input(r.ID)
	for _, h := range in.Headers {
		got[h.Key] = h.Value
	}
	want := map[string]string{
		"x-restate-ingress-path": "/Greeter/Greet/?a=%20b", "authorization": "Bearer x", "cookie": "a=b", "content-type": "application/json",
		"x-restate-id": "inv", "traceparent": parent, "tracestate": "v=1",
	}
	if !maps.Equal(got, want) || in.Headers[0].Key != "x-restate-ingress-path" {
		t.Errorf("headers %v", in.Headers)
	}
	if f := c.last().facts; f.TraceParent != parent || f.TraceState != "v=1" {
		t.Errorf("trace context %q %q", f.TraceParent, f.TraceState)
	}
	ask(core, "POST", "/Greeter/Greet", "1", withJSON("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "tracestate", "v=1")...)
	if f := c.last().facts; f.TraceParent != "" || f.TraceState != "" {
		t.Errorf("a parent that is none was stored: %q %q", f.TraceParent, f.TraceState)
	}
	if _, err := c.Do(t.Context(), command.Request{}); err == nil {
		t.Error("the fake takes an empty record")
	}
	ask(core, "POST", "/Greeter/Greet?\xff", "1", withJSON()...)
	if p := c.input(c.last().ID).Headers[0].Value; p != "/Greeter/Greet?\uFFFD" {
		t.Errorf("path %q", p)
	}
}

func TestSends(t *testing.T) {
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default()) // it is 2026-01-01 00:00:00
	type answer struct{ InvocationID, ExecutionTime, Status string }
	for _, row := range []struct {
		name, target string
		headers      []string
		time, status string
		executeAt    int64
	}{
		{"plain", "/Greeter/block/send", withJSON(), "", "Accepted", 0},
		{"long form", "/restate/send/Counter/k/block?delay=PT1.5S", withJSON(), "2026-01-01T00:00:01.500000000Z", "Accepted", 1767225601500},
		{"delay zero", "/Greeter/block/send?delay=0", withJSON(), "2026-01-01T00:00:00.000000000Z", "Accepted", 1767225600000},
		{"name without case, plus is a space, first wins", "/Greeter/block/send?x&DeLaY=1+min&delay=soon", withJSON(), "2026-01-01T00:01:00.000000000Z", "Accepted", 1767225660000},
		{"with a key", "/Greeter/block/send?delay=1h", withJSON("idempotency-key", "s"), "2026-01-01T01:00:00.000000000Z", "Accepted", 1767229200000},
		{"with the key again", "/Greeter/block/send?delay=2h", withJSON("idempotency-key", "s"), "2026-01-01T01:00:00.000000000Z", "PreviouslyAccepted", 1767232800000},
		{"workflow", "/Wf/w/run/send", withJSON(), "", "Accepted", 0},
		{"workflow again", "/Wf/w/run/send?delay=1s", withJSON(), "", "PreviouslyAccepted", 1767225601000},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := ask(core, "POST", row.target, "1", row.headers...)
			var a answer
			if err := json.Unmarshal(r.Body, &a); err != nil {
				t.Fatalf("%s: %v", r.Body, err)
			}
			if r.Status != 202 || r.ContentType != "application/json" || !r.HasID || a != (answer{r.ID.String(), row.time, row.status}) {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			if strings.Contains(string(r.Body), "executionTime") != (row.time != "") {
				t.Errorf("%s", r.Body)
			}
			if rec := c.last(); rec.want != command.WantAccepted || rec.facts.ExecuteAtMs != row.executeAt {
				t.Errorf("record with want %d for %d", rec.want, rec.facts.ExecuteAtMs)
			}
		})
	}
}

func TestRepeatedCalls(t *testing.T) {
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
	first := ask(core, "POST", "/Greeter/Greet", "1", withJSON("idempotency-key", "k")...)
	again := ask(core, "POST", "/Greeter/Greet", "2", withJSON("idempotency-key", "k")...)
	if again.ID != first.ID || string(again.Body) != "1" || again.ExpiresAt != expires || first.ExpiresAt != 0 {
		t.Errorf("%+v then %+v", first, again)
	}
	if got := string(ingress.AppendExpires(nil, expires)); got != "2026-11-24T00:44:58.761+00:00" {
		t.Errorf("expires %s", got)
	}
	failed := ask(core, "POST", "/Greeter/fail", "418 no", withJSON("idempotency-key", "k")...)
	repeated := ask(core, "POST", "/Greeter/fail", "418 no", withJSON("idempotency-key", "k")...)
	if failed.Status != 418 || repeated.Status != 418 || repeated.ExpiresAt != expires {
		t.Errorf("%+v then %+v", failed, repeated)
	}
	ask(core, "POST", "/Wf/w/run/send", "1", withJSON()...)
	r := ask(core, "POST", "/Wf/w/run", "1", withJSON()...)
	if e := errorOf(t, r); r.Status != 409 || e.Source != "invocation" || e.Code != 409 || e.Message != "the workflow method was already invoked" || r.ID != id.WorkflowInvocation("Wf", "w") {
		t.Errorf("second run: %d %s", r.Status, r.Body)
	}
}

func TestResults(t *testing.T) {
	for _, row := range []struct {
		name         string
		send, method string // what creates the invocation, and the method of the request for it
		headers      []string
		target, body string
	}{
		{"by id", "/Greeter/block/send", "GET", nil, "/restate/invocation/ID/VERB", ""},
		{"by id, short", "/Greeter/block/send", "GET", nil, "/restate/VERB/ID", ""},
		{"by key", "/Greeter/block/send", "GET", []string{"idempotency-key", "a%20b"}, "/restate/invocation/Greeter/block/a%20b/VERB", ""},
		{"by key of an object", "/Counter/a%20b/block/send", "GET", []string{"idempotency-key", "k"}, "/restate/invocation/Counter/a%20b/block/k/VERB", ""},
		{"by workflow", "/Wf/a%2Fb/run/send", "GET", nil, "/restate/workflow/Wf/a%2Fb/VERB/and/more", ""},
		{"by target id", "/Greeter/block/send", "POST", nil, "/restate/VERB", `{"target":"invocation","invocationId":"ID"}`},
		{"by target workflow", "/Wf/w/run/send", "POST", nil, "/restate/VERB", `{"target":"workflow","workflowName":"Wf","workflowKey":"w"}`},
		{"by target key", "/Greeter/block/send", "POST", []string{"idempotency-key", "k"}, "/restate/VERB", `{"target":"idempotentInvocation","service":"Greeter","handler":"block","idempotencyKey":"k"}`},
		{"by target key of an object", "/Counter/o/block/send", "POST", []string{"idempotency-key", "k"}, "/restate/VERB", `{"target":"idempotentInvocation","service":"Counter","key":"o","handler":"block","idempotencyKey":"k"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster()
			core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
			for _, verb := range []string{"attach", "output"} {
				if !strings.Contains(row.target+row.body, "ID") {
					r := ask(core, row.method, strings.ReplaceAll(row.target, "VERB", verb), row.body)
					want := map[string]errorShape{"attach": {404, "not found", nil, "invocation"}, "output": {404, "invocation not found", nil, "ingress"}}[verb]
					if e := errorOf(t, r); e.Code != want.Code || e.Message != want.Message || e.Source != want.Source || r.HasID != (verb == "attach") {
						t.Errorf("%s before it exists: %d %s", verb, r.Status, r.Body)
					}
				}
			}
			s := ask(core, "POST", row.send, "1", withJSON(row.headers...)...)
			target, body := strings.ReplaceAll(row.target, "ID", s.ID.String()), strings.ReplaceAll(row.body, "ID", s.ID.String())
			output, attach := strings.ReplaceAll(target, "VERB", "output"), strings.ReplaceAll(target, "VERB", "attach")
			r := ask(core, row.method, output, body)
			if e := errorOf(t, r); r.Status != 470 || e.Code != 470 || e.Source != "ingress" || e.Message != "the invocation exists but has not completed yet" || !r.HasID || r.ID != s.ID {
				t.Errorf("output before it ends: %d %s", r.Status, r.Body)
			}
			attached := make(chan ingress.Response, 1)
			done := inBackground(t, func() { attached <- ask(core, row.method, attach, body) })
			<-c.waiting
			c.finish(s.ID, `"done"`)
			<-done
			if r := <-attached; r.Status != 200 || string(r.Body) != `"done"` || r.ContentType != "application/json" || r.ID != s.ID || r.ExpiresAt != 0 {
				t.Errorf("attach: %d %s %d", r.Status, r.Body, r.ExpiresAt)
			}
			for _, again := range []string{output, attach} {
				if r := ask(core, row.method, again, body); r.Status != 200 || string(r.Body) != `"done"` || r.ExpiresAt != expires || r.ID != s.ID {
					t.Errorf("%s afterwards: %d %s %d", again, r.Status, r.Body, r.ExpiresAt)
				}
			}
		})
	}
}

func TestLookup(t *testing.T) {
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
	for body, want := range map[string]string{
		`{"target":"workflow","workflowName":"Wf","workflowKey":"wk1"}`:                                                       "inv_14NAYWOkWeyC4HqaAv3eM70hJLaHxEfgB2",
		`{"target":"idempotentInvocation","service":"Greeter","handler":"Greet","idempotencyKey":"k1"}`:                       "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y",
		`{"target":"idempotentInvocation","service":"Counter","key":"my-key","handler":"Add","idempotencyKey":"ck1"}`:         "inv_17AIHiTltkYA7ksIb3WCxdNosoEI2QLDlh",
		`{"target":"workflow","workflowName":"Wf","workflowKey":"wk1","scope":"s1"}`:                                          "inv_1a1mlWikgvPI0o9iu16JEd44YKe0VXZLmt",
		`{"target":"idempotentInvocation","service":"Greeter","handler":"Greet","idempotencyKey":"k1","scope":"s1"}`:          "inv_1a1mlWikgvPI1hQogRHZ5Vn1iU8nF5w68Y",
		`{"target":"idempotentInvocation","service":"Greeter","key":null,"handler":"Greet","idempotencyKey":"k1","more":[1]}`: "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y",
		`{"target":"invocation","scope":"not looked at","invocationId":"inv_1gdKZcCeQfbi74J4EL2VJvjhVCKLnwxMVf"}`:             "inv_1gdKZcCeQfbi74J4EL2VJvjhVCKLnwxMVf",
		`{"target":"invocation","invocationId":"inv_1gdKZcCeQfbi74J4EL2VJvjhVCKLnwxMVf"}`:                                     "inv_1gdKZcCeQfbi74J4EL2VJvjhVCKLnwxMVf",
	} {
		r := ask(core, "POST", "/restate/lookup", body)
		if r.Status != 200 || string(r.Body) != `{"invocationId":"`+want+`"}` || r.ContentType != "application/json" {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
	if c.tries != 0 {
		t.Error("a lookup asked a partition")
	}
}

func TestAwakeables(t *testing.T) {
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
	s := ask(core, "POST", "/Greeter/block/send", "1", withJSON()...)
	sign := id.FormatAwakeable(s.ID, 17)
	for _, row := range []struct{ target, body string }{
		{"/restate/awakeables/" + sign + "/resolve", "\x00\xff"},
		{"/restate/a/" + sign + "/resolve", ""},
		{"/restate/awakeables/" + sign + "/reject", "no \xff way"},
		{"/restate/awakeables/" + id.FormatAwakeable(id.WorkflowInvocation("Wf", "none"), 17) + "/resolve", "1"},
		{"/restate/awakeables/prom_" + strings.TrimPrefix(sign, "sign_") + "/resolve", "1"},
	} {
		if r := ask(core, "POST", row.target, row.body); r.Status != 202 || len(r.Body) != 0 || r.ContentType != "" || r.HasID {
			t.Errorf("%s: %d %s", row.target, r.Status, r.Body)
		}
	}
	got := c.invocations[s.ID].signals
	if r := ask(core, "POST", "/restate/a/"+sign+"/resolve/ignored/too", "2"); r.Status != 202 || len(c.invocations[s.ID].signals) != 4 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if len(got) != 3 || got[0].GetSignalId() != 17 || string(got[0].GetValue().GetContent()) != "\x00\xff" || got[1].GetValue() == nil ||
		got[2].GetFailure().GetCode() != 500 || got[2].GetFailure().GetMessage() != "no \uFFFD way" {
		t.Errorf("signals %v", got)
	}
}

func TestHealth(t *testing.T) {
	core, _ := newCore(t, newCluster(), hosttest.NewClock(), ingress.Default())
	for _, target := range []string{"/restate/health", "/restate/health/x/y"} {
		r := ask(core, "GET", target, "")
		if r.Status != 200 || string(r.Body) != `{"services":["Counter","Greeter","Hidden","Old","Wf"]}` || r.ContentType != "application/json" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}

// A request is repeated until a leader answers, with one id, and creates one invocation.
func TestRetries(t *testing.T) {
	notLed, uncertain := errs.Newf(errs.NotLeader, "not here"), errs.Newf(errs.Uncertain, "cut off")
	for _, row := range []struct {
		name, target string
		afterwards   bool // the partition applied what it did not answer
		status       int
		body         string
	}{
		{"call that was not taken", "/Greeter/Greet", false, 200, "1"},
		{"call that was taken", "/Greeter/Greet", true, 200, "1"},
		{"send that was taken", "/Greeter/block/send", true, 202, `"status":"Accepted"`},
		{"send with a key that was taken", "/Greeter/block/send?key", true, 202, `"status":"Accepted"`},
		{"send with a key that was taken and has ended", "/Greeter/Greet/send?key", true, 202, `"status":"Accepted"`},
		{"call with a key that was taken", "/Greeter/Greet?key", true, 200, "1"},
		{"workflow that was taken", "/Wf/w/run/send", true, 202, `"status":"Accepted"`},
		{"read", "/restate/output/inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y", true, 404, "invocation not found"},
		{"awakeable", "/restate/a/sign_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ/resolve", true, 202, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			clock := hosttest.NewClock()
			c := newCluster()
			c.refuse, c.afterwards = []error{notLed, uncertain, notLed, uncertain, notLed, uncertain, notLed}, row.afterwards
			core, _ := newCore(t, c, clock, ingress.Default())
			method, headers := "POST", withJSON()
			if strings.Contains(row.target, "output") {
				method = "GET"
			}
			if strings.HasSuffix(row.target, "key") {
				headers = append(headers, "idempotency-key", "k")
			}
			var r ingress.Response
			done := inBackground(t, func() { r = ask(core, method, row.target, "1", headers...) })
			for _, ms := range []int{20, 40, 80, 160, 320, 640, 1000} {
				clock.Await(1)
				clock.Advance(millis(ms) - 1)
				if clock.Armed() != 1 {
					t.Fatalf("it did not wait for %d ms", ms)
				}
				clock.Advance(1)
			}
			<-done
			if r.Status != row.status || !strings.Contains(string(r.Body), row.body) || r.ExpiresAt != 0 {
				t.Errorf("%d %s %d", r.Status, r.Body, r.ExpiresAt)
			}
			if c.tries != 8 || len(c.invocations) > 1 {
				t.Errorf("%d tries, %d invocations", c.tries, len(c.invocations))
			}
		})
	}
}

// A request that waits to be tried again is, as soon as another worker leads; not when nobody does.
func TestRetriesAtTheNextLeader(t *testing.T) {
	clock, routes, c := hosttest.NewClock(), ingress.NewFakeRoutes(), newCluster()
	c.refuse = []error{errs.Newf(errs.Unavailable, "it is gone"), errs.Newf(errs.NotLeader, "not yet")}
	core, _ := newCoreOf(t, ingress.Parts{Partitions: c, Routes: routes}, clock, ingress.Default())
	var r ingress.Response
	done := inBackground(t, func() { r = ask(core, "POST", "/Greeter/Greet", "1", withJSON()...) })
	clock.Await(1)
	routes.Move(id.GenerationalNode{})
	routes.Move(id.GenerationalNode{Node: 2, Generation: 1})
	<-c.refused
	<-c.refused
	clock.Await(1)
	clock.Advance(millis(20))
	<-done
	if r.Status != 200 || c.tries != 3 {
		t.Errorf("%d %s after %d tries", r.Status, r.Body, c.tries)
	}
}

func TestLimits(t *testing.T) {
	c := newCluster()
	cfg := ingress.Default()
	cfg.RequestsMax, cfg.RequestBytesMax = 1, 10
	core, h := newCore(t, c, hosttest.NewClock(), cfg)
	var first ingress.Response
	done := inBackground(t, func() { first = ask(core, "POST", "/Greeter/block", "1", withJSON()...) })
	<-c.waiting
	for _, target := range []string{"/Greeter/Greet", "/restate/health"} {
		if r := ask(core, "GET", target, ""); r.Status != 429 || r.ContentType != "application/json" ||
			string(r.Body) != `{"code":429,"message":"too many requests, the ingress is overloaded. Retry later.","source":"ingress"}` {
			t.Errorf("%s: %d %s", target, r.Status, r.Body)
		}
	}
	if r := ask(core, "OPTIONS", "/anything", ""); r.Status != 200 || !r.Preflight || len(r.Body) != 0 {
		t.Errorf("preflight: %+v", r)
	}
	r := ask(core, "POST", "/nowhere", "12345678901")
	if r.Status != 413 || r.ContentType != "text/plain; charset=utf-8" || string(r.Body) != "length limit exceeded" || r.Source != "" || !r.Bare {
		t.Errorf("%+v", r)
	}
	c.finish(c.last().ID, "2")
	<-done
	if first.Status != 200 {
		t.Errorf("the first request: %d", first.Status)
	}
	grown := &ingress.Request{Method: "POST", Target: "/Greeter/any", ContentLength: -1, Body: &body{err: ingress.ErrBodyTooLarge}}
	if r := core.Serve(t.Context(), grown); r.Status != 413 || r.ContentType != "application/json" ||
		string(r.Body) != `{"code":413,"message":"cannot read body: length limit exceeded","source":"ingress"}` {
		t.Errorf("%+v", r)
	}
	broken := &ingress.Request{Method: "POST", Target: "/Greeter/any", ContentLength: -1, Body: &body{err: errs.Newf(errs.Internal, "torn")}}
	if r := core.Serve(t.Context(), broken); r.Status != 500 || errorOf(t, r).Source != "ingress" || !strings.HasPrefix(string(r.Body), `{"code":500,"message":"cannot read body: `) {
		t.Errorf("%+v", r)
	}
	want := `restate_ingress_requests_total{rpc_service="",rpc_type="",status="rate-limited"} 2`
	if text := exposition(t, h); !strings.Contains(text, want) {
		t.Errorf("%s is not in\n%s", want, text)
	}
}

// A request that fails here is logged with its invocation: one in ten seconds as a warning, the others for who wants details. What a handler
// answers is not.
func TestFailuresAreLogged(t *testing.T) {
	c := newCluster()
	clock := hosttest.NewClock()
	var log bytes.Buffer
	h := hosttest.New(clock, 1)
	h.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	core, _ := newCoreAt(t, ingress.Parts{Partitions: c}, h, ingress.Default())
	fail := func() {
		c.refuse = []error{errs.Newf(errs.Internal, "x")}
		ask(core, "POST", "/Greeter/Greet/send", "1", withJSON()...)
	}
	ask(core, "POST", "/Greeter/fail", "500 x", withJSON()...)
	ask(core, "POST", "/Greeter/Greet", "1")
	if log.Len() > 0 {
		t.Errorf("said %s", log.String())
	}
	fail()
	fail()
	clock.Advance(10 * time.Second)
	fail()
	var levels []string
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(line, "level=")
		level, rest, _ := strings.Cut(line, " ")
		levels = append(levels, level)
		if !strings.HasPrefix(rest, `msg="request failed" target=Greeter/Greet code=500 err=`) || !strings.Contains(rest, "invocation=inv_1") {
			t.Errorf("said %s", rest)
		}
	}
	if got := strings.Join(levels, " "); got != "WARN DEBUG WARN" {
		t.Errorf("levels %s in\n%s", got, log.String())
	}
}

func TestMetrics(t *testing.T) {
	c := newCluster()
	clock := hosttest.NewClock()
	core, h := newCore(t, c, clock, ingress.Default())
	before := exposition(t, h)
	for _, name := range []string{"restate_ingress_requests_total", "restate_ingress_request_duration_seconds", "restate_invocation_client_requests_total", "restate_ingress_http_connection_created_total", "restate_ingress_http_connection_dropped_total"} {
		if !strings.Contains(before, name) {
			t.Errorf("%s is not there from the start", name)
		}
	}
	ask(core, "POST", "/Greeter/Greet", "1", withJSON()...)
	ask(core, "POST", "/Greeter/fail", "409 x", withJSON()...)
	ask(core, "POST", "/Greeter/Greet", "1")
	ask(core, "POST", "/Nope/Greet", "1")
	ask(core, "POST", "/Greeter/Greet/send", "1", withJSON()...)
	c.refuse = []error{errs.Newf(errs.Internal, "x")}
	ask(core, "POST", "/Greeter/Greet/send", "1", withJSON()...)
	text := exposition(t, h)
	for _, want := range []string{
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="call",status="admitted"} 2`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="call",status="completed"} 1`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="call",status="invocation_error"} 1`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="call",status="request_error"} 1`,
		`restate_ingress_requests_total{rpc_service="",rpc_type="",status="request_error"} 1`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="send",status="admitted"} 2`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="send",status="completed"} 1`,
		`restate_ingress_requests_total{rpc_service="Greeter",rpc_type="send",status="ingress_error"} 1`,
		`restate_ingress_request_duration_seconds_count{rpc_service="Greeter",rpc_type="call"} 3`,
		`status="internal_error"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// mayHold tells whether a made-up id has a partition key of its target.
func mayHold(i id.Invocation, objectKey string) bool {
	if i.PartitionKey() == id.Hash(objectKey) {
		return true
	}
	for bucket := range uint16(id.Buckets) {
		for _, service := range []string{"Greeter", "Raw"} {
			if i.PartitionKey() == id.BucketKey(service, bucket) {
				return true
			}
		}
	}
	return false
}
