package invoker

import (
	"encoding/hex"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
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
			}, false), func(l *loop, d *storedv1.Deployment) { l.cfg.Tracing, d.Http1 = row.tracing, row.http1 })
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
		})
	}
}
