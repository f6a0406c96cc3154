package span_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/span"
	"reprise/pkg/span/spantest"
)

func TestParse(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c, ok := span.Parse(good, "a=b")
	if !ok || c.String() != good || !c.Sampled || c.State != "a=b" {
		t.Fatalf("%v %s", c, c)
	}
	if c, ok = span.Parse(good[:53]+"02", ""); !ok || c.Sampled || c.String() != good[:53]+"00" {
		t.Errorf("%v %s", c, c)
	}
	for _, bad := range []string{
		"", good[:54], good + "x", "01" + good[2:], strings.ToUpper(good), strings.Replace(good, "a", "g", 1), strings.Replace(good, "-", "_", 1), good[:53] + "0A",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
	} {
		if _, ok := span.Parse(bad, ""); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

// All who look at an invocation find the same place: below who began it, or in a trace of its own.
func TestOfInvocation(t *testing.T) {
	i := id.NewInvocation(1, [16]byte{0: 9, 15: 7})
	c, parent := span.OfInvocation(i, "", "", 1)
	if c.String() != "00-09000000000000000000000000000007-0000000000000007-01" || parent.Valid() {
		t.Errorf("%s below %s", c, parent)
	}
	if c, _ = span.OfInvocation(i, "", "", 0); c.Sampled {
		t.Error("sampled at 0")
	}
	const above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	if c, parent = span.OfInvocation(i, above, "s", 1); c.String() != "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-00" || parent.String() != above {
		t.Errorf("%s below %s", c, parent)
	}
	if c, _ = span.OfInvocation(id.Invocation{}, "", "", 1); c.Span == (span.ID{}) {
		t.Error("a span without an id")
	}
	n := 0
	for k := range 10_000 {
		x := uint64(k) * 0x9E3779B97F4A7C15
		c, _ := span.OfInvocation(id.NewInvocation(1, [16]byte{0: 1, 8: byte(x >> 56), 9: byte(x >> 48), 10: byte(x >> 40)}), "", "", 0.1)
		if c.Sampled {
			n++
		}
	}
	if n < 900 || n > 1100 {
		t.Errorf("%d of 10000 at a ratio of 0.1", n)
	}
}

func TestRecorder(t *testing.T) {
	services, runtime := &spantest.Sink{}, &spantest.Sink{}
	r := span.New(services, runtime, 1)
	target := span.Target{Service: "S", Handler: "h", Key: "k", ID: id.NewInvocation(1, [16]byte{0: 9, 15: 7})}
	const client = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	from, to := time.UnixMilli(1000), time.UnixMilli(2000)

	request, parent := r.Begin(client, "a=b", target.ID, 1)
	r.Request(request, parent, &target, false, from, to, span.Outcome{})
	row := request.String() // what the invocation's row holds
	r.Invocation(row, "a=b", &target, from, to, span.Outcome{Failure: "no", Code: 409})
	attempt, above := r.BeginAttempt(row, "a=b", target.ID, 2)
	r.Attempt(&span.Attempt{Context: attempt, Parent: above, Target: target, Number: 3, From: to, To: from, Outcome: span.Outcome{Failure: "x"}, Retried: true, RetryAfter: time.Second})
	random := func() uint64 { return 3 }
	ctx, whole := r.Operate(t.Context(), "whole", random, from)
	_, part := r.Operate(ctx, "part", func() uint64 { return 4 }, from)
	part.End(to, errors.New("broken"))
	whole.End(to, nil, span.Partition(7))

	got := services.Taken()
	if len(got) != 3 {
		t.Fatalf("%d spans", len(got))
	}
	for i, want := range []struct {
		name, above, at string
		kind            span.Kind
		attributes      int
	}{
		{"ingress_invoke S/k/h", "b7ad6b7169203331", "0100000000000000", span.Server, 5},
		{"invoke S/k/h", "0100000000000000", "0000000000000007", span.Internal, 5}, // with the code
		{"attempt S/k/h", "0000000000000007", "0200000000000000", span.Client, 7},
	} {
		s := got[i]
		if s.Name != want.name || s.Parent.String()[36:52] != want.above || s.At.String()[36:52] != want.at || s.Kind != want.kind || len(s.Attributes) != want.attributes ||
			s.At.Trace != s.Parent.Trace || s.At.String()[:35] != client[:35] || s.Parent.State != "a=b" {
			t.Errorf("%s %v below %v, want %v", s.Name, s.At, s.Parent, want)
		}
	}
	if got[1].Outcome.Failure != "no" || !got[1].From.Equal(from) || !got[1].To.Equal(to) {
		t.Errorf("%+v", got[1])
	}
	if got[2].To.Before(got[2].From) || got[2].Event != "retry" {
		t.Errorf("%+v", got[2])
	}
	got = runtime.Taken()
	if len(got) != 2 || got[0].Name != "part" || got[0].Parent != got[1].At || got[0].Outcome.Failure != "broken" ||
		got[1].Name != "whole" || got[1].Parent.Valid() || got[1].Attributes[0].Value.AsInt64() != 7 {
		t.Errorf("%+v", got)
	}
	never := span.New(nil, runtime, 0)
	ctx, whole = never.Operate(t.Context(), "whole", random, from)
	_, part = r.Operate(ctx, "part", random, from) // the whole decides
	part.End(to, nil)
	whole.End(to, nil)
	if got := runtime.Taken(); len(got) != 2 {
		t.Errorf("not sampled: %v", got)
	}
	var off *span.Recorder
	ctx, whole = off.Operate(t.Context(), "x", nil, from)
	whole.End(to, nil)
	if ctx != t.Context() {
		t.Error("who records nothing changes the context")
	}
	if off.Services() || span.New(nil, nil, 1).Services() {
		t.Error("who has no tracer records")
	}
}

// What an attempt costs, without sending its span: in a trace that is sampled, and in one that is not, which allocates the traceparent that
// its service is told and nothing else.
func BenchmarkAttempt(b *testing.B) {
	r := span.New(nowhere{}, nil, 1)
	i := id.NewInvocation(1, [16]byte{0: 9, 15: 7})
	for _, row := range []struct{ name, traceparent string }{
		{"sampled", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"not", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, parent := r.BeginAttempt(row.traceparent, "", i, 2)
				_ = c.String()
				r.Attempt(&span.Attempt{Context: c, Parent: parent, Target: span.Target{Service: "S", Handler: "h", ID: i}})
			}
		})
	}
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Take(span.Span) {}
