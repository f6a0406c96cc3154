package ingress_test

import (
	"context"
	"strings"
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/ingress"
)

func TestErrorsThatAreNotRetried(t *testing.T) {
	for code, status := range map[errs.Code]int{errs.Internal: 500, errs.Corrupt: 500, errs.Unsupported: 500, errs.Fenced: 500, errs.Invalid: 400} {
		c := newCluster()
		c.refuse = []error{errs.Newf(code, "why")}
		core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
		if r := ask(core, "POST", "/Greeter/Greet", "1", withJSON()...); r.Status != status || errorOf(t, r).Source != "ingress" || errorOf(t, r).Code != status || !strings.Contains(errorOf(t, r).Message, "why") || c.tries != 1 {
			t.Errorf("%s: %d %s after %d tries", code, r.Status, r.Body, c.tries)
		}
	}
}

// What cannot be answered before the ingress ends is told whether it may be sent again.
func TestUnavailable(t *testing.T) {
	const output = "/restate/output/inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y"
	for _, row := range []struct{ name, method, target, advice string }{
		{"call", "POST", "/Greeter/Greet", "If the request has an 'idempotency-key', it can be safely retried, otherwise submitting it again may result in executing the invocation twice."},
		{"send", "POST", "/Greeter/Greet/send", "If the request has an 'idempotency-key', it can be safely retried, otherwise submitting it again may result in executing the invocation twice."},
		{"read", "GET", output, "You may safely retry the request."},
		{"write", "POST", "/restate/a/sign_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ/resolve", "Submitting the request again may result in executing the operation twice."},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster()
			c.refuse = []error{errs.Newf(errs.NotLeader, "not here")}
			core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
			ctx, end := context.WithCancelCause(t.Context())
			end(ingress.ErrDraining)
			r := askIn(ctx, core, row.method, row.target, "1", withJSON()...)
			e := errorOf(t, r)
			if r.Status != 503 || e.Code != 503 || e.Source != "ingress" || e.Message != "internal routing error: the ingress is shutting down. "+row.advice {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
}
