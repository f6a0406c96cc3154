package ingress

import (
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/schema"
)

type fuzzBody struct{ b []byte }

func (f fuzzBody) Bytes() ([]byte, error) { return f.b, nil }
func (f fuzzBody) Release()               {}

// FuzzRequest: whatever path, headers and body a request has, it is answered with a legal status, and what is
// proposed for it is a record that can be read.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{"/S/h", "/O/k/h/send?delay=1s", "/restate/call/O/k/h", "/W/k/run", "/restate/lookup", "/restate/invocation/inv_1/attach", "/restate/awakeables/sign_1/resolve"} {
		for _, headers := range []string{
			"", "content-type: application/json", "idempotency-key: a\ncontent-type: text/plain", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=b",
			"x-restate-limit-key: a/b", "origin: x\naccess-control-request-method: POST", "idempotency-key: \xff\x00",
		} {
			f.Add("POST", target, headers, []byte(`{"service":"S","handler":"h"}`))
		}
	}
	reg := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{Id: make([]byte, 16), Services: []*storedv1.Service{
		{Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Handlers: []*storedv1.Handler{{Name: "h"}}},
		{Name: "O", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Handlers: []*storedv1.Handler{{Name: "h", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}}},
		{Name: "W", Type: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, Handlers: []*storedv1.Handler{{Name: "run", Type: storedv1.HandlerType_HANDLER_TYPE_WORKFLOW}}},
	}}}}, schema.Default())
	g, err := New(Default(), Parts{Partitions: nobody{}, Schema: func() *schema.Registry { return reg }, PartitionCount: func() uint32 { return 24 }}, hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		r := &Request{Method: method, Target: target, Body: fuzzBody{body}, ContentLength: int64(len(body))}
		for _, line := range strings.Split(headers, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			name = strings.ToLower(name)
			if _, twice := r.header(name); name != "" && !twice {
				r.Headers = append(r.Headers, Header{Key: name, Value: value})
			}
		}
		if resp := g.Serve(t.Context(), r); resp.Status < 200 || resp.Status > 599 {
			t.Fatalf("status %d", resp.Status)
		}
	})
}
