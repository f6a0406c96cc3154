package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/restatedev/sdk-go/server"

	"reprise/tests/e2e/harness"
)

const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:services:7"

// Services of the Go SDK behind its own Lambda handler, registered by ARN and called through the Invoke API.
func TestLambda(t *testing.T) {
	aws := serveLambda(t, newProbe())
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", aws)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	eachForm(t, func(t *testing.T, kind string) {
		f := newForm(t, kind)
		c := harness.NewClient(f)
		defer c.Close()
		res, err := c.Do(t.Context(), harness.Request{URL: f.Admin + "/deployments", Body: map[string]any{"arn": functionARN}})
		if ok(t, err); res.Status != http.StatusCreated {
			t.Fatalf("register: %d %s", res.Status, res.Body)
		}
		ok(t, harness.Wait(t.Context(), 20*time.Second, "the service at the ingress", func(ctx context.Context) error {
			var out string
			return c.Call(ctx, "Plain/echo", "hello", &out)
		}))
		var first []string
		key := t.Name()
		ok(t, c.Call(t.Context(), "Plain/steps", Steps{Key: key, N: 3, Millis: 50}, &first)) // suspends and comes back
		if len(first) != 3 {
			t.Errorf("steps %v", first)
		}
		ok(t, c.Call(t.Context(), "Box/b/set", Entry{"a", "1"}, nil))
		var state map[string]string
		ok(t, c.Call(t.Context(), "Box/b/all", nil, &state))
		if !reflect.DeepEqual(state, map[string]string{"a": "1"}) {
			t.Errorf("state %v", state)
		}
		out, err := shell(t.Context(), ".", env.bins.Path("reprise")+" deployments list", "RESTATE_ADMIN_URL="+f.Admin)
		if err != nil || !strings.Contains(out, functionARN) || !strings.Contains(out, "AWS Lambda") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// serveLambda speaks the Invoke API for one function.
func serveLambda(t *testing.T, p *probe) string {
	t.Helper()
	sdk := server.NewRestate().WithLogger(slog.DiscardHandler, true)
	for _, s := range services(p) {
		sdk = sdk.Bind(s)
	}
	handler, err := sdk.LambdaHandler()
	ok(t, err)
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ok(t, err)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := "/2015-03-31/functions/" + functionARN + "/invocations"; r.URL.Path != want {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the server left
		}
		var event server.LambdaRequest
		answer := server.LambdaResponse{}
		if err = json.Unmarshal(body, &event); err == nil {
			answer, err = handler(r.Context(), event)
		}
		if err != nil {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = fmt.Fprintf(w, `{"errorMessage":%q}`, err)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	})}
	go func() { _ = srv.Serve(ln) }() // until it is closed
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}
