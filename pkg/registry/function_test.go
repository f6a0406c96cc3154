package registry_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/identity"
	"reprise/pkg/lambda"
	"reprise/pkg/registry"
)

const (
	functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:greeter:7"
	roleARN     = "arn:aws:iam::123456789012:role/caller"
	// testKey is the vector of the contract; never a production key.
	testKey = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIItTyHZG0QLlNGvCx6T3Q1CCrHPDJD23nnFlLlRx2jml\n-----END PRIVATE KEY-----\n"
)

var _ registry.Functions = (*lambda.Client)(nil)

// functions are an AWS in which all functions answer the same.
type functions struct {
	resp  lambda.Response
	err   error
	asked []lambda.Request
	which []lambda.Function
}

func (f *functions) Invoke(_ context.Context, which lambda.Function, q lambda.Request) (lambda.Response, error) {
	f.asked, f.which = append(f.asked, q), append(f.which, which)
	return f.resp, f.err
}

func manifestAnswer(change ...string) lambda.Response {
	body := strings.NewReplacer(append([]string{"BIDI_STREAM", "REQUEST_RESPONSE"}, change...)...).Replace(oneService)
	return lambda.Response{
		Status: 200, Body: []byte(body),
		Headers: []lambda.Header{{Name: "content-type", Value: manifestType}, {Name: "x-restate-server", Value: "test/1"}},
	}
}

func (f *functions) bench(t *testing.T, change ...func(*registry.Config)) *bench {
	t.Helper()
	return newBench(t, append(change, func(c *registry.Config) { c.Lambda = f })...)
}

func TestRegisterFunction(t *testing.T) {
	f := &functions{resp: manifestAnswer(`"services"`, `"lambdaCompression":"zstd","services"`)}
	b := f.bench(t)
	q := registry.Registration{
		ARN: functionARN, Role: roleARN, HTTP1: true,
		Headers: []*storedv1.Header{{Name: "x-extra", Value: "yes"}, {Name: "x-restate-cluster-name", Value: "mine"}},
	}
	got, err := b.Register(t.Context(), q)
	if err != nil || !got.Created {
		t.Fatal(got, err)
	}
	d := b.Current().Deployments()[0]
	want := &storedv1.Lambda{Arn: functionARN, AssumeRoleArn: roleARN, Zstd: true}
	if !proto.Equal(d.GetLambda(), want) || d.GetUri() != "" || d.GetBidi() || d.GetHttp1() || d.GetSdkVersion() != "test/1" || len(d.GetServices()) != 1 {
		t.Errorf("stored %v", d)
	}
	if f.which[0] != (lambda.Function{ARN: functionARN, Role: roleARN}) {
		t.Errorf("called %v", f.which[0])
	}
	headers := map[string]string{}
	for _, h := range f.asked[0].Headers {
		headers[h.Name] = h.Value
	}
	if q := f.asked[0]; q.Method != "GET" || q.Path != "/discover" || len(q.Body) != 0 || len(headers) != 3 ||
		!strings.HasPrefix(headers["accept"], "application/vnd.restate.endpointmanifest.v1+json, ") || headers["x-extra"] != "yes" || headers["x-restate-cluster-name"] != "mine" {
		t.Errorf("asked %v", q)
	}
	again, err := b.Register(t.Context(), registry.Registration{ARN: functionARN})
	if err != nil || again.Created || again.ID != got.ID || len(f.asked) != 1 {
		t.Errorf("the same ARN: %v, %v, %d calls", again, err, len(f.asked))
	}
	other, err := b.Register(t.Context(), registry.Registration{ARN: strings.Replace(functionARN, ":7", ":8", 1)})
	if err != nil || !other.Created {
		t.Errorf("another version: %v, %v", other, err)
	}
}

func TestBadFunctions(t *testing.T) {
	for _, row := range []struct {
		name   string
		f      *functions
		q      registry.Registration
		status int
		code   string
		tries  int
	}{
		{"bidirectional", &functions{resp: manifestAnswer()}, registry.Registration{ARN: functionARN}, 500, "META0015", 1},
		{"not found", &functions{resp: lambda.Response{Status: 404}}, registry.Registration{ARN: functionARN}, 500, "META0003", 1},
		{"unavailable", &functions{resp: lambda.Response{Status: 503}}, registry.Registration{ARN: functionARN}, 500, "META0003", 4},
		{"unreachable", &functions{err: errors.New("no route")}, registry.Registration{ARN: functionARN}, 500, "META0003", 4},
		{"no manifest", &functions{resp: lambda.Response{Status: 200}}, registry.Registration{ARN: functionARN}, 500, "META0013", 1},
		{"bad ARN", &functions{}, registry.Registration{ARN: "arn:aws:s3"}, 400, "", 0},
		{"ARN without a version", &functions{}, registry.Registration{ARN: strings.TrimSuffix(functionARN, ":7")}, 400, "", 0},
		{"bad role", &functions{}, registry.Registration{ARN: functionARN, Role: "me"}, 400, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "bidirectional" {
				row.f.resp.Body = []byte(oneService)
			}
			b := row.f.bench(t)
			_, err := b.Register(t.Context(), row.q)
			wantError(t, err, row.status, row.code)
			if len(row.f.asked) != row.tries || len(b.Current().Deployments()) != 0 {
				t.Errorf("%d tries, want %d", len(row.f.asked), row.tries)
			}
		})
	}
	_, err := newBench(t).Register(t.Context(), registry.Registration{ARN: functionARN})
	wantError(t, err, 500, "META0003")
}

func TestUpdateFunction(t *testing.T) {
	f := &functions{resp: manifestAnswer()}
	b := f.bench(t)
	got, err := b.Register(t.Context(), registry.Registration{ARN: functionARN, Role: roleARN})
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(functionARN, ":7", ":8", 1)
	ep := serve(t, answers(200, manifestType, oneService))
	yes, bad := true, "x"
	for _, row := range []struct {
		name   string
		u      registry.Update
		status int
		arn    string
	}{
		{"HTTP option", registry.Update{HTTP1: &yes}, 400, functionARN},
		{"bad ARN", registry.Update{ARN: &bad}, 400, functionARN},
		{"next version", registry.Update{ARN: &next}, 0, next},
		{"to an endpoint", registry.Update{URI: &ep.URL}, 0, ""},
		{"role of an endpoint", registry.Update{Role: new(roleARN)}, 400, ""},
		{"back to a function", registry.Update{ARN: new(functionARN)}, 0, functionARN},
	} {
		_, err := b.Update(t.Context(), got.ID, row.u)
		if row.status != 0 {
			wantError(t, err, row.status, "")
		} else if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		d := b.Current().Deployments()[0]
		if d.GetLambda().GetArn() != row.arn || (d.GetUri() == "") != (row.arn != "") {
			t.Errorf("%s: stored %v", row.name, d)
		}
		if row.name == "next version" && d.GetLambda().GetAssumeRoleArn() != roleARN {
			t.Errorf("the role was forgotten: %v", d)
		}
	}
}

// Discovery is signed as invocations are, for its path without the deployment's base path, and a deployment's own headers win.
func TestDiscoveryIsSigned(t *testing.T) {
	signer, err := identity.NewSigner([]byte(testKey), time.Minute, hosttest.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	signed := func(c *registry.Config) { c.Identity = signer }
	var got http.Header
	ep := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		answers(200, manifestType, oneService)(w, r)
	}))
	if _, err := newBench(t, signed).Register(t.Context(), registry.Registration{URI: ep.URL + "/base"}); err != nil {
		t.Fatal(err)
	}
	if got.Get(identity.HeaderScheme) != "v1" || got.Get(identity.HeaderToken) != signer.Token("/discover", "") {
		t.Errorf("headers %v", got)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Get(identity.HeaderToken), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(claims, &all); err != nil || all["aud"] != "/discover" || len(all) != 4 {
		t.Errorf("claims %s, %v", claims, err)
	}
	f := &functions{resp: manifestAnswer()}
	if _, err := f.bench(t, signed).Register(t.Context(), registry.Registration{ARN: functionARN}); err != nil {
		t.Fatal(err)
	}
	token := ""
	for _, h := range f.asked[0].Headers {
		if h.Name == identity.HeaderToken {
			token = h.Value
		}
	}
	if token != signer.Token("/discover", "") {
		t.Errorf("the function got %v", f.asked[0].Headers)
	}
	if _, err := newBench(t).Register(t.Context(), registry.Registration{URI: ep.URL}); err != nil {
		t.Fatal(err)
	}
	if len(got.Values(identity.HeaderScheme))+len(got.Values(identity.HeaderToken)) != 0 {
		t.Errorf("signed without a key: %v", got)
	}
}
