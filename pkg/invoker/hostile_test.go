package invoker

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

func raw(t serviceproto.Type, payload []byte) []byte {
	return serviceproto.AppendFrame(nil, t, payload)
}

func status(code int, headers ...string) func(p *peer) {
	return func(p *peer) {
		for i := 0; i < len(headers); i += 2 {
			p.Writer.Header().Set(headers[i], headers[i+1])
		}
		p.Writer.WriteHeader(code)
	}
}

func sends(frames ...[]byte) func(p *peer) { return func(p *peer) { p.Send(frames...) } }

func deepTree(depth int) []byte {
	f := &servicev1.Future{WaitingSignals: []uint32{1}}
	for range depth - 1 {
		f = &servicev1.Future{NestedFutures: []*servicev1.Future{f}}
	}
	return partitiontest.Frame(serviceproto.TypeSuspension, &servicev1.Suspension{AwaitingOn: f})
}

// What an endpoint answers, what that is called and what is said of it, and that it is tried three times, no more.
func TestBadAnswers(t *testing.T) {
	long := make([]byte, 40<<10)
	cases := []struct {
		name     string
		do       func(p *peer)
		doc      string
		attempts int32
		code     uint32
		text     string
	}{
		{"status 404", status(404), "RT0012", 3, 500, `unexpected status 404 from the endpoint`},
		{"status 401", status(401), "RT0012", 3, 500, `unexpected status 401 from the endpoint`},
		{"status 500", status(500), "RT0012", 3, 500, `unexpected status 500 from the endpoint`},
		{"status 302", status(302, "location", "/"), "RT0012", 3, 500, `unexpected status 302 from the endpoint`},
		{"status 502", status(502), "RT0010", 3, 500, `the endpoint is unavailable: status 502`},
		{"status 504", status(504), "RT0010", 3, 500, `the endpoint is unavailable: status 504`},
		{"status 503", status(503), "RT0023", 3, 500, `the endpoint limits its rate: status 503`},
		{"status 429", status(429), "RT0023", 3, 500, `the endpoint limits its rate: status 429`},
		{"status 415", status(415), "RT0015", 3, 415, `the SDK does not support the protocol version agreed on at discovery: status 415`},
		{"status 413", status(413), "RT0019", 3, 500, `the endpoint says that the request is too large: status 413`},
		{"no content type", status(200), "RT0012", 3, 500, `the endpoint answered with content-type "", not "application/vnd.restate.invocation.v6"`},
		{"content type with a parameter", status(200, "content-type", "application/vnd.restate.invocation.v6; charset=utf-8"), "RT0012", 3, 500, `the endpoint answered with content-type "application/vnd.restate.invocation.v6; charset=utf-8", not "application/vnd.restate.invocation.v6"`},
		{"content type of another version", status(200, "content-type", "application/vnd.restate.invocation.v5"), "RT0012", 3, 500, `the endpoint answered with content-type "application/vnd.restate.invocation.v5", not "application/vnd.restate.invocation.v6"`},
		{"nothing", sends(), "RT0007", 3, 500, `unknown: the endpoint ended its response without a final message`},
		{"half a message", sends([]byte{4, 1, 0}), "RT0007", 3, 500, `unknown: the endpoint ended its response without a final message`},
		{"commands without an end", sends(partitiontest.Run(1)), "RT0007", 3, 500, `unknown: the endpoint ended its response without a final message`},
		{"unknown control", sends(raw(0x0100, nil)), "RT0012", 3, 500, `unknown message type 0x0100 from the service`},
		{"unknown command", sends(raw(0x0420, nil)), "RT0012", 3, 500, `unknown message type 0x0420 from the service`},
		{"custom command", sends(raw(0xFC01, nil)), "RT0012", 3, 500, `unknown message type 0xfc01 from the service`},
		{"garbage", sends(bytes.Repeat([]byte{0xee}, 100)), "RT0003", 3, 500, `message Type(0xeeee) of 4008636142 bytes, the limit is 33816576`},
		{"oversize", sends([]byte{4, 1, 0, 0, 2, 0x04, 0, 0}), "RT0003", 3, 500, `message Output of 33816576 bytes, the limit is 33816576`},
		{"just below the limit, cut", sends([]byte{4, 1, 0, 0, 2, 0x03, 0xff, 0xff}), "RT0007", 3, 500, `unknown: the endpoint ended its response without a final message`},
		{"Start", sends(raw(serviceproto.TypeStart, nil)), "RT0012", 3, 500, `unexpected message Start from the service: only the engine sends it`},
		{"CommandAck", sends(raw(serviceproto.TypeCommandAck, nil)), "RT0012", 3, 500, `unexpected message CommandAck from the service: only the engine sends it`},
		{"notification", sends(partitiontest.RunDone(1, "x")), "RT0012", 3, 500, `unexpected message RunCompletion from the service: only the engine sends it`},
		{"Input", sends(partitiontest.Input("x")), "RT0012", 3, 500, `unexpected message Input from the service: only the engine sends it`},
		{"End first", sends(partitiontest.End()), "RT0012", 3, 500, `End without an Output`},
		{"End without Output", sends(partitiontest.Run(1), partitiontest.End()), "RT0012", 3, 500, `End without an Output`},
		{"Output without result", sends(raw(serviceproto.TypeOutput, nil), partitiontest.End()), "RT0012", 3, 500, `Output command without result`},
		{"proposal without result", sends(raw(serviceproto.TypeProposeRunCompletion, []byte{8, 1})), "RT0012", 3, 500, `ProposeRunCompletion: no result`},
		{"malformed protobuf", sends(raw(serviceproto.TypeRun, []byte{0xff})), "RT0012", 3, 500, `Run command: it is not well-formed protobuf`},
		{"bad UTF-8", sends(raw(serviceproto.TypeCall, []byte{0x0a, 1, 0xff})), "RT0012", 3, 500, `Call command: the text of field 1 is not UTF-8`},
		{"state in a service", sends(partitiontest.SetState("k", "v")), "RT0017", 3, 500, `SetState in a service, which has no state`},
		{"unknown service", sends(call("Nobody", "h", "")), "RT0018", 3, 500, `Call of Nobody/h: no such service is registered`},
		{"unknown handler", sends(call("S", "nothing", "")), "RT0018", 3, 500, `Call of S/nothing: the service has no such handler`},
		{"key for a service", sends(call("S", "h", "key")), "RT0017", 3, 500, `Call of S/h with a key, but it is a plain service`},
		{"empty suspension", sends(raw(serviceproto.TypeSuspension, nil)), "RT0012", 3, 500, `Suspension: it waits for nothing`},
		{"malformed Error", sends(raw(serviceproto.TypeError, []byte{0xff})), "RT0012", 3, 500, `Error message: it is not well-formed protobuf`},
		{"Error", sends(errorMessage(&servicev1.Error{Code: 409, Message: "no"})), "RT0007", 3, 409, `no`},
		{"Error without a code", sends(errorMessage(&servicev1.Error{Code: 70000, Message: "no"})), "RT0007", 3, 500, `no`},
		{"journal mismatch", sends(errorMessage(&servicev1.Error{Code: 570, Message: "no"})), "RT0016", 3, 570, `no`},
		{"protocol violation", sends(errorMessage(&servicev1.Error{Code: 571, Message: "no"})), "RT0012", 3, 571, `no`},
		{"Error, pause", sends(errorMessage(&servicev1.Error{Code: 500, Behavior: servicev1.ErrorBehavior(serviceproto.BehaviorPause)})), "RT0007", 1, 500, ``},
		{"body of an error status", func(p *peer) {
			p.Writer.WriteHeader(500)
			_, _ = p.Writer.Write(long)
		}, "RT0012", 3, 500, `unexpected status 500 from the endpoint`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var attempts atomic.Int32
			l := newLoop(t, endpoint(t, func(p *peer) {
				attempts.Add(1)
				tc.do(p)
			}, false))
			i := l.invoke(service("h"), "")
			f := l.wantFailure(i, tc.doc)
			if attempts.Load() != tc.attempts || f.GetCode() != tc.code || f.GetMessage() != tc.text {
				t.Fatalf("%d attempts, want %d; failure %v, want %d %q", attempts.Load(), tc.attempts, f, tc.code, tc.text)
			}
			l.wantNothingHeld()
		})
	}
}

func call(service, handler, key string) []byte {
	return partitiontest.Frame(serviceproto.TypeCall, &servicev1.CallCommand{
		ServiceName: service, HandlerName: handler, Key: key, InvocationIdNotificationIdx: 1, ResultCompletionId: 2,
	})
}

func TestTreesOfVersion7(t *testing.T) {
	cases := []struct {
		name     string
		frame    []byte
		doc      string
		attempts int32
	}{
		{"too deep", deepTree(1001), "RT0025", 1},
		{"layout of version 6", partitiontest.Suspension([]uint32{1}, []uint32{1}), "RT0012", 3},
		{"AwaitingOn nothing", raw(serviceproto.TypeAwaitingOn, nil), "RT0012", 3},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var attempts atomic.Int32
			l := newLoop(t, endpoint(t, func(p *peer) {
				attempts.Add(1)
				p.Send(tc.frame)
			}, false), versions(7, 7, true))
			i := l.invoke(service("h"), "")
			l.wantFailure(i, tc.doc)
			if attempts.Load() != tc.attempts {
				t.Fatalf("%d attempts, want %d", attempts.Load(), tc.attempts)
			}
			l.wantNothingHeld()
		})
	}
	l := newLoop(t, endpoint(t, sends(deepTree(1000)), false), versions(7, 7, true))
	l.wantStatus(l.invoke(service("h"), ""), suspended)
	l.wantNothingHeld()
}

func TestFramesAfterTheEndAreIgnored(t *testing.T) {
	more := [][]byte{partitiontest.Run(9), raw(0x0420, nil), errorMessage(&servicev1.Error{Code: 500})}
	for name, later := range map[string]bool{"together": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, endpoint(t, func(p *peer) {
				if later {
					output(p, "done")
					_, _ = p.Next() // the end of the request: the engine has read End
					p.Send(more...)
					return
				}
				p.Send(append([][]byte{partitiontest.Output("done"), partitiontest.End()}, more...)...)
			}, false))
			i := l.invoke(service("h"), "")
			l.wantValue(i, "done")
			l.wantNothingHeld()
			index, _ := l.state.Journal(must(l.state.Invocation(i)))
			if index.Entries != 2 {
				t.Fatalf("%d entries", index.Entries)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What was sent in good order before a fault counts.
func TestWhatCameBeforeAFaultIsStored(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		switch p.Attempt {
		case 1:
			p.Send(partitiontest.Run(1), proposal(1, "x"), raw(0x0420, nil), partitiontest.Run(2))
		default:
			output(p, p.Types())
		}
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, "Input Run RunCompletion")
	l.wantNothingHeld()
}

// An endpoint that goes on after it was told to stop is read for 5 s and then reset; the retry waits for that.
func TestEndlessBody(t *testing.T) {
	gone := make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt > 1 {
			output(p, "ok")
			return
		}
		p.Send(raw(0x0420, nil))
		junk := make([]byte, 1000)
		for p.Request.Context().Err() == nil {
			if _, err := p.Writer.Write(junk); err != nil {
				break
			}
			_ = p.Control.Flush()
		}
		close(gone)
	}, false))
	i := l.invoke(service("h"), "")
	l.until("failure", func() bool { return l.runState(i) == stateFailing })
	l.advance(4900 * time.Millisecond)
	if s := l.runState(i); s != stateFailing {
		t.Fatalf("state %d before 5 s", s)
	}
	l.advance(300 * time.Millisecond)
	l.settle("reset", gone)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// An endpoint that answered, but does not end its response, keeps its token for 5 s only.
func TestResponseThatDoesNotEnd(t *testing.T) {
	gone := make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		output(p, "ok")
		<-p.Request.Context().Done()
		close(gone)
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, "ok")
	if running, _ := l.v.Running(); running != 1 {
		t.Fatalf("%d tokens are held", running)
	}
	l.advance(5300 * time.Millisecond)
	l.settle("reset", gone)
	l.wantNothingHeld()
}

func TestSlowBytes(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Headers()
		var all []byte
		for _, f := range [][]byte{partitiontest.Run(1), proposal(1, "x"), partitiontest.Output("slow"), partitiontest.End()} {
			all = append(all, f...)
		}
		for i := range all {
			_, _ = p.Writer.Write(all[i : i+1])
			_ = p.Control.Flush()
		}
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, "slow")
	l.wantNothingHeld()
}

// Frames may be cut anywhere.
func TestEverySplit(t *testing.T) {
	var all []byte
	for _, f := range [][]byte{partitiontest.Run(1), proposal(1, "x"), partitiontest.Output("slow"), partitiontest.End()} {
		all = append(all, f...)
	}
	l := newLoop(t, endpoint(t, func(p *peer) {
		cut := p.Attempt % len(all)
		p.Headers()
		_, _ = p.Writer.Write(all[:cut])
		_ = p.Control.Flush()
		_, _ = p.Writer.Write(all[cut:])
	}, false))
	for range len(all) {
		l.wantValue(l.invoke(service("h"), ""), "slow")
	}
	l.wantNothingHeld()
}

func TestLargeMessages(t *testing.T) {
	value := string(bytes.Repeat([]byte("v"), 5<<20))
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Send(partitiontest.Run(1), proposal(1, value))
		if f, err := p.Next(); err == nil && f.Type == serviceproto.TypeRunCompletion {
			output(p, p.Input())
		}
	}, false))
	i := l.invoke(service("h"), value)
	l.wantValue(i, value)
	l.wantNothingHeld()
}

func TestUnreachable(t *testing.T) {
	l := newLoop(t, "http://127.0.0.1:1")
	l.wantFailure(l.invoke(service("h"), ""), "RT0010")
	l.wantNothingHeld()
}

func TestHTTP1EndpointBehindHTTP2(t *testing.T) {
	uri := endpoint(t, func(*peer) {}, true, func(p *http.Protocols) { p.SetUnencryptedHTTP2(false) })
	l := newLoop(t, uri)
	l.wantFailure(l.invoke(service("h"), ""), "RT0010")
	l.wantNothingHeld()
}

func (l *loop) runState(i [24]byte) runState {
	if r := l.v.runs[i]; r != nil {
		return r.state
	}
	return 0
}

// A handler that fails for good ends the invocation.
func TestBehaviorFail(t *testing.T) {
	l := newLoop(t, endpoint(t, sends(errorMessage(&servicev1.Error{
		Code: 418, Message: "teapot", Behavior: servicev1.ErrorBehavior(serviceproto.BehaviorFail),
	})), false))
	i := l.invoke(service("h"), "")
	if f := l.result(i).GetFailure(); f.GetCode() != 418 || f.GetMessage() != "teapot" {
		t.Fatalf("result %v", f)
	}
	l.wantNothingHeld()
}

func TestKillOnExhaustion(t *testing.T) {
	kill := true
	l := newLoop(t, endpoint(t, status(404), false), func(_ *loop, d *storedv1.Deployment) {
		d.Services[0].Options.RetryPolicy.KillOnMaxAttempts = &kill
	})
	i := l.invoke(service("h"), "")
	if f := l.result(i).GetFailure(); f.GetCode() != 500 || f.GetMessage() != "unexpected status 404 from the endpoint" {
		t.Fatalf("result %v", f)
	}
	l.wantNothingHeld()
}
