package invoker

import (
	"net/http"
	"strings"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
)

// wantFailed waits until the attempt of an invocation has failed and checks the code, and that the text says it.
func (l *loop) wantFailed(i id.Invocation, doc, text string) {
	l.t.Helper()
	l.until("failure", func() bool { r := l.v.runs[i]; return r != nil && r.failure != nil })
	if f := l.v.runs[i].failure; f.doc != doc || f.Code != 500 || !strings.Contains(f.Message, text) {
		l.t.Errorf("%s %d %q, want %s 500 %q", f.doc, f.Code, f.Message, doc, text)
	}
}

// Why attempts fail when it is not what an SDK answered: code and text. All of them are tried again.
func TestFailuresOfAttempts(t *testing.T) {
	hanging := func(p *peer) { <-p.Request.Context().Done() }
	good := func(p *peer) { output(p, "ok") }
	refused := make(chan struct{})
	once := func(first func(p *peer)) func(p *peer) {
		return func(p *peer) {
			if p.Attempt == 1 {
				first(p)
				return
			}
			output(p, "ok")
		}
	}
	for _, tc := range []struct {
		name      string
		do        func(p *peer)
		option    option
		before    func(l *loop, i id.Invocation) // when the first attempt is under way, or waits for the second
		doc, text string
		heal      func(l *loop, i id.Invocation)
	}{
		{
			"abort timeout", once(hanging), timeouts(time.Second, 2*time.Second),
			func(l *loop, _ id.Invocation) { l.advance(4 * time.Second) },
			"RT0001", "the handler did not answer within the abort timeout of 2s",
			func(l *loop, _ id.Invocation) { l.advance(drainMax + time.Second) },
		},
		{
			"records that are not taken", func(p *peer) { <-refused; output(p, "ok") }, nil,
			func(l *loop, _ id.Invocation) { l.refusing(true); close(refused) },
			"RT0006", "the partition takes no records",
			func(l *loop, _ id.Invocation) { l.refusing(false) },
		},
		{"stream that was reset", once(func(p *peer) { p.Headers(); panic(http.ErrAbortHandler) }), nil, nil, "RT0010", "INTERNAL_ERROR", nil},
		{"connection refused", good, at("http://127.0.0.1:1"), nil, "RT0010", "connect: connection refused", nil},
		{"HTTP/1.1 only", good, func(_ *loop, d *storedv1.Deployment) { d.Uri = http1Only(t) }, nil, "RT0010", "HTTP/1", nil},
		{"no function here", good, at("arn:aws:lambda:eu-central-1:1:function:f:1"), nil, "RT0010", `deployments at "arn:aws:lambda:eu-central-1:1:function:f:1" are not supported`, nil},
		{
			"deployment that was removed", once(pinnedFailure), nil,
			func(l *loop, _ id.Invocation) { l.register(deployment(2, "http://127.0.0.1:1")) },
			"RT0011", "the deployment dp_101SZwviYzes2mjOamuMJWw, which S/h began on, was removed",
			nil,
		},
		{
			"no deployment", good, func(_ *loop, d *storedv1.Deployment) { d.Services = d.Services[1:] }, nil,
			"RT0011", "no deployment for S/h: unknown service", nil,
		},
		{
			"no common version", good, versions(7, 7, false), nil,
			"RT0013", "the deployment speaks protocol versions 7 to 7, this server up to 6", nil,
		},
		{
			"version that it cannot be resumed with", once(pinnedFailure), nil,
			func(l *loop, i id.Invocation) { l.v.runs[i].version = 4 },
			"RT0014", "the invocation began with protocol version 4, which this server does not speak",
			func(l *loop, i id.Invocation) { l.v.runs[i].version = 6 },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var options []option
			uri := endpoint(t, tc.do, false)
			if tc.option != nil {
				options = append(options, tc.option)
			}
			l := newLoop(t, uri, options...)
			i := l.invoke(service("h"), "")
			l.until("begun", func() bool { return l.v.runs[i] != nil })
			if tc.doc == "RT0014" || strings.Contains(tc.text, "was removed") {
				l.until("first failure", func() bool { return l.runState(i) == stateBackoff })
				l.v.runs[i].failure = nil
			}
			if tc.before != nil {
				tc.before(l, i)
			}
			l.wantFailed(i, tc.doc, tc.text)
			if tc.heal != nil {
				tc.heal(l, i)
			} else {
				l.register(deployment(1, endpoint(t, good, false)))
			}
			l.wantValue(i, "ok")
			l.wantNothingHeld()
		})
	}
}

// pinnedFailure fails when a command was stored, and asks for a second of patience.
func pinnedFailure(p *peer) {
	delay := uint64(1000)
	p.Send(partitiontest.Run(1), errorMessage(&servicev1.Error{Code: 500, Message: "no", NextRetryDelay: &delay}))
}

func at(uri string) option { return func(_ *loop, d *storedv1.Deployment) { d.Uri = uri } }

func http1Only(t *testing.T) string {
	return endpoint(t, func(*peer) {}, true, func(p *http.Protocols) { p.SetUnencryptedHTTP2(false) })
}

func (l *loop) refusing(refuse bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}
