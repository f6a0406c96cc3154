package invoker

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/command"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// An endpoint may answer before it has read anything of the request.
func TestHeadersBeforeTheJournalIsRead(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Headers()
		if err := p.Control.Flush(); err != nil {
			return
		}
		for range 2 { // Start and Input
			if _, err := p.Next(); err != nil {
				return
			}
		}
		output(p, "ok")
	}, true))
	l.wantValue(l.invoke(service("h"), ""), "ok")
	l.wantNothingHeld()
}

// An endpoint that refuses while the journal is still being sent gets no more of it.
func TestErrorStatusStopsTheReplay(t *testing.T) {
	const steps, size = 80, 100 << 10 // more than every window
	var attempts atomic.Int32
	rest := make(chan int, 1)
	l := newLoop(t, endpoint(t, func(p *peer) {
		read := func() int {
			n := 0
			for {
				if _, err := p.Next(); err != nil {
					return n
				}
				n++
			}
		}
		switch attempts.Add(1) {
		case 1:
			p.Headers()
			for n := range uint32(steps) {
				p.Send(partitiontest.Run(n+1), proposal(n+1, strings.Repeat("v", size)))
			}
			p.Send(errorMessage(&servicev1.Error{Code: 500}))
		case 2:
			p.Writer.WriteHeader(http.StatusInternalServerError)
			if err := p.Control.Flush(); err != nil {
				return
			}
			rest <- read()
		default:
			p.Headers()
			for range 2 + 2*steps {
				if _, err := p.Next(); err != nil {
					return
				}
			}
			output(p, "ok")
		}
	}, true))
	l.lazy = true
	l.wantValue(l.invoke(service("h"), ""), "ok")
	if n := <-rest; n >= 2*steps {
		t.Errorf("%d messages came after the status", n)
	}
	l.wantNothingHeld()
}

// The policy counts all failures of an activation, however much was stored between them; the handler is told
// those since the last command.
func TestProgressDoesNotResetThePolicy(t *testing.T) {
	counts := make(chan uint32, 10)
	l := newLoop(t, endpoint(t, func(p *peer) {
		counts <- p.Start.GetRetryCountSinceLastStoredEntry()
		p.Send(partitiontest.Run(uint32(p.Attempt)), errorMessage(&servicev1.Error{Code: 500, Message: "no"}))
	}, false))
	l.wantFailure(l.invoke(service("h"), ""), "RT0007")
	l.wantNothingHeld()
	close(counts)
	var got []uint32
	for c := range counts {
		got = append(got, c)
	}
	if fmt.Sprint(got) != "[0 1 1]" { // three attempts are allowed
		t.Errorf("attempts were told %v", got)
	}
}

// What a handler says that it waits for is taken, twice in a row too, and is no part of the journal.
func TestAwaitingOn(t *testing.T) {
	awaiting := partitiontest.Frame(serviceproto.TypeAwaitingOn, &servicev1.AwaitingOn{
		AwaitingOn: &servicev1.Future{
			WaitingSignals: []uint32{1}, CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED,
			NestedFutures: []*servicev1.Future{{WaitingCompletions: []uint32{1}, CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_ALL_COMPLETED}},
		}, ExecutingSideEffects: true,
	})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt == 2 {
			output(p, p.Types())
			return
		}
		p.Send(partitiontest.Run(1), awaiting, awaiting, flagged(proposal(1, "x")))
		if f, err := p.Next(); err != nil || f.Type != serviceproto.TypeProposeRunCompletionAck {
			return
		}
		p.Send(awaiting, errorMessage(&servicev1.Error{Code: 500, Message: "again"}))
	}, false), versions(7, 7, true))
	l.wantValue(l.invoke(service("h"), ""), "Input Run RunCompletion")
	l.wantNothingHeld()
}

// What a handler says last that it waits for is shown until it sends something else: while notifications come,
// and while it is tried again.
func TestAwaitingIsShown(t *testing.T) {
	awaiting := func(completion uint32, pad int) []byte {
		f := &servicev1.Future{WaitingCompletions: []uint32{completion}, WaitingNamedSignals: []string{strings.Repeat("s", pad)}}
		return partitiontest.Frame(serviceproto.TypeAwaitingOn, &servicev1.AwaitingOn{AwaitingOn: f})
	}
	steps := []struct {
		frames [][]byte
		ack    bool // an answer comes
		failed bool
		want   uint32
	}{
		{frames: [][]byte{partitiontest.Run(1), awaiting(1, 0)}, want: 1},
		{frames: [][]byte{awaiting(2, 0)}, want: 2},
		{frames: [][]byte{partitiontest.Run(2)}},
		{frames: [][]byte{awaiting(3, 0)}, want: 3},
		{frames: [][]byte{proposal(2, "x")}},
		{frames: [][]byte{awaiting(4, 0)}, want: 4},
		{frames: [][]byte{awaiting(5, awaitingBytesMax)}}, // too long
		{frames: [][]byte{flagged(proposal(1, "x")), awaiting(6, 0)}, ack: true, want: 6},
		{frames: [][]byte{errorMessage(&servicev1.Error{Code: 500, Message: "again"})}, failed: true, want: 6},
		{want: 6}, // the second attempt
		{frames: [][]byte{awaiting(7, 0)}, want: 7},
		{frames: [][]byte{partitiontest.Output("ok"), partitiontest.End()}},
	}
	sent, next := make(chan struct{}), make(chan struct{})
	at := 0 // handed over with next
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Headers()
		for ; at < len(steps); at++ {
			step := steps[at]
			p.Send(step.frames...)
			for step.ack { // after the other run's result
				f, err := p.Next()
				step.ack = err == nil && f.Type != serviceproto.TypeProposeRunCompletionAck
			}
			select {
			case sent <- struct{}{}:
			case <-p.Request.Context().Done():
				return
			}
			select {
			case <-next:
			case <-p.Request.Context().Done():
				return
			}
			if step.failed {
				at++
				return
			}
		}
	}, false), versions(7, 7, true))
	i := l.invoke(service("h"), "")
	for n, step := range steps {
		l.spin(fmt.Sprintf("step %d", n), func() bool {
			if l.resting() { // until the next attempt
				l.advance(100 * time.Millisecond)
			}
			select {
			case <-sent:
				return true
			default:
				return false
			}
		})
		l.spin(fmt.Sprintf("step %d is shown", n), func() bool {
			live := l.v.Live(0, nil)
			if n == len(steps)-1 {
				return len(live) == 0
			}
			if step.failed && live[0].InFlight {
				return false
			}
			awaited := live[0].Awaiting.GetWaitingCompletions()
			return step.want == 0 && len(awaited) == 0 || len(awaited) == 1 && awaited[0] == step.want
		})
		next <- struct{}{}
	}
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// A journal that does not match the code is told with what the SDK says of it, where and which command.
func TestJournalMismatch(t *testing.T) {
	index, name, typ := uint32(1), "charge", uint32(serviceproto.TypeRun)
	l := newLoop(t, endpoint(t, sends(partitiontest.Run(1), errorMessage(&servicev1.Error{
		Code: serviceproto.CodeJournalMismatch, Message: "found a mismatch", Stacktrace: "at charge", RelatedCommandIndex: &index, RelatedCommandName: &name, RelatedCommandType: &typ,
	})), false))
	f := l.wantFailure(l.invoke(service("h"), ""), "RT0016")
	if f.GetCode() != 570 || f.GetMessage() != "found a mismatch" || f.GetStacktrace() != "at charge" ||
		f.GetRelatedCommandIndex() != index || f.GetRelatedCommandName() != name || f.GetRelatedCommandType() != typ {
		t.Errorf("paused with %v", f)
	}
	l.wantNothingHeld()
}

// What is stored may be large: not many answers that hold some become one row of the journal.
func TestLookupsAreCut(t *testing.T) {
	const lookups = 3*stepLookupsMax + 1
	l := newLoop(t, endpoint(t, func(p *peer) {
		var all []byte
		all = append(all, partitiontest.SetState("k", "v")...)
		for n := range uint32(lookups) {
			all = append(all, partitiontest.GetLazyState("k", n+1)...)
		}
		p.Send(all)
		for n := range uint32(lookups) {
			f, err := p.Next()
			if want := fmt.Sprintf("GetLazyState %d %q", n+1, "v"); err != nil || showed(f.Raw) != want {
				return
			}
		}
		output(p, "ok")
	}, false))
	l.wantValue(l.invoke(object("h", "k"), ""), "ok")
	steps := 0
	for _, r := range l.applied {
		if r.Kind != command.Step {
			continue
		}
		steps++
		if r.Frames > stepLookupsMax+1 {
			t.Errorf("a record has %d frames", r.Frames)
		}
	}
	if steps < 4 {
		t.Errorf("%d records", steps)
	}
	l.wantNothingHeld()
}
