package invoker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// signal is what completes an awakeable.
func (l *loop) signal(i id.Invocation, index uint32, value string) {
	l.propose(command.Header{Kind: command.Signal, ID: i}, nil, serviceproto.AppendSignalValue(nil, index, []byte(value)))
}

// The counts and durations that a handler is told, while the retries are its own and use up no attempt.
func TestRunRetries(t *testing.T) {
	const tries = 8 // more than the policy allows
	type told struct{ count, duration uint64 }
	got := make(chan told, 2*tries)
	delay := uint64(50)
	l := newLoop(t, endpoint(t, func(p *peer) {
		got <- told{uint64(p.Start.GetRetryCountSinceLastStoredEntry()), p.Start.GetDurationSinceLastStoredEntry()}
		index, name, typ := uint32(1), "run", uint32(serviceproto.TypeRun)
		fail := errorMessage(&servicev1.Error{
			Code: 500, Message: "again", NextRetryDelay: &delay,
			RelatedCommandIndex: &index, RelatedCommandName: &name, RelatedCommandType: &typ,
		})
		switch {
		case p.Attempt == 1:
			p.Send(partitiontest.Run(1), fail)
		case p.Attempt < tries:
			p.Send(fail)
		case p.Attempt == tries:
			p.Send(proposal(1, "x"), partitiontest.Run(2), fail)
		default:
			output(p, p.Types())
		}
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, "Input Run RunCompletion Run")
	l.wantNothingHeld()
	for n := range uint64(tries) {
		want := told{count: n}
		if g := <-got; g.count != want.count || n > 0 && g.duration < 50*n {
			t.Errorf("attempt %d was told %+v", n+1, g)
		}
	}
	if g := <-got; g.count != 1 { // a command was stored meanwhile
		t.Errorf("after progress the count is %d, want 1", g.count)
	}
}

func TestRetryAfter(t *testing.T) {
	cases := []struct {
		name, value string
		refusals    int32
	}{
		{"seconds", "2", 5}, // more than the policy allows
		{"date", "Thu, 01 Jan 2026 00:00:02 GMT", 1},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l := newLoop(t, endpoint(t, func(p *peer) {
				if p.Attempt <= int(tc.refusals) {
					p.Writer.Header().Set("retry-after", tc.value)
					p.Writer.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				output(p, "ok")
			}, false))
			before := host.Millis(l.clock)
			l.wantValue(l.invoke(service("h"), ""), "ok")
			want := 2000 * int64(tc.refusals)
			if took := host.Millis(l.clock) - before; took < want || took > want+300*int64(tc.refusals) {
				t.Fatalf("it took %d ms, want %d", took, want)
			}
			l.wantNothingHeld()
		})
	}
}

func TestSuspendAndResume(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		if len(p.Replay) == 1 {
			p.Send(partitiontest.Suspension(nil, []uint32{1, 17}))
			return
		}
		output(p, p.Types())
	}, false))
	i := l.invoke(service("h"), "")
	l.wantStatus(i, suspended)
	l.wantNothingHeld()
	l.signal(i, 17, "x")
	l.wantValue(i, "Input SignalNotification")
	l.wantNothingHeld()
}

// A suspension whose condition was met while it was under way starts another attempt at once.
func TestSuspensionThatIsMet(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt == 1 {
			p.Send(partitiontest.Run(1), proposal(1, "x"), partitiontest.Suspension([]uint32{1}, []uint32{1}))
			return
		}
		output(p, p.Types())
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, "Input Run RunCompletion")
	l.wantNothingHeld()
	if r := l.applied[len(l.applied)-1]; r.Attempt < 2 || r.Activation == l.applied[1].LSN {
		t.Fatalf("attempt %d of activation %d", r.Attempt, r.Activation)
	}
}

// A handler that has not answered anything, not even headers, gets notifications.
func TestLiveNotificationBeforeHeaders(t *testing.T) {
	begun := make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		close(begun)
		f, err := p.Next()
		if err != nil {
			return
		}
		output(p, f.Type.String())
	}, false))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.signal(i, 17, "x")
	l.wantValue(i, "SignalNotification")
	l.wantNothingHeld()
}

func timeouts(inactivity, abort time.Duration) option {
	return func(_ *loop, d *storedv1.Deployment) {
		i, a := inactivity.Milliseconds(), abort.Milliseconds()
		d.Services[0].Options.InactivityTimeoutMs, d.Services[0].Options.AbortTimeoutMs = &i, &a
	}
}

func TestInactivity(t *testing.T) {
	begun, closed := make(chan struct{}), make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt > 1 {
			output(p, p.Types())
			return
		}
		close(begun)
		if _, err := p.Next(); errors.Is(err, io.EOF) {
			close(closed)
			// It may go on for a while.
			p.Send(partitiontest.Run(1), proposal(1, "x"))
			p.Send(partitiontest.Suspension(nil, []uint32{1, 17}))
		}
	}, false), timeouts(3*time.Second, 4*time.Second))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.advance(2900 * time.Millisecond)
	select {
	case <-closed:
		t.Fatal("the request ended before 3 s")
	default:
	}
	l.advance(400 * time.Millisecond)
	l.settle("half close", closed)
	l.wantStatus(i, suspended)
	l.signal(i, 17, "x")
	l.wantValue(i, "Input Run RunCompletion SignalNotification")
	l.wantNothingHeld()
}

func TestFramesKeepAnAttemptActive(t *testing.T) {
	begun, ask := make(chan struct{}), make(chan string)
	l := newLoop(t, endpoint(t, func(p *peer) {
		close(begun)
		for {
			switch <-ask {
			case "frame":
				p.Send(partitiontest.Run(1))
			case "end":
				output(p, "ok")
				return
			}
		}
	}, false), timeouts(3*time.Second, time.Second))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	for n := range 4 {
		l.advance(2 * time.Second)
		ask <- "frame"
		l.until("frame", func() bool { return must(l.state.Journal(must(l.state.Invocation(i)))).Entries == uint32(n)+2 })
	}
	ask <- "end"
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// A handler's own timeouts win over those of its service.
func TestTimeoutsOfTheHandler(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt > 1 {
			output(p, "ok")
			return
		}
		close(begun)
		<-p.Request.Context().Done()
		close(gone)
	}, false), timeouts(time.Hour, time.Hour), func(_ *loop, d *storedv1.Deployment) {
		inactivity, abort := int64(1000), int64(2000)
		d.Services[0].Handlers[0].Options = &storedv1.Options{InactivityTimeoutMs: &inactivity, AbortTimeoutMs: &abort}
	})
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.advance(2900 * time.Millisecond)
	if s := l.runState(i); s != stateRunning {
		t.Fatalf("state %d before 3 s", s)
	}
	l.advance(500 * time.Millisecond)
	if s := l.runState(i); s != stateFailing {
		t.Fatalf("state %d after 3 s", s)
	}
	l.advance(5200 * time.Millisecond)
	l.settle("reset", gone)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// Half-closed at 3 s, failed at 7 s, reset at 12 s: as the contract has it.
func TestAbort(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	l := newLoop(t, endpoint(t, func(p *peer) {
		if p.Attempt > 1 {
			output(p, "ok")
			return
		}
		close(begun)
		<-p.Request.Context().Done()
		close(gone)
	}, false), timeouts(3*time.Second, 4*time.Second))
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.advance(6900 * time.Millisecond)
	if s := l.runState(i); s != stateRunning {
		t.Fatalf("state %d before 7 s", s)
	}
	l.advance(500 * time.Millisecond)
	if s := l.runState(i); s != stateFailing || l.v.runs[i].failure.doc != "RT0001" {
		t.Fatalf("state %d after 7 s", s)
	}
	l.advance(5200 * time.Millisecond)
	l.settle("reset", gone)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

// In request/response mode all is sent at once and nothing after.
func TestRequestResponse(t *testing.T) {
	zero := int64(0)
	cases := []struct {
		name   string
		option option
	}{
		{"HTTP/2", func(_ *loop, d *storedv1.Deployment) { d.Bidi = false }},
		{"HTTP/1.1", func(_ *loop, d *storedv1.Deployment) { d.Bidi, d.Http1 = false, true }},
		{"no inactivity timeout", func(_ *loop, d *storedv1.Deployment) { d.Services[0].Options.InactivityTimeoutMs = &zero }},
	}
	for _, tc := range cases {
		for _, lazy := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, " lazy=", lazy), func(t *testing.T) {
				l := newLoop(t, endpoint(t, func(p *peer) {
					if _, err := p.Next(); !errors.Is(err, io.EOF) {
						p.Writer.WriteHeader(http.StatusTeapot)
						return
					}
					if len(p.Replay) == 1 {
						p.Send(partitiontest.Run(1), proposal(1, "x"), partitiontest.Suspension([]uint32{1}, []uint32{1}))
						return
					}
					output(p, p.Types()+" "+p.Request.Header.Get("x-restate-invocation-id")+" "+p.Request.Header.Get("x-restate-cluster-name"))
				}, false), tc.option)
				l.lazy = lazy
				i := l.invoke(service("h"), "")
				l.wantValue(i, "Input Run RunCompletion "+i.String()+" test")
				l.wantNothingHeld()
			})
		}
	}
}

func TestBidiOverHTTP1(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Send(partitiontest.Run(1), proposal(1, "x"))
		f, err := p.Next()
		if err != nil {
			return
		}
		output(p, f.Type.String()+" "+p.Request.Proto)
	}, false), func(_ *loop, d *storedv1.Deployment) { d.Http1 = true })
	l.wantValue(l.invoke(service("h"), ""), "RunCompletion HTTP/1.1")
	l.wantNothingHeld()
}

func TestHTTP1Failures(t *testing.T) {
	http1 := func(_ *loop, d *storedv1.Deployment) { d.Http1 = true }
	for doc, do := range map[string]func(p *peer){
		"RT0012": status(404),
		"RT0007": sends(partitiontest.Run(1)),
		"RT0010": func(p *peer) {
			p.Headers()
			_ = p.Control.Flush()
			c, _, err := p.Control.Hijack()
			if err == nil {
				_ = c.Close()
			}
		},
	} {
		l := newLoop(t, endpoint(t, do, false), http1)
		l.wantFailure(l.invoke(service("h"), ""), doc)
		l.wantNothingHeld()
	}
	l := newLoop(t, "http://127.0.0.1:1", http1)
	l.wantFailure(l.invoke(service("h"), ""), "RT0010")
	l.wantNothingHeld()
}

// Notifications keep coming while attempts begin and fail: each attempt sees a prefix of the journal as
// its replay, exactly as long as it was told, and the rest after it, each once and in order.
func TestKnownEntriesUnderConcurrentForwards(t *testing.T) {
	const signals, attempts = 200, 20
	for _, lazy := range []bool{false, true} {
		t.Run(fmt.Sprint("lazy=", lazy), func(t *testing.T) {
			next := make(chan struct{}, attempts+1)
			bad := make(chan string, attempts+1)
			delay := uint64(0)
			l := newLoop(t, endpoint(t, func(p *peer) {
				seen := uint32(16)
				note := func(f invokertest.Frame) bool {
					var n servicev1.Notification
					if f.Type != serviceproto.TypeSignalNotification || proto.Unmarshal(f.Payload, &n) != nil {
						bad <- f.Type.String()
						return false
					}
					if n.GetSignalId() != seen+1 {
						bad <- fmt.Sprintf("signal %d after %d", n.GetSignalId(), seen)
						return false
					}
					seen++
					return true
				}
				for _, f := range p.Replay[1:] {
					if !note(f) {
						return
					}
				}
				next <- struct{}{}
				for seen < 16+signals && (p.Attempt >= attempts || seen < 16+uint32(p.Attempt*signals/attempts)) {
					f, err := p.Next()
					if err != nil || !note(f) {
						return
					}
				}
				if seen == 16+signals {
					output(p, "all")
					return
				}
				p.Send(errorMessage(&servicev1.Error{Code: 500, Message: "again", NextRetryDelay: &delay}))
			}, false))
			l.lazy = lazy
			i := l.invoke(service("h"), "")
			for n := range uint32(signals) {
				l.signal(i, 17+n, strings.Repeat("x", int(n)))
				l.turn()
				if n%7 == 0 {
					l.advance(100 * time.Millisecond)
				}
			}
			l.until("result", func() bool { return l.results[i] != nil || len(bad) > 0 })
			if len(bad) > 0 {
				t.Fatal(<-bad)
			}
			l.wantNothingHeld()
		})
	}
}

// A handler that does not read what is sent to it gets a prefix of it and the end of its request; the
// rest comes with the next replay.
func TestHandlerThatDoesNotRead(t *testing.T) {
	const size, count = 300 << 10, 12 // more than what an endpoint and we hold
	for _, lazy := range []bool{false, true} {
		t.Run(fmt.Sprint("lazy=", lazy), func(t *testing.T) {
			begun, read := make(chan struct{}), make(chan struct{})
			l := newLoop(t, endpoint(t, func(p *peer) {
				if p.Attempt > 1 {
					output(p, fmt.Sprint(len(p.Replay)))
					return
				}
				close(begun)
				<-read
				n := uint32(0)
				for {
					f, err := p.Next()
					if errors.Is(err, io.EOF) {
						break // between two messages
					}
					if err != nil || f.Type != serviceproto.TypeSignalNotification {
						t.Error(f.Type, err)
						return
					}
					n++
				}
				if n == 0 || n == count {
					t.Errorf("%d of %d notifications came", n, count)
				}
				p.Send(partitiontest.Suspension(nil, []uint32{17 + count - 1}))
			}, false))
			l.lazy = lazy
			i := l.invoke(service("h"), "")
			l.settle("begun", begun)
			for n := range uint32(count) {
				l.signal(i, 17+n, strings.Repeat("x", size))
			}
			l.turn()
			close(read)
			l.wantValue(i, fmt.Sprint(1+count))
			l.wantNothingHeld()
		})
	}
}

// Replayed bytes are the bytes that were stored, however the journal is read; a journal larger than every
// buffer goes to a slow endpoint row by row.
func TestReplayIsVerbatim(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		t.Run(fmt.Sprint("lazy=", lazy), func(t *testing.T) {
			const steps, size = 40, 100 << 10
			var sent bytes.Buffer
			l := newLoop(t, endpoint(t, func(p *peer) {
				if p.Attempt == 1 {
					for n := range uint32(steps) {
						p.Send(partitiontest.Run(n+1), proposal(n+1, strings.Repeat("v", size)))
						f, err := p.Next()
						if err != nil {
							return
						}
						sent.Write(partitiontest.Run(n + 1))
						sent.Write(f.Raw)
					}
					p.Send(errorMessage(&servicev1.Error{Code: 500}))
					return
				}
				var got bytes.Buffer
				for _, f := range p.Replay[1:] {
					got.Write(f.Raw)
				}
				output(p, fmt.Sprint(bytes.Equal(got.Bytes(), sent.Bytes()), " ", len(p.Replay)))
			}, false))
			l.lazy = lazy
			l.wantValue(l.invoke(service("h"), ""), fmt.Sprint("true ", 2*steps+1))
			l.wantNothingHeld()
		})
	}
}

func TestCommandAcks(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Send(partitiontest.Run(1), flagged(partitiontest.Run(2)))
		p.Send(partitiontest.Run(3), flagged(partitiontest.Run(4)))
		var got []string
		for range 2 {
			f, err := p.Next()
			if err != nil {
				return
			}
			got = append(got, fmt.Sprintf("%s %x", f.Type, f.Payload))
		}
		output(p, strings.Join(got, ", "))
	}, false))
	l.wantValue(l.invoke(service("h"), ""), "CommandAck 0802, CommandAck 0804")
	l.wantNothingHeld()
}
