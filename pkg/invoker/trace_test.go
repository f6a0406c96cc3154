package invoker

import (
	"encoding/hex"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/span"
	"reprise/pkg/span/spantest"
)

const parentOfTest = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

// Attempts tell the trace that the request began, or one of their own, with a new span each; and nothing
// where tracing is off.
func TestTraceHeaders(t *testing.T) {
	for _, row := range []struct {
		name    string
		tracing bool
		http1   bool
		parent  string
		state   string
	}{
		{"off", false, false, parentOfTest, "a=b"},
		{"of the request", true, false, parentOfTest, "a=b"},
		{"of the request, HTTP/1.1", true, true, parentOfTest, "a=b"},
		{"own", true, false, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var told []string
			done := &spantest.Sink{}
			l := newLoop(t, endpoint(t, func(p *peer) {
				h := p.Request.Header
				told = append(told, h.Get("traceparent"))
				if h.Get("tracestate") != map[bool]string{true: row.state}[row.tracing] {
					t.Errorf("tracestate %q", h.Get("tracestate"))
				}
				if p.Attempt == 1 {
					p.Writer.WriteHeader(500)
					return
				}
				output(p, "ok")
			}, false), func(l *loop, d *storedv1.Deployment) {
				d.Http1 = row.http1
				if row.tracing {
					l.spans = span.New(done, nil, 1)
				}
			})
			i := id.NewInvocation(1, [16]byte{15: 7, 0: 9})
			l.propose(command.Header{Kind: command.Invoke, ID: i}, &storedv1.InvokeFacts{
				Target: service("h"), JournalRetentionMs: 1000, CompletionRetentionMs: 1000, TraceParent: row.parent, TraceState: row.state,
			}, partitiontest.Input(""))
			l.wantValue(i, "ok")
			l.wantNothingHeld()
			if !row.tracing {
				if told[0] != "" || told[1] != "" {
					t.Errorf("told %q", told)
				}
				return
			}
			trace, flags := hex.EncodeToString(i[8:]), "01"
			if row.parent != "" {
				trace, flags = row.parent[3:35], "00"
			}
			spans := map[string]bool{parentOfTest[36:52]: true, "0000000000000000": true}
			for _, text := range told {
				parts := strings.Split(text, "-")
				if len(parts) != 4 || parts[0] != "00" || parts[1] != trace || len(parts[2]) != 16 || parts[3] != flags {
					t.Fatalf("traceparent %q", text)
				}
				if spans[parts[2]] {
					t.Errorf("the span of %q is not new", text)
				}
				spans[parts[2]] = true
			}
			checkAttempts(t, done.Taken(), told, row.parent != "")
		})
	}
}

// checkAttempts looks at the spans of an attempt that failed and one that did not: they are those that the endpoint was told of, below the
// span of the invocation. parentOfTest is not sampled.
func checkAttempts(t *testing.T, got []span.Span, told []string, unsampled bool) {
	t.Helper()
	if unsampled {
		if len(got) != 0 {
			t.Errorf("%d spans of a trace that is not sampled", len(got))
		}
		return
	}
	if len(got) != 2 {
		t.Fatalf("%d spans", len(got))
	}
	for i, s := range got {
		if want := strings.Split(told[i], "-")[2]; s.At.String()[36:52] != want || s.At.Trace != s.Parent.Trace ||
			s.Parent.String()[36:52] != "0000000000000007" || s.Name != "attempt S/h" {
			t.Errorf("span %d: %s %v, parent %v, told %s", i, s.Name, s.At, s.Parent, want)
		}
	}
	if got[0].Outcome.Failure == "" || got[0].Event != "retry" || got[1].Outcome.Failure != "" || got[1].Event != "" {
		t.Errorf("%+v", got)
	}
}
