package faults

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/fault"
)

// slow is the delay of a slow link, each way.
const slow = 50 * time.Millisecond

// befallHost picks a process and has something befall its host.
func (c *cluster) befallHost(pick fault.Pick, begin func(*host) (heal func() error, err error)) func(context.Context, *harness.Form, *rand.Rand) (string, fault.End, error) {
	return func(ctx context.Context, f *harness.Form, random *rand.Rand) (string, fault.End, error) {
		picked, err := pick(ctx, f, random)
		if err != nil {
			return "", nil, err
		}
		heal, err := begin(c.net.hosts[picked[0].Name])
		return picked[0].Name, func(context.Context) error { return heal() }, err
	}
}

// networkFaults are those that this system can make.
func (c *cluster) networkFaults(t *testing.T) []fault.Fault {
	t.Helper()
	cut := func(name string, pick fault.Pick, out, in bool) fault.Fault {
		return fault.Fault{Name: name, Least: fault.Long, Begin: c.befallHost(pick, func(h *host) (func() error, error) { return c.net.cut(h, out, in) })}
	}
	controller := fault.Named("metadata-1")
	faults := []fault.Fault{
		cut("a partition of the busiest worker", fault.Busiest, true, true),
		cut("the busiest worker is not heard", fault.Busiest, true, false),
		cut("the busiest worker hears nothing", fault.Busiest, false, true),
		cut("a partition of the first metadata daemon, which replaces leaders", controller, true, true),
		cut("the first metadata daemon is not heard", controller, true, false),
		cut("a partition of the metadata leader", fault.Quorum, true, true),
		cut("the metadata leader hears nothing", fault.Quorum, false, true),
		cut("a partition of a log-server", fault.Any("log-server"), true, true),
		cut("a log-server is not heard", fault.Any("log-server"), true, false),
		{Name: "a slow link to a log-server", Least: fault.Long, Begin: func(context.Context, *harness.Form, *rand.Rand) (string, fault.End, error) {
			c.link.delay.Store(int64(slow))
			return slowLink, func(context.Context) error { c.link.delay.Store(0); return nil }, nil
		}},
	}
	for _, hard := range []struct {
		what  string
		begin func(*host) (func() error, error)
	}{{"packet loss of", (*host).lose}, {"a low rate of", (*host).throttle}} {
		if heal, err := hard.begin(c.net.order[0]); err != nil {
			t.Logf("SKIP %s processes: this system can not make it: %v", hard.what, err)
			continue
		} else if err := heal(); err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			who  string
			pick fault.Pick
		}{{"the busiest worker", fault.Busiest}, {"a log-server", fault.Any("log-server")}, {"the metadata leader", fault.Quorum}} {
			faults = append(faults, fault.Fault{Name: hard.what + " " + at.who, Least: fault.Long, Begin: c.befallHost(at.pick, hard.begin)})
		}
	}
	return faults
}
