package command_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/services/reprise/command"
)

// hurriedClock fires each timer at once, and after some calls end.
type hurriedClock struct {
	*hosttest.Clock
	waits []time.Duration
	last  int
	end   func()
}

func (c *hurriedClock) NewTimer(d time.Duration) host.Timer {
	t := c.Clock.NewTimer(d)
	c.waits = append(c.waits, d)
	if len(c.waits) == c.last {
		c.end()
		return t
	}
	c.Advance(d)
	return t
}

func TestWatch(t *testing.T) {
	for _, row := range []struct {
		name, args string
		terminal   bool
		pages      int
		wait       time.Duration
	}{
		{"pipe", "dp ls -w", false, 3, time.Second},
		{"terminal", "dp ls -w -n 0.5", true, 3, 500 * time.Millisecond},
		{"long flags", "deployments list --watch --interval=2", false, 3, 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.answers["GET /services"] = answer{200, `{"services":[]}`}
			w.answers["GET /deployments"] = answer{200, `{"deployments":[{"id":"dp_1","uri":"http://h/"}]}`}
			ctx, cancel := context.WithCancel(t.Context())
			clock := &hurriedClock{Clock: w.clock, last: row.pages, end: cancel}
			var out, errOut strings.Builder
			code := command.Run(ctx, strings.Fields(row.args), command.Env{
				In: strings.NewReader(""), Out: &out, Err: &errOut, Terminal: row.terminal, Clock: clock,
				Lookup: func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
			})
			if code != 0 || errOut.Len() > 0 {
				t.Errorf("exit %d, %s", code, errOut.String())
			}
			if n := strings.Count(out.String(), "dp_1"); n != row.pages {
				t.Errorf("%d pages, want %d:\n%s", n, row.pages, out.String())
			}
			if n := strings.Count(out.String(), "\x1b[2J"); row.terminal != (n == row.pages) {
				t.Errorf("the screen was cleared %d times", n)
			}
			for _, d := range clock.waits {
				if d != row.wait {
					t.Errorf("waited %s, want %s", d, row.wait)
				}
			}
		})
	}
}

// terminalInput is a user who presses Ctrl-C, which the terminal does not tell the reader.
type terminalInput struct {
	interrupt func()
	forever   chan struct{}
}

func (i *terminalInput) Read([]byte) (int, error) {
	i.interrupt()
	<-i.forever
	return 0, io.EOF
}

func TestInterruptedQuestion(t *testing.T) {
	w := newWorld(t)
	w.answers["GET /subscriptions/sub_1"] = answer{200, `{"id":"sub_1"}`}
	ctx, cancel := context.WithCancel(t.Context())
	in := &terminalInput{cancel, make(chan struct{})}
	defer close(in.forever)
	var out, errOut strings.Builder
	code := command.Run(ctx, []string{"sub", "rm", "sub_1"}, command.Env{
		In: in, Out: &out, Err: &errOut, Clock: w.clock,
		Lookup: func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
	})
	if code != 1 || errOut.String() != "Error: user aborted\n" {
		t.Errorf("exit %d, %s%s", code, out.String(), errOut.String())
	}
	if len(w.seen) != 2 {
		t.Errorf("requests: %q", w.seen)
	}
}

func TestWatchInterval(t *testing.T) {
	w := newWorld(t)
	w.answers["GET /services"] = answer{200, `{"services":[]}`}
	for _, n := range []string{"0", "-1", "NaN", "1e9", "x"} {
		if got := w.run("dp ls -w -n=" + n); !strings.HasSuffix(got, "--- exit 2\n") {
			t.Errorf("%s: %s", n, got)
		}
	}
}
