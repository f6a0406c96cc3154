package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"reprise/pkg/lambda"
	"reprise/pkg/lambda/lambdatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	arn  = "arn:aws:lambda:eu-central-1:123456789012:function:greeter:7"
	role = "arn:aws:iam::123456789012:role/caller"
)

func newClient(t *testing.T, change ...func(*lambda.Config)) *lambda.Client {
	t.Helper()
	cfg := lambda.Default()
	for _, f := range change {
		f(&cfg)
	}
	c, err := lambda.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func sent(t *testing.T, s *lambdatest.Server) (e lambdatest.Event) {
	t.Helper()
	calls := s.Calls()
	if err := json.Unmarshal(calls[len(calls)-1].Payload, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func answer(text string) lambdatest.Function {
	return func(context.Context, []byte) ([]byte, error) { return []byte(text), nil }
}

func TestEnvelope(t *testing.T) {
	s := lambdatest.Serve(t)
	s.Environment(t)
	s.Deploy(arn, answer(`{"statusCode": 201, "headers": {"Content-Type": "a/b", "x-one": "1"}, "multiValueHeaders": {"x": ["y"]}, "body": "aGVsbG8=", "isBase64Encoded": true}`))
	got, err := newClient(t).Invoke(t.Context(), lambda.Function{ARN: arn}, lambda.Request{
		Method: "POST", Path: "/invoke/S/h", Headers: []lambda.Header{{Name: "content-type", Value: "x/y"}}, Body: []byte("input"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != 201 || string(got.Body) != "hello" || got.Get("content-type") != "a/b" || got.Get("x-one") != "1" || got.Get("none") != "" {
		t.Errorf("answer %+v", got)
	}
	const want = `{"path":"/invoke/S/h","httpMethod":"POST","headers":{"content-type":"x/y"},"body":"aW5wdXQ=","isBase64Encoded":true}`
	if call := s.Calls()[0]; string(call.Payload) != want || call.ARN != arn || call.KeyID != lambdatest.KeyID {
		t.Errorf("call %+v with %s", call, call.Payload)
	}
}

func TestAnswersOfFunctions(t *testing.T) {
	big, err := json.Marshal(map[string]any{"statusCode": 200, "body": strings.Repeat("x", 4000)})
	if err != nil {
		t.Fatal(err)
	}
	bomb, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zeros, err := json.Marshal(lambdatest.Answer{
		Status: 200, Base64: true, Headers: map[string]string{"content-encoding": "zstd"}, Body: bomb.EncodeAll(make([]byte, 10<<20), nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		f      lambdatest.Function
		status int
		body   string
		err    string
	}{
		{"text", answer(`{"statusCode":200,"headers":null,"body":"plain"}`), 200, "plain", ""},
		{"no body", answer(`{"statusCode":404}`), 404, "", ""},
		{"null body", answer(`{"statusCode":200,"body":null,"isBase64Encoded":true}`), 200, "", ""},
		{"function error", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }, 0, "", "boom"},
		{"nothing", answer(""), 0, "", "answered nothing"},
		{"no JSON", answer("<html>"), 0, "", "envelope"},
		{"something else", answer(`"hello"`), 0, "", "envelope"},
		{"no status", answer(`{"body":"x"}`), 0, "", "status 0"},
		{"no base64", answer(`{"statusCode":200,"body":"%%","isBase64Encoded":true}`), 0, "", "illegal base64"},
		{"unknown encoding", answer(`{"statusCode":200,"headers":{"content-encoding":"gzip"},"body":"x"}`), 0, "", `"gzip"`},
		{"no zstd", answer(`{"statusCode":200,"headers":{"content-encoding":"zstd"},"body":"x"}`), 0, "", "compressed"},
		{"zstd bomb", answer(string(zeros)), 0, "", "compressed"},
		{"too large", answer(string(big)), 0, "", "4000 bytes"},
		{"much too large", answer(strings.Repeat(" ", 1<<20)), 0, "", "too large"},
		{"unknown function", nil, 0, "", "ResourceNotFoundException"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := lambdatest.Serve(t)
			s.Environment(t)
			if row.f != nil {
				s.Deploy(arn, row.f)
			}
			got, err := newClient(t, func(c *lambda.Config) { c.ResponseBytesMax = 2048 }).Invoke(
				t.Context(), lambda.Function{ARN: arn, Zstd: true}, lambda.Request{Method: "GET", Path: "/discover"})
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("error %v, want one with %q", err, row.err)
				}
				if lambda.Passes(err) {
					t.Errorf("%v passes", err)
				}
			} else if err != nil || got.Status != row.status || string(got.Body) != row.body {
				t.Fatalf("%+v, %v", got, err)
			}
			if n := len(s.Calls()); n != 1 {
				t.Errorf("%d calls: the library tries again by itself", n)
			}
		})
	}
}

func TestCompression(t *testing.T) {
	s := lambdatest.Serve(t)
	s.Environment(t)
	s.Deploy(arn, lambdatest.Wrap(http.NotFoundHandler()))
	c := newClient(t, func(c *lambda.Config) { c.CompressBytesMin = 1000 })
	for _, row := range []struct {
		name                 string
		zstd                 bool
		bytes                int
		accepted, compressed bool
	}{
		{"not offered", false, 5000, false, false},
		{"small", true, 999, true, false},
		{"at the threshold", true, 1000, true, true},
		{"empty", true, 0, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := slices.Repeat([]byte("x"), row.bytes)
			if _, err := c.Invoke(t.Context(), lambda.Function{ARN: arn, Zstd: row.zstd}, lambda.Request{Method: "POST", Path: "/x", Body: body}); err != nil {
				t.Fatal(err)
			}
			e := sent(t, s)
			if (e.Headers["accept-encoding"] == "zstd") != row.accepted || (e.Headers["content-encoding"] == "zstd") != row.compressed {
				t.Errorf("headers %v", e.Headers)
			}
			got := e.Body
			if row.compressed {
				dec, err := zstd.NewReader(nil)
				if err != nil {
					t.Fatal(err)
				}
				defer dec.Close()
				if got, err = dec.DecodeAll(e.Body, nil); err != nil || len(e.Body) >= row.bytes {
					t.Fatalf("%d bytes, %v", len(e.Body), err)
				}
			}
			if string(got) != string(body) {
				t.Errorf("the body has %d bytes, not %d", len(got), len(body))
			}
		})
	}
}

func TestCompressedAnswer(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := lambdatest.Serve(t)
	s.Environment(t)
	s.Deploy(arn, lambdatest.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "zstd")
		_, _ = w.Write(enc.EncodeAll([]byte("hello"), nil))
	})))
	got, err := newClient(t).Invoke(t.Context(), lambda.Function{ARN: arn, Zstd: true}, lambda.Request{Method: "GET", Path: "/"})
	if err != nil || string(got.Body) != "hello" {
		t.Fatalf("%q, %v", got.Body, err)
	}
}

func TestAssumedRole(t *testing.T) {
	s := lambdatest.Serve(t)
	s.Environment(t)
	s.Deploy(arn, lambdatest.Wrap(http.NotFoundHandler()))
	c := newClient(t, func(c *lambda.Config) { c.ExternalID = "me" })
	for range 2 {
		if _, err := c.Invoke(t.Context(), lambda.Function{ARN: arn, Role: role}, lambda.Request{Method: "GET", Path: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Roles(); len(got) != 1 || got[0] != (lambdatest.Role{ARN: role, ExternalID: "me", Session: "reprise"}) {
		t.Errorf("roles %v: want one, kept for the second call", got)
	}
	if id := s.Calls()[0].KeyID; id != lambdatest.AssumedKeyID {
		t.Errorf("signed by %s", id)
	}
}

func TestEndpointOfTheConfiguration(t *testing.T) {
	other, s := lambdatest.Serve(t), lambdatest.Serve(t)
	other.Environment(t)
	s.Deploy(arn, lambdatest.Wrap(http.NotFoundHandler()))
	c := newClient(t, func(c *lambda.Config) { c.EndpointURL = s.URL })
	if _, err := c.Invoke(t.Context(), lambda.Function{ARN: arn}, lambda.Request{Method: "GET", Path: "/"}); err != nil {
		t.Fatal(err)
	}
}

func TestCancel(t *testing.T) {
	s := lambdatest.Serve(t)
	s.Environment(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Deploy(arn, func(ctx context.Context, _ []byte) ([]byte, error) {
		cancel(errors.New("enough"))
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, err := newClient(t).Invoke(ctx, lambda.Function{ARN: arn}, lambda.Request{Method: "GET", Path: "/"}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestPasses(t *testing.T) {
	statuses := map[int]bool{400: false, 403: false, 404: false, 429: true, 500: true, 502: true, 503: true}
	for status, want := range statuses {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		lambdatest.Serve(t).Environment(t)
		_, err := newClient(t, func(c *lambda.Config) { c.EndpointURL = s.URL }).Invoke(t.Context(), lambda.Function{ARN: arn}, lambda.Request{Method: "GET", Path: "/"})
		s.Close()
		if err == nil || lambda.Passes(err) != want {
			t.Errorf("%d: %v passes: %t", status, err, !want)
		}
	}
	_, err := newClient(t, func(c *lambda.Config) { c.EndpointURL = "http://127.0.0.1:1" }).Invoke(t.Context(), lambda.Function{ARN: arn}, lambda.Request{Method: "GET", Path: "/"})
	if err == nil || !lambda.Passes(err) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestARNs(t *testing.T) {
	for text, want := range map[string]string{
		arn: "",
		"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:$LATEST": "",
		"arn:aws:lambda:us-east-1:123456789012:function:f:live":               "",
		"arn:aws:lambda:us-east-1:123456789012:function:f":                    "no version",
		"arn:aws:lambda:us-east-1:123456789012:function:f:":                   "neither a version",
		"arn:aws:lambda:us-east-1:123456789012:function:f:1:2":                "9 parts",
		"arn:gcp:lambda:us-east-1:123456789012:function:f:1":                  "no ARN",
		"arn:aws:s3:us-east-1:123456789012:function:f:1":                      "not that of a Lambda",
		"arn:aws:lambda:us-east-1:123456789012:layer:f:1":                     "not that of a Lambda",
		"arn:aws:lambda:moon:123456789012:function:f:1":                       "no region",
		"arn:aws:lambda:us-east-1:me:function:f:1":                            "no account",
		"arn:aws:lambda:us-east-1:123456789012:function:f/g:1":                "no name",
		"arn:aws:lambda:us-east-1:123456789012:function:f:$OLDEST":            "neither a version",
		"": "1 parts",
	} {
		err := lambda.CheckARN(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := lambda.CheckRole(role); err != nil {
		t.Error(err)
	}
	if lambda.CheckRole("arn:aws:iam::123456789012:user/x") == nil {
		t.Error("a user is taken as a role")
	}
}

func TestConfig(t *testing.T) {
	if err := lambda.Default().Validate(); err != nil {
		t.Error(err)
	}
	err := lambda.Config{CompressBytesMin: -1, EndpointURL: "nowhere"}.Validate()
	for _, want := range []string{"request-compression-threshold", "response limit", "connect-timeout", "no URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// The size of answers may change: the next request has the new one.
func TestResponseBytesMaxIsLive(t *testing.T) {
	s := lambdatest.Serve(t)
	s.Environment(t)
	s.Deploy(arn, lambdatest.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4000)) })))
	c := newClient(t)
	for _, row := range []struct {
		max int
		err string
	}{{0, ""}, {2048, "are allowed"}, {1, "2048 are allowed"}, {4000, ""}} { // 1 is refused
		if row.max > 0 {
			c.SetResponseBytesMax(row.max)
		}
		got, err := c.Invoke(t.Context(), lambda.Function{ARN: arn}, lambda.Request{Method: "GET", Path: "/discover"})
		if row.err == "" && (err != nil || len(got.Body) != 4000) || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
			t.Errorf("%+v: %d bytes, %v", row, len(got.Body), err)
		}
	}
}
