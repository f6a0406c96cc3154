package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/admin"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
)

// fakePartitions answers what a test says, and remembers what it was asked.
type fakePartitions struct {
	mu      sync.Mutex
	answers map[command.Kind]command.OutcomeStatus // else OutcomeAccepted
	target  *storedv1.Target                       // of a Read
	errs    []error                                // come first
	asked   []command.Record
}

func (f *fakePartitions) Do(_ context.Context, r command.Request) (*command.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, err := command.Parse(slices.Clone(r.Record))
	if err != nil || rec.ID != r.ID {
		return nil, fmt.Errorf("record of %s for %s: %w", rec.ID, r.ID, err)
	}
	f.asked = append(f.asked, rec)
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	status, ok := f.answers[rec.Kind]
	if !ok {
		status = command.OutcomeAccepted
		if rec.Kind == command.Read {
			status = command.OutcomePending
		}
	}
	return &command.Outcome{Status: status, Target: f.target}, nil
}

// last returns the last request.
func (f *fakePartitions) last(t *testing.T) command.Record {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		t.Fatal("the partitions were asked nothing")
	}
	return f.asked[len(f.asked)-1]
}

var someone = id.IdempotentInvocation("S", "", false, "h", "k")

func refusalBody(text string) string {
	return fmt.Sprintf(`{"message":%q,"restate_code":null}`, strings.ReplaceAll(text, "ID", "'"+someone.String()+"'"))
}

// Each operation, for each answer that a partition may give.
func TestOperations(t *testing.T) {
	type rows map[command.OutcomeStatus]struct {
		status int
		text   string
	}
	unknown := struct {
		status int
		text   string
	}{404, "The requested invocation ID does not exist"}
	done := struct {
		status int
		text   string
	}{200, ""}
	for _, op := range []struct {
		path string
		kind command.Kind
		rows rows
	}{
		{"cancel", command.Cancel, rows{
			command.OutcomeAccepted: done, command.OutcomeUnderWay: {202, ""}, command.OutcomeNotFound: unknown,
			command.OutcomeAlreadyCompleted: {409, "The invocation ID was already completed."},
		}},
		{"kill", command.Kill, rows{
			command.OutcomeAccepted: done, command.OutcomeNotFound: unknown,
			command.OutcomeAlreadyCompleted: {409, "The invocation ID was already completed."},
		}},
		{"pause", command.Hold, rows{
			command.OutcomeAccepted: done, command.OutcomeUnderWay: {202, ""}, command.OutcomeNotFound: unknown,
			command.OutcomeAlreadyCompleted: {409, "The invocation ID is not running, cannot be paused."},
			command.OutcomeNotStarted:       {409, "The invocation ID is not running, cannot be paused."},
		}},
		{"resume", command.Resume, rows{
			command.OutcomeAccepted: done, command.OutcomeNotFound: unknown,
			command.OutcomeAlreadyCompleted: {409, "The invocation ID is completed, cannot be resumed."},
			command.OutcomeNotStarted:       {425, "The invocation ID is either inboxed or scheduled, cannot be resumed."},
			command.OutcomeDeploymentFixed:  {409, "The invocation ID is running or has no deployment yet, its deployment cannot be changed."},
			command.OutcomeProtocolMismatch: {400, "The invocation ID began with a protocol version that the deployment does not speak."},
		}},
		{"restart-as-new", command.Restart, rows{
			command.OutcomeNotFound:         unknown,
			command.OutcomeNotCompleted:     {409, "The invocation ID is still running."},
			command.OutcomeNotStarted:       {425, "The invocation ID is either inboxed or scheduled, cannot be restarted."},
			command.OutcomeDeploymentFixed:  {409, "The invocation ID has no deployment yet, its deployment cannot be changed."},
			command.OutcomeProtocolMismatch: {400, "The invocation ID began with a protocol version that the deployment does not speak."},
			command.OutcomeNotRestartable:   {422, "The invocation ID cannot be restarted: it is a workflow, or the journal to begin with is too long."},
			command.OutcomeJournalGone:      {410, "The invocation ID cannot be restarted: its journal is not kept any more."},
			command.OutcomeBadPrefix:        {400, "The invocation ID cannot be restarted from there: the journal up to that entry is over, or contains some Commands without respective Completions."},
		}},
		{"purge", command.Purge, rows{
			command.OutcomeAccepted: done, command.OutcomeNotFound: unknown,
			command.OutcomeNotCompleted: {409, "The invocation ID is not yet completed."},
		}},
		{"purge-journal", command.PurgeJournal, rows{
			command.OutcomeAccepted: done, command.OutcomeNotFound: unknown,
			command.OutcomeNotCompleted: {409, "The invocation ID is not yet completed."},
		}},
	} {
		for status, want := range op.rows {
			t.Run(fmt.Sprintf("%s %d", op.path, status), func(t *testing.T) {
				a := newAPI(t)
				a.parts.answers = map[command.Kind]command.OutcomeStatus{op.kind: status}
				r := a.ask("PATCH", "/invocations/"+someone.String()+"/"+op.path, "", "Content-Type", "")
				e := expectation{status: want.status, body: "-"}
				if want.text != "" {
					e.contentType, e.body = jsonType, refusalBody(want.text)
				}
				e.check(t, r)
				if rec := a.parts.last(t); rec.Kind != op.kind || rec.ID != someone {
					t.Errorf("asked for %d of %s", rec.Kind, rec.ID)
				}
			})
		}
		t.Run(op.path+" of no id", func(t *testing.T) {
			a := newAPI(t)
			for _, bad := range []string{"foo", "inv_1", someone.String() + "x", "dp_13RK0Gco7eAbHkQ1EkAAJG1", "%20"} {
				r := a.ask("PATCH", "/invocations/"+bad+"/"+op.path, "")
				expectation{status: 400, contentType: jsonType}.check(t, r)
				if !strings.HasPrefix(r.body, `{"message":"The request field 'invocation_id' is invalid. Reason: `) {
					t.Errorf("%s: %s", bad, r.body)
				}
			}
			if len(a.parts.asked) > 0 {
				t.Error("the partitions were asked")
			}
		})
	}
}

func TestInvocationsHaveNoOtherMethods(t *testing.T) {
	a := newAPI(t)
	for path, allow := range map[string]string{"": "DELETE", "/cancel": "PATCH", "/restart-as-new": "PATCH"} {
		r := a.ask("GET", "/invocations/"+someone.String()+path, "")
		expectation{status: 405, body: "-"}.check(t, r)
		if got := r.Header.Get("Allow"); got != allow {
			t.Errorf("%s allows %q", path, got)
		}
	}
	expectation{status: 404, body: "-"}.check(t, a.ask("PATCH", "/invocations/"+someone.String()+"/revive", ""))
	expectation{status: 405, body: "-"}.check(t, a.ask("GET", "/internal/invocations_batch_operations/kill", ""))
	expectation{status: 404, body: "-"}.check(t, a.ask("POST", "/internal/invocations_batch_operations/revive", "{}"))
}

func TestDeploymentsOfOperations(t *testing.T) {
	a := newAPI(t)
	d := a.register("")
	stored, err := id.ParseDeployment(d)
	if err != nil {
		t.Fatal(err)
	}
	a.parts.target = &storedv1.Target{Service: "Greeter"}
	path := "/v3/invocations/" + someone.String()
	for _, row := range []struct{ query, body string }{
		{"?deployment=nope", refusalBody("The query parameter 'deployment' is invalid. Reason: bad format")},
		{"?deployment=", refusalBody("The query parameter 'deployment' is invalid. Reason: bad format")},
		{"?deployment=KEEP", refusalBody("The query parameter 'deployment' is invalid. Reason: bad format")},
		{"?deployment=" + unknownID, refusalBody("The deployment '" + unknownID + "' does not exist")},
		{"?deployment=keep&deployment=latest", "Failed to deserialize query string: duplicate field `deployment`"},
	} {
		for _, op := range []string{"/resume", "/restart-as-new"} {
			expectation{status: 400, body: row.body}.check(t, a.ask("PATCH", path+op+row.query, ""))
		}
	}
	for _, row := range []struct {
		query  string
		choice bool
	}{{"", false}, {"?deployment=keep", false}, {"?deployment=Keep", false}, {"?deployment=latest", true}, {"?deployment=Latest", true}, {"?deployment=" + d, true}, {"?force=x", false}} {
		expectation{status: 200, body: "-"}.check(t, a.ask("PATCH", path+"/resume"+row.query, ""))
		var f storedv1.ResumeFacts
		if err := f.UnmarshalVT(a.parts.last(t).Facts); err != nil || (f.Deployment != nil) != row.choice {
			t.Errorf("resume%s: %v, %v", row.query, f.Deployment, err)
		}
		if row.choice && (string(f.Deployment.Deployment) != string(stored[:]) || f.Deployment.MinProtocolVersion != 5 || f.Deployment.MaxProtocolVersion != 7 || !f.Deployment.Newest) {
			t.Errorf("resume%s: %v", row.query, f.Deployment)
		}
	}
	for _, row := range []struct {
		query        string
		from         uint32
		keep, choice bool
	}{
		{"", 0, false, false}, {"?from=0&deployment=latest", 0, false, false}, {"?deployment=keep", 0, true, false},
		{"?from=7", 7, false, true}, {"?from=7&deployment=Keep", 7, true, false}, {"?deployment=" + d, 0, false, true},
	} {
		r := a.ask("PATCH", path+"/restart-as-new"+row.query, "")
		expectation{status: 200, contentType: jsonType}.check(t, r)
		var f storedv1.RestartFacts
		if err := f.UnmarshalVT(a.parts.last(t).Facts); err != nil || f.From != row.from || f.Keep != row.keep || (f.Deployment != nil) != row.choice {
			t.Errorf("restart%s: %v, %v", row.query, &f, err)
		}
		next := id.Invocation(f.Id)
		if r.body != `{"new_invocation_id":"`+next.String()+`"}` || next.PartitionKey() != someone.PartitionKey() || next == someone {
			t.Errorf("restart%s: %s", row.query, r.body)
		}
	}
	for _, bad := range []string{"-1", "x", "", "4294967296", "1.5"} {
		r := a.ask("PATCH", path+"/restart-as-new?from="+bad, "")
		expectation{status: 400, contentType: textType, body: "Failed to deserialize query string: from: "}.check(t, r)
	}
	// The service, and the invocation, may be gone.
	a.parts.target = &storedv1.Target{Service: "Gone"}
	expectation{status: 400, body: refusalBody("No deployment serves 'Gone' any more")}.check(t, a.ask("PATCH", path+"/resume?deployment=latest", ""))
	a.parts.answers = map[command.Kind]command.OutcomeStatus{command.Read: command.OutcomeNotFound}
	expectation{status: 404, body: refusalBody("The requested invocation ID does not exist")}.check(t, a.ask("PATCH", path+"/resume?deployment=latest", ""))
}

func TestDeleteInvocation(t *testing.T) {
	a := newAPI(t)
	path := "/invocations/" + someone.String()
	for query, kind := range map[string]command.Kind{
		"": command.Cancel, "?mode=Cancel": command.Cancel, "?mode=kill": command.Kill, "?mode=Kill": command.Kill, "?mode=purge": command.Purge,
	} {
		for _, status := range []command.OutcomeStatus{command.OutcomeAccepted, command.OutcomeNotFound, command.OutcomeAlreadyCompleted, command.OutcomeNotCompleted} {
			if kind == command.Purge == (status == command.OutcomeAlreadyCompleted) && status > command.OutcomeNotFound {
				continue // no answer to that
			}
			a.parts.answers = map[command.Kind]command.OutcomeStatus{kind: status}
			expectation{status: 202, body: "-"}.check(t, a.ask("DELETE", path+query, ""))
			if got := a.parts.last(t).Kind; got != kind {
				t.Errorf("%s asks for %d", query, got)
			}
		}
	}
	expectation{status: 400, contentType: textType, body: "Failed to deserialize query string: mode: unknown variant `KILL`, expected one of `Cancel`, `Kill`, `Purge`"}.
		check(t, a.ask("DELETE", path+"?mode=KILL", ""))
	expectation{status: 400, contentType: jsonType, body: `{"message":"The request field 'invocation_id' is invalid. Reason: bad format","restate_code":null}`}.
		check(t, a.ask("DELETE", "/invocations/foo", ""))
}

// What did not happen is tried again; a cancellation that may have happened is not.
func TestPartitionsThatDoNotAnswer(t *testing.T) {
	a := newAPI(t)
	a.parts.errs = []error{errs.Newf(errs.Uncertain, "lost")}
	expectation{status: 503, contentType: jsonType, body: `lost","restate_code":null}`}.check(t, a.ask("PATCH", "/invocations/"+someone.String()+"/cancel", ""))
	if len(a.parts.asked) != 1 {
		t.Errorf("asked %d times", len(a.parts.asked))
	}
	path := "/invocations/" + someone.String() + "/kill"
	a.parts.errs = []error{errs.Newf(errs.Invalid, "bad")}
	expectation{status: 400, contentType: jsonType, body: `bad","restate_code":null}`}.check(t, a.ask("PATCH", path, ""))
	a.parts.answers = map[command.Kind]command.OutcomeStatus{command.Kill: command.OutcomePending}
	expectation{status: 500, contentType: jsonType, body: "the partition answered an operation with outcome"}.check(t, a.ask("PATCH", path, ""))
}

// eagerClock goes on by as long as anybody wants to wait.
type eagerClock struct{ *hosttest.Clock }

func (c eagerClock) NewTimer(d time.Duration) host.Timer {
	t := c.Clock.NewTimer(d)
	c.Advance(d)
	return t
}

// patiently asks an API that has all the time that it wants.
func patiently(t *testing.T, parts *fakePartitions, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	rc := registry.Default()
	store := registrytest.New(schema.Default())
	h := hosttest.New(hosttest.NewClock(), 1)
	reg, err := registry.New(rc, store, store, h)
	if err != nil {
		t.Fatal(err)
	}
	h.Clock = eagerClock{hosttest.NewClock()}
	s, err := admin.New(admin.Default(), reg, parts, h)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

// A worker that dies over an operation leaves open whether it was done: it is asked for again where that is harmless, and what
// the repeat finds done is done.
func TestOperationsUnderWayAtADyingWorker(t *testing.T) {
	path := "/invocations/" + someone.String()
	for _, row := range []struct {
		method, path string
		answer       command.OutcomeStatus
		asked        int
		status       int
	}{
		{"PATCH", path + "/kill", command.OutcomeAccepted, 3, 200},
		{"PATCH", path + "/kill", command.OutcomeAlreadyCompleted, 3, 200},
		{"PATCH", path + "/kill", command.OutcomeNotFound, 3, 200},
		{"PATCH", path + "/purge", command.OutcomeNotFound, 3, 200},
		{"PATCH", path + "/purge", command.OutcomeNotCompleted, 3, 409},
		{"PATCH", path + "/purge-journal", command.OutcomeAccepted, 3, 200},
		{"PATCH", path + "/purge-journal", command.OutcomeNotFound, 3, 404},
		{"PATCH", path + "/pause", command.OutcomeUnderWay, 3, 202},
		{"PATCH", path + "/restart-as-new", command.OutcomeAccepted, 3, 200},
		{"PATCH", path + "/cancel", command.OutcomeAccepted, 1, 503},
		{"PATCH", path + "/resume", command.OutcomeAccepted, 1, 503},
	} {
		parts := fakePartitions{errs: []error{errs.Newf(errs.Uncertain, "the connection broke"), errs.Newf(errs.NotLeader, "not yet")}}
		parts.answers = map[command.Kind]command.OutcomeStatus{}
		for _, kind := range []command.Kind{command.Kill, command.Purge, command.PurgeJournal, command.Hold, command.Restart, command.Cancel, command.Resume} {
			parts.answers[kind] = row.answer
		}
		w := patiently(t, &parts, row.method, row.path)
		if len(parts.asked) != row.asked || w.Code != row.status {
			t.Errorf("%s with %d: asked %d times, status %d", row.path, row.answer, len(parts.asked), w.Code)
		}
		for _, r := range parts.asked { // a restart has the same new id each time
			if !bytes.Equal(r.Facts, parts.asked[0].Facts) {
				t.Errorf("%s: another record is asked for again", row.path)
			}
		}
	}
}

func TestPartitionsWithoutALeader(t *testing.T) {
	for _, row := range []struct {
		name     string
		failures int
		status   int
	}{{"a while", 6, 200}, {"too long", 1000, 503}} {
		t.Run(row.name, func(t *testing.T) {
			var parts fakePartitions
			for n := range row.failures {
				parts.errs = append(parts.errs, errs.Newf([]errs.Code{errs.NotLeader, errs.Unavailable}[n%2], "no leader"))
			}
			w := patiently(t, &parts, "PATCH", "/invocations/"+someone.String()+"/kill")
			if n := len(parts.asked); w.Code != row.status || row.status == 200 && n != row.failures+1 || row.status == 503 && (n < 10 || n > 20) {
				t.Errorf("status %d after %d tries", w.Code, n)
			}
		})
	}
}

func TestBatches(t *testing.T) {
	a := newAPI(t)
	const path = "/internal/invocations_batch_operations/"
	other := id.IdempotentInvocation("S", "", false, "h", "other")
	ids := fmt.Sprintf(`{"invocation_ids":[%q,%q]`, someone, other)
	for op, row := range map[string]struct {
		kind    command.Kind
		refused map[command.OutcomeStatus]string
	}{
		"cancel":         {command.Cancel, map[command.OutcomeStatus]string{command.OutcomeNotFound: "not found", command.OutcomeAlreadyCompleted: "was already completed"}},
		"kill":           {command.Kill, map[command.OutcomeStatus]string{command.OutcomeNotFound: "not found", command.OutcomeAlreadyCompleted: "was already completed"}},
		"pause":          {command.Hold, map[command.OutcomeStatus]string{command.OutcomeNotStarted: "is not running, cannot be paused"}},
		"resume":         {command.Resume, map[command.OutcomeStatus]string{command.OutcomeAlreadyCompleted: "is completed, cannot be resumed", command.OutcomeNotStarted: "is either inboxed or scheduled, cannot be resumed"}},
		"purge":          {command.Purge, map[command.OutcomeStatus]string{command.OutcomeNotCompleted: "is not yet completed"}},
		"purge-journal":  {command.PurgeJournal, map[command.OutcomeStatus]string{command.OutcomeNotCompleted: "is not yet completed"}},
		"restart-as-new": {command.Restart, map[command.OutcomeStatus]string{command.OutcomeNotCompleted: "is still running"}},
	} {
		a.parts.answers = nil
		r := a.ask("POST", path+op, ids+`}`)
		expectation{status: 200, contentType: jsonType}.check(t, r)
		if op == "restart-as-new" {
			var got struct {
				Succeeded []struct {
					Old string `json:"old_invocation_id"`
					New string `json:"new_invocation_id"`
				}
				Failed []any
			}
			if err := json.Unmarshal([]byte(r.body), &got); err != nil || len(got.Succeeded) != 2 || got.Succeeded[1].Old != other.String() || !strings.HasPrefix(got.Succeeded[1].New, "inv_1") || got.Failed == nil {
				t.Errorf("%s: %s", op, r.body)
			}
		} else if want := fmt.Sprintf(`{"succeeded":[%q,%q],"failed":[]}`, someone, other); r.body != want {
			t.Errorf("%s: %s", op, r.body)
		}
		for status, text := range row.refused {
			a.parts.answers = map[command.Kind]command.OutcomeStatus{row.kind: status}
			fail := func(i id.Invocation) string {
				return fmt.Sprintf(`{"invocation_id":%q,"error":"Invocation '%s' %s"}`, i, i, text)
			}
			expectation{status: 200, contentType: jsonType, body: `{"succeeded":[],"failed":[` + fail(someone) + `,` + fail(other) + `]}`}.
				check(t, a.ask("POST", path+op, ids+`}`))
		}
		expectation{status: 200, body: `{"succeeded":[],"failed":[]}`}.check(t, a.ask("POST", path+op, `{"invocation_ids":[]}`))
		expectation{status: 422, contentType: textType, body: "Failed to deserialize the JSON body into the target type: missing field `invocation_ids`"}.
			check(t, a.ask("POST", path+op, `{}`))
		expectation{status: 422, contentType: textType, body: "Failed to deserialize the JSON body into the target type: invocation_ids[0]: bad format"}.
			check(t, a.ask("POST", path+op, `{"invocation_ids":["foo"]}`))
		expectation{status: 422, contentType: textType, body: "Failed to deserialize the JSON body into the target type: "}.check(t, a.ask("POST", path+op, `{"invocation_ids":"foo"}`))
		expectation{status: 400, contentType: textType, body: "Failed to parse the request body as JSON: "}.check(t, a.ask("POST", path+op, `{`))
		expectation{status: 415, contentType: textType, body: "Expected request with `Content-Type: application/json`"}.check(t, a.ask("POST", path+op, `{}`, "Content-Type", "text/plain"))
	}
	expectation{status: 400, contentType: jsonType, body: "The request field 'deployment' is invalid. Reason: bad format"}.
		check(t, a.ask("POST", path+"resume", ids+`,"deployment":"nope"}`))
	many := `{"invocation_ids":["` + strings.TrimSuffix(strings.Repeat(someone.String()+`","`, 1001), `,"`) + `]}`
	expectation{status: 400, contentType: jsonType, body: `{"message":"Batch size 1001 exceeds maximum allowed size of 1000","restate_code":null}`}.
		check(t, a.ask("POST", path+"kill", many))
}

func TestModifyState(t *testing.T) {
	a := newAPI(t)
	a.register("")
	ok := expectation{status: 202, body: "-"}
	ok.check(t, a.ask("POST", "/services/Counter/state", `{"version":null,"object_key":"k","scope":null,"new_state":{"count":[55,0,255],"a":"text é","b":[],"c":""}}`))
	rec := a.parts.last(t)
	var f storedv1.PatchStateFacts
	if err := f.UnmarshalVT(rec.Facts); err != nil || rec.Kind != command.PatchState || rec.ID.PartitionKey() != id.Hash("k") {
		t.Fatalf("asked for %d of %s: %v", rec.Kind, rec.ID, err)
	}
	var got []string
	for _, e := range f.Entries {
		got = append(got, fmt.Sprintf("%s=%x", e.Name, e.Value))
	}
	if s := strings.Join(got, " "); f.Service != "Counter" || f.Key != "k" || f.Version != nil || s != "a=7465787420c3a9 b= c= count=3700ff" {
		t.Errorf("%s/%s %v: %s", f.Service, f.Key, f.Version, s)
	}
	ok.check(t, a.ask("POST", "/services/Flow/state", `{"version":"v","object_key":"","new_state":{}}`))
	if err := f.UnmarshalVT(a.parts.last(t).Facts); err != nil || f.GetVersion() != "v" {
		t.Errorf("%v, %v", &f, err)
	}
	asked := len(a.parts.asked)
	ok.check(t, a.ask("POST", "/services/Nope/state", `{"object_key":"k","new_state":{}}`))
	for _, row := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"Greeter", `{"object_key":"k","new_state":{}}`, 400, `{"message":"Cannot modify state for service type Service","restate_code":null}`},
		{"Nope", `{"object_key":"k","new_state":{"a":"b"}}`, 404, `{"message":"The requested service 'Nope' does not exist","restate_code":null}`},
		{"Counter", `{"object_key":"k","scope":"s","new_state":{}}`, 500, `{"message":"bad scope: scopes are not enabled","restate_code":null}`},
		{"Counter", `{"new_state":{}}`, 422, "Failed to deserialize the JSON body into the target type: missing field `object_key`"},
		{"Counter", `{"object_key":"k"}`, 422, "Failed to deserialize the JSON body into the target type: missing field `new_state`"},
		{"Counter", `{"object_key":5,"new_state":{}}`, 422, ""},
		{"Counter", `{"object_key":"k","new_state":[]}`, 422, ""},
		{"Counter", `{"object_key":"k","new_state":{"a":[256]}}`, 422, "Failed to deserialize the JSON body into the target type: new_state.a: a value is an array of bytes or a text"},
		{"Counter", `{"object_key":"k","new_state":{"a":null}}`, 422, ""},
		{"Counter", `{"object_key":"k","new_state":{"a":{}}}`, 422, ""},
		{"Counter", `{"object_key":"k",`, 400, ""},
		{"Counter", `[]`, 422, ""},
	} {
		expectation{status: row.status, body: row.want}.check(t, a.ask("POST", "/services/"+row.path+"/state", row.body))
	}
	expectation{status: 405, body: "-"}.check(t, a.ask("GET", "/services/Counter/state", ""))
	expectation{status: http.StatusRequestEntityTooLarge, contentType: textType}.
		check(t, a.ask("POST", "/services/Counter/state", `{"object_key":"`+strings.Repeat("x", 3<<20)+`"}`))
	if len(a.parts.asked) != asked {
		t.Error("the partitions were asked for what is refused")
	}
	a.parts.answers = map[command.Kind]command.OutcomeStatus{command.PatchState: command.OutcomeQueueFull}
	expectation{status: 429, contentType: jsonType, body: `{"message":"Too many changes of the state of 'k' wait for what runs","restate_code":null}`}.
		check(t, a.ask("POST", "/services/Counter/state", `{"object_key":"k","new_state":{}}`))
	a.parts.errs = []error{errs.Newf(errs.Uncertain, "lost")}
	expectation{status: 503, contentType: jsonType}.check(t, a.ask("POST", "/services/Counter/state", `{"object_key":"k","new_state":{}}`))
}
