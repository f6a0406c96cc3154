package admin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// contractLines are the lines of a file of testdata that are no comments.
func contractLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(s string) bool { return strings.HasPrefix(s, "#") })
}

type apiDocument struct {
	Openapi string
	Paths   map[string]map[string]struct {
		OperationID string
		Responses   map[string]any
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any
			Required   []string
		}
	}
}

// The document has the operations of the contract, with their statuses, and 501 for what is not built.
func TestOpenapiOperations(t *testing.T) {
	d := openapiOf(t, newAPI(t))
	seen := 0
	for _, line := range contractLines(t, "operations.txt") {
		f := strings.Fields(line)
		op, ok := d.Paths[f[1]][strings.ToLower(f[0])]
		if !ok || op.OperationID != f[2] {
			t.Errorf("%s: got %+v", line, op)
			continue
		}
		seen++
		for status := range strings.SplitSeq(f[3], ",") {
			if op.Responses[status] == nil {
				t.Errorf("%s: status %s is missing", line, status)
			}
		}
	}
	for path, methods := range d.Paths {
		seen -= len(methods)
		for method, op := range methods {
			if len(op.Responses) == 0 {
				t.Errorf("%s %s answers nothing", method, path)
			}
		}
	}
	if d.Openapi != "3.1.0" || seen != 0 {
		t.Errorf("version %q; %d operations of the contract are missing, or others are there (if negative)", d.Openapi, seen)
	}
}

func openapiOf(t *testing.T, a *api) (d apiDocument) {
	t.Helper()
	r := a.ask("GET", "/openapi", "")
	expectation{status: 200, contentType: jsonType}.check(t, r)
	if err := json.Unmarshal([]byte(r.body), &d); err != nil {
		t.Fatal(err)
	}
	checkRefs(t, r.body)
	return d
}

// checkRefs tells whether what a document refers to is in it.
func checkRefs(t *testing.T, text string) {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				at := root
				for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					m, _ := at.(map[string]any)
					at = m[name]
				}
				if at == nil {
					t.Errorf("%s refers to nothing", ref)
				}
			}
			for _, sub := range v {
				walk(sub)
			}
		case []any:
			for _, sub := range v {
				walk(sub)
			}
		}
	}
	walk(root)
}

// absent are properties of the contract that answers of this server never have.
var absent = map[string]string{
	"DeploymentResponse.auth":         "a deployment with auth is refused with 501",
	"DetailedDeploymentResponse.auth": "the same",
	"DeploymentResponse.info":         "notices are shown with the services and handlers that they are about",
	"DetailedDeploymentResponse.info": "the same",
	"RegisterDeploymentResponse.info": "the same",
}

func TestOpenapiSchemas(t *testing.T) {
	d := openapiOf(t, newAPI(t))
	for _, line := range contractLines(t, "schemas.txt") {
		f := strings.Fields(line)
		s, ok := d.Components.Schemas[f[0]]
		if !ok {
			t.Errorf("%s is missing", f[0])
			continue
		}
		names := map[string]bool{}
		for _, property := range f[1:] {
			name, required := strings.CutSuffix(property, "!")
			names[name] = true
			if s.Properties[name] == nil && absent[f[0]+"."+name] == "" {
				t.Errorf("%s has no %s", f[0], name)
			}
			if required && !slices.Contains(s.Required, name) {
				t.Errorf("%s: %s is not required", f[0], name)
			}
		}
		for name := range s.Properties {
			if !names[name] {
				t.Errorf("%s has %s, which is not of the contract", f[0], name)
			}
		}
	}
}

func TestServiceOpenapi(t *testing.T) {
	a := newAPI(t)
	a.manifest.Store(strings.NewReplacer(
		"VirtualObject", "VIRTUAL_OBJECT",
		`{"name":"get","ty":"SHARED","input":{}}`, `{"name":"get","ty":"SHARED","input":{},"output":{}},
		 {"name":"find","ty":"SHARED","input":{"contentType":"application/json","jsonSchema":{"$defs":{"X":{"maximum":9007199254740993}},"properties":{"x":{"$ref":"#/$defs/X"},"self":{"$ref":"#"}}}},"output":{"contentType":"text/plain"}}`,
		`{"name":"run","ty":"WORKFLOW"}`, `{"name":"run","ty":"WORKFLOW","documentation":"runs <once>"},{"name":"ask","ty":"SHARED"}`,
	).Replace(manifest))
	a.register("")
	for _, name := range []string{"Counter", "Flow", "Greeter"} {
		r := a.ask("GET", "/v3/services/"+name+"/openapi", "")
		expectation{status: 200, contentType: jsonType}.check(t, r)
		checkRefs(t, r.body)
		a.golden(t, "openapi_"+name, r)
	}
	if r := a.ask("GET", "/services/Counter/openapi", ""); strings.Contains(r.body, "/add") || !strings.Contains(r.body, `"maximum":9007199254740993`) {
		t.Errorf("a private handler is shown, or a number was rounded: %s", r.body)
	}
	if r := a.ask("GET", "/services/Flow/openapi", ""); !strings.Contains(r.body, "runs <once>") {
		t.Errorf("escaped: %s", r.body)
	}
	expectation{status: 404, contentType: jsonType, body: "'Nope'"}.check(t, a.ask("GET", "/services/Nope/openapi", ""))
	a.ask("PATCH", "/services/Greeter", `{"public":false}`)
	if r := a.ask("GET", "/services/Greeter/openapi", ""); !strings.Contains(r.body, `"paths":{}`) {
		t.Errorf("what the ingress refuses is shown: %s", r.body)
	}
}
