package ingress_test

import (
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/ingress"
)

// ingress.request-size-limit and ingress.concurrent-api-requests-limit hold for requests that come after they were changed.
func TestLimitsAreLive(t *testing.T) {
	c := newCluster()
	core, _ := newCore(t, c, hosttest.NewClock(), ingress.Default())
	var first ingress.Response
	done := inBackground(t, func() { first = ask(core, "POST", "/Greeter/block", "1", withJSON()...) })
	<-c.waiting
	status := func(content string) int { return ask(core, "POST", "/nowhere", content).Status }
	for _, row := range []struct {
		bytes, requests int64
		content         string
		status          int
	}{{10, 0, "12345678901", 413}, {11, 0, "12345678901", 400}, {100, 1, "1", 429}, {100, 2, "1", 400}, {100, 0, "1", 400}} {
		core.SetLimits(row.bytes, row.requests)
		if got := status(row.content); got != row.status {
			t.Errorf("with at most %d bytes and %d requests: %d, want %d", row.bytes, row.requests, got, row.status)
		}
	}
	c.finish(c.last().ID, "2")
	<-done
	if first.Status != 200 {
		t.Errorf("the request in flight: %d", first.Status)
	}
}
